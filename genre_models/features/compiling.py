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

from genre_models.errors import no_locks

#: What compiles when it is imported. librosa itself imports its modules where they are first used, so those that these need are named, too.
_COMPILING = ("util.utils", "core.audio", "core.pitch", "core.spectrum", "filters", "feature.spectral")
_has_compiled: set[str] = set()


@contextmanager
def compiling_alone(what: str) -> Iterator[None]:
    """The first block of a process for `what` runs while no other process of this user is in a first block; later ones run freely.

    Blocks for different things are not to be nested.

    Raises
    ------
    CacheError
        If the folder for temporary files is on a file system without locks.
    """
    if what in _has_compiled:
        yield
        return
    import portalocker

    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    folder = Path(tempfile.gettempdir())
    with (folder / f"genre-search-compiling-{user}.lock").open("a") as file:
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        except portalocker.LockException as error:
            raise no_locks(folder, error, "name a folder on a disk that has them in the environment variable TMPDIR") from error
        yield
        _has_compiled.add(what)


def librosa_loaded() -> ModuleType:
    """librosa, with what it compiles when what is used here is imported: anew in a new environment, else from numba's cache."""
    with compiling_alone("librosa"):
        for name in _COMPILING:
            importlib.import_module(f"librosa.{name}")
    return importlib.import_module("librosa")
