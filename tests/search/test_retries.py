"""Trials that are lost again and again: what is held against them, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.location import locate
from search.study import StudyOwner
from search.study_view import read_study
from search.trial import MAX_RETRIES, End, with_earlier_legs
from search.worker import Errand, run_trial

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


# -- what a lost trial took ----------------------------------------------------------------------------------------


def ended(owner: StudyOwner, fit_seconds: float) -> dict:
    """The newest trial's outcome, had its last leg fitted for so long."""
    (trial,) = [t for t in owner.trials.values() if t.state == "RUNNING"]
    last = {"seconds": fit_seconds + 1, "fit_seconds": fit_seconds, "phases": {"train": fit_seconds}}
    return {key: value for key, value in with_earlier_legs(trial.outcome, last).items() if key != "cost"}


def lost_and_begun_again(owner: StudyOwner, end: End = End.WORKER_LOST) -> None:
    (trial,) = [t for t in owner.trials.values() if t.state == "RUNNING"]
    owner.finish(trial.number, end, outcome={"cost": {}})
    owner.start_waiting(owner.waiting()[0], {})


def saved(owner: StudyOwner, epoch: int, fit_seconds: float | None) -> None:
    (trial,) = [t for t in owner.trials.values() if t.state == "RUNNING"]
    owner.report(trial.number, epoch, 0.1)
    told = {"epoch": epoch, "folder": f"0000/{epoch:04d}", "bytes": 1}
    owner.keep_checkpoint(trial.number, told if fit_seconds is None else {**told, "leg": {"seconds": fit_seconds + 1, "fit_seconds": fit_seconds}})


def test_a_trial_that_went_on_from_a_checkpoint_does_not_look_cheaper_than_it_was(tmp_path: Path) -> None:
    """Its seconds count as far as the checkpoint; how they were spent is not known, so a latency can't be had of it."""
    owner = begin(tmp_path)
    owner.start(SPEC, {})
    saved(owner, 3, 30.0)
    lost_and_begun_again(owner)
    assert ended(owner, 5.0) == {"seconds": 37.0, "fit_seconds": 35.0, "untold": ["phases"]}
    lost_and_begun_again(owner)  # before it saved anew: what the checkpoint took counts once
    assert ended(owner, 5.0)["fit_seconds"] == 35.0
    saved(owner, 6, 40.0)
    killed(owner)
    owner = begin(tmp_path)
    owner.start_waiting(owner.waiting()[0], {})
    assert ended(owner, 5.0) == {"seconds": 78.0, "fit_seconds": 75.0, "untold": ["phases"]}, "an orphan likewise"
    owner.close()


def test_seconds_of_a_leg_count_once_where_the_state_at_its_pause_could_not_be_written(tmp_path: Path) -> None:
    owner = begin(tmp_path)
    trial = owner.start(SPEC, {})
    saved(owner, 3, 30.0)
    owner.report(trial.number, 6, 0.1)
    owner.park(trial.number, 6, {"seconds": 51.0, "fit_seconds": 50.0, "phases": {"train": 50.0}}, None)
    assert trial.checkpoint["epoch"] == 3, "the earlier one serves"
    owner.resume(trial)
    lost_and_begun_again(owner)
    assert ended(owner, 5.0)["fit_seconds"] == 55.0
    owner.close()


def test_what_a_checkpoint_of_an_earlier_version_took_is_not_told_at_all(tmp_path: Path) -> None:
    owner = begin(tmp_path)
    owner.start(SPEC, {})
    saved(owner, 3, None)
    lost_and_begun_again(owner)
    assert ended(owner, 5.0) == {"untold": ["seconds", "fit_seconds", "phases"]}
    saved(owner, 6, 40.0)
    lost_and_begun_again(owner)
    assert "fit_seconds" not in ended(owner, 5.0)
    owner.close()


def test_one_that_began_afresh_or_was_stopped_with_its_state_is_told_whole(tmp_path: Path) -> None:
    owner = begin(tmp_path)
    trial = owner.start(SPEC, {})
    lost_and_begun_again(owner)
    assert ended(owner, 5.0)["fit_seconds"] == 5.0, "without a checkpoint nothing of before is of use"
    (trial,) = [t for t in owner.trials.values() if t.state == "RUNNING"]
    owner.report(trial.number, 3, 0.1)
    whole = {"seconds": 9.0, "fit_seconds": 8.0, "phases": {"train": 8.0}, "cost": {}}
    owner.finish(trial.number, End.INTERRUPTED, outcome=whole, checkpoint={"epoch": 3, "folder": "0000/0003", "bytes": 1})
    owner.start_waiting(owner.waiting()[0], {})
    assert ended(owner, 5.0) == {"seconds": 15.0, "fit_seconds": 13.0, "phases": {"train": 13.0}}
    owner.close()


class Steady:
    """Epochs that say how long they took."""

    def run(self, spec, report, *, workdir=None, resume=None):
        for epoch in range(1, spec["epochs"] + 1):
            report(epoch, {"val_accuracy": 0.5, "seconds": 10.0}, lambda folder: None)
        return {"epochs": spec["epochs"], "stopped_early": False, "value": 0.5}


def test_a_checkpoint_on_the_way_says_what_its_leg_took(tmp_path: Path) -> None:
    told = []
    errand = Errand(0, {**SPEC, "epochs": 4}, str(tmp_path / "work"), str(tmp_path / "checkpoints"))
    run_trial(Steady(), errand, lambda epoch, metrics: "save" if epoch == 3 else "continue", told.append)
    assert told[0]["leg"]["fit_seconds"] == 30.0 and 0 <= told[0]["leg"]["seconds"] < 10


def test_a_trial_that_ended_by_itself_as_it_was_told_to_stop_keeps_what_it_leaves(tmp_path: Path) -> None:
    """It may win: its last epoch was the budget's, whatever the answer to it."""
    errand = Errand(0, {**SPEC, "epochs": 2}, str(tmp_path / "work"), str(tmp_path / "checkpoints"))
    assert "disk_bytes" in run_trial(Steady(), errand, lambda epoch, metrics: "stop" if epoch == 2 else "continue")


def test_a_snapshot_that_fails_in_a_framework_s_own_words_costs_the_checkpoint_alone(tmp_path: Path) -> None:
    class Torch(Steady):
        def run(self, spec, report, *, workdir=None, resume=None):
            def snapshot(folder: str) -> None:
                raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

            for epoch in (1, 2):
                report(epoch, {"val_accuracy": 0.5}, snapshot)
            return {"epochs": 2, "stopped_early": False, "value": 0.5}

    told = []
    errand = Errand(0, {**SPEC, "epochs": 2}, str(tmp_path / "work"), str(tmp_path / "checkpoints"))
    outcome = run_trial(Torch(), errand, lambda epoch, metrics: "save", told.append)
    assert outcome["value"] == 0.5 and told[0] == {"error": "RuntimeError: PytorchStreamWriter failed writing file data/0: file write failed"}
