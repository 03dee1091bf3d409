"""A long study of tiny real trials: do memory, open files, processes and disk stay flat?

    python scripts/bench_soak.py                    300 networks on a tiny demo corpus, two Ray workers, recycled every 50 trials
    python scripts/bench_soak.py --trials 60        a look

Starts ``python -m search.run`` in a folder of its own and looks at it from outside, twice a second: anonymous memory of the driver and of the
largest worker, open files of the driver, processes below it, size of the study's folder. What is shown for each stretch of trials is the
median (of workers, which are replaced, the maximum); what must stay flat does not grow from one stretch to the next.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SAMPLE_SECONDS = 0.5
SPACE = """study: soak
features: {{sr: 11025, n_fft: 512, hop_length: 512, n_mels: 16, clip_seconds: auto}}
budget: {{min_epochs: 1, max_epochs: 4, reduction_factor: 2, trials: {trials}}}
sampler: random
workers: {workers}
families:
  cnn:
    depth: {{int: [1, 2]}}
    filters: {{choice: [4, 8]}}
    kernel: {{int: [3, 7]}}
    learning_rate: {{float: [1e-3, 1e-2], log: true}}
    batch_size: 16
"""


@dataclass(frozen=True)
class Sample:
    """One look: trials ended by then, MiB, counts, bytes."""

    trials: int
    driver_mib: float
    worker_mib: float
    driver_files: int
    processes: int
    study_mib: float
    database_mib: float


def look(driver: psutil.Process, study: Path) -> Sample | None:
    """What the search holds now; None before its first trial or after its end."""
    from search.process_memory import anonymous_mib

    ended = trials_ended(study / "study.db")
    if not ended:
        return None
    try:
        children = driver.children(recursive=True)
        held = driver.num_fds(), anonymous_mib(driver.pid)
    except psutil.NoSuchProcess:
        return None
    workers = []
    for child in children:
        try:
            if child.name().startswith("ray::Worker"):
                workers.append(anonymous_mib(child.pid))
        except psutil.NoSuchProcess:
            continue
    sizes = {path: path.stat().st_size for path in list(study.rglob("*")) if path.is_file()}
    database = sum(size for path, size in sizes.items() if path.name.startswith("study.db"))
    return Sample(ended, held[1], max(workers, default=0.0), held[0], len(children), (sum(sizes.values()) - database) / 2**20, database / 2**20)


def trials_ended(path: Path) -> int:
    """Finished trials in a study's database, 0 where there is none yet."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM trials WHERE state NOT IN ('RUNNING', 'WAITING')").fetchone()[0]
    except sqlite3.Error:
        return 0


def soak(folder: Path, trials: int, workers: int) -> tuple[list[Sample], float]:
    """Run the study; returns the samples and the seconds it took."""
    from genre_models.demo import render_demo

    render_demo(folder / "music", seed=1, tracks_per_style=8, seconds=2.0)
    (folder / "soak.yaml").write_text(SPACE.format(trials=trials, workers=workers))
    words = ["--space", folder / "soak.yaml", "--data", folder / "music", "--study", "soak", "--studies-dir", folder / "studies"]
    started, samples = time.monotonic(), []
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "search.run", *map(str, words)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                sample = look(driver, folder / "studies" / "soak")
            except FileNotFoundError:  # a file that went while its folder was read
                sample = None
            samples += [sample] if sample is not None else []
            time.sleep(SAMPLE_SECONDS)
    if process.returncode != 0:
        raise SystemExit(f"error: the search ended with exit code {process.returncode}:\n{(folder / 'log.txt').read_text()[-2000:]}")
    return samples, time.monotonic() - started


def table(samples: list[Sample], stretch: int) -> list[str]:
    """A line for each stretch of trials."""
    lines = [
        "| trials | driver MiB | largest worker MiB, at most | driver's open files | processes | study's folder MiB, without its database | database MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for start in range(0, max(s.trials for s in samples), stretch):
        group = [s for s in samples if start < s.trials <= start + stretch]
        if not group:
            continue
        middle = {name: statistics.median(getattr(s, name) for s in group) for name in Sample.__dataclass_fields__}
        lines.append(
            f"| {start + 1}–{start + stretch} | {middle['driver_mib']:.0f} | {max(s.worker_mib for s in group):.0f} | {middle['driver_files']:.0f} "
            f"| {middle['processes']:.0f} | {middle['study_mib']:.1f} | {middle['database_mib']:.2f} |"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stretch", type=int, default=50, help="trials that are shown together (default: 50)")
    options = parser.parse_args()
    before = {p.pid for p in psutil.process_iter() if p.name().startswith("ray::")}
    with tempfile.TemporaryDirectory(prefix="bench_soak_") as folder:
        samples, seconds = soak(Path(folder), options.trials, options.workers)
    print(f"{options.trials} trials on {options.workers} workers in {seconds / 60:.1f} minutes, {len(samples)} looks")
    print("\n".join(table(samples, options.stretch)))
    left = [p.name() for p in psutil.process_iter() if p.name().startswith("ray::") and p.pid not in before]
    print(f"processes left behind: {', '.join(left) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
