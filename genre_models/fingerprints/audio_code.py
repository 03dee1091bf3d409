"""From a sound file to its code. Units: hertz, seconds, samples."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from genre_models.fingerprints.codes import BANDS, encode

SR = 8_000
HOP = 512
LENGTHS = (32, 64, 128)
"""Codes come in three lengths, seconds; of longer files the opening is compared."""
_WINDOW = 4_096
_LAG = 2  # frames: 0.13 s
_LOWEST, _HIGHEST = 200.0, 3_600.0  # what survives in every encoding, and below the filter of the lowest rate
_LEAST = 0.2  # of the natural logarithm of energy, 0.9 dB
_RANGE = 1e-7  # of the loudest band: what lies 70 dB below is silence
SECONDS_A_FRAME = HOP / SR


def code_frames(duration_seconds: float) -> int:
    """Rows of the code of a file of that length."""
    length = next((each for each in LENGTHS if duration_seconds <= each), LENGTHS[-1])
    return length * SR // HOP


def code_of_audio(path: str | Path, n_frames: int) -> np.ndarray:
    """Compute the code of a file's opening.

    Parameters
    ----------
    path : str or Path
    n_frames : int
        As `code_frames` says.

    Returns
    -------
    np.ndarray [shape=(n_frames, 2), dtype=uint32]

    Raises
    ------
    genre_models.audio.Undecodable
    """
    from genre_models.audio import load_clip

    return code_of_samples(load_clip(path, SR, n_frames * SECONDS_A_FRAME, pad=False), n_frames)


def code_of_samples(y: np.ndarray, n_frames: int) -> np.ndarray:
    """The code of mono samples at `SR`, float32 [shape=(n,)]."""
    padded = np.zeros((n_frames, 2), np.uint32)
    if len(y) >= _WINDOW + _LAG * HOP:
        energy = _power(y) @ _bands()
        levels = np.log(np.maximum(energy, _RANGE * energy.max() + 1e-20))
        code = encode(levels, _LAG, _LEAST)[:n_frames]
        padded[: len(code)] = code
    return padded


def _power(y: np.ndarray) -> np.ndarray:
    """Power spectra, float32 [shape=(frames, 1 + _WINDOW // 2)], of whole frames: no edge of the file is heard as a beginning."""
    frames = np.lib.stride_tricks.sliding_window_view(y, _WINDOW)[::HOP]
    spectra = np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)
    return (spectra.real**2 + spectra.imag**2).astype(np.float32)


@lru_cache(maxsize=1)
def _bands() -> np.ndarray:
    """Which bins make up each of the bands, equal in ratio of frequency [shape=(bins, BANDS + 1)]."""
    edges = np.geomspace(_LOWEST, _HIGHEST, BANDS + 2)
    hertz = np.arange(_WINDOW // 2 + 1) * SR / _WINDOW
    return np.stack([(hertz >= low) & (hertz < high) for low, high in zip(edges, edges[1:], strict=False)], axis=1).astype(np.float32)
