"""Where each second of a search's workers goes, and what a trial costs beside a bare Keras `fit` of the same model.

    python scripts/bench_profile.py --study NAME --workers 2                          of a study that has run
    python scripts/bench_profile.py --data gtzan:FOLDER --input image --minutes 30    runs one, and knows its start and end too
    python scripts/bench_profile.py --data gtzan:FOLDER --input image --bare          trial and fit in turn, each in a process of its own

The first two print one table. The third prints, for a small, a middling and a large network, medians over repeats of the seconds of a whole training (building,
tracing, all epochs) and of an epoch, and their ratio, repeat by repeat. A worker has trained before, except once: 'again' is the second training of a process.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.ending import exit_code_of
from scripts.peers import environment
from scripts.peers.bare import CONFIGURATIONS, KINDS
from scripts.peers.engines import MANY_TRIALS, write_space
from scripts.peers.time_shares import Profile, profile, profile_table
from search.errors import SearchError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--study", metavar="NAME", help="a study that has run")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where it is, and whose cache is used")
    p.add_argument("--workers", type=int, metavar="N", help="trials at a time: with --study of the search that has run, which must be told; else of the one that is run (default: 2)")
    p.add_argument("--space", type=Path, default=ROOT / "spaces" / "cnn.yaml", metavar="FILE")
    p.add_argument("--data", default="demo", metavar="SOURCE")
    p.add_argument("--input", choices=("audio", "image"), help="which set of the corpus, where it has both")
    p.add_argument("--minutes", type=float, metavar="M", help="run a search of so many minutes")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--bare", action="store_true", help="our trial beside a bare fit")
    p.add_argument("--configurations", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS), metavar="NAME")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--threads", type=int, default=1, help="of a trial and of a fit (default: 1, a worker's)")
    p.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    return p


def main() -> int:
    o = parser().parse_args()
    chosen = [o.study is not None, o.minutes is not None, o.bare]
    if sum(chosen) != 1:
        raise SearchError("say what is to be profiled: one of --study NAME, --minutes M, --bare")
    print(f"{environment.machine()['cpu']}, load {environment.load()}, commit {environment.revision()}")
    if o.bare:
        return beside_bare(o)
    _tell(of_study(o) if o.study is not None else of_new_search(o))
    return 0


def of_study(o: argparse.Namespace) -> Profile:
    """Of a study as it lies there: what came before and after the search is not known."""
    from search.study_view import read_study

    if o.workers is None:
        raise SearchError("--study: give --workers N too, of the search that has run: shares of the workers' time are shares of N times its seconds")
    view = read_study(o.studies_dir.resolve(), o.study)
    if not view.elapsed_seconds:
        raise SearchError(f"study '{o.study}': does not say how long it searched")
    return profile(view.trials, o.workers, view.elapsed_seconds)


def of_new_search(o: argparse.Namespace) -> Profile:
    """Run a search in a scratch folder; features are made before."""
    from search.study_view import read_study

    workers = o.workers or 2
    with _scratch() as folder:
        space = _space(o, folder)
        _last_line(["scripts.peers.preparing", *_places(o, space, folder)])
        words = ["search.run", *_places(o, space, folder), "--study", "profile", "--engine", "ray", "--workers", str(workers), "--minutes", f"{o.minutes:g}"]
        log, began = folder / "search.log", time.time()
        with log.open("w") as out:
            code = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
        wall_seconds = time.time() - began
        if code != 0:
            raise SearchError(f"the search ended with exit code {code}:\n{log.read_text(errors='replace')[-2000:]}")
        view, before = read_study(folder, "profile"), first_trial_began(folder / "profile" / "study.db") - began
        return profile(view.trials, workers, view.elapsed_seconds, before, max(0.0, wall_seconds - before - view.elapsed_seconds))


def first_trial_began(database: Path) -> float:
    """Unix seconds at which the first trial was handed out: when the first worker was free."""
    import sqlite3
    from contextlib import closing
    from datetime import UTC, datetime

    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        text = connection.execute("SELECT min(datetime_start) FROM trials").fetchone()[0]
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _tell(found: Profile) -> None:
    print(f"{found.trials} trials, {found.epochs} epochs, {found.worker_seconds:.0f} s of workers; {found.silent} trials told nothing\n")
    print(profile_table(found))
    print(f"\ninside fit (training, validation, first epochs): {100 * found.in_fit:.1f} % of the workers' time")


def beside_bare(o: argparse.Namespace) -> int:
    """Measure in turn, so that what else the machine does meets all alike; the order turns with each repeat."""
    if o.repeats < 1:
        raise SearchError(f"--repeats {o.repeats}: must be 1 or more")
    with _scratch() as folder:
        space = _space(o, folder)
        _last_line(["scripts.peers.preparing", *_places(o, space, folder)])
        print(f"\n{o.repeats} repeats, {o.epochs} epochs, {o.threads} thread{'s' if o.threads > 1 else ''}, {o.precision}\n")
        print("| network | what | seconds of a training, first | again | an epoch | again, beside bare | an epoch, beside bare |\n|---|---|---|---|---|---|---|")
        for configuration in o.configurations:
            found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
            for repeat in range(o.repeats):
                for kind in list(KINDS)[:: 1 if repeat % 2 == 0 else -1]:
                    found[kind].append(_timed(o, kind, configuration, space, folder))
            for row in bare_rows(configuration, found):
                print(row, flush=True)
    return 0


def bare_rows(configuration: str, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A row for each kind: medians with their ranges, and ratios to the bare fit of the same repeat."""
    rows = []
    for kind, runs in found.items():
        first, again, epoch = (_values(runs, *keys) for keys in (("first", "seconds"), ("again", "seconds"), ("again", "epoch_seconds")))
        bare_again, bare_epoch = (_values(found["bare"], "again", name) for name in ("seconds", "epoch_seconds"))
        ratios = [_spread([a / b for a, b in zip(mine, theirs, strict=True)]) for mine, theirs in ((again, bare_again), (epoch, bare_epoch))]
        rows.append(f"| {configuration} | {kind} | {_spread(first)} | {_spread(again)} | {_spread(epoch, 3)} | {ratios[0]} | {ratios[1]} |")
    return rows


def _values(runs: list[dict[str, Any]], when: str, what: str) -> list[float]:
    return [run[when][what] for run in runs]


def _spread(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _timed(o: argparse.Namespace, kind: str, configuration: str, space: Path, folder: Path) -> dict[str, Any]:
    words = ["scripts.peers.bare", kind, "--configuration", configuration, *_places(o, space, folder)]
    return json.loads(_last_line([*words, "--epochs", str(o.epochs), "--threads", str(o.threads), "--precision", o.precision]))


def _last_line(words: list[str]) -> str:
    """What a module prints last."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SearchError(f"{words[0]} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def _places(o: argparse.Namespace, space: Path, folder: Path) -> list[str]:
    return ["--space", str(space), "--data", o.data, "--studies-dir", str(folder), "--seed", str(o.seed)]


def _space(o: argparse.Namespace, folder: Path) -> Path:
    """The space file with trials without end, so that time ends the search."""
    write_space(o.space, {"budget.trials": MANY_TRIALS} | ({} if o.input is None else {"data.input": o.input}), target := folder / "space.yaml")
    return target


@contextmanager
def _scratch() -> Iterator[Path]:
    # In the studies folder, not in a temporary one: that may be in memory, and then no write would cost anything.
    (ROOT / "studies").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "studies", prefix=".bench-profile-") as name:
        yield Path(name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it takes what it started with it
    sys.exit(exit_code_of(main, stopped="stopped; nothing was kept"))
