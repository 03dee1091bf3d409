"""How much memory a stretch of work took.

Units: MiB of resident memory of the whole process, so what was there before counts too.
"""

from __future__ import annotations

import threading

MIB = 2**20


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
