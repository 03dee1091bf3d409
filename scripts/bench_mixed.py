"""Seconds from the command to a score, of a search over several kinds of models: with nothing cached, and with everything cached.

    python scripts/bench_mixed.py --data gtzan:FOLDER --input image --table gtzan/features_30_sec.csv --weights mobilenet=FILE --reach 0.75

For each seed a folder without a cache, then a second study in the same folder. The search is ended as soon as an epoch scores what is to be reached, or when its
minutes are up. With --table the families on handcrafted features take that table; --weights names a local file for each family of pretrained networks that is to run.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.ending import exit_code_of
from scripts.peers import environment
from scripts.peers.engines import write_space
from scripts.peers.process_tree import ProcessTree
from scripts.peers.watching import StudyWatch
from search.errors import SearchError

LOOK_SECONDS = 0.2
TREE_SECONDS = 3.0  # between two looks at its processes
_END_SECONDS = 120  # for the trials under way to come to an end


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--space", type=Path, default=ROOT / "spaces" / "all.yaml", metavar="FILE")
    p.add_argument("--data", default="demo", metavar="SOURCE", help="demo, a folder of class folders, gtzan:FOLDER")
    p.add_argument("--input", choices=("audio", "image"), help="which set of the corpus, where it has both")
    p.add_argument("--table", type=Path, metavar="FILE", help="of handcrafted features of the same tracks")
    p.add_argument("--weights", nargs="+", default=[], metavar="FAMILY=FILE", help="of pretrained networks")
    p.add_argument("--reach", type=float, default=0.75, metavar="SCORE", help="in validation (default: 0.75)")
    p.add_argument("--minutes", type=float, default=10.0, metavar="M", help="of a search that does not reach it (default: 10)")
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    return p


def main() -> int:
    o = parser().parse_args()
    print(f"{environment.machine()['cpu']}, load {environment.load()}, commit {environment.revision()}; {o.space.name} on {o.data.partition(':')[0]}\n")
    print(f"| seed | cache | seconds to {o.reach:g} | by | to the first epoch | epochs |\n|---|---|---|---|---|---|")
    found: dict[str, list[float | None]] = {"cold": [], "warm": []}
    # In the studies folder, not in a temporary one: that may be in memory, and then no write would cost anything.
    (ROOT / "studies").mkdir(exist_ok=True)
    for seed in o.seeds:
        with tempfile.TemporaryDirectory(dir=ROOT / "studies", prefix=".bench-mixed-") as name:
            space = space_of(o, Path(name))
            for cache in found:
                told = timed(o, space, Path(name), f"{cache}-{seed}", seed)
                found[cache].append(told["seconds"])
                reached = "–" if told["seconds"] is None else f"{told['seconds']:.0f}"
                print(f"| {seed} | {cache} | {reached} | {told['family'] or '–'} | {told['first']:.0f} | {told['epochs']} |", flush=True)
    for cache, seconds in found.items():
        reached = [each for each in seconds if each is not None]
        print(f"\n{cache}: {len(reached)} of {len(seconds)} reached it" + (f", median {statistics.median(reached):.0f} s" if reached else ""))
    return 0


def space_of(o: argparse.Namespace, folder: Path) -> Path:
    """The space file with trials without end, the table and the weights."""
    given = yaml.safe_load(o.space.read_text(encoding="utf-8"))
    changes: dict[str, Any] = {"budget.trials": None} | ({} if o.input is None else {"data.input": o.input})
    if o.table is not None:
        for family, parameters in given["families"].items():
            if "handcrafted" in str(parameters.get("input", "")) or parameters.get("input") == "table":
                changes |= {f"families.{family}.input": "table", f"families.{family}.features.table": str(o.table.resolve())}
    for pair in o.weights:
        family, equals, file = pair.partition("=")
        if not equals or family not in given["families"]:
            raise SearchError(f"--weights {pair}: must be FAMILY=FILE, with a family of {o.space}: {', '.join(given['families'])}")
        changes[f"families.{family}.features.weights"] = {family: str(Path(file).resolve())}
    write_space(o.space, changes, target := folder / "space.yaml")
    return target


def timed(o: argparse.Namespace, space: Path, folder: Path, study: str, seed: int) -> dict[str, Any]:
    """Run a search until it reaches the score; seconds since its command."""
    words = ["--space", str(space), "--data", o.data, "--studies-dir", str(folder), "--study", study, "--seed", str(seed), "--minutes", f"{o.minutes:g}"]
    log, began, family = folder / f"{study}.log", time.monotonic(), None
    watch = StudyWatch(folder / study / "study.db", began)
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen([sys.executable, "-m", "search.run", *words], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    tree, looked = ProcessTree(process.pid), -TREE_SECONDS
    try:
        reached, has_ended = None, False
        while reached is None and not has_ended:
            has_ended = process.poll() is not None  # before the look, so that none of its last words is missed
            watch.look()
            reached = next((seen for seen in watch.seen if seen.value >= o.reach), None)
            if time.monotonic() - looked >= TREE_SECONDS:
                tree.look()
                looked = time.monotonic()
            time.sleep(LOOK_SECONDS)
        if reached is not None:
            family = watch.specs()[reached.number]["family"]
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):  # it is killed then
                process.wait(_END_SECONDS)
    finally:
        tree.kill()  # with all that it left: nothing may run beside the next
        process.wait()
    if not watch.seen or (reached is None and process.returncode != 0):
        why = "no epoch was trained" if not watch.seen else f"it ended with exit code {process.returncode}"
        raise SearchError(f"{' '.join(words)}: {why}:\n{log.read_text(errors='replace')[-2000:]}")
    return {"seconds": None if reached is None else reached.seconds, "family": family, "first": watch.seen[0].seconds, "epochs": len(watch.seen)}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it takes what it started with it
    sys.exit(exit_code_of(main, stopped="stopped; nothing was kept"))
