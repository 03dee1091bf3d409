"""The same space, corpus, seeds, cores and minutes through the tools that one would take instead, and through ours.

    python scripts/bench_peers.py --data gtzan:FOLDER --input image --seeds 0 1 2     12 minutes for each engine and seed; adds lines to docs/results/peers.jsonl
    python scripts/bench_peers.py --data gtzan:FOLDER --input image --kill-at-half    likewise, but everything is killed at half time and started again
    python scripts/bench_peers.py --report                                            tables of all lines, and docs/images/peers.png

A run is a command of its own on the same cores, in a scratch folder with ready features; it is watched from outside: its epochs as they come into the study, the
memory of all its processes. When it has ended the winner is trained again on five folds by our own objective, the same for all. What is measured already is
skipped, so runs of several days add up; --again measures it anew, and the newest counts.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.ending import exit_code_of
from scripts.peers.engines import ENGINES, MANY_TRIALS, chosen, variant, write_space
from scripts.peers.environment import load
from scripts.peers.records import append_line, key_of, missing_runs, read_lines, round_robin
from scripts.peers.running import Run, measure, space_hash
from search.errors import SearchError

RESULTS = ROOT / "docs" / "results" / "peers.jsonl"
PICTURE = ROOT / "docs" / "images" / "peers.png"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--space", type=Path, default=ROOT / "spaces" / "cnn.yaml", metavar="FILE")
    p.add_argument("--data", default="demo", metavar="SOURCE", help="demo, a folder of class folders, gtzan:FOLDER")
    p.add_argument("--input", choices=("audio", "image"), help="which set of the corpus, where it has both")
    p.add_argument("--corpus", metavar="NAME", help="what lines call the corpus (default: from --data, without its folder)")
    p.add_argument("--engines", nargs="*", default=list(ENGINES), metavar="NAME", help=f"default: all ({', '.join(ENGINES)})")
    p.add_argument("--ours-with", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"), help="also ours with other keys in the space file, as engine ours-NAME")
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    p.add_argument("--minutes", type=float, default=12.0, metavar="M")
    p.add_argument("--cores", type=int, metavar="N", help="cores of each run (default: all that this process may use)")
    p.add_argument("--folds", type=int, default=5, metavar="K", help="winners are scored again on so many folds; 0: not at all (default: 5)")
    p.add_argument("--rescore", action="store_true", help="measure nothing anew: score on folds the winners of those lines that have no such score, of studies in --work")
    p.add_argument("--kill-at-half", action="store_true", help="kill everything at half time and start the same command again")
    p.add_argument("--again", action="store_true", help="measure also what has a line")
    p.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    p.add_argument("--work", type=Path, metavar="DIR", help="where studies, their logs and the cache lie, and stay (default: a scratch folder, removed at the end)")
    p.add_argument("--report", action="store_true", help="measure nothing: print the tables, draw the picture")
    p.add_argument("--picture", type=Path, default=PICTURE, metavar="FILE")
    return p


def main() -> int:
    options = parser().parse_args()
    return report(options) if options.report else run_all(options)


def run_all(options: argparse.Namespace) -> int:
    """Measure what is missing, one run after the other."""
    _require_sense(options)
    cores = _cores(options.cores)
    engines = {engine.name: engine for engine in (*chosen(options.engines), *map(variant, options.ours_with))}
    with _work(options.work) as work:
        spaces = {name: _space(options, engine.changes, work / f"{name}.yaml") for name, engine in engines.items()}
        common = {"minutes": options.minutes, "source": options.data, "cores": cores, "studies_dir": work / "studies", "killed": options.kill_at_half}
        named = {"space_name": options.space.stem, "corpus": options.corpus or corpus_name(options.data, options.input)}
        order = round_robin(list(engines), options.seeds)
        runs = [Run(engine=engines[name], seed=seed, space=spaces[name], **common, **named) for name, seed in order]
        if options.rescore:
            return _rescore_all(runs, options)
        there = [] if options.again else read_lines(options.results)
        wanted = missing_runs([run.key for run in runs], there)
        print(f"{len(runs) - len(wanted)} of {len(runs)} runs have a line in {options.results}; load now {load()}", flush=True)
        failed = 0
        for number, run in enumerate((run for run in runs if run.key in wanted), start=1):
            print(f"[{number} of {len(wanted)}] {run.engine.name}, seed {run.seed}, {run.minutes:g} minutes, {len(cores)} cores", flush=True)
            failed += not _measure(run, options)
    return 1 if failed else 0


def _require_sense(o: argparse.Namespace) -> None:
    if o.minutes <= 0:
        raise SearchError(f"--minutes {o.minutes:g}: must be more than 0")
    if not o.engines and not o.ours_with:
        raise SearchError("--engines: name one at least, or give --ours-with too")
    if o.folds == 1 or o.folds < 0:
        raise SearchError(f"--folds {o.folds}: must be 2 or more, or 0 for no scores on folds")
    if o.rescore and (o.folds == 0 or o.kill_at_half):
        raise SearchError("--rescore: scores winners on folds, of searches that nobody killed: leave out " + ("--kill-at-half" if o.kill_at_half else "--folds 0"))
    if o.rescore and o.work is None:
        raise SearchError("--rescore: give the --work folder of the measurement too: there are the studies whose winners are scored")


def _rescore_all(runs: list[Run], options: argparse.Namespace) -> int:
    """What ``--folds 0`` left for later, when the cores need not be idle: a score does not depend on that."""
    lines = {key_of(line): line for line in read_lines(options.results)}
    waiting = [run for run in runs if not run.killed and "folds" not in lines.get(key_of(run.key), {"folds": None})]
    failed = 0
    for number, run in enumerate(waiting, start=1):
        print(f"[{number} of {len(waiting)}] {run.engine.name}, seed {run.seed}: {options.folds} folds", flush=True)
        line = lines[key_of(run.key)]
        try:
            append_line(options.results, line | _rescored(run, options.folds, line))
        except SearchError as error:
            print(f"error: {run.engine.name}, seed {run.seed}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return 1 if failed else 0


def _measure(run: Run, options: argparse.Namespace) -> bool:
    """Measure one run and append its line; an engine that fails is told and costs the others nothing."""
    try:
        _prepare(run)
        append_line(options.results, line := measure(run))  # at once: whatever becomes of the folds, it is measured
        if options.folds and not run.killed:
            append_line(options.results, line | _rescored(run, options.folds, line))
    except SearchError as error:
        print(f"error: {run.engine.name}, seed {run.seed}: {error}", file=sys.stderr, flush=True)
        return False
    told = "" if "survival" not in line else f"; kept {line['survival']['epochs_kept']} of {line['survival']['epochs_before']} epochs"
    print(f"    best {line['best']} in {line['epochs']} epochs, {line['wall_seconds']:.0f} s, {line['peak_mib']:.0f} MiB{told}", flush=True)
    return True


def _prepare(run: Run) -> None:
    """Make the features, in a process of its own, before the clock runs."""
    _json_of(["scripts.peers.preparing", *_places(run)], run)


def _rescored(run: Run, folds: int, line: Mapping[str, Any]) -> dict[str, Any]:
    """What a line learns of its winner, and of the study."""
    winner, hashed = line["winner"], space_hash(run.space)
    if line.get("space_sha256", hashed) != hashed:
        raise SearchError(f"{run.space.name}: is not what was measured (its hash is {hashed}, that of the line {line['space_sha256']}): bring it back as it was, or measure anew with --again")
    if winner["state"] == "COMPLETE" and _is_late(line):
        raise SearchError(f"its winner, trial {winner['trial']} with {winner['value']}, came after the time, when the best was {line['best']}: measure anew with --again")
    meant = ["--trial", str(winner["trial"]), "--value", str(winner["value"])]
    found = _json_of(["scripts.peers.rescoring", *_places(run), "--study", run.study, "--folds", str(folds), *meant], run)
    return {"configurations": found.pop("configurations"), "folds": found}


def _is_late(line: Mapping[str, Any]) -> bool:
    """Of lines of before winners were asked for at the end of the time. Where nothing was trained by then, there is no other."""
    best, value = line.get("best"), line["winner"]["value"]
    return best is not None and (value > best + 1e-5 if line["maximize"] else value < best - 1e-5)


def _places(run: Run) -> list[str]:
    return ["--space", str(run.space), "--data", run.source, "--studies-dir", str(run.studies_dir), "--seed", str(run.seed)]


def _json_of(words: list[str], run: Run) -> dict:
    """The JSON that a module prints as its last line."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SearchError(f"{words[0]} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def corpus_name(source: str, wanted: str | None) -> str:
    """The corpus without its folder, which is this machine's business: ``gtzan image``."""
    kind, colon, folder = source.partition(":")
    name = kind if colon or source == "demo" else Path(folder or source).name
    return name if wanted is None else f"{name} {wanted}"


def _space(options: argparse.Namespace, changes: dict, target: Path) -> Path:
    more = {"budget.trials": MANY_TRIALS} | ({} if options.input is None else {"data.input": options.input})
    write_space(options.space, {**changes, **more}, target)
    return target


def _cores(wanted: int | None) -> tuple[int, ...]:
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if wanted is not None and not 1 <= wanted <= len(there):
        raise SearchError(f"--cores {wanted}: this process may use {len(there)}")
    return tuple(there[: wanted or len(there)])


@contextmanager
def _work(given: Path | None) -> Iterator[Path]:
    if given is not None:
        (given / "studies").mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    # In the studies folder, not in a temporary one: that may be in memory, and then no write would cost anything.
    (ROOT / "studies").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "studies", prefix=".bench-peers-") as name:
        (Path(name) / "studies").mkdir()
        yield Path(name)


def report(options: argparse.Namespace) -> int:
    """Print the tables of all comparisons that have lines; the picture is of the one with most of them."""
    from scripts.peers.picture import draw_curves
    from scripts.peers.tables import comparisons, conditions, engine_table, seed_table, speed_table, survival_table

    found = comparisons(read_lines(options.results))
    if not found:
        raise SearchError(f"{options.results}: has no lines yet: measure first")
    for (space, corpus, minutes, cores), lines in found.items():
        print(f"### {space} on {corpus}, {minutes:g} minutes, {cores} cores\n\n{conditions(lines)}\n")
        for table in (speed_table(lines), seed_table(lines), engine_table(lines), survival_table(lines)):
            print(f"{table}\n" if table else "", end="\n" if table else "")
    drawn = max(found.values(), key=lambda lines: sum(not line["killed"] for line in lines))
    draw_curves(options.picture, [line for line in drawn if not line["killed"]] or drawn)
    print(f"picture: {options.picture}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it takes what it started with it
    sys.exit(exit_code_of(main, stopped="stopped; what was measured whole is kept, the same command goes on"))
