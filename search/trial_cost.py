"""What a stretch of work takes: seconds, processor seconds and memory of this process and those below it; and how costs add up.

A cost is ``{"wall_seconds", "cpu_seconds", "peak_ram_mib", "energy_kwh", "emissions_kg", "energy"}``; what is not known is None. Memory is anonymous memory
(`search.process_memory`), sampled while the work goes on: the peak that the system keeps is that of the process's whole life, and holds pages of mapped
files. What the process held before, such as its libraries, counts: the work would need it anywhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from search.process_memory import MIB

#: Between two samples of memory; what is held for a shorter time may be missed.
_SAMPLE_SECONDS = 0.1
#: Processes below this one are looked for at every so many samples.
_CHILDREN_EVERY = 10
_SUMS = ("wall_seconds", "cpu_seconds", "energy_kwh", "emissions_kg")
#: Process ids of the meters that this process has started (`search.meter`): what they take is nobody's trial.
meters: set[int] = set()
#: Parts of a machine whose energy is told apart.
PARTS = ("cpu", "ram", "gpu")
MISSING_COUNTRY = "CO2 withheld: which country's electricity is used? Say energy: {country_iso_code: …} in the space file"


class CostMeter:
    """Context manager that measures what happens inside it; `cost` has it so far at any time, and afterwards all of it."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="cost-meter", daemon=True)
        self._peak_mib = 0.0
        self._cost: dict[str, Any] | None = None

    def __enter__(self) -> CostMeter:
        self._started, self._cpu_before = time.monotonic(), _cpu_seconds()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._cost = self.cost

    @property
    def cost(self) -> dict[str, Any]:
        """Without energy, which is shared out by who knows of the machine's (`search.accounts`)."""
        if self._cost is not None:
            return dict(self._cost)
        return {
            "wall_seconds": time.monotonic() - self._started,
            "cpu_seconds": max(0.0, _cpu_seconds() - self._cpu_before),
            "peak_ram_mib": round(max(self._peak_mib, _held_mib(self._process)), 1),
        }

    def _sample(self) -> None:
        children: list[psutil.Process] = []
        samples = 0
        while True:
            if samples % _CHILDREN_EVERY == 0:
                children = children_of_this_process()
            samples += 1
            self._peak_mib = max(self._peak_mib, sum(map(_held_mib, (self._process, *children))))
            if self._done.wait(_SAMPLE_SECONDS):
                return


def _held_mib(process: psutil.Process) -> float:
    try:
        found = process.memory_info()
    except psutil.Error:
        return 0.0  # it has ended
    return (found.rss - getattr(found, "shared", 0)) / MIB


def _cpu_seconds() -> float:
    """Processor seconds of this process, of those below it that have ended, and of those that live."""
    ended = os.times()
    total = time.process_time() + ended.children_user + ended.children_system
    for child in children_of_this_process():
        try:
            found = child.cpu_times()
        except psutil.Error:
            continue  # it ended just now: what it used is this process's by the next look
        total += found.user + found.system + getattr(found, "children_user", 0.0) + getattr(found, "children_system", 0.0)
    return total


def children_of_this_process() -> list[psutil.Process]:
    """Those right below it and those below them, but for meters.

    Linux tells each thread's children, which takes a look at these alone; elsewhere it takes one at every process there is.
    """
    try:
        return _linux_children(os.getpid())
    except OSError:
        below = psutil.Process().children(recursive=True)
        return [process for process in below if not meters & {process.pid, *(parent.pid for parent in process.parents())}] if meters else below


def _linux_children(pid: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            pids = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            if not os.path.exists(f"/proc/{pid}/task/{task}"):
                continue  # the thread ended
            raise  # a kernel without these files
        for child in {*map(int, pids)} - meters:
            try:
                found.append(psutil.Process(child))
                found += _linux_children(child)
            except (psutil.Error, FileNotFoundError, ProcessLookupError):
                continue
    return found


def size_of(folder: str | Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def cost_of_lost(wall_seconds: float) -> dict[str, Any]:
    """Of work whose process ended before it could say what it took."""
    return {"wall_seconds": wall_seconds, "cpu_seconds": None, "peak_ram_mib": None}


def added(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> dict[str, Any]:
    """Two costs together: sums, and of peaks the higher. What only one of them knows is that one's: the sum is then a lower bound."""
    first, second = first or {}, second or {}
    total: dict[str, Any] = {name: _sum(first.get(name), second.get(name)) for name in _SUMS}
    total["peak_ram_mib"] = max((peak for each in (first, second) if (peak := each.get("peak_ram_mib")) is not None), default=None)
    energies = [each["energy"] for each in (first, second) if each.get("energy") is not None]
    total["energy"] = _parts_together(energies) if energies else None
    return total


def _parts_together(energies: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each part the sum, and how the last one came by it."""
    together: dict[str, Any] = {}
    for part in PARTS:
        known = [each[part] for each in energies if each.get(part) is not None]
        together[part] = {"kwh": sum(each["kwh"] for each in known), "how": known[-1]["how"]} if known else None
    return together | {"country": energies[-1].get("country")}


def _sum(first: float | None, second: float | None) -> float | None:
    known = [each for each in (first, second) if each is not None]
    return sum(known) if known else None
