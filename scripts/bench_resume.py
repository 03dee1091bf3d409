"""How long a study takes to go on after a kill: from the command to the first new epoch, with many finished trials and with none.

    python scripts/bench_resume.py                     1,000 finished trials
    python scripts/bench_resume.py --trials 5000 --runs 5

A real study of small networks on a tiny demo corpus is begun, finished trials of its own space are written into it by the study's own writer, and
``python -m search.run`` is started on it with real Ray and TensorFlow, killed with SIGKILL in an epoch, and started again: that start is timed,
until an epoch that was not there before is in the database (reports are written at most a second late). A new study on the same, ready features
is timed beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PATIENCE_SECONDS = 300
SPACE = """study: resume
features: {sr: 11025, n_fft: 512, hop_length: 512, n_mels: 16, clip_seconds: auto}
budget: {min_epochs: 1, max_epochs: 27, reduction_factor: 3, trials: 100000}
workers: 2
families:
  cnn:
    depth: {int: [1, 2]}
    filters: {choice: [4, 8]}
    kernel: {int: [3, 7]}
    learning_rate: {float: [1e-3, 1e-2], log: true}
    batch_size: 16
"""

_TRAINED = """SELECT count(*) FROM (SELECT DISTINCT json_extract(spec.value_json, '$.seed'), step FROM trial_intermediate_values AS epochs
JOIN trial_user_attributes AS spec ON spec.trial_id = epochs.trial_id AND spec.key = 'spec')"""


def command(folder: Path, study: str, *more: str) -> list[str]:
    """The search command on a study in `folder`."""
    places = ["--space", folder / "space.yaml", "--data", folder / "music", "--study", study, "--studies-dir", folder / "studies"]
    return [sys.executable, "-m", "search.run", *map(str, places), *more]


def epochs_in(database: Path) -> int | None:
    """Epochs that were trained in a study; None where its database can't be read now, as while a killed writer's log is taken in.

    A trial that goes on is given the epochs that its line had before: one seed, counted once.
    """
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(_TRAINED).fetchone()[0]
    except sqlite3.Error:
        return None


def epochs_before(database: Path) -> int:
    """Epochs that are there before a search begins; 0 where there is no study."""
    while (found := epochs_in(database) if database.exists() else 0) is None:
        time.sleep(0.02)
    return found


def start_until_epoch(folder: Path, study: str, log: Path) -> float:
    """Start the search, wait for the first new epoch, kill everything; returns the seconds from the start to that epoch."""
    database = folder / "studies" / study / "study.db"
    before, started = epochs_before(database), time.monotonic()
    with log.open("a") as out:
        process = subprocess.Popen(command(folder, study), cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    while (epochs_in(database) or 0) <= before:
        if process.poll() is not None or time.monotonic() - started > PATIENCE_SECONDS:
            raise SystemExit(f"error: no new epoch came:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)
    seconds = time.monotonic() - started
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    for each in left:  # Ray's agents stay for a while
        each.kill()
    return seconds


def add_finished(folder: Path, study: str, wanted: int) -> None:
    """Write finished trials of the study's own space into it, up to `wanted`: proposed as a search proposes them, stopped as ASHA stops most."""
    import json
    import random

    from genre_models.families import FAMILIES
    from genre_models.settings import DataSettings, FeatureSettings
    from search.config import load_space
    from search.lease import hold_lease
    from search.location import locate
    from search.sampling import Proposer
    from search.study import StudyOwner
    from search.study_view import read_study
    from search.trial import End, trial_seed

    view = read_study(folder / "studies", study)
    config = load_space(folder / "space.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings})
    features = json.loads(json.dumps(next(t.spec["features"] for t in view.trials)))
    rng, proposer = random.Random(0), Proposer(config.families, "random", 0, maximize=True)
    with hold_lease(locate(folder / "studies", study)) as lease:
        owner = StudyOwner(lease.location, maximize=True, fingerprint=view.fingerprint, lease=lease)
        while sum(t.counts for t in owner.trials.values()) < wanted:
            number = owner.next_number
            family, sampled, written = proposer.propose(number)
            spec = {"family": family, "params": dict(config.families[family].resolve(sampled)), "features": features, "epochs": 27}
            spec |= {"seed": trial_seed(0, number), "precision": view.trials[0].spec["precision"], "retry_of": None}
            owner.start(spec, written)
            top, length = rng.uniform(0.1, 0.6), rng.choices((3, 9, 27), (6, 3, 1))[0]
            history = [{"epoch": e, "val_accuracy": top * (1 - 1 / (1 + e)), "learning_rate": 1e-3, "seconds": 0.1} for e in range(1, length + 1)]
            for row in history:
                owner.report(number, row["epoch"], row["val_accuracy"])
            value = history[-1]["val_accuracy"]
            outcome = {"value": value, "best_epoch": length, "epochs": length, "stopped_early": False, "history": history, "seconds": 1.0, "parameters": 1000}
            owner.finish(number, End.FULL if length == 27 else End.PRUNED, value=value, outcome=outcome)
        owner.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="finished trials in the study (default: 1000)")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    from genre_models.demo import render_demo

    with tempfile.TemporaryDirectory(prefix="bench_resume_") as name:
        folder = Path(name)
        render_demo(folder / "music", seed=1, tracks_per_style=8, seconds=2.0)
        (folder / "space.yaml").write_text(SPACE)
        log = folder / "log.txt"
        start_until_epoch(folder, "resume", log)  # features and the study
        add_finished(folder, "resume", options.trials)
        size = (folder / "studies" / "resume" / "study.db").stat().st_size / 2**20
        new, resumed = [], []
        for run in range(options.runs):
            new.append(start_until_epoch(folder, f"new-{run}", log))
            resumed.append(start_until_epoch(folder, "resume", log))
    print(f"seconds from the command to the first new epoch, medians of {options.runs} (all): ")
    print(f"a new study: {statistics.median(new):.1f} ({', '.join(f'{s:.1f}' for s in new)})")
    told = ", ".join(f"{s:.1f}" for s in resumed)
    print(f"after a kill, {options.trials} finished trials, database of {size:.1f} MiB: {statistics.median(resumed):.1f} ({told})")
    print(f"ratio: {statistics.median(resumed) / statistics.median(new):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
