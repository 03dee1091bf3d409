"""Workers that hang, are stopped, or take too much memory."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from search.config import load_space
from search.study_view import read_study
from tests.search.conftest import Studies, until
from tests.search.scripted_driver import FAMILIES, run, space_text
from tests.search.soundness import assert_sound, legs_of
from tests.search.test_faults import some_epochs

HANG_SECONDS = 4
LIMITS = f", hang_minutes: {HANG_SECONDS / 60}, first_epoch_minutes: {2 * HANG_SECONDS / 60}"


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_its_trial_tried_once_more(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    hang = {"epoch": 5, "trials": 1, "times": 2, "counts": str(tmp_path / "hung")}
    driver = studies.start({"log": str(log), "epoch_seconds": 0.02, "hang": hang}, trials=6, factor=2, scheduler="none", resources=LIMITS)
    assert driver.wait() == 0, driver.text
    view = studies.read()
    assert_sound(view, 6, log, factor=2)
    first, second = [t for t in view.trials if t.end == "timeout"]
    assert second.retry_of == first.number and not first.counts and second.counts and {first.state, second.state} == {"FAIL"}
    assert "no sign of life" in first.reason and "resources.hang_minutes" in first.reason
    assert Counter(t.end for t in view.trials) == {"timeout": 2, "full": 5}
    assert legs_of(log)[first.spec["seed"]] == [(1, 5), (5, 5)], "from the rung at 4"
    driver.assert_nothing_left()


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_ended_too(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "epoch_seconds": 0.1}, trials=6, factor=2, scheduler="none", resources=LIMITS)
    until(lambda: some_epochs(log, 6), told=lambda: driver.text)
    stopped = psutil.Process(studies.epochs_logged(log)[-1][0])
    driver.family()
    stopped.suspend()
    assert driver.wait() == 0, driver.text
    assert_sound(studies.read(), 6, log, factor=2)
    assert Counter(t.end for t in studies.read().trials) == {"timeout": 1, "full": 6}
    driver.assert_nothing_left()


@pytest.mark.slow
def test_a_trial_over_its_memory_fails_and_is_not_tried_again(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    hog = {"epoch": 3, "mib": 700, "trials": 2, "counts": str(tmp_path / "hogs")}
    space = {"sampler": "random", "trials": 12, "scheduler": "none", "resources": ", worker_memory_gib: 0.5"}
    driver = studies.start({"log": str(log), "epoch_seconds": 0.02, "hog": hog}, **space)
    assert driver.wait() == 0, driver.text
    view = studies.read()
    assert_sound(view, 12, log)
    assert Counter(t.end for t in view.trials) == {"memory": 2, "full": 10}
    for trial in view.trials:
        if trial.end == "memory":
            assert trial.counts and trial.state == "FAIL" and "MiB" in trial.reason and "resources.worker_memory_gib" in trial.reason
            assert len(trial.reports) == 2 and not [t for t in view.trials if t.retry_of == trial.number]
    driver.assert_nothing_left()


@pytest.mark.slow
def test_a_worker_that_has_grown_is_replaced_between_two_trials(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "leak_mib": 120}, trials=12, workers=1, scheduler="none", resources=", worker_memory_gib: 0.6")
    assert driver.wait() == 0, driver.text
    assert_sound(studies.read(), 12, log)
    assert {t.end for t in studies.read().trials} == {"full"}, "no trial is lost by it"
    pids = Counter(pid for pid, _, _ in studies.epochs_logged(log))
    assert len(pids) >= 3 and max(pids.values()) < 12 * 9
    driver.assert_nothing_left()


def test_what_ran_out_of_memory_is_refused_when_it_is_proposed_again(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    for trials in (12, 24):  # the second run knows it from the study
        space.write_text(space_text(engine="inline", scheduler="none", trials=trials, families="") + "  slow: {width: {int: [3, 6]}}\n")
        run(tmp_path, load_space(space, FAMILIES, {}), {"memory_widths": [4, 5]}, Console(file=io.StringIO()))
    trials = read_study(tmp_path, "s").trials
    assert sum(t.counts for t in trials) == 24
    for width in (4, 5):
        first, *later = [t for t in trials if t.spec["params"]["width"] == width]
        assert (first.end, first.state) == ("memory", "FAIL") and len(later) >= 2
        assert {(t.end, t.reason) for t in later} == {("refused", f"the same configuration ran out of memory in trial {first.number}")}
    assert {t.end for t in trials if t.spec["params"]["width"] in (3, 6)} == {"full"}
