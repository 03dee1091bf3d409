"""The head of a cluster dies, and with it the cluster: the same command goes on once there is another. And the commands by hand, as they stand in the docs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.local_cluster import LocalCluster, Node
from tests.cluster.conftest import Desk
from tests.search.soundness import finished_trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Sockets have short names."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def only_its_store_dies(node: Node) -> None:
    """The process that knows the cluster; the one that would end the others for it is stopped."""
    processes = {process.name(): process for process in node.processes()}
    next(p for p in node.processes() if "--block" in p.cmdline()).suspend()
    processes["gcs_server"].kill()


@pytest.mark.parametrize(("dies", "told"), [
    (Node.kill, "the way to the workers is gone|the head of the Ray cluster does not answer any more"),  # whichever is noticed first
    (only_its_store_dies, "the head of the Ray cluster does not answer any more"),
])  # fmt: skip
def test_the_head_dies_and_the_same_command_goes_on_with_another_cluster(
    tmp_path: Path, short_folder: Path, dies: Callable[[Node], None], told: str
) -> None:
    gate = tmp_path / "gate"
    with LocalCluster(short_folder) as cluster:
        desk = Desk(tmp_path, cluster)
        cluster.start_node()
        cluster.start_node()
        first = desk.start({"epoch_seconds": 0.2, "gate": str(gate)}, trials=10)
        first.until(lambda: [desk.nodes()[node.name] for node in cluster.nodes] == [3, 3])
        before = finished_trials(desk.read())
        dies(cluster.nodes[0])
        assert first.wait(50) == 2, first.text
        assert re.search(told, first.text) and "Traceback" not in first.text
        assert f"error: --address {cluster.address}: no Ray cluster answers there" in first.text
        assert not [t for t in desk.read().trials if t.state == "RUNNING"]
    with LocalCluster(short_folder) as cluster:
        again = Desk(tmp_path, cluster)
        cluster.start_node()
        gate.touch()
        second = again.start({}, trials=10)
        assert second.wait() == 0, second.text
        again.assert_sound(10, before=before)


def test_a_token_of_rays_own_making_is_as_private_as_the_docs_make_it(tmp_path: Path) -> None:
    home = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": str(tmp_path)}
    subprocess.run(["sh", "-c", f"umask 077; {sys.executable} -m ray.scripts.scripts get-auth-token --generate"], env=home, check=True, timeout=60)
    token = tmp_path / ".ray" / "auth_token"
    assert len(token.read_text()) > 30 and token.stat().st_mode & 0o77 == 0


def test_a_command_on_a_cluster_of_its_own_has_two_nodes_and_leaves_nothing(short_folder: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "local_cluster.py"
    told = "import os, ray; ray.init(address='auto', log_to_driver=False); print(ray.cluster_resources()['CPU'], len(ray.nodes()), os.environ['RAY_TMPDIR'])"
    line = [sys.executable, str(script), "--nodes", "2", "--cpus", "1", "--", sys.executable, "-c", f"{told}; raise SystemExit(7)"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, env=os.environ | {"TMPDIR": str(short_folder)})
    assert done.returncode == 7, done
    cpus, nodes, place = done.stdout.split()
    assert (cpus, nodes) == ("2.0", "2") and Path(place).parent == short_folder and not list(short_folder.iterdir())
    assert not [p for p in psutil.process_iter(["cmdline"]) if place in " ".join(p.info["cmdline"] or ())]
