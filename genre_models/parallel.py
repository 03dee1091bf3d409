"""Run a function over many files in worker processes, whatever the files do to the workers.

A decoder that crashes takes its process with it, and one that never ends is killed; the file is then named as the culprit and the others go on. Processes are spawned, never
forked: the caller may have loaded libraries whose threads don't survive a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from genre_models.errors import GenreModelsError

_STUCK_SECONDS = 600.0  # without the end of any job; the longest sound that is read takes a tenth of it
_AHEAD = 3  # jobs in flight for each worker: enough to keep it busy, few to retry after a crash


@dataclass(frozen=True)
class Lost:
    """Stands for the result of a job that has none: the worker died, or the function raised.

    Attributes
    ----------
    reason : str
    """

    reason: str


def available_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(function: Callable[..., Any], jobs: Sequence[tuple], workers: int | None = None) -> Iterator[tuple[int, Any]]:
    """Call ``function(*job)`` for each job in spawned processes.

    Parameters
    ----------
    function : callable
        Importable by name.
    jobs : sequence of tuple
        Arguments of each call.
    workers : int or None
        Processes; None for one on each core.

    Yields
    ------
    (int, object)
        Number of the job and its result or a `Lost`, in the order in which they end.

    Raises
    ------
    GenreModelsError
        If worker processes can't be started at all.
    """
    if not jobs:
        return
    workers = max(1, min(workers or available_cores(), len(jobs)))
    todo = deque(range(len(jobs)))
    while todo:
        suspects: list[int] = []
        with _pool(workers) as pool:
            _check_it_starts(pool)
            yield from _run_until_broken(pool, function, jobs, todo, suspects, workers * _AHEAD)
        # Whichever job of those in flight broke the pool will break one of its own.
        while suspects:
            with _pool(1) as pool:
                yield from _run_one_by_one(pool, function, jobs, suspects)


def _run_until_broken(
    pool: ProcessPoolExecutor, function: Callable[..., Any], jobs: Sequence[tuple], todo: deque[int], suspects: list[int], window: int
) -> Iterator[tuple[int, Any]]:
    running: dict[Future, int] = {}
    broken = False
    while running or (todo and not broken):
        while todo and len(running) < window and not broken:
            number = todo.popleft()
            try:
                running[_submit(pool, function, *jobs[number])] = number
            except BrokenProcessPool:
                todo.appendleft(number)
                broken = True
        ended = wait(running, timeout=_STUCK_SECONDS, return_when=FIRST_COMPLETED).done
        if not ended:
            _kill(pool)  # what was in flight is a suspect now
            ended = wait(running, return_when=FIRST_COMPLETED).done
        for future in ended:
            number = running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(number)
                broken = True
            else:
                yield number, _result(future)


def _run_one_by_one(
    pool: ProcessPoolExecutor, function: Callable[..., Any], jobs: Sequence[tuple], suspects: list[int]
) -> Iterator[tuple[int, Any]]:
    while suspects:
        number = suspects.pop(0)
        future = _submit(pool, function, *jobs[number])
        is_stuck = not wait([future], timeout=_STUCK_SECONDS).done
        if is_stuck:
            _kill(pool)
            wait([future])
        if isinstance(future.exception(), BrokenProcessPool):
            took = f"decoding it did not end within {_STUCK_SECONDS / 60:.0f} minutes"
            yield number, Lost(took if is_stuck else "the process that decoded it died (a fault in the decoder, or memory ran out)")
            return
        yield number, _result(future)


def _result(future: Future) -> Any:
    error = future.exception()
    return Lost(f"{type(error).__name__}: {error}") if error is not None else future.result()


def _check_it_starts(pool: ProcessPoolExecutor) -> None:
    try:
        _submit(pool, os.getpid).result()
    except BrokenProcessPool as error:
        raise GenreModelsError(
            "worker processes can't be started: either the machine is out of memory, or the program that calls this can't be imported "
            "again (it must be a file, with its work under `if __name__ == '__main__':`)"
        ) from error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:  # also Ctrl-C and a consumer that stopped listening: nothing in flight is wanted any more
        _kill(pool)
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown(wait=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()


def _submit(pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future:
    # A process is spawned by submit and inherits the mask: Ctrl-C is the parent's affair, and a child that gets it in the middle of
    # its start would fill the terminal with a traceback.
    if not hasattr(signal, "pthread_sigmask"):
        return pool.submit(function, *arguments)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    # One thread a process: the processes are already as many as the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    # Decoders written in C report each broken frame to the terminal; the reason of a failure travels back as a value instead.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.close(quiet)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()


def _leave_with_the_parent() -> None:
    # Workers hold both ends of their queue, so a parent that was killed would leave them waiting for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
