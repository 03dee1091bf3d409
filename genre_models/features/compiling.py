"""One process at a time compiles what librosa compiles on first use.

Numba keeps compiled functions on the disk, and two processes that add to an entry of its cache at the same time can leave one that crashes every
process that loads it from then on. Seen here: two test runs in one new environment, then a segmentation fault in each that followed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_has_compiled = False


@contextmanager
def compiling_alone() -> Iterator[None]:
    """The first block of each process runs while no other process of this user is in its first; later ones run freely."""
    global _has_compiled
    if _has_compiled:
        yield
        return
    import portalocker

    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    with (Path(tempfile.gettempdir()) / f"genre-search-compiling-{user}.lock").open("a") as file:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        yield
        _has_compiled = True
