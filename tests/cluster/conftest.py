"""A real Ray cluster of two nodes on this machine, and real drivers that join it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.local_cluster import LocalCluster, mark_of
from search.study_view import StudyView, read_study
from tests.search.conftest import ROOT, until
from tests.search.scripted_driver import space_text
from tests.search.soundness import assert_sound

#: What the second node has and the first has not.
SPECIAL = {"special": 1.0}


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Two nodes of one core each; the second has something special, and GPUs on paper (Ray only counts them). Tests may add nodes, and end those."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # pytest's own folders have too long names for sockets
    try:
        with LocalCluster(folder, with_client=True, with_jobs=True) as cluster:
            cluster.start_node()
            cluster.start_node(gpus=1, custom=SPECIAL)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Run:
    """A process with a log, in a session of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait(self, seconds: float = 90) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {seconds} s:\n{self.text}") from None

    def until(self, holds: Callable[[], Any], seconds: float = 60) -> None:
        """Wait for `holds()` while it runs."""
        until(lambda: holds() or self.process.poll() is not None, seconds, lambda: self.text)
        assert self.process.poll() is None, self.text

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


class Desk:
    """A studies folder, and drivers that work on it from outside the cluster's processes.

    Parameters
    ----------
    folder : Path
    cluster : LocalCluster
    """

    def __init__(self, folder: Path, cluster: LocalCluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.environment = cluster.environment
        self.runs: list[Run] = []

    def command(self, task: dict[str, Any] | None = None, address: str | None = None, storage: str | None = None, **changes: Any) -> list[str]:
        """A driver's command line; `changes` are of the space file."""
        name = changes.get("study", "s")
        space = self.folder / f"space-{time.monotonic_ns()}.yaml"
        space.write_text(space_text(**{"workers": "null", "storage": storage or "null", **changes}))
        task = {"log": str(self.log(name)), "nodes": str(self.nodes_file(name)), **(task or {})}
        return [sys.executable, "-m", "tests.cluster.driver", str(self.folder), str(space), json.dumps(task), *([address] if address else [])]

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Run:
        log = self.folder / f"run-{len(self.runs)}.txt"
        self.runs.append(Run(command, self.environment if environment is None else environment, log, cwd))
        return self.runs[-1]

    def start(self, task: dict[str, Any] | None = None, address: str | None = None, storage: str | None = None, **changes: Any) -> Run:
        """Start a driver; without an address it joins where ``RAY_ADDRESS`` says."""
        environment = self.environment if address else self.environment | {"RAY_ADDRESS": self.cluster.address}
        return self.run(self.command(task, address, storage, **changes), environment)

    def log(self, study: str = "s") -> Path:
        return self.folder / f"epochs-{study}"

    def nodes_file(self, study: str = "s") -> Path:
        return self.folder / f"nodes-{study}"

    def places(self, study: str = "s") -> list[tuple[str, str, int, int]]:
        """(node, family, seed, epoch) of each epoch that was run."""
        file = self.nodes_file(study)
        rows = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(node, family, int(seed), int(epoch)) for node, family, seed, epoch in rows]

    def nodes(self, study: str = "s", family: str | None = None) -> Counter[str]:
        """Epochs on each node."""
        return Counter(place[0] for place in self.places(study) if family in (None, place[1]))

    @staticmethod
    def processes_of(mark: str) -> list[psutil.Process]:
        """Those that live and belong to nodes whose names begin so."""
        return [process for process in psutil.process_iter() if (mark_of(process) or "").startswith(mark)]

    def read(self, study: str = "s") -> StudyView:
        return read_study(self.folder, study)

    def assert_sound(self, trials: int, study: str = "s", **options: Any) -> None:
        assert_sound(self.read(study), trials, self.log(study), **options)


@pytest.fixture
def desk(tmp_path: Path, cluster: LocalCluster) -> Iterator[Desk]:
    desk = Desk(tmp_path, cluster)
    yield desk
    for run in desk.runs:
        run.clean_up()
