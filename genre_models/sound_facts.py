"""What one pass over a sound's samples tells, block by block: loudness, clipping, silence, and a hash of what was decoded.

Units: seconds, hertz, dB of full scale. Only numbers are kept, no samples.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

FLOOR_DB = -120.0
SILENT_DB = -60.0
"""Root mean square below which a second counts as silent, dB of full scale."""
FULL_SCALE = 0.9999
"""From here on a sample is at full scale: the largest value of 16 bits is 0.99997."""


class SoundFacts:
    """Running facts of one sound.

    Parameters
    ----------
    sr : int
        Hertz.
    channels : int
    """

    def __init__(self, sr: int, channels: int) -> None:
        self._sr, self._channels = sr, channels
        self.n_frames = 0
        self.energy = self.peak = 0.0
        self._n_clipped = 0
        self._seconds = self._silent_seconds = 0
        self._left = np.empty(0)  # of the second that is not full yet, squared
        self._hash = hashlib.blake2b(f"{sr} Hz, {channels} channels".encode(), digest_size=16)

    def take(self, block: np.ndarray) -> None:
        """Take in the next block, float32 [shape=(n, channels)]."""
        self.n_frames += len(block)
        self._hash.update(np.ascontiguousarray(block))
        self._n_clipped += int((np.abs(block) >= FULL_SCALE).sum())
        self.peak = max(self.peak, float(np.abs(block.mean(axis=1)).max(initial=0.0)))  # of the mix that features are made of, in its own precision
        squares = np.square(block.mean(axis=1, dtype=np.float64))
        self.energy += float(squares.sum())
        squares = np.concatenate([self._left, squares])
        n_full = len(squares) // self._sr
        self._count(squares[: n_full * self._sr].reshape(n_full, self._sr).mean(axis=1))
        self._left = squares[n_full * self._sr :]

    def told(self) -> dict[str, Any]:
        """The facts.

        Returns
        -------
        dict
            ``loudness_db`` (root mean square of the mono mix), ``clipped_share`` (of samples of all channels), ``silent_share`` (of seconds),
            ``decoded`` (32 hex digits: the same for the same samples at the same rate, whatever container they came in).
        """
        seconds, silent = self._seconds, self._silent_seconds
        if len(self._left) >= self._sr / 2 or not seconds:  # what is left counts where it is a second rather than none
            seconds, silent = seconds + 1, silent + int(_is_silent(self._left.mean()))
        loudness_db = 10 * math.log10(self.energy / self.n_frames) if self.energy > 0 else FLOOR_DB
        return {
            "loudness_db": max(FLOOR_DB, loudness_db),
            "clipped_share": round(self._n_clipped / (self.n_frames * self._channels), 6),
            "silent_share": round(silent / seconds, 4),
            "decoded": self._hash.hexdigest(),
        }

    def _count(self, means: np.ndarray) -> None:
        self._seconds += len(means)
        self._silent_seconds += int(_is_silent(means).sum())


def _is_silent(mean_square: Any) -> Any:
    return mean_square < 10 ** (SILENT_DB / 10)
