"""Room on a machine's own disk for what is on its way: one folder for each user, closed to others, cleared of what was left behind.

It lies where temporary files do; ``TMPDIR`` says where that is.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from search.errors import SearchError

#: What has not been touched for so long, and belongs to no process that lives, is removed.
_KEPT_SECONDS = 3 * 86400


def scratch_folder(kind: str) -> Path:
    """The user's folder for one kind of files, made if it is missing.

    Raises
    ------
    SearchError
        It is somebody else's, others may write in it, or it can't be made.
    """
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    top = Path(tempfile.gettempdir()) / f"genre-search-{user}"
    try:
        top.mkdir(mode=0o700, exist_ok=True)
        found = top.lstat()
        if hasattr(os, "getuid") and (not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077):
            raise SearchError(f"{top}: must be a folder of this user alone (mode 700): remove it, or set TMPDIR to another place")
        (top / kind).mkdir(exist_ok=True)
    except OSError as error:
        raise SearchError(f"{top}: can't be made ({error.strerror or error}): make room there, or set TMPDIR to another place") from error
    return top / kind


@contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """An empty folder of this process, removed afterwards. What processes that were killed left of that kind is removed first."""
    top = scratch_folder(kind)
    remove_abandoned(top)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=top))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(top: Path, older_than_seconds: float = _KEPT_SECONDS) -> None:
    """Remove what has not been touched for long, unless the process that its name begins with lives."""
    before = time.time() - older_than_seconds
    for folder in top.iterdir():
        owner = folder.name.partition("-")[0]
        with contextlib.suppress(FileNotFoundError):  # another process clears up too
            if folder.lstat().st_mtime < before and not (owner.isdigit() and psutil.pid_exists(int(owner))):
                shutil.rmtree(folder, ignore_errors=True)
