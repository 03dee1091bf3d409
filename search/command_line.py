"""The command line of ``python -m search.run``: what it takes, and what of that is laid over a space file. Knows no family by itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from search.peers import PEERS

EPILOG = """examples:
  python -m search.run --space spaces/cnn.yaml                       the demo corpus, or go on with that study
  python -m search.run --space spaces/cnn.yaml --data gtzan:~/gtzan  your GTZAN; the study is named cnn-gtzan
  python -m search.run --space spaces/cnn.yaml --data ~/music --minutes 60
  python -m search.run --space spaces/all.yaml --data ~/music        networks, pretrained networks and classifiers in one study
  python -m search.run --space spaces/cnn.yaml --dry-run             what would be searched, and how long it may take
  python -m search.run --describe cnn                                every parameter of a family

Run the same command again to go on with a study: after it was stopped, killed, or to give it a larger budget.
Watch it live:    python -m search.dashboard                         all studies in the browser, read-only
When it is done:  python scripts/final_eval.py --study best
exit codes: 0 done; 1 a replayed trial differs; 2 bad input; 130 stopped by the user"""


def parser(families: Iterable[str]) -> argparse.ArgumentParser:
    """The command line; `families` are those that --describe knows."""
    p = argparse.ArgumentParser(
        prog="python -m search.run",
        description="Search a space of models on a folder of music. Trials train on one part of the tracks and are compared on another; "
        "the held-out tracks are not touched.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--space", type=Path, metavar="FILE", help="the space file (YAML): what is searched, on which data, for how long")
    p.add_argument("--data", metavar="SOURCE", nargs="+", help="instead of the file's: demo, a folder of class folders, gtzan:FOLDER, or fma:FOLDER; several make one corpus")
    p.add_argument("--input", choices=("audio", "image"), help="which set of a corpus that has both, as GTZAN may (default: the file's, else the one with more files, of two equal ones the sound)")
    p.add_argument("--study", metavar="NAME", help="name of the study (default: the file's; with --data, SPACE-FOLDER)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--storage", metavar="env:NAME", help="keep the trials in the PostgreSQL database whose URL the environment variable NAME holds (default: SQLite in the study's folder)")
    p.add_argument("--artifacts", metavar="PLACE", help="where artifacts and checkpoints lie: a folder, or a URL such as s3://bucket/prefix (default: the study's folder)")
    p.add_argument("--engine", choices=("ray", "inline", *PEERS), help="ray: parallel workers; inline: this process alone; keras-tuner, ray-tune, ray-tune-reuse, ray-tune-fit: another tool searches, for comparison")
    p.add_argument("--workers", type=int, metavar="N", help="trials at a time (default: what the machine offers; of a cluster a fair share, which follows nodes and searches that come and go)")
    p.add_argument("--address", metavar="WHERE", help="an existing Ray cluster: auto (this machine is one of its nodes), HOST:PORT of its head, or ray://HOST:PORT (default: as RAY_ADDRESS says, else a Ray of its own on this machine)")
    p.add_argument("--trials", type=int, metavar="N", help="total trials of the study, over all its runs")
    p.add_argument("--minutes", type=float, metavar="M", help="total minutes of the study, over all its runs")
    p.add_argument("--epochs", type=int, metavar="N", help="total epochs of the study, over all its runs and trials")
    p.add_argument("--kwh", type=float, metavar="E", help="total energy of the study in kWh, over all its runs")
    p.add_argument("--kg-co2", type=float, metavar="C", help="total emissions of the study in kg of CO2 equivalents, over all its runs (needs energy.country_iso_code in the file)")
    p.add_argument("--prefer", nargs="+", metavar=("RULE", "X"), help="who wins: best (default), or cheapest-within X: the cheapest at most X worse than the best; X = ties: of those a paired test can't tell from it; then, if you like, by COST: seconds, energy, latency, parameters, memory, …")
    p.add_argument("--split", choices=("naive",), help="naive: deal the segments of development tracks one by one, to see how much that flatters; no result, and the study is named NAME-naive")
    p.add_argument("--seed", type=int, metavar="N", help="of validation split, sampler and training")
    p.add_argument("--warm-start", metavar="STUDY", nargs="+", help="a new study tries the best configurations of these studies first, and its sampler learns from their trials")
    p.add_argument("--replay", type=int, metavar="N", help="train trial N of the study again, alone, and compare its curve with the recorded one; writes nothing")
    p.add_argument("--dry-run", action="store_true", help="show the space, the rungs, the epochs and an estimate of time; train nothing")
    p.add_argument("--describe", metavar="FAMILY", help=f"show a family's parameters and leave ({', '.join(families)})")
    return p


def overrides(options: argparse.Namespace) -> dict[str, object]:
    """The command line's values, laid over the file."""
    given = {
        "data.source": options.data if options.data is None or len(options.data) > 1 else options.data[0],
        "data.input": options.input,
        "data.split": options.split,
        "study": options.study,
        "engine": options.engine,
        "workers": options.workers,
        "budget.trials": options.trials,
        "budget.minutes": options.minutes,
        "budget.epochs": options.epochs,
        "budget.kwh": options.kwh,
        "budget.kg_co2": options.kg_co2,
        "prefer": None if options.prefer is None else " ".join(options.prefer),
        "seed": options.seed,
        "warm_start": options.warm_start,
        "storage": options.storage,
        "artifacts": options.artifacts,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if options.data not in (None, ["demo"]) and options.study is None:
        # So that the first corpus of the user's own does not collide with the demo's study.
        folder = Path(options.data[0].partition(":")[2] or options.data[0]).expanduser().resolve()
        given["study"] = f"{options.space.stem}-{_as_name(folder.name)}"
    if options.split is not None and options.study is None:
        given["study"] = f"{given.get('study', options.space.stem)}-{options.split}"
    return given


def _as_name(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)


def studies_folder(options: argparse.Namespace) -> Path:
    """Where studies are kept."""
    return options.studies_dir.expanduser().resolve()
