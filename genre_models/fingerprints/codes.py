"""Codes of spectrograms: for each moment and band, whether the energy's slope over frequency rises or falls with time, or hardly changes.

Such a sign does not depend on gain, and little on equalisation, sampling rate or a lossy encoder. A code is uint32 [shape=(frames, 2)]: the
32 signs of a frame, and which of them mean anything; padding means nothing.

Source
------
Haitsma and Kalker, A Highly Robust Audio Fingerprinting System (ISMIR 2002), section 4.2. Here a change that is too small to mean
anything has no sign, frames lie further apart, and two codes are compared by the cosine of their signs.
"""

from __future__ import annotations

import math

import numpy as np

BANDS = 32


def encode(levels: np.ndarray, lag: int, least: float) -> np.ndarray:
    """Make a code.

    Parameters
    ----------
    levels : np.ndarray [shape=(frames + lag, BANDS + 1)]
        Of energy, on a scale on which a factor is a difference; low frequencies first.
    lag : int
        Frames between the two that are compared.
    least : float
        Smaller changes mean nothing.

    Returns
    -------
    np.ndarray [shape=(frames, 2), dtype=uint32]
    """
    slopes = np.diff(levels, axis=1)
    changes = slopes[lag:] - slopes[:-lag]
    return np.stack([_pack(changes > 0), _pack(np.abs(changes) >= least)], axis=1)


def decode(code: np.ndarray) -> np.ndarray:
    """Signs, float32 [shape=(..., frames, BANDS)]: -1, 1, or 0 where there is none."""
    signs, known = (_unpack(code[..., column]) for column in (0, 1))
    return (2 * signs - 1) * known


def similarity(one: np.ndarray, other: np.ndarray, shift: int) -> tuple[float, int]:
    """Compare two codes where they overlap.

    Parameters
    ----------
    one, other : np.ndarray [shape=(frames, 2), dtype=uint32]
    shift : int
        Frame of `one` that frame 0 of `other` lies on.

    Returns
    -------
    (float, int)
        Cosine, -1 to 1, of their signs; 0 is chance. And the overlap, in frames.
    """
    begin, end = max(0, shift), min(len(one), len(other) + shift)
    if end <= begin:
        return 0.0, 0
    a, b = one[begin:end], other[begin - shift : end - shift]
    both = a[:, 1] & b[:, 1]
    n_both = int(np.bitwise_count(both).sum())
    n_differ = int(np.bitwise_count((a[:, 0] ^ b[:, 0]) & both).sum())
    norm = math.sqrt(float(np.bitwise_count(a[:, 1]).sum()) * float(np.bitwise_count(b[:, 1]).sum()))
    return ((n_both - 2 * n_differ) / norm if norm else 0.0), end - begin


def n_known(code: np.ndarray) -> int:
    """Signs that mean something."""
    return int(np.bitwise_count(code[:, 1]).sum())


def trimmed(code: np.ndarray) -> np.ndarray:
    """A code without the padding behind it."""
    known = np.flatnonzero(code[:, 1])
    return code[: known[-1] + 1] if len(known) else code[:0]


def _pack(bits: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little")).view("<u4")[:, 0].astype(np.uint32)


def _unpack(words: np.ndarray) -> np.ndarray:
    of_bytes = np.ascontiguousarray(words, "<u4")[..., None].view(np.uint8)
    return np.unpackbits(of_bytes, axis=-1, bitorder="little").astype(np.float32)
