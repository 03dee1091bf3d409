"""What trials need decides where they run: a cluster's own resources, fractions of a GPU, other needs for some families."""

from __future__ import annotations

import signal

import pytest

from scripts.local_cluster import LocalCluster
from tests.cluster.conftest import Desk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_custom_resource_keeps_all_trials_on_the_node_that_has_it(desk: Desk, cluster: LocalCluster) -> None:
    run = desk.start({}, resources=", custom: {special: 1}", trials=6)
    assert run.wait() == 0, run.text
    desk.assert_sound(6)
    assert set(desk.nodes()) == {cluster.nodes[1].name}
    assert "1 worker, 1 core, 1 special each" in run.text


def test_one_familys_trials_run_where_its_resource_is_and_the_others_go_on_meanwhile(desk: Desk, cluster: LocalCluster) -> None:
    head, special = (node.name for node in cluster.nodes[:2])
    needs = ", families: {slow: {custom: {special: 1}}}"
    run = desk.start({"epoch_seconds": 0.1}, resources=needs, families="slow fast", trials=16, scheduler="none", epochs=9)
    assert run.wait(150) == 0, run.text
    desk.assert_sound(16)
    assert set(desk.nodes(family="slow")) == {special}
    assert desk.nodes(family="fast")[head]
    first_fast = next(i for i, place in enumerate(desk.places()) if place[1] == "fast")
    last_slow = max(i for i, place in enumerate(desk.places()) if place[1] == "slow")
    meanwhile = [place for place in desk.places()[first_fast:last_slow] if place[0] == head]
    assert len(meanwhile) > 9, "the other node did not stand idle"


def test_a_trial_that_waits_for_a_node_holds_up_neither_the_others_nor_the_end(desk: Desk, cluster: LocalCluster) -> None:
    run = desk.start({"epoch_seconds": 0.05}, resources=", families: {slow: {custom: {rare: 1}}}", families="slow fast", trials=1000)
    run.until(lambda: any(t.family == "slow" and t.state == "RUNNING" for t in desk.read().trials) if desk.places() else False)
    waiting = [t.number for t in desk.read().trials if t.family == "slow"]
    before = len(desk.places())
    run.until(lambda: len(desk.places()) > before + 20)
    run.send(signal.SIGTERM)
    assert run.wait(30) == 130, run.text
    trials = desk.read().trials
    assert waiting and all(trials[number].end == "interrupted" and not trials[number].reports for number in waiting)
    assert not [t for t in trials if t.state == "RUNNING"] and not desk.nodes(family="slow")


def test_two_trials_share_one_gpu(desk: Desk, cluster: LocalCluster) -> None:
    # The GPU's node has one core: two workers fit only if none takes a whole one, and Ray's workers take at least one.
    third = cluster.start_node(cpus=2, gpus=1, custom={"two-cores": 1})
    try:
        run = desk.start({"epoch_seconds": 0.1}, resources=", gpus: 0.5, custom: {two-cores: 0.5}", trials=8)
        assert run.wait() == 0, run.text
        desk.assert_sound(8)
        assert "2 workers, 1 core, 0.5 GPU, 0.5 two-cores each" in run.text
        pids = {line.split()[0] for line in desk.log().read_text().splitlines()}
        assert set(desk.nodes()) == {third.name} and len(pids) == 2
    finally:
        third.kill()


def test_a_need_that_no_node_has_yet_is_said_and_met_by_one_that_joins(desk: Desk, cluster: LocalCluster) -> None:
    run = desk.start({}, resources=", custom: {rare: 1}", trials=3)
    run.until(lambda: "no node of the cluster has 1 core, 1 rare yet: waiting for one that joins" in run.text)
    third = cluster.start_node(custom={"rare": 1})
    try:
        assert run.wait() == 0, run.text
        assert set(desk.nodes()) == {third.name}
    finally:
        third.kill()
