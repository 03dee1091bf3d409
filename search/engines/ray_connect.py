"""Ray started on this machine for the length of a search, or an existing cluster joined; and everything it leaves behind seen off."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import grpc
import psutil
import ray
from ray._private.services import canonicalize_bootstrap_address
from ray.exceptions import RayError

from search.engines import ray_watchman
from search.engines.ray_token import agree_on_token
from search.errors import SearchError
from search.trial_cost import meters

#: Where searches of one cluster find one another.
NAMESPACE = "genre-search"
_EXIT_SECONDS = 3.0
_ANSWER_SECONDS = 2.0
_OBJECT_STORE_BYTES = 100 * 2**20
#: Without either of these processes nothing runs.
_VITAL = ("gcs_server", "raylet")


class RayDied(Exception):
    """The processes that Ray itself consists of, or the way to them, are gone; the driver lives."""


def resolve_address(address: str | None) -> str | None:
    """The cluster to join: as given, or where "auto" or nothing is, as Ray's own variable says (it is set for Ray jobs); None is this machine."""
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS") or address
    return None if address in (None, "", "local") else address


@contextmanager
def connected(address: str | None, cpus: int, gpus: float) -> Iterator[list[psutil.Process]]:
    """Ray for the length of a ``with`` block.

    Parameters
    ----------
    address : str or None
        As resolved; None starts Ray on this machine.
    cpus, gpus : number
        What a Ray of our own is to offer; without `gpus` none.

    Yields
    ------
    list of psutil.Process
        Those of a Ray of our own without which nothing runs; on a cluster none.

    Raises
    ------
    SearchError
        If no cluster answers at `address`.
    RayDied
        If a connection by ``ray://``, which every call goes through, is lost inside the block.
    """
    handler = signal.getsignal(signal.SIGTERM)
    before = _descendants()
    _keep_quiet()
    if address is None:
        _start(cpus, gpus)
    else:
        _join(address)
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)  # Ray put its own there, which would end the driver mid-write
    watchman = None
    try:
        started = _descendants() - before
        watchman = _watch_over(started)
        yield [] if address is not None else [process for process in started if process.name() in _VITAL]
    except (ConnectionError, grpc.RpcError) as error:
        if address is None or not address.startswith("ray://"):
            raise
        raise RayDied(f"the connection to {address} was lost: {first_line(error)}") from error
    finally:
        started = _descendants() - before
        ray.shutdown()
        if watchman is not None:
            watchman.communicate()
        _see_off(started)


def _keep_quiet() -> None:
    """What dies is said in our own words. Ray prints what its processes last did, pages of it into the display, and has no setting for that."""
    if hasattr(ray._private.worker, "print_to_stdstream"):
        ray._private.worker.print_to_stdstream = lambda *told, **how: None


def _start(cpus: int, gpus: float) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=None if gpus else 0,
            object_store_memory=_OBJECT_STORE_BYTES,
            namespace=NAMESPACE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
    except Exception as error:  # Ray raises plain ones too: of a raylet that a busy machine did not start within half a minute
        where = tempfile.gettempdir()
        raise SearchError(
            f"Ray could not be started on this machine ({first_line(error)}); it keeps its sockets and logs below {where}: TMPDIR must name a folder with room "
            "and a short path; or take --engine inline, which does without Ray"
        ) from error


def _join(address: str) -> None:
    try:
        found = canonicalize_bootstrap_address(address) if address == "auto" else address
        _knock(found)
        agree_on_token(found)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what ray:// warns of is in the error, too
            ray.init(address=found, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RayError, ValueError, RuntimeError) as error:
        raise SearchError(
            f"--address {address}: no Ray cluster answers there ({first_line(error)}); "
            "start one with 'ray start --head', give all its nodes the same token (docs/cluster.md), or leave --address out to run on this machine"
        ) from error


def _descendants() -> set[psutil.Process]:
    return {process for process in psutil.Process().children(recursive=True) if process.pid not in meters}  # that is none of Ray's


def _watch_over(processes: set[psutil.Process]) -> subprocess.Popen[bytes] | None:
    """A process, in a session of its own so that what kills the driver's group spares it, that ends these should the driver be killed."""
    marks = {process.pid: ray_watchman.started_at(process.pid) for process in processes}
    words = [f"{pid}:{started}" for pid, started in marks.items() if started is not None]
    if not words:
        return None  # nothing was started here, or the system has no /proc
    return subprocess.Popen([sys.executable, "-I", "-S", ray_watchman.__file__, *words], stdin=subprocess.PIPE, start_new_session=True)


def _see_off(processes: set[psutil.Process]) -> None:
    """End what Ray left: a worker may hang in TensorFlow's exit handlers after the raylet, which would have killed it, is gone."""
    _, left = psutil.wait_procs(processes, timeout=_EXIT_SECONDS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _knock(address: str) -> None:
    """Fail at once where nothing listens: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def head_answers() -> bool:
    """Whether the cluster's head takes connections. Calls that need it would wait a minute for one that has gone, and then end this process."""
    if ray.util.client.ray.is_connected():
        return True  # ray:// tells by itself
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def gone(processes: Iterable[psutil.Process]) -> psutil.Process | None:
    """One of some processes that has ended."""
    return next((process for process in processes if not _lives(process)), None)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def last_line(error: BaseException) -> str:
    """The last line of what an error says: of a remote one, the error itself."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
