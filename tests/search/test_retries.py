"""Trials that are lost again and again: what is held against them, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.location import locate
from search.study import StudyOwner
from search.study_view import read_study
from search.trial import MAX_RETRIES, End

SPEC = {"family": "f", "params": {}, "epochs": 9, "seed": 1, "retry_of": None}


def begin(folder: Path, trains_here: bool = False) -> StudyOwner:
    (folder / "s").mkdir(exist_ok=True)
    return StudyOwner(locate(folder, "s"), maximize=True, fingerprint={}, trains_here=trains_here)


def killed(owner: StudyOwner) -> None:
    """As by SIGKILL: nothing is said of what runs."""
    owner.storage.engine.dispose()


def test_a_driver_that_is_killed_however_often_costs_a_trial_of_another_process_nothing(tmp_path: Path) -> None:
    owner = begin(tmp_path)
    owner.start(SPEC, {})
    for _ in range(MAX_RETRIES + 4):
        killed(owner)
        owner = begin(tmp_path)
        (waiting,) = owner.waiting()
        owner.start_waiting(waiting, {})
    owner.close()
    trials = read_study(tmp_path, "s").trials
    assert [t.end for t in trials] == ["orphan"] * (MAX_RETRIES + 4) + [None] and {t.root for t in trials} == {0}


def test_a_trial_that_may_have_ended_its_driver_itself_is_given_up(tmp_path: Path) -> None:
    owner = begin(tmp_path, trains_here=True)
    owner.start(SPEC, {})
    for _ in range(MAX_RETRIES):
        killed(owner)
        owner = begin(tmp_path, trains_here=True)
        owner.start_waiting(owner.waiting()[0], {})
    killed(owner)
    owner = begin(tmp_path, trains_here=True)
    assert owner.waiting() == [] and [t.end for t in owner.trials.values()] == ["orphan"] * (MAX_RETRIES + 1)
    owner.close()


@pytest.mark.parametrize("between", [End.INTERRUPTED, End.ORPHAN])
def test_workers_that_are_lost_are_counted_whatever_ended_in_between(tmp_path: Path, between: End) -> None:
    owner = begin(tmp_path)
    trial = owner.start(SPEC, {})
    for end in [End.WORKER_LOST, between, End.WORKER_LOST, between]:
        owner.finish(trial.number, end)
        (trial,) = owner.waiting()
        owner.start_waiting(trial, {})
    owner.finish(trial.number, End.WORKER_LOST)
    assert owner.waiting() == [], "the third worker is one too many"
    owner.close()
