"""How much memory a stretch of work took, and that it takes no more than it may.

Units: MiB of resident memory of the whole process, so what was there before counts too.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20


@contextmanager
def bounded_growth(mib: float) -> Iterator[None]:
    """Inside, the kernel refuses this process more than so much further memory: what asks for it fails (MemoryError, and frameworks' own words for it).

    For what a file may ask for that comes from elsewhere: a network of a few kilobytes can declare a layer of terabytes. On other systems than Linux nothing is bounded.

    Parameters
    ----------
    mib : float
        Of private memory, beside what a framework's threads need for their stacks.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    has = 1024 * int(re.search(r"VmData:\s*(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(has + MIB * (mib + 32 * (os.cpu_count() or 1)))
    known = [limit for limit in (soft, hard, wanted) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class PeakMemory:
    """Context manager that samples resident memory; `peak_mib` is the largest value seen.

    Sampled, because the peak that the operating system keeps is that of the process's whole life.

    Parameters
    ----------
    interval_seconds : float
        Between two samples.
    """

    def __init__(self, interval_seconds: float = 0.02) -> None:
        self.peak_mib = 0.0
        self._interval_seconds = interval_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        import psutil

        process = psutil.Process()
        while True:
            self.peak_mib = max(self.peak_mib, process.memory_info().rss / MIB)
            if self._done.wait(self._interval_seconds):
                return

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
