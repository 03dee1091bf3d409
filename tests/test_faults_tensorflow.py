"""Real networks on a real corpus: a worker and then a driver killed in an epoch; what goes on from checkpoints has the curve it would have had anyway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from search.errors import StudyError
from search.study_view import StudyView, read_study
from search.trial import Trial
from tests.search.conftest import until
from tests.tiny_study import make_corpus

ROOT = Path(__file__).parents[1]
EPOCHS = 64
SPACE = f"""
study: tf
features: {{image_size: [16, 24]}}
budget: {{min_epochs: 1, max_epochs: {EPOCHS}, reduction_factor: 2, trials: 2}}
scheduler: none
sampler: random
workers: 1
families:
  cnn: {{depth: 1, filters: {{choice: [4, 8]}}, dropout: {{float: [0.1, 0.5]}}, batch_size: 8}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_corpus(tmp_path / "corpus")
    (tmp_path / "tf.yaml").write_text(SPACE)
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    words = ["-m", "search.run", "--space", folder / "tf.yaml", "--data", folder / "corpus", "--study", "tf", "--studies-dir", folder / "studies", *more]
    return [sys.executable, *map(str, words)]


def read(folder: Path) -> StudyView | None:
    try:
        return read_study(folder / "studies", "tf")
    except StudyError:
        return None


def in_an_epoch(folder: Path, is_it: Callable[[Trial], bool] = bool) -> bool:
    """Whether a trial is past its rung at 8 and has epochs since."""
    view = read(folder)
    return view is not None and any(t.state == "RUNNING" and t.checkpoint is not None and len(t.reports) >= 10 and is_it(t) for t in view.trials)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_worker_and_then_the_driver_killed_in_an_epoch_the_curves_are_as_if_undisturbed(folder: Path) -> None:
    out = folder / "out.txt"
    with out.open("w") as stream:
        driver = subprocess.Popen(command(folder), cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        until(lambda: in_an_epoch(folder) or driver.poll() is not None, 120, out.read_text)
        (worker,) = [p for p in psutil.Process(driver.pid).children(recursive=True) if p.name().startswith("ray::Worker")]
        worker.kill()
        until(lambda: in_an_epoch(folder, lambda t: t.retry_of is None and t.number > 0) or driver.poll() is not None, 120, out.read_text)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        done = [(t.number, t.value, t.reports) for t in read(folder).trials if t.end is not None]
    finally:
        driver.kill()
        driver.wait()

    again = subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode == 0 and "Traceback" not in again.stdout + again.stderr, again.stdout + again.stderr
    view = read(folder)
    assert [(t.end, t.retry_of) for t in view.trials] == [("worker-lost", None), ("full", 0), ("orphan", None), ("full", 2)]
    assert done == [(t.number, t.value, t.reports) for t in view.trials[:2]]
    assert sum(t.counts for t in view.trials) == 2
    for lost, successor in (view.trials[:2], view.trials[2:]):
        assert lost.checkpoint["epoch"] >= 8 and lost.spec["seed"] == successor.spec["seed"]
        assert sorted(successor.reports) == list(range(1, EPOCHS + 1))
        assert {e: v for e, v in lost.reports.items() if successor.reports[e] != v} == {}
        assert [row["epoch"] for row in successor.outcome["history"]] == list(range(1, EPOCHS + 1))
        replay = subprocess.run(command(folder, "--replay", str(successor.number)), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
        assert replay.returncode == 0 and f"all {EPOCHS} epochs" in replay.stdout, replay.stdout + replay.stderr
