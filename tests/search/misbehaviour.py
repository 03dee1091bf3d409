"""Faults that the scripted objective can commit, in the process it runs in. Which trials commit them is counted in files, so across processes.

A fault in a task is ``{"epoch": when, "trials": how many trials commit it (1), "times": each how often (1), "counts": file}``.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

_HELD: list[bytes] = []
_LONG_SECONDS = 300


def is_due(fault: dict[str, Any] | None, seed: int, epoch: int) -> bool:
    """Whether the trial with this seed commits the fault now; the first trials that ask do."""
    if fault is None or epoch != fault["epoch"]:
        return False
    path = Path(fault["counts"])
    with path.open("a") as handle:
        handle.write(f"{seed}\n")
    asked = path.read_text().split()
    chosen = list(dict.fromkeys(asked))[: fault.get("trials", 1)]
    return str(seed) in chosen and asked.count(str(seed)) <= fault.get("times", 1)


def die() -> None:
    """As the system's memory killer does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Give no sign of life, while the process is alive."""
    time.sleep(_LONG_SECONDS)


def hog(mib: int) -> None:
    """Take memory, and give whoever watches time to see it."""
    _HELD.append(os.urandom(2**20) * mib)
    time.sleep(10)
    _HELD.pop()


def leak(mib: int) -> None:
    """Keep memory for as long as the process lives."""
    _HELD.append(os.urandom(2**20) * mib)


def write_large(path: Path, mib: float, fault_due: bool) -> None:
    """Write a file of so many MiB; killed halfway where a fault is due."""
    with path.open("wb") as handle:
        for half in (1, 2):
            handle.write(os.urandom(int(mib * 2**19)))
            handle.flush()
            if half == 1 and fault_due:
                die()
        os.fsync(handle.fileno())
