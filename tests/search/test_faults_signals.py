"""Signals to real drivers over real Ray: to the driver alone, to its whole process group, and to Ray's own processes."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from search.trial import End
from tests.search.conftest import Driver, Studies, until
from tests.search.soundness import Finished, assert_sound, finished_trials
from tests.search.test_faults import some_epochs

TRIALS, FACTOR = 12, 2
SLOW = {"epoch_seconds": 0.1}


def start(studies: Studies, log: Path, epochs: int = 12) -> Driver:
    """A driver in the middle of its trials: so many epochs have been trained."""
    driver = studies.start({"log": str(log), **SLOW}, factor=FACTOR)
    until(lambda: some_epochs(log, epochs), told=lambda: driver.text)
    driver.family()
    return driver


def go_on(studies: Studies, log: Path, before: Finished, engine: str = "inline") -> None:
    """The same study, to the end; in one process it takes a third of the time."""
    again = studies.start({"log": str(log)}, factor=FACTOR, engine=engine)
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), TRIALS, log, before, factor=FACTOR)
    again.assert_nothing_left()


@pytest.mark.slow
def test_the_whole_process_group_killed(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = start(studies, log)
    driver.kill_group(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    driver.assert_nothing_left()
    before = finished_trials(studies.read())
    go_on(studies, log, before, "ray")
    assert "orphan" in {t.end for t in studies.read().trials}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
def test_asked_to_end_by_a_batch_system_or_a_terminal(studies: Studies, tmp_path: Path, number: signal.Signals, group: bool) -> None:
    log = tmp_path / "log"
    driver = start(studies, log)
    (driver.kill_group if group else driver.kill)(number)
    assert driver.wait() == 130, driver.text
    driver.assert_nothing_left()
    assert "Traceback" not in driver.text and "error" not in driver.text
    before = finished_trials(studies.read())
    ends = Counter(end for _, end, _, _ in before.values())
    assert ends["interrupted"] >= 1 and not ends["worker-lost"] and not [t for t in studies.read().trials if t.state == "RUNNING"]
    go_on(studies, log, before)


@pytest.mark.slow
def test_asked_twice_it_ends_now_and_goes_on_from_the_last_rung(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "epoch_seconds": 0.1, "hang": {"epoch": 6, "trials": 2, "counts": str(tmp_path / "counts")}}, factor=FACTOR, scheduler="none")
    until(lambda: some_epochs(log, 12), told=lambda: driver.text)
    driver.kill_group(signal.SIGINT)
    until(lambda: "once more" in driver.text)
    driver.kill_group(signal.SIGINT)
    assert driver.wait(20) == 130, driver.text
    driver.assert_nothing_left()
    before = finished_trials(studies.read())
    assert {end for _, end, _, _ in before.values()} == {"interrupted"}
    again = studies.start({"log": str(log)}, factor=FACTOR, scheduler="none", engine="inline")
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), TRIALS, log, before, factor=FACTOR)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_rays_own_processes_killed_the_search_goes_on_by_itself(studies: Studies, tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    driver = start(studies, log)
    before = finished_trials(studies.read())
    (victim,) = driver.named(name)
    victim.kill()
    assert driver.wait(90) == 0, driver.text
    assert "Traceback" not in driver.text and "starting anew" in driver.text
    assert_sound(studies.read(), TRIALS, log, before, factor=FACTOR)
    ends = Counter(t.end for t in studies.read().trials)
    assert 1 <= ends["worker-lost"] <= 2, ends
    assert all(End(t.end) is not End.ORPHAN for t in studies.read().trials)
    driver.assert_nothing_left()
