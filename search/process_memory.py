"""What a process holds in memory that nobody can take from it, and how much there is. Units: MiB.

Pages of memory-mapped files do not count: the system drops them when it needs room.
"""

from __future__ import annotations

from pathlib import Path

import psutil

MIB = 2**20
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def anonymous_mib(pid: int | None = None) -> float:
    """Anonymous memory of a process (its own by default); where the system does not tell it apart, all that is resident.

    Raises
    ------
    psutil.NoSuchProcess
        There is no such process.
    """
    found = psutil.Process(pid).memory_info()
    return (found.rss - getattr(found, "shared", 0)) / MIB


def machine_mib() -> float:
    """Memory of this machine, or of the container that this process is confined to."""
    limits = [float(psutil.virtual_memory().total)]
    for path in _CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(float(text))
    return min(limits) / MIB
