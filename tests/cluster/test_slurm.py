"""The batch script for Slurm, with stand-ins for Slurm's own commands: every node is this machine, and a job is queued again by a line in a file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_cluster import free_ports
from tests.cluster.conftest import Desk, Run
from tests.search.conftest import ROOT, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Without its own options, with ports that two nodes of one machine can both have; so that the job is known by it, a mark in the environment.
SRUN = """#!/usr/bin/env bash
while [[ "$1" == --* ]]; do shift; done
env >>"$SCONTROL_LOG.nodes"
export LOCAL_CLUSTER_NODE="slurm-$$"
[ "$1" != ray ] || set -- "$PYTHON" -m ray.scripts.scripts "${@:2}" --node-ip-address=127.0.0.1 --min-worker-port=0 --max-worker-port=0 --object-store-memory=80000000
exec "$@" --dashboard-agent-listen-port="$("$PYTHON" -c 'from scripts.local_cluster import free_ports; print(*free_ports(1))')"
"""
SCONTROL = """#!/usr/bin/env bash
case "$1" in
    show) printf '127.0.0.1\\n127.0.0.1\\n' ;;
    *) echo "$@" >>"$SCONTROL_LOG" ;;
esac
"""
#: The search that the script runs, with the scripted objective in the place of networks.
PYTHON = """#!/usr/bin/env bash
[ "$1 $2" = "-m search.run" ] || exec "$PYTHON" "$@"
exec "$PYTHON" -m tests.cluster.driver "$STUDIES" "$6" "$TASK" "$4"
"""


@pytest.fixture
def stand_ins(desk: Desk) -> Iterator[dict[str, str]]:
    """An environment in which Slurm's commands are those above."""
    programs = desk.folder / "bin"
    programs.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": PYTHON}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    short = Path(os.environ.get("TMPDIR", "/tmp")) / f"s{os.getpid()}"
    short.mkdir()
    environment = {name: value for name, value in desk.environment.items() if not name.startswith("RAY_")}
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHON": sys.executable, "STUDIES": str(desk.folder), "TMPDIR": str(short)}
    environment |= {"SCONTROL_LOG": str(desk.folder / "scontrol.txt"), "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "two", "SLURM_CPUS_PER_TASK": "1"}
    yield environment | {"RAY_PORT": str(free_ports(1)[0])}
    short.rmdir()


def submit(desk: Desk, environment: dict[str, str], epoch_seconds: float) -> Run:
    *_, space, task = desk.command({"epoch_seconds": epoch_seconds}, trials=8)
    other = desk.folder / "other.yaml"  # the scripted search would connect to what its own file names
    other.write_text("# storage: env:NOT_MEANT\nstorage: 'env:OF_THE_FILE'\n")
    known = {"TASK": task, "OF_THE_LINE": "a password", "OF_THE_FILE": "a password", "NOT_MEANT": "no password"}
    return desk.run(["bash", str(ROOT / "scripts" / "search.sbatch"), "--space", space, "--storage", "env:OF_THE_LINE", f"--space={other}"], environment | known, cwd=desk.folder)


def test_a_job_whose_time_is_up_saves_its_trials_is_queued_again_and_goes_on(desk: Desk, stand_ins: dict[str, str]) -> None:
    first = submit(desk, stand_ins, 0.3)
    first.until(lambda: len(desk.nodes()) == 2 and len(desk.places()) >= 8, 90)
    first.send(signal.SIGTERM)
    assert first.wait() == 130, first.text
    assert (desk.folder / "scontrol.txt").read_text() == "requeue 4711\n"
    of_nodes = (desk.folder / "scontrol.txt.nodes").read_text()
    assert "NOT_MEANT=no password" in of_nodes and "a password" not in of_nodes, "nodes hand what they have to their workers"
    ends = [trial.end for trial in desk.read().trials]
    assert "interrupted" in ends and "orphan" not in ends and "worker-lost" not in ends
    assert not list(desk.folder.glob(".ray-*")), "the token goes with the job"

    second = submit(desk, stand_ins | {"RAY_PORT": str(free_ports(1)[0])}, 0.0)
    assert second.wait() == 0, second.text
    desk.assert_sound(8)
    assert (desk.folder / "scontrol.txt").read_text() == "requeue 4711\n", "a study that is done is not queued again"
    until(lambda: not desk.processes_of("slurm-"), told=lambda: str(desk.processes_of("slurm-")))
