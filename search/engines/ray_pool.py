"""A pool of long-lived Ray actors around the driver, which alone decides and writes (search/engines/ray_worker.py has what they run).

A worker that dies, hangs or takes too much memory costs its trial at most what it did since its last checkpoint. Nodes that join are used, nodes
that are lost are done without.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import ray
from ray.exceptions import OutOfMemoryError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.engines.ray_capacity import MAILBOX, Shape, fair_share, nodes, share_of_memory
from search.engines.ray_connect import RayDied, first_line, gone, head_answers, last_line
from search.engines.ray_meter import NodeMeters
from search.engines.ray_room import make_way
from search.engines.ray_shipping import Shipment
from search.engines.ray_worker import Mailbox, Message, Ready, Result, Worker, end_process
from search.engines.worker_losses import WORKERS_LOST, WorkerLosses
from search.errors import SearchError
from search.loop import Loop
from search.patience import Patience
from search.trial import Trial
from search.worker import Failure, Workplace

#: TensorFlow keeps about 6 MB of every model, whatever one does; a fresh process gives it back.
TRIALS_PER_WORKER = 50
_POLL_SECONDS = 0.5
_CAPACITY_SECONDS = 5.0
#: A head that is away for longer will not come back; Ray itself would end this process after a minute.
_HEAD_SECONDS = 20.0
#: So long without any worker, or for one of a trial's kind, is said.
_WAITING_SECONDS = 60.0


@dataclass(frozen=True)
class Staff:
    """What workers there are to be.

    Attributes
    ----------
    workers : int or None
        None takes a fair share of what there is, for as long as the search runs.
    shape : Shape
        Of a worker.
    shapes : dict of str to Shape
        Families whose trials need another.
    memory_mib : float or None
        What a worker may take; None is its share of its machine.
    first_seconds, later_seconds : float
        What silence is taken for hanging.
    """

    workers: int | None
    shape: Shape
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    memory_mib: float | None = None
    first_seconds: float = 3600.0
    later_seconds: float = 600.0

    def shape_of(self, family: str) -> Shape:
        """What trials of a family need."""
        return self.shapes.get(family, self.shape)


@dataclass(eq=False)
class _Hand:
    """A worker and what is known of it."""

    actor: Any
    shape: Shape
    since: float
    place: Ready | None = None
    served: int = 0

    @property
    def node(self) -> str | None:
        """Where it is, once that is known."""
        return None if self.place is None else self.place.node


class Pool:
    """The workers of one run, and what each is doing.

    Parameters
    ----------
    loop : Loop
    place : Workplace
    staff : Staff
    vital : sequence of psutil.Process
        Of a Ray of our own: without them nothing runs.
    shipment : Shipment or None
        Where workers' files are, should their machines not see the driver's.
    """

    def __init__(self, loop: Loop, place: Workplace, staff: Staff, vital: Sequence[psutil.Process], shipment: Shipment | None = None) -> None:
        self._loop, self._place, self._staff, self._vital, self._shipment = loop, place, staff, vital, shipment
        self._meters = None if vital else NodeMeters(loop.owner.spent.accounts)  # of a cluster's nodes; a Ray of our own is metered with the driver
        self._generation = loop.owner.generation
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        name = f"{MAILBOX}{loop.owner.name}-{uuid.uuid4().hex[:8]}"
        self._mailbox = Mailbox.options(name=name, scheduling_strategy=here).remote()
        self._places: dict[Shape, Any] = {}  # reference to the workplace, for each shape
        self._starting: dict[Any, _Hand] = {}  # by the reference of ready()
        self._idle: list[_Hand] = []
        self._busy: dict[Any, tuple[_Hand, int]] = {}  # by the reference of run(): and the trial's number
        self._held: list[tuple[Trial, float]] = []  # trials that wait for a worker of their shape, and since when
        self._over_memory: dict[int, str] = {}
        self._patience = Patience(staff.first_seconds, staff.later_seconds)
        self._wanted, self._looked = 0, -_CAPACITY_SECONDS
        self._offers: dict[str, Mapping[str, float]] = {}  # of each living node, all that it has
        self._kept_free = 0  # workers that ended for the room that a waiting trial needs
        self._losses = WorkerLosses()
        self._had_a_worker = self._told_waiting = self._head_answered = time.monotonic()

    def run(self) -> None:
        """Until nothing is started and nothing runs.

        Raises
        ------
        RayDied
            Ray has to be started anew.
        SearchError
            Workers die one after another.
        """
        self._run()
        if self._meters is not None and head_answers():  # where it is gone, or all of Ray, meters end with this process
            self._meters.close()

    def _run(self) -> None:
        letter = self._mailbox.exchange.remote({})
        turned = time.monotonic()
        while True:
            self._look_at_capacity()
            self._fill()
            if not self._busy and not self._held and not self._loop.has_work:
                return
            ready, _ = ray.wait([letter, *self._busy, *self._starting], num_returns=1, timeout=_POLL_SECONDS)
            turned = self._forgive_absence(turned)
            self._loop.tick()
            self._look_at_meters()
            self._give_back_held()
            turned = self._forgive_absence(turned)  # each of these may have waited for the database
            for reference in ready:
                if reference == letter:
                    letter = self._mailbox.exchange.remote(self._answer(self._opened(letter)))
                elif reference in self._busy:
                    self._take_result(reference)
                elif reference in self._starting:
                    self._take_ready(reference)
            self._require_ray()
            turned = self._forgive_absence(turned)
            self._end_hanging(turned)

    def _look_at_meters(self) -> None:
        if self._meters is None:
            return
        workers: dict[str, set[int]] = {}
        for hand in (*self._idle, *(hand for hand, _ in self._busy.values())):
            workers.setdefault(hand.place.node, set()).add(hand.place.pid)
        self._meters.look(workers)

    def _require_ray(self) -> None:
        dead = gone(self._vital)
        if dead is not None:
            raise self._died(f"a process of Ray's own died (pid {dead.pid})")

    def _opened(self, letter: Any) -> list[Message]:
        try:
            return ray.get(letter)
        except RayError as error:
            raise self._died(f"the way to the workers is gone: {first_line(error)}") from error

    def _died(self, told: str) -> RayDied:
        """Workers that outlive a Ray of our own would train on for nobody, beside those that follow them."""
        for hand in [*self._starting.values(), *self._idle, *(hand for hand, _ in self._busy.values())] if self._vital else []:
            if hand.place is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(hand.place.pid, signal.SIGKILL)
        return RayDied(told)

    def _forgive_absence(self, turned: float) -> float:
        """A driver that was stopped, or waited for its database, has not listened meanwhile."""
        now = time.monotonic()
        if now - turned > 4 * _POLL_SECONDS:
            self._patience.forgive(now - turned)
        return now

    # -- how many there are ----------------------------------------------------------------------------------------

    def _look_at_capacity(self) -> None:
        """Every few seconds: nodes come and go, and so do other searches."""
        now = time.monotonic()
        if self._busy or self._idle:
            self._had_a_worker = now
        elif now - self._had_a_worker > _WAITING_SECONDS:
            self._had_a_worker = now
            self._loop.note(f"waiting for a node that has {self._staff.shape} free")
        if self._held and now - max(self._held[0][1], self._told_waiting) > _WAITING_SECONDS:
            self._told_waiting, trial = now, self._held[0][0]
            self._loop.note(f"trial {trial.number} waits for a worker with {self._staff.shape_of(trial.family)}")
        if now - self._looked < _CAPACITY_SECONDS or not self._head_is_there(now):
            return
        self._looked, before = now, self._wanted
        self._wanted, self._offers = self._staff.workers or fair_share(self._staff.shape), nodes()
        if self._wanted != before:
            self._loop.note(f"{self._wanted} worker{'s' if self._wanted > 1 else ''}, {self._staff.shape} each")
        for hand in [*self._starting.values(), *self._idle][: max(0, self._count - self._wanted)]:
            self._dismiss(hand)

    def _head_is_there(self, now: float) -> bool:
        if head_answers():
            self._head_answered = now
        elif now - self._head_answered > _HEAD_SECONDS:
            raise self._died("the head of the Ray cluster does not answer any more")
        return self._head_answered == now

    @property
    def _count(self) -> int:
        return len(self._starting) + len(self._idle) + len(self._busy)

    def _start(self, shape: Shape) -> None:
        if shape not in self._places:
            self._places[shape] = ray.put(replace(self._place, threads=shape.cpus, gpus=shape.gpus > 0))
        memory = self._staff.memory_mib or share_of_memory(shape, self._offers.values())
        actor = Worker.options(**shape.options).remote(self._places[shape], self._shipment, self._mailbox, self._generation, memory)
        self._starting[actor.ready.remote()] = _Hand(actor, shape, time.monotonic())

    def _dismiss(self, hand: _Hand) -> None:
        """A worker that does nothing ends."""
        self._starting = {reference: each for reference, each in self._starting.items() if each is not hand}
        self._idle = [each for each in self._idle if each is not hand]
        ray.kill(hand.actor)

    # -- who does what ---------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Give trials to free workers, and start the workers that are missing."""
        self._serve_held()
        while self._idle and len(self._held) < max(1, self._wanted):
            trial = self._loop.next({waiting.family for waiting, _ in self._held})
            if trial is None:
                break
            self._held.append((trial, time.monotonic()))
            self._serve_held()
        if self._losses.may_start(time.monotonic()) and (self._busy or self._loop.has_work):
            for _ in range(self._wanted - self._count - self._kept_free):
                self._start(self._staff.shape)

    def _serve_held(self) -> None:
        """Give trials that wait to free workers of their shape; for the others, somebody makes way and somebody starts."""
        for trial, since in list(self._held):
            shape = self._staff.shape_of(trial.family)
            hand = next((each for each in self._idle if each.shape == shape), None)
            if hand is not None:
                self._held.remove((trial, since))
                self._set_to_work(hand, trial)
        if not self._held:
            self._kept_free = 0
        if not self._held or not self._losses.may_start(time.monotonic()):
            return
        waiting = [(self._staff.shape_of(trial.family), since) for trial, since in self._held]
        busy = [hand for hand, _ in self._busy.values()]
        ended, started = make_way(waiting, list(self._starting.values()), self._idle, busy, self._offers, self._wanted, time.monotonic())
        self._kept_free += max(0, len(ended) - len(started))
        for hand in ended:
            self._dismiss(hand)
        for shape in started:
            self._start(shape)

    def _give_back_held(self) -> None:
        """Trials that have no worker yet do not hold up the end of a search."""
        for trial, since in list(self._held):
            if self._loop.must_end(trial):
                self._held.remove((trial, since))
                self._loop.lost(trial.number, "stopped before it had a worker")

    def _set_to_work(self, hand: _Hand, trial: Trial) -> None:
        self._idle = [each for each in self._idle if each is not hand]
        self._busy[hand.actor.run.remote(self._loop.errand(trial, self._place, None if self._meters is None else hand.node))] = (hand, trial.number)
        self._patience.begun(trial.number, time.monotonic())

    # -- what they say ---------------------------------------------------------------------------------------------

    def _answer(self, messages: list[Message]) -> dict[int, str]:
        live = {number for _, number in self._busy.values()}
        answers = {}
        for message in messages:
            if message.generation != self._generation or message.number not in live:
                continue  # an older driver's worker, or one that was given up, is not ours to answer
            took = message.content.get("seconds") if message.kind == "report" else None
            self._patience.heard(message.number, time.monotonic(), took)
            if message.kind == "report":
                answers[message.number] = str(self._loop.report(message.number, message.epoch, message.content))
            elif message.kind == "saved":
                self._loop.saved(message.number, message.content)
            else:
                held, limit = message.content["mib"], message.content["limit_mib"]
                told = f"its worker held {held:.0f} MiB, and {limit:.0f} MiB is the most (resources.worker_memory_gib)"
                self._over_memory[message.number] = told
        return answers

    def _take_ready(self, reference: Any) -> None:
        hand = self._starting.pop(reference)
        try:
            hand.place = ray.get(reference)
        except RayError as error:
            if gone(self._vital) is None:
                self._loop.note(f"a worker could not start: {last_line(error)}")
                self._losses.could_not_start(time.monotonic(), has_others=bool(self._busy or self._idle or self._starting))
                self._require_survivors(error)
        else:
            self._losses.started()
            self._idle.append(hand)

    def _take_result(self, reference: Any) -> None:
        hand, number = self._busy.pop(reference)
        self._patience.ended(number)
        try:
            result: Result = ray.get(reference)
        except RayError as error:
            self._take_loss(number, hand, error)
            with contextlib.suppress(RayError):
                ray.kill(hand.actor)
            return
        self._losses.served()
        if isinstance(result.outcome, Failure):
            self._loop.failed(number, result.outcome.reason_code, result.outcome.message, result.outcome.cost)
        else:
            self._loop.finished(number, result.outcome)
        hand.served += 1
        self._idle.append(hand)
        if hand.served >= TRIALS_PER_WORKER or result.is_outgrown or self._count > self._wanted:
            self._dismiss(hand)

    def _take_loss(self, number: int, hand: _Hand, error: RayError) -> None:
        over_memory = self._over_memory.pop(number, None)
        if over_memory is not None:
            self._loop.failed(number, "memory", over_memory)
        elif isinstance(error, OutOfMemoryError):
            self._loop.failed(number, "memory", first_line(error))
        else:
            self._loop.lost(number, f"worker lost: {first_line(error)}")
            if gone(self._vital) is None:
                self._losses.lost(time.monotonic(), hand.node)
                self._require_survivors(error)

    def _require_survivors(self, error: Exception) -> None:
        if self._losses.are_too_many:
            raise SearchError(f"{WORKERS_LOST} workers in a row died without finishing a trial; the last said: {last_line(error)}")

    # -- who says nothing ------------------------------------------------------------------------------------------

    def _end_hanging(self, turned: float) -> None:
        """As of `turned`: the clock goes on while this process is stopped, here as anywhere."""
        overdue = self._patience.overdue(turned)
        for reference, (hand, number) in list(self._busy.items()):
            if number not in overdue:
                continue
            self._busy.pop(reference)
            self._patience.ended(number)
            self._kill(hand)
            key = "hang_minutes" if self._loop.owner.trials[number].reports else "first_epoch_minutes"
            self._loop.timed_out(number, f"no sign of life for {overdue[number]:.0f} s: its worker was ended (resources.{key})")

    def _kill(self, hand: _Hand) -> None:
        """A process that hangs, or was stopped, does not end because it is asked to."""
        if hand.place is not None and self._vital:  # of a Ray of our own: only there is a process of that number surely the worker
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(hand.place.pid, signal.SIGKILL)
        elif hand.place is not None:
            on_its_node = NodeAffinitySchedulingStrategy(hand.place.node, soft=False)
            end_process.options(scheduling_strategy=on_its_node).remote(hand.place.pid)
        with contextlib.suppress(RayError):
            ray.kill(hand.actor)
