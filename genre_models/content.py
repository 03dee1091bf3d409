"""Identity of a file: the hash of its bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def content_hash(path: str | Path) -> str:
    """Hash the bytes of a regular file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        32 hex digits (BLAKE2b, 16 bytes).

    Raises
    ------
    OSError
        If the file can't be read, or is no regular file (a pipe would block for ever, a device would never end).
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("not a regular file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
