"""A search that minds seconds, on real training: rungs in seconds, frugal proposals, killed with SIGKILL and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genre_models.demo import render_demo
from search.errors import StudyError
from search.schedulers.ladder import SecondsLadder
from search.schedulers.stopping import Asha
from search.study_view import StudyView, read_study
from tests.test_end_to_end import ROOT, command

SPACE = """
study: frugal
features: {sr: 11025, n_fft: 512, hop_length: 512, n_mels: 16, clip_seconds: auto}
budget: {resource: seconds, min_seconds: 0.2, max_epochs: 12, reduction_factor: 2, trials: 8}
frugal: true
engine: inline
precision: float32
families:
  cnn:
    depth: {int: [1, 3]}
    filters: {choice: [4, 8, 32]}
    learning_rate: {float: [1e-3, 1e-2], log: true}
    batch_size: 16
"""


def words(place: Path) -> list[str | Path]:
    return ["-m", "search.run", "--space", place / "frugal.yaml", "--data", place / "music", "--study", "frugal", "--studies-dir", place / "studies"]


def study(place: Path) -> StudyView:
    return read_study(place / "studies", "frugal")


def killed_on_its_way(place: Path) -> None:
    """Start the search, and kill it once a trial has ended and another has saved its state."""
    with (place / "log.txt").open("w") as log:
        running = subprocess.Popen([sys.executable, *map(str, words(place))], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        end = time.monotonic() + 200
        while time.monotonic() < end and running.poll() is None:
            try:
                trials = study(place).trials
            except StudyError:
                trials = []  # it is just beginning
            if sum(t.end is not None for t in trials) >= 2 and any(t.state == "RUNNING" and t.checkpoint for t in trials):
                break
            time.sleep(0.1)
        assert running.poll() is None, (place / "log.txt").read_text()
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait(30)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_killed_and_gone_on_with_its_rungs_are_those_of_the_seconds_that_were_trained(tmp_path: Path) -> None:
    render_demo(tmp_path / "music", seed=1, tracks_per_style=8, seconds=2.0)
    (tmp_path / "frugal.yaml").write_text(SPACE.replace("max_epochs: 12", "max_epochs: 48"))  # long enough that the kill meets one that has saved its state
    killed_on_its_way(tmp_path)
    before = {t.number: (t.end, t.reports, t.seconds) for t in study(tmp_path).trials if t.end is not None}
    done = command(*words(tmp_path), seconds=200)
    assert done.returncode == 0 and "rank" in done.stdout, done.stdout + done.stderr
    trials = study(tmp_path).trials
    assert before.items() <= {t.number: (t.end, t.reports, t.seconds) for t in trials}.items(), "nothing of what had ended is lost"
    ended = [t for t in trials if t.counts]
    assert len(ended) == 8 and any(t.is_full for t in ended)
    ladder = SecondsLadder(0.2, 2)
    for trial in ended:
        assert sorted(trial.seconds) == sorted(trial.reports), "each epoch of a line of retries has its seconds, those before the kill too"
        assert all(trial.seconds[e] > trial.seconds.get(e - 1, 0.0) for e in trial.seconds)
        assert trial.is_full or ladder.reached(trial, max(trial.reports)), "stopped at a rung"
    orphan = next(t for t in trials if t.end == "orphan")
    successor = next(t for t in trials if t.retry_of == orphan.number)
    kept = {e: s for e, s in orphan.seconds.items() if e <= orphan.checkpoint["epoch"]}
    assert kept and kept.items() <= successor.seconds.items()
    for trial in ended:  # in the order of their beginnings one worker alone decided: a table made anew gives the same answers
        asha = Asha(SecondsLadder(0.2, 2), 2, True)
        asha.rebuild([t for t in trials if t.number < trial.number])
        last = max(trial.reports)
        if trial.end == "pruned":
            assert asha.decide(trial, last, trial.best(True)) == "stop"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_dry_run_tells_the_rungs_and_what_an_epoch_takes(tmp_path: Path) -> None:
    render_demo(tmp_path / "music", seed=1, tracks_per_style=4, seconds=1.0)
    (tmp_path / "frugal.yaml").write_text(SPACE)
    done = command(*words(tmp_path), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "rungs at 0.2, 0.4, 0.8, 1.6, … seconds of a trial's training" in done.stdout and "frugal: of 8 configurations" in done.stdout
    assert "an epoch" in done.stdout and "96 if every trial had the full budget" in done.stdout
