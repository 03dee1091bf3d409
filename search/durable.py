"""Folders that are whole or absent, also after a kill, a full disk or a power cut. Knows paths only."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL, _REPLACED = ".partial", ".replaced"


@contextmanager
def writing_whole(place: Path) -> Iterator[Path]:
    """Yield a folder to write in, beside `place`; it gets the name `place` when everything in it is on the disk.

    One that is there already is replaced. Whatever is raised inside leaves nothing behind; a kill leaves a folder that `is_leftover`.

    Raises
    ------
    OSError
        As on a full disk.
    """
    token = uuid.uuid4().hex[:8]  # two workers may write the same one, where one was given up for lost
    partial, replaced = (place.with_name(f".{place.name}.{token}{end}") for end in (_PARTIAL, _REPLACED))
    try:
        partial.mkdir(parents=True)
        yield partial
        fsync_tree(partial)
        if place.exists():
            place.rename(replaced)  # a folder that is not empty can't be renamed over
        partial.rename(place)
        fsync_path(place.parent)
    finally:
        for folder in (partial, replaced):
            shutil.rmtree(folder, ignore_errors=True)


def is_leftover(name: str) -> bool:
    """Whether a folder of this name is one that `writing_whole` is at, or that a kill left of it."""
    return name.startswith(".") and name.endswith((_PARTIAL, _REPLACED))


def fsync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and its own entries."""
    for path in folder.rglob("*"):
        fsync_path(path)
    fsync_path(folder)


def fsync_path(path: Path) -> None:
    """Flush a file, or the entries of a folder: without the latter a crash may lose a new name although its content is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
