"""Run the earlier systems' presets on a corpus, and write what was claimed beside what comes out: docs/replication.md.

A composition root: presets are run as searches of their own (`search.run`), what they left is judged here.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from rich.console import Console

from genre_models.durable import write_text
from scripts.ending import exit_code_of
from scripts.replication.boxes import Boxes
from scripts.replication.costs import costs
from scripts.replication.page import write_page
from scripts.replication.plan import fma_rows, gtzan_rows
from scripts.replication.runs import Corpus
from search.errors import SearchError
from search.worker import available_cores

EPILOG = """rows:
  G02 G06 G11-G15 G18 G19       of the GTZAN reports, on --data; G12 and the like are run a setting at a time
  F03 F13 F14 F15 F17 F18 F20 F23 F27 F28   of the FMA slides, on the embedded demo corpus, to see that they run
  costs                         parameters, operations and latency of the FMA slides' networks
  faults                        what the reports got wrong, measured

examples:
  python scripts/replicate.py --data gtzan:~/gtzan --table ~/gtzan/features_30_sec.csv              everything
  python scripts/replicate.py G12 --data gtzan:~/gtzan                                              does 7x7 beat 3x3?
  python scripts/replicate.py --data gtzan:~/gtzan --lists train_filtered.txt valid_filtered.txt    on published lists too
  python scripts/replicate.py --data gtzan:~/gtzan --only-page                                      the page from what is there

Rows that have ended are not run again; what the box cut is, with a larger box. The held-out part of the corpus is never read.
exit codes: 0 done; 2 bad input; 130 stopped (the same command goes on)"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/replicate.py",
        description="Check what five earlier reports claim: run their systems, and set claim and result side by side, with intervals.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("rows", nargs="*", metavar="ROW", help="rows to run (default: all)")
    p.add_argument("--data", default="gtzan:data/gtzan", metavar="SOURCE", help="the corpus, as of search.run (default: gtzan:data/gtzan)")
    p.add_argument("--table", metavar="FILE", help="features_30_sec.csv of the same tracks; without it G06 is left out")
    p.add_argument("--lists", nargs=2, metavar=("TRAIN", "VALIDATION"), help="also run each row on these lists of tracks")
    p.add_argument("--minutes", type=float, default=20, metavar="M", help="box of each row, with all its cores (default: 20)")
    p.add_argument("--demo-minutes", type=float, default=3, metavar="M", help="box of each row on the demo corpus, which only shows that it runs (default: 3)")
    p.add_argument("--at-once", type=int, metavar="N", help="runs at a time, one core each (default: the cores there are)")
    p.add_argument("--only-page", action="store_true", help="run nothing, write the page from what has ended")
    p.add_argument("--page", type=Path, default=Path("docs/replication.md"), metavar="FILE", help="where to write it (default: docs/replication.md)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies/replication"), metavar="DIR", help="where runs are kept (default: studies/replication)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    return exit_code_of(lambda: _replicate(options), stopped="stopped; the same command goes on from here")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _replicate(options: argparse.Namespace) -> int:
    console = Console(soft_wrap=True, emoji=False, highlight=False, markup=False)
    corpus, studies_dir, at_once = _corpus(options), options.studies_dir.expanduser().resolve(), options.at_once or available_cores()
    boxes = [(gtzan_rows(corpus), options.minutes), (fma_rows(), options.demo_minutes)]
    every = [row for rows, _ in boxes for row in rows]
    _check(options, [row for row, _ in every])
    studies_dir.mkdir(parents=True, exist_ok=True)
    if not options.only_page:
        for rows, minutes in boxes:
            Boxes([row for row in rows if _is_wanted(row[0], options.rows)], corpus, studies_dir, minutes, at_once, console.print).run()
    measured = costs(studies_dir, console.print) if _is_wanted("costs", options.rows) and not options.only_page else _known_costs(studies_dir)
    faults = _faults(options, corpus, studies_dir, console)
    runs = list(dict.fromkeys(run for _, of in every for run in of))
    write_text(options.page, write_page(studies_dir, corpus, runs, measured, (options.minutes, options.demo_minutes), at_once, faults, _command(options)))
    console.print(f"page: {options.page}")
    return 0


def _known_costs(studies_dir: Path) -> dict:
    from scripts.replication.costs import COSTS

    return costs(studies_dir, lambda text: None) if (studies_dir / COSTS).is_file() else {}


def _faults(options: argparse.Namespace, corpus: Corpus, studies_dir: Path, console: Console) -> str:
    """The section on what the reports got wrong: of what is wanted now, and what was measured before."""
    from scripts.replication.faults_all import FAULTS, measure, render

    folder, results = studies_dir / "faults", {}
    folder.mkdir(exist_ok=True)
    for name, fault in FAULTS.items():
        file = folder / f"{name}.json"
        if _is_wanted("faults", options.rows) and not options.only_page:
            console.print(f"faults: {fault.title}")
            write_text(file, json.dumps(measure(name, corpus.source, folder, options.minutes, studies_dir, corpus.table)) + "\n")
        if file.is_file():
            results[name] = json.loads(file.read_text(encoding="utf-8"))
    return render(results) if results else ""


def _corpus(options: argparse.Namespace) -> Corpus:
    def absolute(path: str) -> str:
        found = Path(path).expanduser().resolve()
        if not found.is_file():
            raise SearchError(f"{path}: there is no such file; correct the path")
        return str(found)

    prefix, colon, folder = options.data.partition(":")
    source = f"{prefix}:{Path(folder).expanduser().resolve()}" if colon else options.data if options.data == "demo" else str(Path(options.data).expanduser().resolve())
    lists = None if options.lists is None else (absolute(options.lists[0]), absolute(options.lists[1]))
    return Corpus(source, None if options.table is None else absolute(options.table), lists)


def _check(options: argparse.Namespace, known: Sequence[str]) -> None:
    names = sorted({row.split()[0] for row in known} | {"G11", "costs", "faults"})
    for row in options.rows:
        if not any(name == row or name.startswith(f"{row} ") for name in [*names, *known]):
            raise SearchError(f"{row}: no such row; there are: {', '.join(names)}")
    for name, minutes in (("--minutes", options.minutes), ("--demo-minutes", options.demo_minutes)):
        if minutes <= 0:
            raise SearchError(f"{name} {minutes:g}: must be more than 0")
    if options.at_once is not None and options.at_once < 1:
        raise SearchError(f"--at-once {options.at_once}: must be 1 or more")
    if not options.page.expanduser().absolute().parent.is_dir():
        raise SearchError(f"{options.page}: there is no folder {options.page.expanduser().absolute().parent}; make it, or choose another place")


def _is_wanted(row: str, asked: Sequence[str]) -> bool:
    shared = {"G11": "G15"}  # the base network is the long run of the stopping sweep
    return not asked or any(row == name or row.startswith(f"{name} ") for name in [*asked, *(shared[name] for name in asked if name in shared)])


def _command(options: argparse.Namespace) -> str:
    prefix = options.data.partition(":")[0]
    parts = ["python", "scripts/replicate.py", "--data", f"{prefix}:FOLDER" if ":" in options.data else options.data]
    parts += ["--table", Path(options.table).name] if options.table else []
    parts += ["--lists", *(Path(name).name for name in options.lists)] if options.lists else []
    return shlex.join(parts)


if __name__ == "__main__":
    sys.exit(main())
