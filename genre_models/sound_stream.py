"""Sound files decoded from front to back, block by block, never more of one in memory than a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from genre_models.content import require_regular
from genre_models.mp3 import WholeMp3, open_whole_mp3, head_behind_tags

BLOCK_SAMPLES = 1 << 20  # of all channels together
_DECODER_FRAMES = 4 * 1152  # of an mp3: what encoders and decoders add behind the music, at most


class _Forward(soundfile.SoundFile):
    """A file that is read on and on: the library seeks after each block otherwise, which damages mp3 streams of variable bit rate."""

    def seekable(self) -> bool:
        return False


class SoundStream:
    """An open sound file.

    Parameters
    ----------
    file : _Forward
    declared : int or None
        Frames that an mp3's tag declares; None where nothing is declared, or the declaration is reliable.
    view : WholeMp3 or None

    Attributes
    ----------
    sr : int
        Hertz.
    channels : int
    n_frames : int or None
        As a reliable header declares them; None where only reading tells.
    declared_frames : int or None
        As the header declares them, reliable or not; None where it declares nothing.
    """

    def __init__(self, file: _Forward, declared: int | None = None, view: WholeMp3 | None = None) -> None:
        self._file, self._declared, self._view = file, declared, view
        self.sr, self.channels = file.samplerate, file.channels
        self.n_frames = file.frames if view is None and file.frames < 1 << 62 else None  # some formats declare "unknown" as a huge number
        self.declared_frames = self.n_frames if declared is None else declared

    def blocks(self, n_frames: int | None = None) -> Iterator[np.ndarray]:
        """Decode on.

        Parameters
        ----------
        n_frames : int or None
            At most so many, and of an mp3 a little more, for `true_end`; None for all.

        Yields
        ------
        np.ndarray [shape=(n, channels), dtype=float32]

        Raises
        ------
        soundfile.SoundFileError, OSError
        """
        left = n_frames if n_frames is None or self._declared is None else n_frames + 2 * _DECODER_FRAMES
        size = max(1, BLOCK_SAMPLES // self.channels)
        while left is None or left > 0:
            block = self._file.read(size if left is None else min(size, left), dtype="float32", always_2d=True)
            if self._view is not None and self._view.failure is not None:
                raise self._view.failure
            if not len(block):
                return
            yield block
            left = left if left is None else left - len(block)

    def true_end(self, n_read: int) -> int:
        """Where the music ends, once `n_read` frames were read.

        An mp3's tag counts exactly, but is not always true. It is believed where it ends what was read but for the frames that coding adds.
        """
        is_true = self._declared is not None and 0 < self._declared <= n_read <= self._declared + _DECODER_FRAMES
        return self._declared if is_true else n_read


def _open_known(path: str | Path) -> _Forward:
    """Open a file of one of the kinds that a corpus has. The library knows two dozen more, and readers of some of them never end on a broken file."""
    head = head_behind_tags(path)
    is_wave = head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE"
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    if not (is_wave or is_mp3 or head[:4] in (b"fLaC", b"OggS", b".snd", b"dns.")):
        is_called_mp3 = Path(path).suffix.lower() == ".mp3"
        raise soundfile.SoundFileRuntimeError("no whole frame of sound found in it" if is_called_mp3 else "Format not recognised: it is none of WAV, FLAC, Ogg, mp3 and AU")
    return _Forward(str(path))


@contextmanager
def open_sound(path: str | Path) -> Iterator[SoundStream]:
    """Open a sound file of any kind that the library decodes.

    Raises
    ------
    soundfile.SoundFileError, OSError
    """
    require_regular(path)
    try:
        file = _open_known(path)
    except soundfile.SoundFileError:
        # Tags in front of the first frame that lie about their size.
        view = open_whole_mp3(path) if Path(path).suffix.lower() == ".mp3" else None
        if view is None:
            raise
        declared = None
    else:
        view = open_whole_mp3(path) if file.format == "MP3" else None
        if view is None:
            with file:
                yield SoundStream(file)
            return
        declared = file.frames if view.is_tagged else None
        file.close()
    with view, _Forward(view) as file:
        yield SoundStream(file, declared, view)


def decodes_mp3() -> bool:
    """Whether the installed library knows mp3."""
    return "MP3" in soundfile.available_formats()


def library_version() -> str:
    """Of the decoding library."""
    return soundfile.__libsndfile_version__
