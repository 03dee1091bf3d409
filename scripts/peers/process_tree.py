"""A command with all processes that it starts: its memory, and its end by SIGKILL. Units: MiB.

Ray's processes leave the tree when their parent dies, so whoever was seen in it once belongs to it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container

import psutil

from search.errors import SearchError

MIB = 2**20
#: What is added up: of pages that several processes share each bears its part (PSS), so the sum counts them once, files that are mapped included.
#: Where a system does not tell it, pages that a process has for itself (USS).
MEMORY = "pss" if psutil.LINUX else "uss"


class ProcessTree:
    """The processes at and below one.

    Parameters
    ----------
    pid : int

    Attributes
    ----------
    peak_mib : float
        Largest sum of memory (:data:`MEMORY`) at any look.
    most : int
        Most processes at any look.
    bystanders : Bystanders
        All other processes of the machine.
    """

    def __init__(self, pid: int) -> None:
        self.peak_mib, self.most, self.bystanders = 0.0, 0, Bystanders()
        self._root = psutil.Process(pid)
        self._seen: dict[int, psutil.Process] = {pid: self._root}

    def look(self) -> None:
        """Take note of who is there now, and of the memory that they hold."""
        living = self.living()
        self.most, self.peak_mib = max(self.most, len(living)), max(self.peak_mib, sum(map(_held_mib, living)))
        self.bystanders.look(self._seen)

    def kill(self, patience_seconds: float = 30.0) -> None:
        """SIGKILL to all of them, and to whom they started meanwhile, until none is left."""
        waited = 0.0
        while living := self.living():
            for process in living:
                try:
                    process.kill()
                except psutil.Error:
                    continue  # it has ended
            psutil.wait_procs(living, timeout=1)
            waited += 1
            if waited > patience_seconds:
                raise SearchError(f"processes {', '.join(str(process.pid) for process in living)} were killed and have not ended: nothing can be measured beside them")

    def living(self) -> list[psutil.Process]:
        """Those that were seen and live, and those below them now; a process id that another has now is not taken for it."""
        known = {pid: process for pid, process in self._seen.items() if _lives(process)}
        others = [process for process in psutil.process_iter(["ppid"]) if process.pid not in known]
        while found := [process for process in others if process.info["ppid"] in known and process.pid not in known]:
            known |= {process.pid: process for process in found}
        self._seen |= known
        return [process for process in known.values() if _lives(process)]


class Bystanders:
    """What processor time others took meanwhile: those that live from one look to the next, but for this process, which only watches.

    Attributes
    ----------
    seconds : float
        Of one core, between the first look and the last.
    """

    def __init__(self) -> None:
        self.seconds, self._at = 0.0, {}

    def look(self, tree: Container[int]) -> None:
        """Take note of who else is there, and of what they have taken since the last look. `tree`: process ids that are not meant."""
        now = {}
        for process in psutil.process_iter():
            if process.pid not in tree and process.pid != os.getpid():
                with contextlib.suppress(psutil.Error):
                    now[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
        self.seconds += sum(seconds - self._at[who] for who, seconds in now.items() if who in self._at)
        self._at = now


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _held_mib(process: psutil.Process) -> float:
    try:
        return getattr(process.memory_full_info(), MEMORY) / MIB
    except psutil.Error:
        return 0.0  # it has ended
