"""One driver for each study: an operating-system lock that dies with its holder.

There is no stale lock to remove by hand: after ``kill -9`` or a power cut the kernel has let go of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from search.errors import LeaseHeld


@contextmanager
def hold_lease(studies_dir: Path, name: str) -> Iterator[None]:
    """Hold the study's lease for the length of the ``with`` block.

    Parameters
    ----------
    studies_dir : Path
    name : str
        The study; its folder is created if need be.

    Raises
    ------
    LeaseHeld
        If another process holds it; the message names that process.
    """
    folder = studies_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lease"
    with path.open("a+") as handle:
        try:
            portalocker.lock(handle, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.exceptions.LockException as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise LeaseHeld(
                f"study '{name}': another process (pid {holder}) is working on it; "
                "wait for it, stop it with Ctrl-C, or start a study of another name with --study NAME"
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
