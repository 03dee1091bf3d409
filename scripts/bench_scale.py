"""How far one driver goes: decisions a second, memory and storage with many workers and trials, on a simulated clock.

    python scripts/bench_scale.py                               20,000 trials with 1, 8, 64 and 512 workers
    python scripts/bench_scale.py --asks 100 1000 3000 10000    seconds of TPE's proposal with so many finished trials
    python scripts/bench_scale.py --resume 1000                 from opening a study of so many finished trials to its first decision

Study (SQLite), scheduler, sampler and loop are the real ones; workers are entries of a queue of events, and an epoch takes no time but that
of the driver's part in it. A decision is a trial handed out, an epoch answered or an end taken in. A CPU second is one of the driver's own work: it
leaves out waiting for the disk, which `--in-memory` spares (the study is in /dev/shm), and for other programs. One driver serves so many workers
whose epochs take 10 s.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import heapq
import math
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from genre_models.families import FAMILIES
from genre_models.settings import DataSettings, FeatureSettings
from search.checkpoints import Checkpoints
from search.config import SearchConfig, load_space
from search.depot import LocalDepot
from search.driver import make_rules
from search.location import locate
from search.loop import Loop
from search.rules import Limits, SpecParts
from search.sampling import Proposer
from search.space import FamilySpace, FloatDomain, Parameter
from search.study import StudyOwner
from search.trial import Decision, End, Trial, trial_seed

#: Epochs of a real search take about so long, in seconds: what decisions a second are turned into workers with.
EPOCH_SECONDS = 10


class Nobody:
    """A monitor that does not look."""

    def started(self, trial: Trial) -> None: ...
    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None: ...
    def paused(self, trial: Trial) -> None: ...
    def ended(self, trial: Trial) -> None: ...
    def note(self, text: str) -> None: ...


class Scripted:
    """Workers that follow a curve: the value of epoch e is ``quality * (1 - exp(-e / 3))``, the quality and the pace drawn from the trial's seed."""

    def __init__(self, loop: Loop, workers: int, outcome: Callable[[Trial], dict[str, Any]] | None = None) -> None:
        self._loop, self._idle, self._outcome = loop, workers, outcome or outcome_of
        self._events: list[tuple[float, int, int]] = []  # (when the epoch ends, trial, epoch)
        self.decisions = 0

    def run(self, until: int | None = None) -> None:
        """Until the loop starts no more, or so many trials have begun."""
        now = 0.0
        while True:
            while self._idle and (until is None or self._loop.owner.next_number < until) and (trial := self._loop.next()) is not None:
                self._idle -= 1
                self.decisions += 1
                self._train(now, trial, max(trial.reports, default=0) + 1)
            if not self._events:
                return
            now, number, epoch = heapq.heappop(self._events)
            self._epoch_ends(now, self._loop.owner.trials[number], epoch)

    def _train(self, now: float, trial: Trial, epoch: int) -> None:
        pace = 1 + trial_seed(1, trial.number) / 2**31
        heapq.heappush(self._events, (now + pace, trial.number, epoch))

    def _epoch_ends(self, now: float, trial: Trial, epoch: int) -> None:
        quality = trial_seed(2, trial.number) / 2**31
        value = quality * (1 - math.exp(-epoch / 3))
        answer = self._loop.report(trial.number, epoch, {"val_accuracy": value, "loss": 1 - value})
        self.decisions += 1
        checkpoint = {"epoch": epoch, "folder": f"{trial.root:04d}/{epoch:04d}", "bytes": 100_000, "seconds": 0.02}
        if answer is Decision.SAVE:
            self._loop.saved(trial.number, checkpoint)
        if answer in (Decision.CONTINUE, Decision.SAVE) and epoch < trial.spec["epochs"]:
            self._train(now, trial, epoch + 1)
            return
        self._idle += 1
        self.decisions += 1
        self._loop.finished(trial.number, self._outcome(trial) | ({"checkpoint": checkpoint} if answer is Decision.PAUSE else {}))


def outcome_of(trial: Trial) -> dict[str, Any]:
    """What a real objective returns, in keys and size."""
    history = [
        {"epoch": e, "loss": 1 - v, "val_loss": 1.1 - v, "val_accuracy": v, "learning_rate": 0.00123456789, "seconds": 10.123456789 + v}
        for e, v in sorted(trial.reports.items())
    ]
    best = max(trial.reports, key=lambda e: trial.reports[e])
    value = trial.reports[best]
    return {
        "value": value, "best_epoch": best, "epochs": max(trial.reports), "stopped_early": False, "history": history,
        "interval": [value - 0.07654321, value + 0.07654321], "parameters": 123_456, "gflops": 0.123456789, "n_validation": 114,
        "fit_seconds": 12.3456789, "seconds": 12.456789, "phases": {"build": 1.2345678, "train": 9.8765432, "validate": 1.2345678, "report": 0.0123},
    }  # fmt: skip


def make_config(trials: int | None, epochs: int, sampler: str, scheduler: str) -> SearchConfig:
    """The space of spaces/cnn.yaml, with another budget."""
    changes = {"budget.trials": trials, "budget.max_epochs": epochs, "sampler": sampler, "scheduler": scheduler, "study": "scale"}
    return load_space(ROOT / "spaces" / "cnn.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings}, changes)


def open_loop(studies_dir: Path, config: SearchConfig) -> Loop:
    """What `search.driver` puts together, without an engine."""
    (studies_dir / config.study).mkdir(exist_ok=True)
    owner = StudyOwner(locate(studies_dir, config.study), maximize=True, fingerprint=config.fingerprint_parts())
    features = {family: {"features": sections["features"].model_dump(mode="json")} for family, sections in config.family_sections.items()}
    parts = SpecParts(
        epochs=config.budget.max_epochs,
        seed=config.seed,
        precision="float32",
        resolve=lambda family, sampled: config.families[family].resolve(sampled),
        sections=features,
        screen=lambda spec: {},
    )
    proposer = Proposer(config.families, config.sampler, config.seed, True)
    checkpoints = Checkpoints(LocalDepot(str(studies_dir / config.study)), int(config.resources.checkpoints_gib * 2**30))
    limits = Limits(trials=config.budget.trials)
    return Loop(owner, proposer, make_rules(config, True, 1), parts, limits, "val_accuracy", Nobody(), checkpoints)


def studies_folder(in_memory: bool) -> tempfile.TemporaryDirectory[str]:
    """A folder that is removed in the end: in memory, or beside the real studies, on whatever disk they are."""
    if not in_memory:
        (ROOT / "studies").mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir="/dev/shm" if in_memory else ROOT / "studies", prefix=".bench-")


def measure(workers: int, options: argparse.Namespace) -> str:
    """One search; a row of the table."""
    with studies_folder(options.in_memory) as folder:
        loop = open_loop(Path(folder), make_config(options.trials, options.epochs, "random", options.scheduler))
        process, scripted = psutil.Process(), Scripted(loop, workers)
        late = options.trials - options.trials // 10
        gc.collect()
        before, started, worked = process.memory_info().rss, time.perf_counter(), time.process_time()
        scripted.run(until=late)
        middle, decided = time.process_time(), scripted.decisions
        scripted.run()
        took, work = time.perf_counter() - started, time.process_time() - worked
        last = (scripted.decisions - decided) / (time.process_time() - middle)
        gc.collect()
        grown = (process.memory_info().rss - before) / 2**20
        count, rss = len(loop.owner.trials), process.memory_info().rss / 2**20
        loop.owner.close()
        size = sum(path.stat().st_size for path in (Path(folder) / "scale").glob("study.db*"))
        rate, epochs = scripted.decisions / took, sum(len(t.reports) for t in loop.owner.trials.values())
    return (
        f"| {workers} | {scripted.decisions:,} | {rate:,.0f} | {scripted.decisions / work:,.0f} | {last:,.0f} | {epochs / took * EPOCH_SECONDS:,.0f} | "
        f"{rss:.0f} MiB | {1000 * grown / count:.1f} MiB | {size / count / 1024:.1f} KiB |"
    )


def run_decisions(options: argparse.Namespace) -> None:
    where = "in memory" if options.in_memory else "on disk"
    print(f"{options.trials:,} trials of spaces/cnn.yaml, at most {options.epochs} epochs, random sampler, {options.scheduler}; SQLite {where}\n")
    print("| workers | decisions | a second | a CPU second | likewise, last tenth | workers one driver serves | memory | a 1,000 trials | database, a trial |")
    print("|---|---|---|---|---|---|---|---|---|")
    # Each in a process of its own, so that its memory is its own.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        for workers in options.workers:
            print(processes.submit(measure, workers, options).result(), flush=True)


def run_profile(options: argparse.Namespace) -> None:
    profile = cProfile.Profile()
    profile.enable()
    print(measure(options.workers[0], options))
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(35)


def run_asks(options: argparse.Namespace) -> None:
    six = tuple(Parameter(f"p{i}", FloatDomain(0.0, 1.0)) for i in range(6))
    spaces = {
        "6 floats": {"six": FamilySpace("six", six, {p.name: 0.5 for p in six}, 1)},
        "spaces/cnn.yaml (20, some conditional)": make_config(None, 27, "tpe", "asha").families,
    }
    print(f"| searched parameters | {' | '.join(f'{n:,} finished' for n in options.asks)} |\n|---|{'---|' * len(options.asks)}")
    for name, families in spaces.items():
        print(f"| {name} | {' | '.join(f'{seconds_of_ask(families, n):.3f} s' for n in options.asks)} |", flush=True)


def seconds_of_ask(families: Mapping[str, FamilySpace], finished: int) -> float:
    """The median of five proposals of TPE, after so many trials under ASHA's ends."""
    drawn, proposer = Proposer(families, "random", 0, True), Proposer(families, "tpe", 0, True)
    trials = []
    for number in range(finished):
        family, _, written = drawn.propose(number)
        chance = trial_seed(0, number) / 2**31
        last = 3 if chance > 1 / 3 else 9 if chance > 1 / 9 else 27
        reports = {epoch: chance + 0.001 * epoch for epoch in range(1, last + 1)}
        end = End.FULL if last == 27 else End.PRUNED
        params = {key: value for key, (value, _) in written.items()}
        trials.append(Trial(number, end.state, {"family": family, "epochs": 27}, params, reports, str(end), value=reports[last]))
    proposer.rebuild(trials)
    took = []
    for number in range(finished, finished + 5):
        started = time.perf_counter()
        proposer.propose(number)
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def run_resume(options: argparse.Namespace) -> None:
    with studies_folder(options.in_memory) as folder:
        studies_dir, config = Path(folder), make_config(options.resume + 8, options.epochs, "tpe", options.scheduler)
        drawing = make_config(options.resume, options.epochs, "random", options.scheduler)
        loop = open_loop(studies_dir, drawing)
        Scripted(loop, 8).run()
        loop.owner.close()
        del loop
        took = []
        for _ in range(3):
            started = time.perf_counter()
            loop = open_loop(studies_dir, config)
            opened = time.perf_counter()
            trial = loop.next()
            took.append((opened - started, time.perf_counter() - opened))
            loop.failed(trial.number, "nan", "only the beginning was timed")
            loop.owner.close()
        opening, asking = (statistics.median(times) for times in zip(*took, strict=True))
        print(f"{options.resume:,} finished trials: study opened and read in {opening:.2f} s, first decision (tpe) after another {asking:.2f} s")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--trials", type=int, default=20_000)
    p.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64, 512])
    p.add_argument("--epochs", type=int, default=27, help="of the full budget (default: 27, rungs at 3 and 9)")
    p.add_argument("--scheduler", default="asha", choices=("asha", "asha_promotion", "hyperband", "none"))
    p.add_argument("--in-memory", action="store_true", help="keep the study in /dev/shm: no waiting for the disk")
    p.add_argument("--profile", action="store_true", help="where the time of the first number of workers goes")
    p.add_argument("--asks", type=int, nargs="+", metavar="N", help="time TPE's proposal with N finished trials instead")
    p.add_argument("--resume", type=int, metavar="N", help="time the opening of a study with N finished trials instead")
    return p


def main() -> None:
    options = parser().parse_args()
    if options.asks:
        run_asks(options)
    elif options.resume:
        run_resume(options)
    elif options.profile:
        run_profile(options)
    else:
        run_decisions(options)


if __name__ == "__main__":
    main()
