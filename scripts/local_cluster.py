"""A Ray cluster of several nodes on this one machine, for a command: to try searches on a cluster, and to test and measure them.

    python scripts/local_cluster.py --nodes 2 --cpus 1 -- python -m search.run --space spaces/cnn.yaml --address auto

Each node is a raylet of its own with its own workers, as on a machine of its own; they share memory, disk and processors. The cluster listens as
Ray does, token authentication is on with a token of its own, ports are free ones, and only its own processes are ended at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
#: Names the node in the environment of each of its processes, whoever their parent is by now.
MARK = "LOCAL_CLUSTER_NODE"
_START_SECONDS = 90
_OBJECT_STORE_BYTES = 100 * 2**20


class Node:
    """One node: ``ray start --block`` and everything below it.

    Parameters
    ----------
    name : str
        Unique on this machine.
    arguments : sequence of str
        Of ``ray start``.
    environment : mapping
    log : Path
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, "--block", "--disable-usage-stats", "--log-color", "false"]
        with log.open("w") as out:
            self._process = subprocess.Popen(
                command, env={**environment, MARK: name}, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until_started(self) -> None:
        """Return when it has joined.

        Raises
        ------
        RuntimeError
            It ended, or takes too long; with what it said.
        """
        end = time.monotonic() + _START_SECONDS
        while "Ray runtime started" not in self.log.read_text():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"node {self.name} did not start:\n{self.log.read_text()}")
            time.sleep(0.1)

    def processes(self) -> list[psutil.Process]:
        """All of this node that live, workers included."""
        return [process for process in psutil.process_iter() if mark_of(process) == self.name]

    def kill(self) -> None:
        """As if the machine had lost power: all at once, without a last word."""
        left = self.processes()
        while left:
            for process in left:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(left, timeout=5)
            left = self.processes()  # a raylet may have started another in between
        self._process.wait()


def mark_of(process: psutil.Process) -> str | None:
    """The node that a living process belongs to, or None."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


class LocalCluster:
    """Nodes of one cluster.

    Parameters
    ----------
    folder : Path
        For Ray's files and the token. Its path must be short: Ray makes sockets some 70 characters below it, and a socket's name has at most 107.
    with_client, with_jobs : bool
        Also take ``ray://`` connections, and Ray jobs; both need the extra ``cluster``.
    """

    def __init__(self, folder: Path, *, with_client: bool = False, with_jobs: bool = False) -> None:
        self._folder, self._key = folder, secrets.token_hex(4)
        self.nodes: list[Node] = []
        self.token = folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        gcs, client, dashboard = free_ports(3)
        self.address = f"127.0.0.1:{gcs}"
        self.client_address = f"ray://127.0.0.1:{client}" if with_client else None
        self.jobs_address = f"http://127.0.0.1:{dashboard}" if with_jobs else None
        self._head_arguments = ["--head", f"--port={gcs}", f"--include-dashboard={str(with_jobs).lower()}", f"--dashboard-port={dashboard}"]
        self._head_arguments += [f"--ray-client-server-port={client}"] if with_client else []

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that is to join: the token, the code of this checkout, and where ``--address auto`` finds this cluster rather than another."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
        return environment | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), "RAY_TMPDIR": str(self._folder)}

    def start_node(self, *, cpus: int = 1, gpus: int = 0, custom: Mapping[str, float] | None = None) -> Node:
        """Start a node and wait until it has joined; the first is the head."""
        arguments = [f"--address={self.address}"] if self.nodes else self._head_arguments
        # 0: any free port. The defaults are fixed ones, which a second node of this machine, or another's Ray, may have.
        ports = ("node-manager", "object-manager", "dashboard-agent-listen", "metrics-export", "runtime-env-agent", "dashboard-agent-grpc")
        arguments = [*arguments, "--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
        arguments += [f"--{name}-port={port}" for name, port in zip(ports, free_ports(len(ports)), strict=True)]
        arguments += [f"--num-cpus={cpus}", f"--num-gpus={gpus}", f"--resources={json.dumps(dict(custom or {}))}", f"--object-store-memory={_OBJECT_STORE_BYTES}"]
        name = f"{self._key}-{len(self.nodes)}"
        node = Node(name, arguments, self.environment, self._folder / f"node-{len(self.nodes)}.txt")
        self.nodes.append(node)
        node.wait_until_started()
        return node

    def stop(self) -> None:
        """End all its processes, the head last."""
        for node in reversed(self.nodes):
            node.kill()

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def main(arguments: Sequence[str] | None = None) -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nodes", type=int, default=2, metavar="N", help="how many (default: 2)")
    p.add_argument("--cpus", type=int, default=1, metavar="N", help="of each (default: 1)")
    p.add_argument("--jobs", action="store_true", help="also take Ray jobs; RAY_API_SERVER_ADDRESS is set for the command")
    p.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run once they have joined")
    options = p.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command or options.nodes < 1:
        p.error("at least one node, and a command after -- are needed")
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    try:
        with LocalCluster(folder, with_jobs=options.jobs) as cluster:
            for _ in range(options.nodes):
                cluster.start_node(cpus=options.cpus)
            jobs = {} if cluster.jobs_address is None else {"RAY_API_SERVER_ADDRESS": cluster.jobs_address}
            return subprocess.run(command, env=cluster.environment | jobs, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
