"""Real drivers, real Ray, real signals: nothing finished is lost, nothing is left behind, the same command goes on."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest

from search.study_view import list_studies, read_study
from tests.search.conftest import Studies, until
from tests.search.soundness import assert_sound, finished_trials

TRIALS = 12


def some_epochs(log: Path, n: int) -> bool:
    return log.exists() and len(log.read_text().splitlines()) >= n


def test_driver_killed_in_a_trial_the_same_command_goes_on(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    driver = studies.start({"epoch_seconds": 0.05, "log": str(log)})
    until(lambda: some_epochs(log, 12))
    driver.kill(signal.SIGKILL)
    driver.wait()
    driver.assert_nothing_left()
    finished_before = finished_trials(studies.read())

    again = studies.start({"epoch_seconds": 0.0, "log": str(log)})
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), TRIALS, log, finished_before)
    assert any(t.end == "orphan" for t in studies.read().trials)
    again.assert_nothing_left()


def test_worker_killed_in_an_epoch_costs_one_requeue(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    driver = studies.start({"epoch_seconds": 0.1, "log": str(log)})
    until(lambda: some_epochs(log, 3))
    pid = studies.epochs_logged(log)[-1][0]
    psutil.Process(pid).kill()
    assert driver.wait() == 0, driver.text
    assert_sound(studies.read(), TRIALS, log)
    assert [t.end for t in studies.read().trials].count("worker-lost") == 1


def test_a_worker_that_can_not_start_is_waited_for_and_nothing_is_called_done(studies: Studies, tmp_path: Path) -> None:
    driver = studies.start({"unbuilt": [str(tmp_path / "built"), 1], "sees": str(tmp_path / "gpus")}, trials=2, workers=1)
    assert driver.wait() == 0, driver.text
    assert (tmp_path / "gpus").read_text() == "", "a worker that was given no GPU sees none"
    assert "a worker could not start" in driver.text and sum(t.is_full for t in studies.read().trials) == 2, driver.text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_that_never_start_end_the_search_with_their_words(studies: Studies, tmp_path: Path) -> None:
    driver = studies.start({"unbuilt": [str(tmp_path / "built"), 999]}, trials=2, workers=1)
    assert driver.wait(250) == 2, driver.text
    assert "workers in a row died" in driver.text and "no module named magic" in driver.text and "done:" not in driver.text


@pytest.mark.slow
def test_a_configuration_that_kills_every_worker_is_tried_three_times(studies: Studies, tmp_path: Path) -> None:
    driver = studies.start({"misbehave": "die", "deaths": str(tmp_path / "deaths"), "times": 3}, trials=1, workers=1)
    assert driver.wait() == 0, driver.text
    trials = studies.read().trials
    assert [t.end for t in trials[:3]] == ["worker-lost"] * 3
    assert [t.retry_of for t in trials] == [None, 0, 1, None], "no fourth try; another configuration takes its place"
    assert trials[3].end == "full"


@pytest.mark.slow
def test_ctrl_c_ends_running_trials_and_the_next_run_repeats_them(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    driver = studies.start({"epoch_seconds": 0.1, "log": str(log)})
    until(lambda: some_epochs(log, 5))
    driver.kill(signal.SIGINT)
    assert driver.wait() == 130, driver.text
    driver.assert_nothing_left()
    ends = Counter(t.end for t in studies.read().trials)
    assert ends["interrupted"] >= 1 and not [t for t in studies.read().trials if t.state == "RUNNING"]
    again = studies.start({"log": str(log)})
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), TRIALS, log)


@pytest.mark.slow
def test_second_ctrl_c_stops_now(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    driver = studies.start({"epoch_seconds": 60, "log": str(log)})
    until(lambda: "s" in list_studies(tmp_path) and any(t.state == "RUNNING" for t in read_study(tmp_path, "s").trials))
    driver.kill(signal.SIGTERM)
    until(lambda: "once more" in driver.text)
    driver.kill(signal.SIGINT)
    assert driver.wait(20) == 130, driver.text
    driver.assert_nothing_left()
    assert {t.end for t in studies.read().trials if t.state != "WAITING"} == {"interrupted"}


@pytest.mark.slow
def test_two_drivers_on_one_study_the_second_is_refused(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    first = studies.start({"epoch_seconds": 0.3, "log": str(log)})
    until(lambda: some_epochs(log, 1))
    second = studies.start({})
    assert second.wait() == 2
    assert f"pid {first.process.pid}" in second.text and "Traceback" not in second.text
    assert first.wait() == 0, first.text


def test_a_changed_space_is_refused_and_nothing_is_lost(studies: Studies) -> None:
    assert studies.start({}, engine="inline").wait() == 0
    before = [(t.number, t.value) for t in studies.read().trials]
    changed = studies.start({}, engine="inline", epochs=10)
    assert changed.wait() == 2
    assert "max_epochs" in changed.text and "--study NAME" in changed.text and "Traceback" not in changed.text
    assert [(t.number, t.value) for t in studies.read().trials] == before


@pytest.mark.slow
def test_budgets_may_grow_and_a_met_budget_answers_at_once(studies: Studies) -> None:
    assert studies.start({}, engine="inline").wait() == 0
    again = studies.start({})
    assert again.wait() == 0
    assert len(studies.read().trials) == TRIALS
    more = studies.start({}, engine="inline", trials=TRIALS + 5)
    assert more.wait() == 0
    assert_sound(studies.read(), TRIALS + 5, studies.folder / "log")


@pytest.mark.parametrize(("kind", "end"), [("nan", "nan"), ("raise", "exception"), ("memory", "memory")])
def test_ten_failures_for_one_reason_stop_the_search(studies: Studies, kind: str, end: str) -> None:
    driver = studies.start({"misbehave": kind}, engine="inline", trials=40)
    assert driver.wait() == 2
    view = studies.read()
    assert [t.end for t in view.trials] == [end] * 10
    assert all(t.state == "FAIL" and t.reason for t in view.trials)
    assert "10 trials in a row" in driver.text and view.trials[0].reason in driver.text


def test_refused_configurations_are_recorded_counted_and_not_run(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    assert studies.start({"widest": 5, "log": str(log)}, engine="inline", trials=30).wait() == 0
    view = studies.read()
    refused = [t for t in view.trials if t.end == "refused"]
    assert refused and len(view.trials) == 30
    assert all(t.state == "PRUNED" and not t.reports and "too wide" in t.reason for t in refused)
    ran = {seed for _, seed, _ in studies.epochs_logged(log)}
    assert ran.isdisjoint({t.spec["seed"] for t in refused})


@pytest.mark.slow
def test_time_budget_finishes_one_trial_first(studies: Studies) -> None:
    driver = studies.start({"epoch_seconds": 0.25}, trials="null", minutes=0.02, scheduler="none")
    assert driver.wait() == 0, driver.text
    ends = Counter(t.end for t in studies.read().trials)
    assert ends["full"] == 1, ends
    assert "finished first" in driver.text
