"""What accounting for costs costs: the same search with and without it, in turn.

    python scripts/bench_accounting.py                       4 rounds of 8 trials on two workers
    python scripts/bench_accounting.py --rounds 6 --trials 24
    python scripts/bench_accounting.py --alone 60            what a meter and a worker's sampling use by themselves, in a minute

Real Ray, real TensorFlow, the demo corpus; every trial has its whole budget and every search the same seed, so all of them train the same networks.
With accounting the machine is metered (CodeCarbon in a process of its own) and workers look at their processor time and sample their memory; without it
neither is done. Told are the study's own seconds, from the first free worker to the end. The meter's start takes as long however long a search is, so short
searches pay more than long ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MODES = ("with", "without")
SPACE = """study: {mode}-{round}
data: {{source: demo}}
features: {{sr: 22050, n_fft: 2048, hop_length: 1024, n_mels: 64, clip_seconds: auto}}
budget: {{min_epochs: 1, max_epochs: {epochs}, trials: {trials}}}
scheduler: none
sampler: random
seed: 0
workers: {workers}
energy: {{country_iso_code: DEU, measure: {measured}}}
families:
  cnn: {{depth: {{int: [2, 3]}}, filters: {{choice: [8, 16]}}, learning_rate: {{float: [1e-3, 1e-2], log: true}}, batch_size: 32}}
"""


class NoMeter:
    """In the place of `search.trial_cost.CostMeter`: looks at nothing."""

    cost: dict[str, Any] = {}

    def __enter__(self) -> NoMeter:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was begun."""


def build_without(task: Mapping[str, Any]) -> Any:
    """The objective, in a worker that does not account."""
    from genre_models.objective import build
    from search import worker

    worker.CostMeter = NoMeter
    return build(task)


def search(arguments: list[str], mode: str) -> int:
    """The search command, in this process."""
    from search import run

    if mode == "without":
        run.FACTORY = "bench_accounting:build_without"
    return run.main(arguments)


def measure(folder: Path, mode: str, number: int, options: argparse.Namespace) -> float:
    """Seconds of one search."""
    from search.study_view import read_study

    space = folder / f"{mode}-{number}.yaml"
    given = {name: getattr(options, name) for name in ("epochs", "trials", "workers")}
    space.write_text(SPACE.format(mode=mode, round=number, measured=str(mode == "with").lower(), **given))
    places = ["--space", str(space), "--studies-dir", str(folder / "studies")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "scripts")))}
    subprocess.run([sys.executable, __file__, "--search", mode, *places], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    view = read_study(folder / "studies", f"{mode}-{number}")
    full = sum(trial.is_full for trial in view.trials)
    if full != options.trials or (view.cost is not None) != (mode == "with"):
        raise SystemExit(f"{mode}, round {number}: {full} of {options.trials} trials had the whole budget, energy {view.cost}")
    return view.elapsed_seconds


def compare(options: argparse.Namespace) -> None:
    """Run all, and print the table."""
    (ROOT / "studies").mkdir(exist_ok=True)
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory(dir=ROOT / "studies", prefix=".bench-") as name:
        measure(Path(name), "without", 0, options)  # renders the corpus and makes the features
        for number in range(1, options.rounds + 1):
            for mode in MODES if number % 2 else reversed(MODES):
                found[mode].append(measure(Path(name), mode, number, options))
                print(f"round {number}, {mode}: {found[mode][-1]:.1f} s", flush=True)
    print(f"\n{options.trials} trials of {options.epochs} epochs on {options.workers} workers, {options.rounds} rounds\n")
    print("| accounting | seconds, median (range) |\n|---|---|")
    for mode in MODES:
        print(f"| {mode} | {_spread(found[mode])} |")
    changes = [100 * (a / b - 1) for a, b in zip(found["with"], found["without"], strict=True)]
    print(f"\nwith against without, round by round: {statistics.median(changes):+.1f} % ({min(changes):+.1f} to {max(changes):+.1f})")


def alone(seconds: float) -> None:
    """Processor seconds of a meter beside a process that does nothing, at its start and later; and of a worker's sampling."""
    from search.energy_section import EnergySettings
    from search.meter import READING_SECONDS, Meter
    from search.trial_cost import CostMeter, meters

    meter, said = Meter(EnergySettings(country_iso_code="DEU"), delay_seconds=0.0), []
    while sum("at" in each for each in said) < 2:
        time.sleep(0.1)
        said += meter.take()
    process = psutil.Process(*meters)
    start, held = _used(process), process.memory_info().rss / 2**20
    time.sleep(seconds)
    later = _used(process) - start
    meter.close()
    print(f"the meter: {start:.2f} s of processors and {held:.0f} MiB to start, then {100 * later / seconds:.2f} % of one core (a reading every {READING_SECONDS:g} s)")
    before = time.process_time()
    with CostMeter():
        time.sleep(seconds)
    print(f"a worker's sampling: {100 * (time.process_time() - before) / seconds:.2f} % of one core")


def _used(process: psutil.Process) -> float:
    found = process.cpu_times()
    return found.user + found.system + found.children_user + found.children_system


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def main() -> int:
    if sys.argv[1:2] == ["--search"]:
        return search(sys.argv[3:], sys.argv[2])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=4)
    p.add_argument("--trials", type=int, default=8)
    p.add_argument("--epochs", type=int, default=9)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--alone", type=float, metavar="SECONDS", help="instead of searches, the meter and the sampling by themselves")
    options = p.parse_args()
    if options.alone is not None:
        alone(options.alone)
    else:
        compare(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
