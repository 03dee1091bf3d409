"""The driver killed at every point between two transactions: real storage, real SIGKILL, the inline engine in processes forked for it."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search import study
from search.config import load_space
from search.study_view import list_studies, read_study
from tests.search.conftest import Studies, until
from tests.search.injected import die_at, die_at_commit
from tests.search.scripted_driver import FAMILIES, run, space_text
from tests.search.soundness import assert_sound, finished_trials
from tests.search.test_faults import some_epochs

FORK = multiprocessing.get_context("fork")
TRIALS, EPOCHS = 4, 8
STRIDE = 9  # 1 kills at each of about 100 commits, in two minutes
CHANGES = {"engine": "inline", "trials": TRIALS, "epochs": EPOCHS, "factor": 2}


def drive_until(folder: Path, arm: Callable[[], Any], task: dict[str, Any]) -> None:
    """A whole run in this process, armed to die."""
    study._REPORT_DELAY_S = 0.0  # every report is a transaction of its own
    arm()
    space = folder / "space.yaml"
    space.write_text(space_text(**CHANGES))
    with (folder / "out.txt").open("a") as out:
        run(folder, load_space(space, FAMILIES, {}), {"log": str(folder / "log"), **task}, Console(file=out, width=200))


def run_forked(folder: Path, arm: Callable[[], Any] = bool, **task: Any) -> int:
    """The same in a process of its own; its exit code."""
    process = FORK.Process(target=drive_until, args=(folder, arm, task))
    process.start()
    process.join(60)
    return process.exitcode


def finished_in(folder: Path) -> dict:
    return finished_trials(read_study(folder, "s")) if "s" in list_studies(folder) else {}


def assert_goes_on(folder: Path, point: str) -> None:
    """The same command finishes what was begun, whatever it was killed at."""
    before = finished_in(folder)
    assert run_forked(folder) == 0, f"{point}: {(folder / 'out.txt').read_text()}"
    try:
        assert_sound(read_study(folder, "s"), TRIALS, folder / "log", before, factor=2)
    except AssertionError as error:
        raise AssertionError(f"{point}: {error}") from error


def new_folder(folder: Path, like: Path | None = None) -> Path:
    if like is None:
        folder.mkdir()
    else:
        shutil.copytree(like, folder)
    return folder


@pytest.mark.parametrize(
    ("method", "nth"),
    [
        ("search.study:StudyOwner.flush", 5),  # between a report and its commit
        ("search.study:StudyOwner._requeue", 1),  # between the tell of a lost trial and its requeue
    ],
)
def test_driver_killed_between_two_writes_that_belong_together(tmp_path: Path, method: str, nth: int) -> None:
    if method.endswith("_requeue"):
        counts = {"epoch": 6, "counts": str(tmp_path / "counts")}
        assert run_forked(tmp_path, kill=counts) == -signal.SIGKILL, "a trial is left running"
    assert run_forked(tmp_path, lambda: die_at(method, nth, only="is_lost" if method.endswith("_requeue") else None)) == -signal.SIGKILL
    assert_goes_on(tmp_path, method)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_commits_from_the_first_to_the_last_the_same_command_goes_on(tmp_path: Path) -> None:
    for nth in itertools.chain(range(1, 9), itertools.count(9, STRIDE)):
        folder = new_folder(tmp_path / f"{nth}")
        if run_forked(folder, lambda nth=nth: die_at_commit(nth)) == 0:
            break
        assert_goes_on(folder, f"commit {nth}")
        shutil.rmtree(folder)
    assert nth > 40


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_again_at_commits_of_going_on(tmp_path: Path) -> None:
    lost = new_folder(tmp_path / "lost")
    assert run_forked(lost, kill={"epoch": 6, "counts": str(tmp_path / "counts")}) == -signal.SIGKILL
    for nth in range(1, 11):
        folder = new_folder(tmp_path / f"{nth}", lost)
        assert run_forked(folder, lambda nth=nth: die_at_commit(nth)) == -signal.SIGKILL
        assert_goes_on(folder, f"commit {nth} of the second run")
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("method", "nth"),
    [
        ("search.study:StudyOwner.start", 3),
        ("search.study:StudyOwner.keep_checkpoint", 2),
        ("search.checkpoints:Checkpoints.keep_newest", 2),
        ("search.checkpoints:Checkpoints.remove", 2),
        ("search.study:StudyOwner.finish", 2),
    ],
)
def test_killed_around_what_is_no_transaction(tmp_path: Path, method: str, nth: int, when: str) -> None:
    assert run_forked(tmp_path, lambda: die_at(method, nth, when)) == -signal.SIGKILL
    assert_goes_on(tmp_path, f"{when} {method}")


@pytest.mark.slow
def test_killed_while_it_writes_a_checkpoint(tmp_path: Path) -> None:
    fault = {"epoch": 4, "counts": str(tmp_path / "counts")}
    assert run_forked(tmp_path, snapshot_mib=1, kill_in_snapshot=fault) == -signal.SIGKILL
    assert_goes_on(tmp_path, "checkpoint")
    assert not list((tmp_path / "s").rglob("*partial*"))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_dies_and_then_the_driver_around_the_requeue(studies: Studies, tmp_path: Path, when: str) -> None:
    log = tmp_path / "log"
    task = {"log": str(log), "epoch_seconds": 0.03, "kill": {"epoch": 5, "counts": str(tmp_path / "counts")}}
    point = {"method": "search.study:StudyOwner._requeue", "only": "is_lost", "when": when}
    driver = studies.start({**task, "die_at": point}, factor=2)
    until(lambda: some_epochs(log, 1))
    driver.family()
    assert driver.wait() == -signal.SIGKILL, driver.text
    before = finished_trials(studies.read())
    (lost,) = [number for number, (_, end, _, _) in before.items() if end == "worker-lost"]
    assert [t.retry_of for t in studies.read().trials].count(lost) == (when == "after")
    driver.assert_nothing_left()
    again = studies.start(task, factor=2, engine="inline")
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), 12, log, before, factor=2)
    again.assert_nothing_left()
