"""From sound to what the networks take: patches of a log-mel spectrogram, or windows of samples. NumPy only.

Source
------
S. Hershey et al. (2017), "CNN architectures for large-scale audio classification", section 3.1, arXiv:1609.09430; and the code with the networks in the repository
tensorflow/models, ``research/audioset``: ``vggish/mel_features.py``, ``vggish/vggish_input.py``, ``yamnet/features.py``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from genre_models.sound_networks import BANDS, HIGHEST_HERTZ, HOP, LOWEST_HERTZ, N_FFT, PATCH_FRAMES, PATCH_SAMPLES, SR, WINDOW, SoundNetwork


def patches(y: np.ndarray, network: SoundNetwork) -> np.ndarray:
    """Log-mel patches of a clip.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples of 16 kHz, -1 to 1.
    network : SoundNetwork

    Returns
    -------
    np.ndarray [shape=(n_patches, 96, 64), dtype=float32]
        Frames by mel bands, low ones first; one patch at least, of sound that is padded with silence where it is shorter.
    """
    frames = log_mel(padded(y, network), network.log_offset)
    return np.ascontiguousarray(sliding_window_view(frames, PATCH_FRAMES, axis=0)[:: network.step_frames].transpose(0, 2, 1))


def windows(y: np.ndarray, network: SoundNetwork, size: int) -> np.ndarray:
    """The clip in windows of `size` samples, as far apart as patches are [shape=(n_windows, size), dtype=float32]; the last is padded with silence."""
    step, n = network.step_frames * HOP, len(y)
    count = 1 + max(0, -(-(n - size) // step))
    whole = np.pad(np.asarray(y, np.float32), (0, max(0, (count - 1) * step + size - n)))
    return np.ascontiguousarray(sliding_window_view(whole, size)[::step][:count])


def padded(y: np.ndarray, network: SoundNetwork) -> np.ndarray:
    """The clip with silence at its end: to one patch at least, and where the network wants it to a whole number of steps."""
    least = max(len(y), PATCH_SAMPLES)
    if network.pads:
        step = network.step_frames * HOP
        least = PATCH_SAMPLES + -(-(least - PATCH_SAMPLES) // step) * step
    return np.pad(np.asarray(y, np.float32), (0, least - len(y)))


def log_mel(y: np.ndarray, log_offset: float) -> np.ndarray:
    """Logarithm of mel magnitudes [shape=(n_frames, 64), dtype=float32]; frames that the clip does not fill are left out."""
    framed = sliding_window_view(y, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)  # periodic
    magnitude = np.abs(np.fft.rfft(framed * hann, N_FFT))
    return np.log(magnitude @ mel_weights() + log_offset).astype(np.float32)


@lru_cache(maxsize=1)
def mel_weights() -> np.ndarray:
    """Share of each bin of the transform in each band [shape=(257, 64)]: triangles on the mel scale of HTK, without the bin of 0 Hz."""

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(LOWEST_HERTZ), mel(HIGHEST_HERTZ), BANDS + 2)
    bins = mel(np.linspace(0, SR / 2, N_FFT // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights
