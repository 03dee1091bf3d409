"""What runs in Ray's processes: the workers, and the mailbox between them and the driver.

    worker --report, saved, over memory--> mailbox <--exchange-- driver

The mailbox holds no state worth keeping: it passes messages to the driver and decisions back. Workers never see the study's storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray

from search.engines.ray_shipping import Shipment, received
from search.process_memory import anonymous_mib, machine_mib
from search.worker import Errand, Failure, Workplace, build_objective, run_trial

#: A worker that holds more than this share of its limit between trials is replaced: the next trial needs room.
_OUTGROWN = 0.5
_MEMORY_SECONDS = 0.25
_LAST_WORDS_SECONDS = 10


@dataclass(frozen=True)
class Message:
    """From a worker to the driver.

    Attributes
    ----------
    kind : {"report", "saved", "memory"}
        A report waits for an answer.
    generation : int
        Of the driver that the worker belongs to; an older driver's worker is not this one's to answer.
    number : int
        The trial.
    epoch : int
        Of a report.
    content : mapping
        The metrics; the checkpoint; ``{"mib"}``, ``{"limit_mib"}``.
    """

    kind: str
    generation: int
    number: int
    epoch: int
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Ready:
    """A worker that has built its objective: its process, and the node it is on."""

    pid: int
    node: str


@dataclass(frozen=True)
class Result:
    """What became of a trial; the worker's anonymous memory after it, and whether it should be replaced because of it."""

    outcome: dict[str, Any] | Failure
    memory_mib: float
    is_outgrown: bool


@ray.remote(num_cpus=0, max_concurrency=10_000)
class Mailbox:
    """Carries messages to the driver and decisions back."""

    def __init__(self) -> None:
        self._inbox: list[Message] = []
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._arrived = asyncio.Event()

    async def report(self, message: Message) -> str:
        """Called by a worker; returns the driver's decision."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting[message.number] = answer
        await self.tell(message)
        return await answer

    async def tell(self, message: Message) -> None:
        """Called by a worker: something that needs no answer."""
        self._inbox.append(message)
        self._arrived.set()

    async def exchange(self, answers: dict[int, str]) -> list[Message]:
        """Called by the driver: hand over decisions, take the next messages, wait for some if there are none."""
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
    """Builds its objective once, then runs one trial after another.

    Parameters
    ----------
    place : Workplace
    shipment : Shipment or None
        Where its files are, should this machine not see the driver's.
    mailbox : actor
    generation : int
    memory : float
        What it may take, in MiB; between 0 and 1 a share of its machine's memory.
    """

    def __init__(self, place: Workplace, shipment: Shipment | None, mailbox: Any, generation: int, memory: float) -> None:
        self._mailbox, self._generation = mailbox, generation
        self._number: int | None = None  # the trial that is being run
        self.limit_mib = memory if memory > 1 else memory * machine_mib()
        self._objective = build_objective(received(place, shipment))
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def ready(self) -> Ready:
        """Where it is, once the objective is built."""
        return Ready(os.getpid(), ray.get_runtime_context().get_node_id())

    def run(self, errand: Errand) -> Result:
        """Run a trial; its reports go through the mailbox."""

        def ask(epoch: int, metrics: Mapping[str, float]) -> str:
            return ray.get(self._mailbox.report.remote(self._message("report", errand.number, epoch, dict(metrics))))

        def saved(checkpoint: Mapping[str, Any]) -> None:
            ray.get(self._mailbox.tell.remote(self._message("saved", errand.number, 0, dict(checkpoint))))

        self._number = errand.number
        try:
            outcome = run_trial(self._objective, errand, ask, saved)
        finally:
            self._number = None
        held = anonymous_mib()
        return Result(outcome, held, held > _OUTGROWN * self.limit_mib)

    def _message(self, kind: str, number: int, epoch: int, content: Mapping[str, Any]) -> Message:
        return Message(kind, self._generation, number, epoch, content)

    def _watch_memory(self) -> None:
        """End this process where a trial takes more than it may, before the system ends another; the driver hears why first."""
        while True:
            time.sleep(_MEMORY_SECONDS)
            number, held = self._number, anonymous_mib()
            if number is None or held <= self.limit_mib:
                continue
            content = {"mib": held, "limit_mib": self.limit_mib}
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(self._mailbox.tell.remote(self._message("memory", number, 0, content)), timeout=_LAST_WORDS_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)


@ray.remote(num_cpus=0, max_retries=0)
def end_process(pid: int) -> None:
    """Kill a process of the node this runs on: one that hangs does not answer Ray either."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
