"""A disk that is really full, a study file that another process locks, checkpoints that are damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.study_view import read_study
from tests.search.conftest import Studies, until
from tests.search.scripted_driver import FAMILIES, run, space_text
from tests.search.small_disk import SmallDisk
from tests.search.soundness import assert_sound, finished_trials
from tests.search.test_faults import some_epochs

TRIALS = 12


@pytest.fixture
def disk(tmp_path: Path, studies: Studies) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    small = SmallDisk(folder, 1500)
    # The space files and what drivers print lie on the large disk.
    studies.prefix = small.prefix
    studies.on = folder
    yield small
    for driver in studies.drivers:
        driver.clean_up()
    small.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["inline", "ray"])
def test_a_full_disk_under_the_study_is_one_clear_error_and_the_same_command_goes_on(studies: Studies, disk: SmallDisk, tmp_path: Path, engine: str) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "epoch_seconds": 0.05}, engine=engine)
    until(lambda: some_epochs(log, 5))
    disk.fill(leave_kib=20)
    assert driver.wait() == 2, driver.text
    assert_one_clear_error(driver.text, str(disk.folder), "full", "free")
    driver.assert_nothing_left()

    while_full = studies.start({"log": str(log)}, engine=engine)
    assert while_full.wait() == 2, while_full.text
    assert_one_clear_error(while_full.text, str(disk.folder), "full", "free")

    disk.empty()
    before = finished_trials(read_study(disk.copy_out(tmp_path / "then"), "s"))
    again = studies.start({"log": str(log)}, engine=engine)
    assert again.wait() == 0, again.text
    view = read_study(disk.copy_out(tmp_path / "now"), "s")
    # The disk was full for checkpoints too: where that was said, and only there, more than a rung may be trained again.
    untold = "could not be written" not in driver.text + while_full.text
    assert_sound(view, TRIALS, log, before, afresh=() if untold else [t.spec["seed"] for t in view.trials if t.is_lost])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("left_kib", [0, 100])
def test_a_new_study_on_a_full_disk_is_one_clear_error_too(studies: Studies, disk: SmallDisk, tmp_path: Path, left_kib: int) -> None:
    disk.fill(left_kib)
    driver = studies.start(engine="inline")
    assert driver.wait() == 2, driver.text
    assert_one_clear_error(driver.text, str(disk.folder), "free space")
    disk.empty()
    again = studies.start({"log": str(tmp_path / "log")}, engine="inline")
    assert again.wait() == 0, again.text
    assert_sound(read_study(disk.copy_out(tmp_path / "now"), "s"), TRIALS, tmp_path / "log")


def assert_one_clear_error(text: str, *told: str) -> None:
    assert "Traceback" not in text and text.count("error:") == 1, text
    (line,) = [line for line in text.splitlines() if line.startswith("error:")]
    for part in told:
        assert part in line, line


@pytest.mark.slow
def test_a_disk_too_small_for_a_checkpoint_costs_the_checkpoint(studies: Studies, disk: SmallDisk, tmp_path: Path) -> None:
    log = tmp_path / "log"
    disk.resize(6000)
    driver = studies.start({"log": str(log), "snapshot_mib": 8}, engine="inline", trials=4)
    assert driver.wait() == 0, driver.text
    assert "a checkpoint could not be written" in driver.text and "No space left" in driver.text and "Traceback" not in driver.text
    assert not disk.run("find", f"{disk.folder}/s/checkpoints", "-type", "f")
    view = read_study(disk.copy_out(tmp_path / "then"), "s")
    assert_sound(view, 4, log)
    disk.resize(40_000)
    again = studies.start({"log": str(log), "snapshot_mib": 8, "epoch_seconds": 0.1}, engine="inline", trials=6)
    assert again.wait() == 0, again.text
    assert "could not be written" not in again.text
    assert_sound(read_study(disk.copy_out(tmp_path / "now"), "s"), 6, log, finished_trials(view))


LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


def lock(database: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that holds the study's file for so long; it holds it when this returns."""
    process = subprocess.Popen([sys.executable, "-c", LOCKER, str(database), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.slow
def test_a_study_locked_for_a_minute_waits_and_nobody_is_taken_for_hanging(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "epoch_seconds": 0.05}, trials=8, resources=", hang_minutes: 0.05, first_epoch_minutes: 0.05")
    until(lambda: some_epochs(log, 6))
    with lock(tmp_path / "s" / "study.db", 60) as locker:
        assert driver.process.poll() is None
        locker.wait(90)
        assert driver.wait() == 0, driver.text
    assert_sound(studies.read(), 8, log)
    assert {t.end for t in studies.read().trials} <= {"full", "pruned"}, "no trial was lost"


@pytest.mark.slow
def test_a_lock_longer_than_the_patience_is_a_clear_error_and_the_same_command_goes_on(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "epoch_seconds": 0.05, "patience_seconds": 2}, engine="inline")
    until(lambda: some_epochs(log, 6))
    with lock(tmp_path / "s" / "study.db", 60) as locker:
        assert driver.wait() == 2, driver.text
        assert_one_clear_error(driver.text, "study.db", "locked", "run the same command again")
        locker.terminate()
    before = finished_trials(studies.read())
    again = studies.start({"log": str(log)}, engine="inline")
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), TRIALS, log, before)


@pytest.mark.parametrize("damage", ["cut off", pytest.param("one byte", marks=pytest.mark.slow), pytest.param("removed", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_costs_its_epochs_and_the_trial_comes_to_the_same(studies: Studies, tmp_path: Path, damage: str) -> None:
    log = tmp_path / "log"
    driver = studies.start({"log": str(log), "epoch_seconds": 0.05}, engine="inline", trials=2, scheduler="none")
    until(lambda: some_epochs(log, 13))
    driver.kill(signal.SIGKILL)
    driver.wait()
    before = finished_trials(studies.read())
    held = list((tmp_path / "s" / "checkpoints").rglob("epoch"))
    assert len(held) == 1
    if damage == "cut off":
        os.truncate(held[0], held[0].stat().st_size - 3)
    elif damage == "one byte":
        content = bytearray(held[0].read_bytes())
        content[0] ^= 1
        held[0].write_bytes(content)
    else:
        held[0].unlink()
    again = studies.start({"log": str(log)}, engine="inline", trials=2, scheduler="none")
    assert again.wait() == 0, again.text
    lost = next(t for t in studies.read().trials if t.end == "orphan")
    assert_sound(studies.read(), 2, log, before, afresh=[lost.spec["seed"]])
    assert "Traceback" not in again.text
