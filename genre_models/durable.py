"""Files that are whole or absent, also after a crash.

Owns: writing by temporary file and rename, with everything flushed to the disk before it gets its name; and hashes of what was written.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def fsync_path(path: Path) -> None:
    """Flush a file, or the entries of a folder: without the latter a crash may lose a new name although its content is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, write: Callable[[Path], object], *, shared: bool = False) -> None:
    """Call `write` with a temporary path beside `path`, flush, and give the result its name in one step.

    Parameters
    ----------
    path : Path
        The file to make or replace; its folder must exist. The temporary file keeps the suffix, which some writers go by.
    write : callable
        Writes the whole file to the path it is given.
    shared : bool
        Whether other processes may write the same file at the same time: each then has a temporary one of its own, which a kill leaves behind.
    """
    temporary = path.with_name(f".{path.stem}{f'.{os.getpid()}' if shared else ''}.partial{path.suffix}")
    try:
        write(temporary)
        fsync_path(temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # where a disk is full its room is needed
        raise
    fsync_path(path.parent)


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Write UTF-8 text whole or not at all; `shared` as of `write_whole`."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), shared=shared)


def fsync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and its own entry."""
    for path in sorted(folder.rglob("*")):
        fsync_path(path)
    fsync_path(folder)
    fsync_path(folder.parent)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` by its name relative to it; empty where the folder is missing."""
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}
