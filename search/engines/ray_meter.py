"""Energy on the nodes of a cluster: one meter a node for this search, which takes no core and looks at its workers there alone.

On a Ray of our own there is no need of them: all that runs is below the driver, whose own meter looks at that.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Mapping
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.accounts import Accounts
from search.energy_section import EnergySettings
from search.engines.ray_connect import head_answers
from search.meter import READING_SECONDS, Meter

#: The last readings of all nodes together are waited for so long.
_LAST_SECONDS = 3.0


@ray.remote(num_cpus=0, max_restarts=0)
class NodeMeter:
    """The meter of a node, in a process beside this actor; see `search.node_meter`."""

    def __init__(self, settings: EnergySettings) -> None:
        self._meter = Meter(settings, [os.getpid()], delay_seconds=0.0)

    def read(self, workers: Collection[int], last: bool = False) -> list[dict[str, Any]]:
        """What it has said since this was asked last, each reading with its ``age`` in seconds in place of a clock that others do not have; from now on it
        looks at these workers too. With `last` it reads once more and ends."""
        self._meter.watch(workers)
        if last:
            self._meter.close()
        now = time.monotonic()
        return [{**{key: value for key, value in said.items() if key != "at"}, **({"age": now - said["at"]} if "at" in said else {})} for said in self._meter.take()]


class NodeMeters:
    """The driver's side: a meter for each node that has a worker of this search.

    Parameters
    ----------
    accounts : Accounts
        Gets the readings.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        accounts.forget_nodes()  # of a Ray that was lost: meters of this one count from nothing
        self._actors: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}  # node to the reference of its answer
        self._looked = 0.0

    def look(self, workers: Mapping[str, Collection[int]]) -> None:
        """Take in what has arrived, and every few seconds ask for more; waits for nothing.

        Parameters
        ----------
        workers : mapping of str to collection of int
            Process ids of this search's workers on each node.
        """
        if self._accounts.settings is None or time.monotonic() - self._looked < READING_SECONDS:
            return
        self._looked = time.monotonic()
        for node, reference in list(self._asked.items()):
            if ray.wait([reference], timeout=0)[0]:
                del self._asked[node]
                self._take(node, reference)
        for node, pids in workers.items():
            if node not in self._actors:
                if not head_answers():
                    return  # without the head, actors are waited for until the process is ended; the pool sees that it is gone
                here = NodeAffinitySchedulingStrategy(node, soft=False)
                self._actors[node] = NodeMeter.options(scheduling_strategy=here).remote(self._accounts.settings)
            if node not in self._asked:
                self._asked[node] = self._actors[node].read.remote(sorted(pids))

    def _take(self, node: str, reference: Any) -> None:
        try:
            said = ray.get(reference)
        except RayError:  # the node is gone, or the actor: a worker that comes back there gets a new one, which counts on
            self._actors.pop(node, None)
            self._accounts.forget(node)
            return
        now = time.monotonic()
        self._accounts.take(node, [each | {"at": now - each["age"]} if "age" in each else each for each in said])

    def close(self) -> None:
        """Read once more on every node, and end the meters."""
        with contextlib.suppress(RayError, ConnectionError):
            last = {actor.read.remote([], last=True): node for node, actor in self._actors.items()}
            asked = {reference: node for node, reference in self._asked.items()}
            done, _ = ray.wait([*asked, *last], num_returns=len(asked) + len(last), timeout=_LAST_SECONDS) if last else ([], [])
            for reference in done:
                self._take({**asked, **last}[reference], reference)
            for actor in self._actors.values():
                ray.kill(actor)
