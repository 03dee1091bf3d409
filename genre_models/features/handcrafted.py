"""Handcrafted features of a clip: seven statistics of 74 rows of librosa features, 518 numbers. The set that FMA was published with.

Names and order are those of FMA's ``features.csv``: by feature, then statistic, then number, each sorted by name. Importing this module
loads NumPy only. Units: hertz, samples.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from genre_models.audio import Undecodable
from genre_models.errors import SettingsError
from genre_models.features.compiling import compiling_alone, librosa_loaded

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SIZES = {  # rows of each feature over time
    "chroma_cens": 12,
    "chroma_cqt": 12,
    "chroma_stft": 12,
    "mfcc": 20,
    "rmse": 1,
    "spectral_bandwidth": 1,
    "spectral_centroid": 1,
    "spectral_contrast": 7,
    "spectral_rolloff": 1,
    "tonnetz": 6,
    "zcr": 1,
}
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")
N_FEATURES = len(STATISTICS) * sum(SIZES.values())

_C1_HERTZ, _OCTAVES = 32.703, 7  # of the constant-Q transform
_WINDOW_SHARE = 0.5 * 1.5 * (2 ** (1 / 12) - 1)  # of its highest filter's frequency: half the width of its Hann window's lobe
_CONTRAST_BANDS, _CONTRAST_HERTZ = 6, 200.0  # octaves, and where the first begins
_LEAST_SAMPLES = 2048  # the transform halves the rate with each octave, and something must be left


def feature_names() -> tuple[str, ...]:
    """Names of the numbers of `handcrafted_features` in their order, such as ``mfcc.mean.01``; FMA's three header rows joined by dots."""
    return tuple(
        f"{feature}.{statistic}.{number:02d}"
        for feature, size in SIZES.items()
        for statistic in STATISTICS
        for number in range(1, size + 1)
    )


def check_resolution(sr: int, n_fft: int) -> None:
    """Refuse a transform that is too coarse for the lowest band of the spectral contrast.

    Raises
    ------
    SettingsError
        If the bins lie further apart than that band is wide.
    """
    lowest = contrast_start(sr)
    if sr / n_fft > lowest:
        least = 2 ** math.ceil(math.log2(sr / lowest))
        raise SettingsError(
            f"features.n_fft: {n_fft} at sr {sr} puts the bins {sr / n_fft:.0f} Hz apart, but handcrafted features need {lowest:.0f} Hz or "
            f"less: raise n_fft to {least} or more"
        )


def cqt_octaves(sr: int) -> int:
    """Octaves of the constant-Q transform, from C1 up: 7, or as many as lie below ``sr / 2`` whatever a clip's tuning is."""
    highest = 2 ** (-1 / 12 + 0.5 / 12) * (1 + _WINDOW_SHARE)  # the last filter's upper end, relative to the octave's; tuned by half a bin
    return max(1, min(_OCTAVES, math.floor(math.log2(sr / 2 / (_C1_HERTZ * highest)))))


def contrast_start(sr: int) -> float:
    """Where the octaves of the spectral contrast begin, hertz: 200 as in librosa, lower where the last would not fit below ``sr / 2``."""
    return min(_CONTRAST_HERTZ, 0.9 * sr / 2 / 2 ** (_CONTRAST_BANDS - 1))


def handcrafted_features(
    y: np.ndarray, *, sr: int, n_fft: int, hop_length: int, seconds: MutableMapping[str, float] | None = None
) -> np.ndarray:
    """Compute the 518 features of a clip.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples, without padding; what is shorter than ``n_fft`` is padded with silence.
    sr : int
        Hertz.
    n_fft, hop_length : int
        Window and step, samples. FMA's are 2048 and 512.
    seconds : mutable mapping, optional
        Gets the time that each step took added, seconds.

    Returns
    -------
    np.ndarray [shape=(518,), dtype=float32]
        In the order of `feature_names`; finite also for silence. Skew and kurtosis of a row that does not change are 0.

    Raises
    ------
    Undecodable
        librosa refuses the samples, or a feature is not finite: float files may hold samples so large that their squares overflow.

    Notes
    -----
    One constant-Q transform serves both chroma features made of it, and the tonal centroids are those of chroma CENS. Unlike FMA's
    script, which leaves librosa's 22,050 Hz in place for spectral features and chroma STFT, all features use the clip's sampling rate.

    Source
    ------
    M. Defferrard, K. Benzi, P. Vandergheynst and X. Bresson (2017), "FMA: A dataset for music analysis", arXiv:1612.01840, and the script
    ``features.py`` of its repository.
    """
    librosa_loaded()
    from librosa.util.exceptions import LibrosaError

    least = max(n_fft, _LEAST_SAMPLES)
    if len(y) < least:
        y = np.pad(y, (0, least - len(y)))
    spent = {} if seconds is None else seconds
    clock = time.perf_counter()
    parts: dict[str, np.ndarray] = {}
    with compiling_alone("handcrafted features"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of silence and of windows longer than the clip: both have numbers all the same
        try:
            for step, rows in _rows_over_time(np.asarray(y, np.float32), sr, n_fft, hop_length):
                parts |= {name: _statistics(values) for name, values in rows.items()}
                now = time.perf_counter()
                spent[step] = spent.get(step, 0.0) + now - clock
                clock = now
        except LibrosaError as error:
            raise Undecodable(f"{_loudest(y)}, of which librosa makes no features: {error}") from error
        found = np.concatenate([parts[name].ravel() for name in SIZES]).astype(np.float32)
    if not np.isfinite(found).all():
        raise Undecodable(f"{_loudest(y)}, of which some features are not finite numbers")
    return found


def _loudest(y: np.ndarray) -> str:
    return f"holds samples of up to {np.abs(y).max():.3g}"


def _rows_over_time(y: np.ndarray, sr: int, n_fft: int, hop_length: int) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Each step's name and the features that it made, by name [shape=(size, n_frames)]; a transform makes none of its own."""
    import librosa

    made = librosa.feature
    cqt = np.abs(librosa.cqt(y, sr=sr, hop_length=hop_length, n_bins=12 * cqt_octaves(sr), bins_per_octave=12, tuning=None))
    yield "CQT", {}
    yield "chroma CQT", {"chroma_cqt": made.chroma_cqt(C=cqt, bins_per_octave=12)}
    cens = made.chroma_cens(C=cqt, bins_per_octave=12)
    yield "chroma CENS, tonnetz", {"chroma_cens": cens, "tonnetz": made.tonnetz(chroma=cens)}
    del cqt, cens
    yield "zero crossings", {"zcr": made.zero_crossing_rate(y, frame_length=n_fft, hop_length=hop_length)}
    stft = np.abs(librosa.stft(y, n_fft=n_fft, hop_length=hop_length))
    power = stft**2
    yield "STFT", {"rmse": made.rms(S=stft, frame_length=n_fft)}
    yield "chroma STFT", {"chroma_stft": made.chroma_stft(S=power, sr=sr, n_fft=n_fft)}
    mel = made.melspectrogram(S=power, sr=sr, n_fft=n_fft)
    yield "MFCC", {"mfcc": made.mfcc(S=librosa.power_to_db(mel), n_mfcc=20)}
    centroid = made.spectral_centroid(S=stft, sr=sr, n_fft=n_fft)
    yield "spectral centroid, bandwidth", {
        "spectral_centroid": centroid,
        "spectral_bandwidth": made.spectral_bandwidth(S=stft, sr=sr, n_fft=n_fft, centroid=centroid),
    }
    contrast = made.spectral_contrast(S=stft, sr=sr, n_fft=n_fft, n_bands=_CONTRAST_BANDS, fmin=contrast_start(sr))
    yield "spectral contrast", {"spectral_contrast": contrast}
    yield "spectral rolloff", {"spectral_rolloff": made.spectral_rolloff(S=stft, sr=sr, n_fft=n_fft)}


def _statistics(values: np.ndarray) -> np.ndarray:
    """The statistics of rows, in the order of `STATISTICS` [shape=(7, size)]."""
    values = np.asarray(values, np.float64)
    mean = values.mean(axis=1)
    away = values - mean[:, None]
    square = away * away
    variance = square.mean(axis=1)
    # What is left of a row that does not change is rounding, whose skew is noise.
    steady = variance <= (np.finfo(np.float32).eps * np.abs(mean)) ** 2
    divisor = np.where(steady, 1.0, variance)
    found: dict[str, Callable[[], np.ndarray]] = {
        "kurtosis": lambda: np.where(steady, 0.0, (square * square).mean(axis=1) / divisor**2 - 3.0),
        "max": lambda: values.max(axis=1),
        "mean": lambda: mean,
        "median": lambda: np.median(values, axis=1),
        "min": lambda: values.min(axis=1),
        "skew": lambda: np.where(steady, 0.0, (square * away).mean(axis=1) / divisor**1.5),
        "std": lambda: np.sqrt(variance),
    }
    return np.stack([found[statistic]() for statistic in STATISTICS])
