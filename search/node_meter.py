"""What runs in a machine's meter, a process of its own: ``python -m search.node_meter SETTINGS``.

    {"how": {...}, "told": "..."}                                                       once
    {"at", "cpu_seconds", "cpu", "ram", "gpu", "kg_per_kwh"}                            every few seconds, and at the end
    {"error": "..."}                                                                    instead, and the process ends

Readings are sums since the meter began, of the processes that it was told of and those below them alone: of the machine's energy they get the share that
they have in the processor time that the machine spent meanwhile. So several searches on one machine do not count it twice, and one that has the machine
for itself bears all of it, idle cores and memory included. ``at`` is the machine's monotonic clock. Lines of numbers on its standard input are process
ids to look at from then on; where that input ends, so does the meter: nothing outlives a driver that is killed.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

import psutil

from search.energy import EnergyUnavailable, MachineTracker
from search.trial_cost import PARTS

#: Meters yield to those they measure.
_NICENESS = 10
_PARENT = os.getppid()


class ProcessorTime:
    """Processor seconds that some processes and all below them have used; of those that have ended what they had used when they were last seen."""

    def __init__(self, roots: Collection[int]) -> None:
        self.roots = list(roots)
        self._seen: dict[tuple[int, float], float] = {}
        self._not_ours = 0.0

    def add(self, roots: Collection[int]) -> None:
        """Look at these too, from now on: what they have used before is left out."""
        if new := sorted({*roots} - {*self.roots}):
            before = self.read()
            self.roots += new
            self._not_ours += self.read() - before

    def read(self) -> float:
        """The sum so far; it never falls."""
        for process in self._living():
            try:
                found, key = process.cpu_times(), (process.pid, process.create_time())
            except psutil.Error:
                continue
            self._seen[key] = max(self._seen.get(key, 0.0), found.user + found.system)
        return sum(self._seen.values()) - self._not_ours

    def _living(self) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for root in self.roots:
            if root in found:
                continue
            try:
                process = psutil.Process(root)
                found |= {each.pid: each for each in (process, *process.children(recursive=True))}
            except psutil.Error:
                continue
        return list(found.values())


def machine_seconds() -> float:
    """Processor seconds that this machine has spent on anything."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # Linux counts them as user, too
    return sum(times) - idle - twice


class Shared:
    """Energy of some processes, as their share of the machine's.

    Parameters
    ----------
    tracker : MachineTracker
    processes : ProcessorTime
    before : float
        Processor seconds that they had used when the search began.
    """

    def __init__(self, tracker: MachineTracker, processes: ProcessorTime, before: float) -> None:
        self._tracker, self._processes, self._before = tracker, processes, before
        self._energy = dict.fromkeys(PARTS, 0.0)
        self._last = self._look()

    def _look(self) -> tuple[float, float, dict[str, float | None], float | None]:
        found = self._tracker.read()
        return self._processes.read(), machine_seconds(), {part: getattr(found, part) for part in PARTS}, found.kg_per_kwh

    def read(self) -> dict[str, Any]:
        """A reading."""
        used, spent, energy, factor = self._look()
        used_before, spent_before, energy_before, _ = self._last
        share = share_of(used - used_before, spent - spent_before)
        for part in PARTS:
            if energy[part] is not None:
                self._energy[part] += share * max(0.0, energy[part] - (energy_before[part] or 0.0))
        self._last = used, spent, energy, factor
        shown = {part: None if energy[part] is None else self._energy[part] for part in PARTS}
        return {"at": time.monotonic(), "cpu_seconds": max(0.0, used - self._before), **shown, "kg_per_kwh": factor}


def share_of(used_seconds: float, spent_seconds: float) -> float:
    """Share of a machine's energy of those who used so much of the processor time that it spent, 0 to 1."""
    if used_seconds <= 0:
        return 0.0
    return min(1.0, used_seconds / spent_seconds) if spent_seconds > 0 else 1.0


def main(settings: Mapping[str, Any]) -> None:
    """Read until the input ends.

    Parameters
    ----------
    settings : mapping
        ``roots``, ``before`` (see `Shared`), ``seconds`` between readings, and ``country``, ``cpu_watts``, ``ram_watts``.
    """
    try:
        os.nice(_NICENESS)
        tracker = MachineTracker(settings["country"], settings["cpu_watts"], settings["ram_watts"])
        _say({"how": tracker.how, "told": tracker.told})
        processes = ProcessorTime(settings["roots"])
        shared = Shared(tracker, processes, settings["before"])
        _say(shared.read())
        while _goes_on(processes, settings["seconds"]):
            _say(shared.read())
        _say(shared.read())
    except (EnergyUnavailable, psutil.Error, OSError, ArithmeticError, LookupError, ValueError) as error:
        _say({"error": f"{type(error).__name__}: {error}" if not isinstance(error, EnergyUnavailable) else str(error)})


def _goes_on(processes: ProcessorTime, seconds: float) -> bool:
    """Wait until the next reading is due, taking in process ids; False where the input has ended."""
    due = time.monotonic() + seconds
    while (left := due - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin.fileno()], [], [], left)
        if not ready:
            break
        told = os.read(sys.stdin.fileno(), 65536)
        if not told:
            return False
        lines = told.decode(errors="replace").splitlines()
        processes.add([int(word) for line in lines for word in line.split() if word.isdigit()])
    return os.getppid() == _PARENT  # another process may hold the other end of the input


def _say(content: Mapping[str, Any]) -> None:
    try:
        print(json.dumps(content), flush=True)
    except BrokenPipeError:
        os._exit(0)  # the driver is gone


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
