"""A search joins a cluster that runs already, by each kind of address; or is told in one line why it can't."""

from __future__ import annotations

import time

import pytest

from scripts.local_cluster import LocalCluster, free_ports
from tests.cluster.conftest import Desk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def address_of(kind: str, cluster: LocalCluster) -> str:
    return {"auto": "auto", "host:port": cluster.address, "ray://": cluster.client_address}[kind]


@pytest.mark.parametrize("kind", ["auto", "host:port", "ray://"])
def test_a_study_is_finished_on_the_workers_of_all_nodes(desk: Desk, cluster: LocalCluster, kind: str) -> None:
    run = desk.start({"epoch_seconds": 0.05}, address_of(kind, cluster))
    assert run.wait() == 0, run.text
    desk.assert_sound(12)
    assert set(desk.nodes()) == {node.name for node in cluster.nodes[:2]}
    assert "2 workers" in run.text and "Traceback" not in run.text


def test_a_lost_connection_by_ray_is_made_anew_and_the_study_goes_on(desk: Desk, cluster: LocalCluster) -> None:
    run = desk.start({"epoch_seconds": 0.1}, cluster.client_address)
    run.until(lambda: len(desk.places()) >= 6)
    servers = [process for process in cluster.nodes[0].processes() if "--mode=specific-server" in process.cmdline()]
    for process in servers:
        process.kill()
    assert servers and run.wait(120) == 0, run.text
    desk.assert_sound(12)
    assert "was lost" in run.text and "starting anew" in run.text and "Traceback" not in run.text


def without_token(desk: Desk) -> dict[str, str]:
    environment = {name: value for name, value in desk.environment.items() if not name.startswith("RAY_AUTH")}
    return environment | {"HOME": str(desk.folder)}  # where Ray would look for a token


@pytest.mark.parametrize(("kind", "given", "told"), [
    ("auto", {}, "this process has none"),
    ("host:port", {"RAY_AUTH_MODE": "token"}, "this process has none"),
    ("host:port", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, "this process has another"),
    ("ray://", {}, "this process has none"),
    ("ray://", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, "this process has another"),
])  # fmt: skip
def test_without_the_clusters_token_one_clear_error_at_once(desk: Desk, cluster: LocalCluster, kind: str, given: dict[str, str], told: str) -> None:
    run = desk.run(desk.command({}, address_of(kind, cluster)), without_token(desk) | given)
    began = time.monotonic()
    assert run.wait(60) == 2, run.text
    assert time.monotonic() - began < 15
    lines = run.text.splitlines()
    assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True] and "Traceback" not in run.text
    assert "wants its token" in lines[-1] and told in lines[-1] and "RAY_AUTH_TOKEN_PATH" in lines[-1]


@pytest.mark.parametrize("kind", ["host:port", "ray://"])
def test_a_token_that_is_there_is_sent_whether_or_not_a_mode_is_set(desk: Desk, cluster: LocalCluster, kind: str) -> None:
    run = desk.run(desk.command({}, address_of(kind, cluster), trials=1), without_token(desk) | {"RAY_AUTH_TOKEN_PATH": str(cluster.token)})
    assert run.wait(60) == 0, run.text


@pytest.mark.parametrize("kind", ["host:port", "ray://"])
def test_where_nothing_listens_the_search_ends_at_once(desk: Desk, kind: str) -> None:
    address = f"{'ray://' if kind == 'ray://' else ''}127.0.0.1:{free_ports(1)[0]}"
    run = desk.start({}, address)
    assert run.wait(15) == 2, run.text
    assert f"error: --address {address}: no Ray cluster answers there" in run.text and "Traceback" not in run.text


@pytest.mark.parametrize("wrong", ["ray://HOST", "JOBS", "CLIENT"])
def test_another_port_of_the_cluster_is_told_from_the_right_one(desk: Desk, cluster: LocalCluster, wrong: str) -> None:
    ports = {"ray://HOST": f"ray://{cluster.address}", "JOBS": cluster.jobs_address.removeprefix("http://"), "CLIENT": cluster.client_address.removeprefix("ray://")}
    run = desk.start({}, ports[wrong])
    assert run.wait(15) == 2, run.text
    assert f"error: --address {ports[wrong]}: what listens there is no" in run.text and "ray://host:10001" in run.text
    assert "Traceback" not in run.text
