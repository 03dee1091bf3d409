"""Small text files of the user's: lists, groups. A file that is none, or far too large for one, is refused before it is read."""

from __future__ import annotations

from pathlib import Path

#: A list of a million tracks is a tenth of it.
MAX_BYTES = 256 << 20


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, with or without the mark that some editors put first.

    Raises
    ------
    ValueError
        If it is no regular file (one may wait for ever, or never end), is too large, or is not UTF-8.
    OSError
        If it can't be read.
    """
    if file.exists() and not file.is_file():
        raise ValueError(f"it is {'a folder' if file.is_dir() else 'no regular file'}")
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"it has {size / 2**20:,.0f} MiB, but at most {MAX_BYTES >> 20} MiB are read")
    return file.read_bytes().decode("utf-8-sig")
