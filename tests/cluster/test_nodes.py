"""Nodes come and go, drivers die and pause, while a study that is kept on PostgreSQL runs on a cluster."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from scripts.local_cluster import LocalCluster, Node
from search.trial import End
from tests.cluster.conftest import Desk
from tests.postgres import VARIABLE, Server
from tests.search.soundness import finished_trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TRIALS = 14


@pytest.fixture
def on_postgres(desk: Desk, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose studies' trials are on PostgreSQL."""
    url = postgres.new_database()
    monkeypatch.setenv(VARIABLE, url)
    desk.environment = desk.environment | {VARIABLE: url}
    return desk


@pytest.fixture
def third(cluster: LocalCluster) -> Iterator[list[Node]]:
    """Nodes that a test starts go into it, and are ended after it."""
    started: list[Node] = []
    yield started
    for node in started:
        node.kill()


def epochs_on(desk: Desk, node: Node) -> int:
    return desk.nodes()[node.name]


def test_a_node_that_joins_is_used_and_one_that_dies_costs_its_trials_one_requeue_each(on_postgres: Desk, cluster: LocalCluster, third: list[Node]) -> None:
    desk = on_postgres
    gate = desk.folder / "gate"
    run = desk.start({"gate": str(gate)}, storage=f"env:{VARIABLE}", scheduler="none")
    run.until(lambda: all(epochs_on(desk, node) == 3 for node in cluster.nodes[:2]))
    third.append(cluster.start_node(cpus=7))
    run.until(lambda: epochs_on(desk, third[0]) == 3 * 7)
    third[0].kill()
    run.until(lambda: run.text.count("worker lost") == 7)
    gate.touch()
    assert run.wait(150) == 0, run.text

    desk.assert_sound(12)
    ends = [trial.end for trial in desk.read().trials]
    assert ends.count(End.WORKER_LOST) == 7 and not ends.count(End.ORPHAN)
    told = [line.partition("] ")[2] for line in run.text.splitlines() if line.endswith(" each")]
    assert told[:2] == ["2 workers, 1 core each", "9 workers, 1 core each"]
    assert "Traceback" not in run.text


def test_a_driver_that_is_killed_leaves_the_cluster_to_the_next_which_goes_on(on_postgres: Desk, cluster: LocalCluster) -> None:
    desk = on_postgres
    first = desk.start({"epoch_seconds": 0.3}, storage=f"env:{VARIABLE}", trials=TRIALS)
    first.until(lambda: all(epochs_on(desk, node) >= 4 for node in cluster.nodes[:2]))
    first.send(signal.SIGKILL)
    first.wait()
    view = desk.read()
    before, running = finished_trials(view), [t.number for t in view.trials if t.end is None]
    again = desk.start({"epoch_seconds": 0.1}, storage=f"env:{VARIABLE}", trials=TRIALS)
    assert again.wait(120) == 0, again.text

    desk.assert_sound(TRIALS, before=before)
    ends = {trial.number: trial.end for trial in desk.read().trials}
    assert running and all(ends[number] == End.ORPHAN for number in running)
    assert not [p for node in cluster.nodes for p in node.processes() if "Worker" in p.name()], "no worker of either driver is left"


def test_a_driver_that_was_stopped_for_a_while_takes_nobody_for_hanging(desk: Desk) -> None:
    limits = ", hang_minutes: 0.05, first_epoch_minutes: 0.5"  # 3 s between two epochs
    run = desk.start({"epoch_seconds": 0.3}, trials=6, resources=limits)
    run.until(lambda: len(desk.places()) >= 6)
    run.send(signal.SIGSTOP)
    time.sleep(12)
    run.send(signal.SIGCONT)
    assert run.wait() == 0, run.text
    desk.assert_sound(6)
    assert {End.TIMEOUT, End.WORKER_LOST}.isdisjoint(trial.end for trial in desk.read().trials)


def test_a_worker_that_hangs_on_another_node_is_ended_there(desk: Desk, cluster: LocalCluster) -> None:
    hang = {"hang": {"epoch": 3, "counts": str(desk.folder / "hangs")}}
    run = desk.start({"epoch_seconds": 0.05} | hang, trials=4, resources=", hang_minutes: 0.05, custom: {special: 0.1}", workers=1)
    run.until(lambda: len(desk.places()) >= 3)
    hanging = {process.pid for process in cluster.nodes[1].processes() if "Worker" in process.name()}
    assert run.wait() == 0, run.text
    desk.assert_sound(4)
    assert [trial.end for trial in desk.read().trials].count(End.TIMEOUT) == 1
    assert hanging and not [pid for pid in hanging if psutil.pid_exists(pid)]
