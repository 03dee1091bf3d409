"""Mp3 files to their true end: a view of the file whose tag declares more frames than there can be.

Decoders believe the frame count that encoders write into the first frame (Xing's tag), and guess from the file's size where there is none;
both may be far too short. Behind a tag that declares too many they read on until the data ends. No audio library is imported here.

Source
------
ISO/IEC 11172-3 and 13818-3, header of a frame; Xing's "VBR header" and the fields of LAME's extension of it.
"""

from __future__ import annotations

import errno
import io
import os
from typing import BinaryIO, NamedTuple

# Beyond two hours at 48 kHz (300,000 frames), and below what 32-bit decoders take for nonsense.
_MORE_THAN_THERE_ARE = 900_000
_SEARCHED_BYTES = 1 << 16  # for the first frame, behind the tags in front
_TAGS = 64  # ID3 tags in front, at most; a file may be made of nothing else
_IN_A_ROW = 3  # frames that must follow each other: album art holds the pattern of a header by chance
_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by the header's version bits


class Frame(NamedTuple):
    """What a frame's header says, of layer III.

    Attributes
    ----------
    header : bytes
        Four.
    n_bytes : int
        Of the whole frame.
    tag_at : int
        Where in it Xing's tag begins, if it is one of a file's first frame.
    """

    header: bytes
    n_bytes: int
    tag_at: int


class WholeMp3(io.RawIOBase):
    """An open mp3 file whose first frame declares more frames than there are; read-only.

    Parameters
    ----------
    file : BinaryIO
        Closed with this.
    head : bytes
        Stands for everything before `start`.
    start : int
        Byte of `file`.
    is_tagged : bool
        Whether the file itself declares a length in a tag.

    Attributes
    ----------
    failure : OSError or None
        What went wrong while it was read; decoders written in C can't be told.
    """

    def __init__(self, file: BinaryIO, head: bytes, start: int, is_tagged: bool) -> None:
        self._file, self._head, self._start, self.is_tagged = file, head, start, is_tagged
        self._size = len(head) + os.fstat(file.fileno()).st_size - start
        self._at = 0
        self.failure: OSError | None = None

    def readinto(self, buffer) -> int:
        view = memoryview(buffer).cast("B")
        if self._at < len(self._head):
            data = self._head[self._at : self._at + len(view)]
        else:
            try:
                self._file.seek(self._at - len(self._head) + self._start)
                data = self._file.read(len(view))
            except OSError as error:
                self.failure, data = error, b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def open_whole_mp3(path: str | os.PathLike) -> WholeMp3 | None:
    """Open an mp3 file so that a decoder reads it to its true end.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    WholeMp3 or None
        None if no frames of layer III are found at its beginning; the decoder has then to say what it is.

    Raises
    ------
    OSError
    """
    file = open(path, "rb")
    try:
        found = _find_first_frame(file)
        if found is None:
            file.close()
            return None
        at, frame = found
        file.seek(at)
        first = file.read(frame.n_bytes)
        remaining = os.fstat(file.fileno()).st_size - at
        tag = first[frame.tag_at : frame.tag_at + 8]
        if tag[:4] in (b"Xing", b"Info") and tag[7:] and tag[7] & 1:
            return WholeMp3(file, _with_count(first, frame.tag_at, remaining), at + len(first), is_tagged=True)
        return WholeMp3(file, _tag_frame(frame), at, is_tagged=False)
    except BaseException:
        file.close()
        raise


def head_behind_tags(path: str | os.PathLike) -> bytes:
    """The first 12 bytes of a file behind its ID3 tags.

    Raises
    ------
    OSError
        If it can't be read, or has nothing but tags: decoders take seconds for each million of them.
    """
    with open(path, "rb") as file:
        file.seek(_skip_id3(file))
        head = file.read(12)
    if head[:3] == b"ID3":
        raise OSError(errno.EINVAL, f"begins with more than {_TAGS} ID3 tags")
    return head


def parse_header(header: bytes) -> Frame | None:
    """Read the header of a frame of layer III; None if these four bytes are none.

    Frames without a declared bit rate ("free format") are not known by their headers alone, and are None too.
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rate, hz = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != 1 or rate in (0, 15) or hz == 3:
        return None
    is_mpeg1, is_mono = version == 3, header[3] >> 6 == 3
    samples_of_8_bits = 144 if is_mpeg1 else 72
    n_bytes = samples_of_8_bits * 1000 * _KBPS[1 if is_mpeg1 else 2][rate] // _HZ[version][hz] + (header[2] >> 1 & 1)
    side_bytes = (17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17)
    return Frame(header, n_bytes, 4 + side_bytes)


def _find_first_frame(file: BinaryIO) -> tuple[int, Frame] | None:
    after_tags = _skip_id3(file)
    for begin in (after_tags, 0) if after_tags else (0,):  # a tag may declare more bytes than it has
        file.seek(begin)
        data = file.read(_SEARCHED_BYTES + _IN_A_ROW * 2048)
        at = data.find(b"\xff")
        while 0 <= at < _SEARCHED_BYTES:
            frame = parse_header(data[at : at + 4])
            if frame is not None and _go_on(data, at, frame):
                return begin + at, frame
            at = data.find(b"\xff", at + 1)
    return None


def _go_on(data: bytes, at: int, frame: Frame) -> bool:
    """Whether more frames of one kind follow, or the end of the file."""
    for _ in range(_IN_A_ROW - 1):
        at += frame.n_bytes
        if at == len(data):
            return True
        following = parse_header(data[at : at + 4])
        # Version, layer and sampling rate stay the same within a stream.
        if following is None or following.header[1] & 0xFE != frame.header[1] & 0xFE or (following.header[2] ^ frame.header[2]) & 0x0C:
            return False
        frame = following
    return True


def _skip_id3(file: BinaryIO) -> int:
    """Where the ID3v2 tags at the beginning end."""
    at = 0
    for _ in range(_TAGS):
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if head[5] & 0x10 else 0)
    return at


def _with_count(first: bytes, tag_at: int, n_bytes: int) -> bytes:
    """The tag's frame with another number of frames, and the true number of bytes where it declares one."""
    patched = bytearray(first)
    patched[tag_at + 8 : tag_at + 12] = _MORE_THAN_THERE_ARE.to_bytes(4, "big")
    if first[tag_at + 7] & 2:
        patched[tag_at + 12 : tag_at + 16] = n_bytes.to_bytes(4, "big")
    return bytes(patched)


def _tag_frame(like: Frame) -> bytes:
    """A frame that holds nothing but a tag with a number of frames."""
    header = bytearray(like.header)
    header[1] |= 1  # without a checksum
    header[2] = header[2] & 0x0C | 9 << 4  # a bit rate that leaves room for the tag
    frame = parse_header(bytes(header))
    assert frame is not None  # it differs from one in its bit rate only
    body = bytes(frame.tag_at - 4) + b"Xing" + (1).to_bytes(4, "big") + _MORE_THAN_THERE_ARE.to_bytes(4, "big")
    return (bytes(header) + body).ljust(frame.n_bytes, b"\0")
