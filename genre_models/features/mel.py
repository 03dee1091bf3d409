"""Log-mel spectrograms. Samples in, float16 [shape=(n_mels, n_frames, 1)] out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from genre_models.features.compiling import librosa_loaded

TOP_DB = 80.0
_SILENT_POWER = 1e-10  # librosa's own floor of power


def log_mel(y: np.ndarray, *, sr: int, n_fft: int, hop_length: int, n_mels: int, normalise: str) -> np.ndarray:
    """Compute the log-mel spectrogram of a clip.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples.
    sr : int
        Hertz.
    n_fft, hop_length : int
        Window and step, samples; frames are centred, so there are ``1 + (n - n_fft % 2) // hop_length`` of them.
    n_mels : int
    normalise : {"unit", "item"}
        ``unit``: 0 is 80 dB below the loudest point or less, 1 is the loudest point. ``item``: mean 0, variance 1.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_frames, 1), dtype=float16]
        Low frequencies first; finite also for silence, which is all 0.
    """
    librosa = librosa_loaded()
    power = np.abs(librosa.stft(y, n_fft=n_fft, hop_length=hop_length, center=True)) ** 2
    mel = _filterbank(sr, n_fft, n_mels) @ power
    loudest = float(mel.max())
    if loudest <= _SILENT_POWER:
        return np.zeros((*mel.shape, 1), np.float16)
    # Dividing first makes the 80 dB relative to the clip, whatever its gain; librosa's floor would cut a quiet clip's range short.
    db = librosa.power_to_db(mel / loudest, ref=1.0, top_db=TOP_DB)
    levels = (db + TOP_DB) / TOP_DB if normalise == "unit" else (db - db.mean()) / max(float(db.std()), 1e-6)
    return levels.astype(np.float16)[..., None]


@lru_cache(maxsize=4)
def _filterbank(sr: int, n_fft: int, n_mels: int) -> np.ndarray:
    librosa = librosa_loaded()
    return librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)
