"""A pool of long-lived Ray actors around the driver, which alone decides and writes.

    worker --report--> mailbox <--exchange-- driver

The mailbox holds no state worth keeping: it passes reports to the driver and decisions back. Workers never see the
study's storage. A worker that dies costs its trial one requeue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Mapping
from typing import Any

import psutil
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError

from search.errors import SearchError
from search.loop import Loop
from search.worker import Errand, Failure, Workplace, available_cores, build_objective, run_trial

#: TensorFlow keeps about 6 MB of every model, whatever one does; a fresh process gives it back.
TRIALS_PER_WORKER = 50
#: So many workers lost in a row without a finished trial: something kills them all.
WORKERS_LOST = 6
_POLL_SECONDS = 0.5
_EXIT_SECONDS = 3.0
_OBJECT_STORE_BYTES = 100 * 2**20


@ray.remote(num_cpus=0, max_concurrency=1000)
class Mailbox:
    """Carries reports to the driver and decisions back."""

    def __init__(self) -> None:
        self._inbox: list[tuple[int, int, int, dict[str, float]]] = []
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._arrived = asyncio.Event()

    async def report(self, generation: int, number: int, epoch: int, metrics: dict[str, float]) -> str:
        """Called by a worker; returns the driver's decision."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._inbox.append((generation, number, epoch, metrics))
        self._arrived.set()
        return await answer

    async def exchange(self, answers: dict[int, str]) -> list[tuple[int, int, int, dict[str, float]]]:
        """Called by the driver: hand over decisions, take the next reports, wait for some if there are none."""
        for number, decision in answers.items():
            waiting = self._waiting.pop(number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(decision)
        if not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        messages, self._inbox = self._inbox, []
        return messages


@ray.remote(max_restarts=0)
class Worker:
    """Builds its objective once, then runs one trial after another."""

    def __init__(self, place: Workplace, mailbox: Any, generation: int) -> None:
        self._mailbox, self._generation = mailbox, generation
        self._objective = build_objective(place)

    def ready(self) -> int:
        """Process id, once the objective is built."""
        return os.getpid()

    def run(self, errand: Errand) -> dict[str, Any] | Failure:
        """Run a trial; its reports go through the mailbox."""

        def ask(epoch: int, metrics: Mapping[str, float]) -> str:
            return ray.get(self._mailbox.report.remote(self._generation, errand.number, epoch, dict(metrics)))

        return run_trial(self._objective, errand, ask)


class RayEngine:
    """Runs trials on Ray workers, on this machine or on an existing cluster.

    Parameters
    ----------
    workers : int or None
        None takes what the machine or the cluster offers.
    cpus, gpus : float
        Of each worker.
    address : str or None
        Of an existing cluster; None starts Ray on this machine for the length of the search.
    """

    def __init__(self, workers: int | None, cpus: int = 1, gpus: float = 0, address: str | None = None) -> None:
        self._workers, self._cpus, self._gpus, self._address = workers, cpus, gpus, address

    def run(self, loop: Loop, place: Workplace) -> None:
        """Run trials until the loop starts no more; Ray is shut down however this ends."""
        if not loop.has_work:
            return  # a study that is done answers without starting Ray
        loop.note("starting Ray on this machine" if self._address is None else f"joining the Ray cluster at {self._address}")
        handler = signal.getsignal(signal.SIGTERM)
        before = _descendants()
        self._connect()
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)  # Ray put its own there, which would end the driver mid-write
        try:
            workers = self._count()
            loop.note(f"{workers} worker{'s' if workers > 1 else ''}, {self._cpus} core{'s' if self._cpus > 1 else ''} each")
            _Pool(loop, place, workers, self._cpus, self._gpus).run()
        finally:
            started_here = _descendants() - before
            ray.shutdown()
            _see_off(started_here)

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            try:
                _knock(self._address)
                ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, RayError, ValueError, RuntimeError) as error:
                raise SearchError(
                    f"--address {self._address}: no Ray cluster answers there ({_first_line(error)}); "
                    "start one with 'ray start --head', or leave --address out to run on this machine"
                ) from error
            return
        # If this driver is killed, Ray's helper processes wait so long (seconds) for a head that will not come back.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
        workers = self._workers or max(1, available_cores() // self._cpus)
        ray.init(
            num_cpus=workers * self._cpus,
            num_gpus=None if self._gpus else 0,
            object_store_memory=_OBJECT_STORE_BYTES,
            **quiet,
        )

    def _count(self) -> int:
        if self._workers is not None:
            return self._workers
        resources = ray.cluster_resources()
        count = int(resources.get("CPU", 1) // self._cpus)
        if self._gpus:
            count = min(count, int(resources.get("GPU", 0) / self._gpus))
        return max(1, count)


class _Pool:
    """The workers of one run, and what each is doing."""

    def __init__(self, loop: Loop, place: Workplace, workers: int, cpus: int, gpus: float) -> None:
        self._loop, self._place, self._shipped = loop, place, ray.put(place)
        self._generation = loop.owner.generation
        self._mailbox = Mailbox.remote()
        self._make = Worker.options(num_cpus=cpus, num_gpus=gpus).remote
        self._wanted = workers
        self._starting: dict[Any, Any] = {}  # ready() reference -> worker
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, int]] = {}  # run() reference -> (worker, trial number)
        self._served: dict[Any, int] = {}  # worker -> trials it has run
        self._lost_in_a_row = 0

    def run(self) -> None:
        """Until nothing is started and nothing runs."""
        for _ in range(self._wanted):
            self._start_worker()
        letter = self._mailbox.exchange.remote({})
        while True:
            self._fill()
            if not self._busy and not (self._starting and self._loop.has_work):
                return
            ready, _ = ray.wait([letter, *self._busy, *self._starting], num_returns=1, timeout=_POLL_SECONDS)
            self._loop.tick()
            for reference in ready:
                if reference == letter:
                    letter = self._mailbox.exchange.remote(self._answer(ray.get(letter)))
                elif reference in self._busy:
                    self._take_result(reference)
                else:
                    self._take_ready(reference)

    def _start_worker(self) -> None:
        worker = self._make(self._shipped, self._mailbox, self._generation)
        self._starting[worker.ready.remote()] = worker
        self._served[worker] = 0

    def _fill(self) -> None:
        while self._idle and (trial := self._loop.next()) is not None:
            worker = self._idle.pop()
            self._busy[worker.run.remote(self._loop.errand(trial, self._place))] = (worker, trial.number)

    def _answer(self, messages: list[tuple[int, int, int, dict[str, float]]]) -> dict[int, str]:
        live = {number for _, number in self._busy.values()}
        return {
            number: str(self._loop.report(number, epoch, metrics))
            for generation, number, epoch, metrics in messages
            if generation == self._generation and number in live  # an older driver's worker is not ours to answer
        }

    def _take_ready(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayActorError as error:
            self._served.pop(worker)
            self._count_loss(error)
            self._start_worker()
        else:
            self._idle.append(worker)

    def _take_result(self, reference: Any) -> None:
        worker, number = self._busy.pop(reference)
        try:
            result = ray.get(reference)
        except OutOfMemoryError as error:
            self._loop.failed(number, "memory", _first_line(error))
            self._replace(worker)
            return
        except RayError as error:
            self._loop.lost(number, f"worker lost: {_first_line(error)}")
            self._count_loss(error)
            self._replace(worker)
            return
        self._lost_in_a_row = 0
        if isinstance(result, Failure):
            self._loop.failed(number, result.reason_code, result.message)
        else:
            self._loop.finished(number, result)
        self._served[worker] += 1
        if self._served[worker] >= TRIALS_PER_WORKER:
            self._replace(worker)
        else:
            self._idle.append(worker)

    def _replace(self, worker: Any) -> None:
        self._served.pop(worker)
        ray.kill(worker)
        if self._busy or self._loop.has_work:
            self._start_worker()

    def _count_loss(self, error: Exception) -> None:
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= WORKERS_LOST:
            raise SearchError(f"{WORKERS_LOST} workers in a row died without finishing a trial; the last said: {_last_line(error)}")


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


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
        socket.create_connection((host, int(port)), timeout=10).close()


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _last_line(error: BaseException) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
