"""Starting, watching and killing real drivers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from search.study_view import StudyView, read_study
from tests.search.scripted_driver import space_text

ROOT = Path(__file__).parents[2]


class Driver:
    """A driver process of its own, in a session and a process group of its own.

    Parameters
    ----------
    studies, space : Path
    task : dict
        Of the scripted objective.
    prefix : sequence of str
        Command that the driver's is appended to.
    module : str
        Which driver.
    """

    def __init__(
        self, studies: Path, space: Path, task: dict[str, Any], prefix: Sequence[str] = (), module: str = "tests.search.scripted_driver"
    ) -> None:
        self.log = space.with_suffix(".txt")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, str(studies), str(space), json.dumps(task)],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._family: dict[int, psutil.Process] = {}

    @property
    def text(self) -> str:
        return self.log.read_text()

    def family(self) -> list[psutil.Process]:
        """The driver and all processes it has ever been seen to have below it, or in its session: an orphan stays in that."""
        try:
            parent = psutil.Process(self.process.pid)
            below = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            below = []
        in_session = [psutil.Process(pid) for pid in psutil.pids() if _session(pid) == self.process.pid and psutil.pid_exists(pid)]
        for process in (*below, *in_session):
            self._family.setdefault(process.pid, process)
        return list(self._family.values())

    def named(self, part: str) -> list[psutil.Process]:
        """Those of its processes that live and have `part` in their name."""
        return [process for process in self.family() if _lives(process) and part in process.name()]

    def wait(self, seconds: float = 60) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.family()
        os.kill(self.process.pid, number)

    def kill_group(self, number: int) -> None:
        """As a terminal does on Ctrl-C, and some batch systems."""
        self.family()
        os.killpg(self.process.pid, number)

    def left(self) -> list[psutil.Process]:
        """Those of its processes that live."""
        return [process for process in self.family() if _lives(process)]

    def assert_nothing_left(self, seconds: float = 20) -> None:
        """Every process it had below it ends, Ray's agents too."""
        until(lambda: not self.left(), seconds, lambda: str(self.left()))

    def clean_up(self) -> None:
        for process in self.family():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass
        self.process.wait(10)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(holds: Callable[[], Any], seconds: float = 60, told: Callable[[], str] | None = None) -> Any:
    """Wait for `holds()` to be true; returns what it returned. `told()` explains a failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.05)
    raise AssertionError(f"did not come true in {seconds} s: {holds}{'' if told is None else ': ' + told()}")


class Studies:
    """A studies folder, and drivers on it; space files and what the drivers print lie in `folder`, the studies in `on`: the same, unless it is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.on = folder
        self.drivers: list[Driver] = []
        self.prefix: Sequence[str] = ()
        self.module = "tests.search.scripted_driver"

    def start(self, task: dict[str, Any] | None = None, **changes: Any) -> Driver:
        space = self.folder / f"space-{len(self.drivers)}.yaml"
        space.write_text(space_text(**changes))
        self.drivers.append(Driver(self.on, space, task or {}, self.prefix, self.module))
        return self.drivers[-1]

    def read(self, name: str = "s") -> StudyView:
        return read_study(self.folder, name)

    def epochs_logged(self, log: Path) -> list[tuple[int, int, int]]:
        """(pid, seed, epoch) of each epoch that was run."""
        lines = log.read_text().splitlines() if log.exists() else []
        return [tuple(map(int, line.split())) for line in lines]


@pytest.fixture
def studies(tmp_path: Path) -> Iterator[Studies]:
    folder = Studies(tmp_path)
    yield folder
    for driver in folder.drivers:
        driver.clean_up()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in memory for a while: what is written is seen by the next request."""
    monkeypatch.setattr("search.dashboard.folder_storage._LOOK_SECONDS", -1.0)
    monkeypatch.setattr("search.dashboard.shown_study._FILES_SECONDS", -1.0)
    monkeypatch.setattr("search.dashboard.study_reader._AGAIN_SECONDS", -1.0)
    monkeypatch.setattr("search.dashboard.study_reader._BUSY_SECONDS", 0.1)
    monkeypatch.setattr("optuna_dashboard._app.get_trials", lambda cache, storage, study_id: storage.get_all_trials(study_id))
