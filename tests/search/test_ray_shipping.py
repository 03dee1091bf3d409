"""Files over a real Ray cluster of two nodes, the second of which does not see the driver's folders: a mount namespace hides them."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search.parcels import PIECE_BYTES
from tests.search.conftest import ROOT, until
from tests.search.small_disk import SmallDisk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Cluster:
    """Two nodes, ``near`` and ``far``; the second has its own scratch space and sees another `hidden`, an empty one."""

    address: str
    environment: dict[str, str]
    scratch: Path
    hidden: Path

    def settle(self, mode: str, gib: float, *nodes: str, trials_dir: Path | str, cache_dir: Path | None = None) -> dict[str, Any]:
        """What a driver finds out whose workers settle in on these nodes, all at once."""
        place = json.dumps({"cache_dir": str(cache_dir or self.hidden / "cache"), "trials_dir": str(trials_dir)})
        command = [sys.executable, "-m", "tests.search.ray_settler", self.address, place, mode, str(gib), *nodes]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Started with Ray's own command."""
    hidden, scratch, logs = (tmp_path_factory.mktemp(name) for name in ("hidden", "far", "ray"))
    disk = SmallDisk(hidden, 1024)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, ray = f"127.0.0.1:{port}", str(Path(sys.executable).with_name("ray"))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"} | token
    usual = ["--block", "--num-cpus=1", f"--object-store-memory={80 * 2**20}"]
    near = [ray, "start", "--head", f"--port={port}", "--include-dashboard=false", '--resources={"near": 9}', *usual]
    far = [*disk.prefix, ray, "start", f"--address={address}", '--resources={"far": 9}', *usual]
    started = []
    with (logs / "ray.txt").open("w") as log:
        try:
            for command, extra in ((near, {}), (far, {"TMPDIR": str(scratch)})):
                process = subprocess.Popen(command, env=environment | extra, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
                started.append(process)
                until(lambda: (logs / "ray.txt").read_text().count("Ray runtime started") == len(started), 90)
            yield Cluster(address, environment, scratch, hidden)
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(40)
            disk.close()


@pytest.fixture
def rows(cluster: Cluster) -> Path:
    """A file of the cache, of more than two pieces."""
    rows = cluster.hidden / "cache" / "features-1" / "rows.bin"
    rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_bytes(os.urandom(2 * PIECE_BYTES + 5))
    return rows


def test_a_node_that_does_not_see_the_cache_gets_it_once_and_another_reads_it_where_it_is(cluster: Cluster, rows: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(rows.read_bytes()).hexdigest()
    told = cluster.settle("auto", 4, "near", "far", "far", "far", trials_dir=tmp_path / "s" / "trials")
    near, *far = told["settled"]
    assert not told["unusable"] and near == [str(cluster.hidden / "cache"), digest]
    assert far == [far[0]] * 3 and far[0][1] == digest and Path(far[0][0]).is_relative_to(cluster.scratch)
    sent, = cluster.scratch.glob("genre-search-*/shipped/parcels/*/rows.bin")
    assert not list((cluster.hidden / "cache").glob(".shared-*")) and not list((tmp_path / "s").iterdir())
    before = sent.stat().st_ino
    again = cluster.settle("auto", 4, "far", trials_dir=tmp_path / "s" / "trials")
    assert again["settled"] == far[:1] and sent.stat().st_ino == before, "a driver that starts anew finds what is there"


def test_always_means_a_copy_on_every_node(cluster: Cluster, rows: Path, tmp_path: Path) -> None:
    told = cluster.settle("always", 4, "near", "far", trials_dir=tmp_path / "s" / "trials")
    digest = hashlib.sha256(rows.read_bytes()).hexdigest()
    assert [found for _, found in told["settled"]] == [digest, digest]
    assert all("shipped" in cache for cache, _ in told["settled"])


@pytest.mark.parametrize(
    ("mode", "gib", "place", "why"),
    [
        ("never", 4, None, "does not see {hidden}/cache, of which 16.0 MiB are needed, and resources.shipping is never"),
        ("auto", 0.001, None, "does not see {hidden}/cache; 16.0 MiB would have to be sent, and resources.ship_gib is 0.001"),
        ("auto", 4, "{hidden}/s", "does not see {hidden}/s, where checkpoints and artifacts are to be kept: set artifacts: to a folder that all nodes share"),
    ],
)
def test_a_node_that_cannot_be_used_is_named_with_the_way_out(
    cluster: Cluster, rows: Path, tmp_path: Path, mode: str, gib: float, place: str | None, why: str
) -> None:
    study = tmp_path / "s" if place is None else Path(place.format(hidden=cluster.hidden))
    told = cluster.settle(mode, gib, "near", "far", trials_dir=study / "trials")
    assert list(told["unusable"]) == ["far"] and why.format(hidden=cluster.hidden) in told["unusable"]["far"]
    assert told["settled"][0][0] == str(cluster.hidden / "cache")
    assert told["settled"][1] == ["ShippingError", told["unusable"]["far"]]
