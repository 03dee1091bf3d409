"""Identity of a file: the hash of its bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

#: Two hours of stereo in 64 bits take 5.2 GiB. A file with holes may be as large as it likes and take no room.
MAX_BYTES = 8 << 30


def require_regular(path: str | Path) -> int:
    """Size of a regular file, bytes.

    Raises
    ------
    OSError
        If it is none (a pipe would block for ever, a device would never end), or is not there.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return found.st_size


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
        If the file can't be read, is no regular file, or is larger than any track.
    """
    size = require_regular(path)
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"has {size / 2**30:,.0f} GiB, but at most {MAX_BYTES >> 30} GiB are read")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
