"""How much sound a file's own header promises, beside how much of it is there. No audio library is imported here.

Decoders cut the promise of a WAV or AU file down to what the file holds, and say nothing; an Ogg stream promises only that its last page is
marked as such. FLAC and mp3 are told by those who decode them (`genre_models.audio.probe_audio`).

Source
------
Microsoft and IBM, Multimedia Programming Interface (RIFF, 1991); EBU Tech 3306 (RF64); Sun's audio file format (.au);
RFC 3533, section 6 (Ogg pages).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

# Writers that can't go back to fill in the size leave one of these (0xFFFFFFFF and its kin): nothing is promised.
_UNKNOWN = 0x7FFF0000
_SPARED_BYTES = 64  # short by less is a writer's rounding, not a cut
_PAGE_BYTES = 65_307  # of an Ogg page, at most
_CHUNKS = 1000  # of a WAV file before its sound, at most; a file may be made of empty ones


def missing_part(path: str | Path) -> str | None:
    """Whether a WAV, AU or Ogg file ends before it should.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str or None
        In words, such as ``"its header declares 30.0 s, the file ends after 12.3 s"``; None where nothing is missing, or nothing is declared.

    Raises
    ------
    OSError
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
            return _of_wave(file, size)
        if head[:4] == b".snd":
            return _of_au(head, file, size)
        if head[:4] == b"OggS":
            return _of_ogg(file, size)
    return None


def _of_wave(file: BinaryIO, size: int) -> str | None:
    bytes_a_second, at = 0, 12
    for _ in range(_CHUNKS):
        if at + 8 > size:
            break
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"fmt " and length >= 12:
            bytes_a_second = struct.unpack("<8xI", file.read(12))[0]
        if name == b"data":
            return _in_words(length, size - at - 8, bytes_a_second)
        at += 8 + length + length % 2
    return None


def _of_au(head: bytes, file: BinaryIO, size: int) -> str | None:
    rest = file.read(12)
    if len(rest) < 12:
        return None
    begin, length = struct.unpack(">II", head[4:])
    encoding, sr, channels = struct.unpack(">III", rest)
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0)  # bytes a sample
    return _in_words(length, size - begin, sr * channels * width)


def _in_words(declared: int, there: int, bytes_a_second: int) -> str | None:
    if declared >= _UNKNOWN or declared - there <= _SPARED_BYTES:
        return None
    if not bytes_a_second:
        return f"its header declares {declared:,} bytes of sound, the file holds {max(0, there):,}"
    return say_missing(declared / bytes_a_second, max(0, there) / bytes_a_second)


def say_missing(declared_seconds: float, seconds: float) -> str:
    """The words for a file that is shorter than it says."""
    return f"its header declares {declared_seconds:.1f} s, the file ends after {seconds:.1f} s"


def _of_ogg(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - _PAGE_BYTES))
    tail = file.read()
    at = tail.rfind(b"OggS")
    # Bit 2 of the page's flags: the last page of its stream.
    if at >= 0 and at + 5 < len(tail) and tail[at + 5] & 4:
        return None
    return "its stream has no end: the file was cut off"
