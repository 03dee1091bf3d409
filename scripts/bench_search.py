"""What the engine itself costs, and what part of a study's worker time went into training.

    python scripts/bench_search.py overhead                    per no-op trial with 5 reports, inline and ray
    python scripts/bench_search.py efficiency --study NAME     of a study that has run

The first uses an objective that does nothing, so all it takes is the engine's: proposing, writing, messages. TPE's
proposal is timed apart from it, since its cost is the sampler's and grows with the number of finished trials.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

REPORTS = 5
SPACE = """study: {study}
budget: {{min_epochs: 1, max_epochs: {reports}, trials: {trials}}}
scheduler: none
sampler: random
engine: {engine}
workers: {workers}
storage: {storage}
families:
  noop: {{a: {{float: [0, 1]}}, b: {{int: [1, 9]}}, c: {{choice: [x, y]}}}}
"""


class Noop:
    """Reports five times and does nothing else."""

    def run(self, spec: dict[str, Any], report: Any, *, workdir: str | None = None, resume: str | None = None) -> dict[str, Any]:
        for epoch in range(1, spec["epochs"] + 1):
            report(epoch, {"val_accuracy": spec["params"]["a"]}, lambda folder: None)
        return {"value": spec["params"]["a"], "best_epoch": 1, "epochs": spec["epochs"], "stopped_early": False}


def build(task: dict[str, Any]) -> Noop:
    """The objective factory that workers import."""
    return Noop()


class EndTimes:
    """A monitor that only looks at the clock."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def started(self, trial: Any) -> None: ...
    def reported(self, trial: Any, epoch: int, metrics: Any) -> None: ...
    def note(self, text: str) -> None: ...

    def ended(self, trial: Any) -> None:
        self.ends.append(time.perf_counter())


def overhead(engine: str, trials: int, workers: int, storage: str | None = None) -> list[float]:
    """Milliseconds from one trial's end to the next, in order; on PostgreSQL with `storage`, ``env:NAME``."""
    from genre_models.families.declaration import Declared, Family
    from search.config import load_space
    from search.driver import drive
    from search.worker import Workplace

    parameters = (
        Declared("a", "float", 0.5, "nothing", 0, 1),
        Declared("b", "int", 1, "nothing", 1, 9),
        Declared("c", "choice", "x", "nothing", choices=("x", "y")),
    )
    watched = EndTimes()

    @contextmanager
    def watching(owner: Any) -> Iterator[EndTimes]:
        yield watched

    # In the studies folder, not in a temporary one: that may be in memory, and then no write would cost anything.
    (ROOT / "studies").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "studies", prefix=".bench-") as folder:
        space = Path(folder) / "noop.yaml"
        study = f"noop-{uuid.uuid4().hex[:8]}"  # a database outlives this folder
        space.write_text(SPACE.format(study=study, reports=REPORTS, trials=trials, engine=engine, workers=workers, storage=storage or "null"))
        config = load_space(space, {"noop": Family("noop", "nothing", parameters, "bench_search")}, {})
        (Path(folder) / study).mkdir()
        drive(
            config,
            studies_dir=Path(folder),
            place=Workplace("bench_search:build", {}, str(Path(folder) / "trials")),
            fingerprint=config.fingerprint_parts(),
            sections={"noop": {}},
            precision="float32",
            screen=lambda spec: {},
            watching=watching,
        )
    return [1000 * (b - a) for a, b in zip(watched.ends, watched.ends[1:], strict=False)]


def tpe_ask(finished: int) -> float:
    """Milliseconds of TPE's proposal, the median of 20, with so many finished trials of six parameters."""
    from search.sampling import Proposer
    from search.space import FamilySpace, FloatDomain, Parameter
    from search.trial import Trial

    parameters = tuple(Parameter(f"p{i}", FloatDomain(0.0, 1.0), {}) for i in range(6))
    proposer = Proposer({"f": FamilySpace("f", parameters, {p.name: 0.5 for p in parameters}, 1, {})}, "tpe", 0, maximize=True)
    took = []
    for number in range(finished + 20):
        started = time.perf_counter()
        family, sampled, written = proposer.propose(number)
        if number >= finished:
            took.append(1000 * (time.perf_counter() - started))
        params = {name: value for name, (value, _) in written.items()}
        proposer.learn(Trial(number, "COMPLETE", {"family": family}, params, {1: sampled["p0"]}, "full", value=sampled["p0"]))
    return statistics.median(took)


def run_overhead(options: argparse.Namespace) -> None:
    database = f"PostgreSQL ({options.storage})" if options.storage else "SQLite (WAL, synchronous FULL)"
    print(f"{options.trials} no-op trials, {REPORTS} reports each, random sampler, {database}; {options.runs} runs of each")
    print("| engine | ms a trial, median of the runs' medians | of the runs' means | runs' means |")
    print("|---|---|---|---|")
    for engine, workers in (("inline", 1), ("ray", options.workers)):
        runs = [overhead(engine, options.trials, workers, options.storage) for _ in range(options.runs)]
        means = [statistics.mean(run) for run in runs]
        middle = statistics.median(statistics.median(run) for run in runs)
        name = engine if engine == "inline" else f"ray, {workers} workers"
        print(f"| {name} | {middle:.1f} | {statistics.median(means):.1f} | {', '.join(f'{m:.1f}' for m in sorted(means))} |", flush=True)
    for finished in (10, 100, 300):
        print(f"TPE's proposal with {finished} finished trials: {tpe_ask(finished):.1f} ms")


def run_efficiency(options: argparse.Namespace) -> None:
    from search.estimate import core_gflops
    from search.study_view import read_study

    view = read_study(options.studies_dir.resolve(), options.study)
    gone_on = {t.retry_of for t in view.trials}  # their seconds are in the trial that goes on with them
    outcomes = [t.outcome for t in view.trials if "fit_seconds" in t.outcome and t.number not in gone_on]
    phases: dict[str, float] = {}
    for outcome in outcomes:
        for name, seconds in outcome.get("phases", {}).items():
            phases[name] = phases.get(name, 0.0) + seconds
    fit, in_trials = sum(o["fit_seconds"] for o in outcomes), sum(o["seconds"] for o in outcomes)
    available = options.workers * view.elapsed_seconds
    ends = {end: sum(t.end == end for t in view.trials) for end in sorted({t.end or "running" for t in view.trials})}
    print(f"study {view.name}: {len(view.trials)} trials {ends}, {sum(len(t.reports) for t in view.trials)} epochs, {view.elapsed_seconds / 60:.1f} minutes")
    print(f"worker time {available:.0f} s ({options.workers} workers): {100 * fit / available:.1f} % inside fit, {100 * in_trials / available:.1f} % in trials")
    tracks = view.run["tracks"]
    priced = [o for o in outcomes if "gflops" in o]  # not of one that waits to go on
    work = sum(o["gflops"] * o["epochs"] * (3 * tracks["train"] + tracks["validation"]) for o in priced)
    print(f"{work / sum(o['fit_seconds'] for o in priced):.1f} GFLOP/s of a worker in fit; one core's matrix product reaches {core_gflops():.0f}")
    print("in trials: " + ", ".join(f"{name} {100 * s / in_trials:.1f} %" for name, s in sorted(phases.items(), key=lambda p: -p[1])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("overhead", help="milliseconds a no-op trial")
    p.add_argument("--trials", type=int, default=200)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--storage", metavar="env:NAME", help="on the PostgreSQL database of that environment variable; the studies stay in it")
    p.set_defaults(run=run_overhead)
    p = commands.add_parser("efficiency", help="what part of a study's worker time was training")
    p.add_argument("--study", required=True)
    p.add_argument("--studies-dir", type=Path, default=Path("studies"))
    p.add_argument("--workers", type=int, default=2, help="workers the study ran with")
    p.set_defaults(run=run_efficiency)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
