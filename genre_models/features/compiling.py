"""One process at a time compiles what librosa compiles: some of it when it is imported, some on first use.

Numba keeps compiled functions on the disk, and two processes that add to an entry of its cache at the same time can leave one that crashes every
process that loads it from then on. Seen here: two test runs in one new environment, and two processes of one search that decoded its first files;
then a segmentation fault in each that followed.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_has_compiled: set[str] = set()


@contextmanager
def compiling_alone(what: str) -> Iterator[None]:
    """The first block of a process for `what` runs while no other process of this user is in a first block; later ones run freely.

    Blocks for different things are not to be nested.
    """
    if what in _has_compiled:
        yield
        return
    import portalocker

    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    with (Path(tempfile.gettempdir()) / f"genre-search-compiling-{user}.lock").open("a") as file:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        yield
        _has_compiled.add(what)


def librosa_loaded() -> ModuleType:
    """librosa, with what it compiles when its transforms and filters are imported: anew in a new environment, else from numba's cache."""
    with compiling_alone("librosa"):
        for name in ("core.spectrum", "filters"):
            importlib.import_module(f"librosa.{name}")
    return importlib.import_module("librosa")
