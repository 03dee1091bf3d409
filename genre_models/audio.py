"""Decoding audio: what a file holds, and its opening as mono samples.

Bounds what a file may ask for before it is decoded. Units: seconds, hertz, dB relative to full scale.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from genre_models.sound_stream import SoundStream

MAX_SECONDS = 2 * 60 * 60
MAX_CHANNELS = 32
MAX_SR = 768_000
MAX_SAMPLES = 2 * MAX_SECONDS * 48_000  # of all channels together: two hours of stereo. Silence takes next to no bytes, but each sample takes its time

MAX_AMPLITUDE = 1e6  # 1 is full scale, or 32,768 where a writer did not divide; the energy of far larger ones is no number any more
_TOO_LOUD = "holds samples a million times beyond full scale: its numbers are no sound"


class Undecodable(Exception):
    """A file that can't be used; the message is the reason, without its path."""


def probe_audio(path: str | Path) -> dict:
    """Decode a whole file block by block and keep only what describes it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        ``duration_seconds`` (counted, whatever the header says), ``sr`` (hertz), ``channels``, what `SoundFacts.told` gives, and ``missing``
        where the file ends before it says it does.

    Raises
    ------
    Undecodable
        If the file is no audio, is broken, empty, holds values that are not numbers, or is longer than two hours.
    """
    import soundfile

    from genre_models.sound_facts import SoundFacts
    from genre_models.sound_stream import open_sound

    try:
        with open_sound(path) as sound:
            _check_bounds(sound)
            sr, channels = sound.sr, sound.channels
            facts = SoundFacts(sr, channels)
            for block in sound.blocks():
                facts.take(block)
                _check_length(facts.n_frames, sound)  # some formats declare no length
            true_end = sound.true_end(facts.n_frames)
            missing = _missing(sound, path, true_end)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise Undecodable(_reason(error)) from error
    if not facts.n_frames:
        raise Undecodable("holds no samples")
    if not math.isfinite(facts.energy):
        raise Undecodable("holds samples that are not finite numbers")
    if not facts.peak <= MAX_AMPLITUDE:  # as where features are made: what is taken for readable here is so there
        raise Undecodable(_TOO_LOUD)
    found = {"duration_seconds": true_end / sr, "sr": sr, "channels": channels, **facts.told()}
    return found | ({"missing": missing} if missing else {})


def load_clip(path: str | Path, sr: int, clip_seconds: float, *, pad: bool = True) -> np.ndarray:
    """Read the opening of a file as mono at one sampling rate.

    Parameters
    ----------
    path : str or Path
    sr : int
        Wanted sampling rate, hertz.
    clip_seconds : float
        Length from the start.
    pad : bool
        Whether a shorter file is padded with silence; otherwise it comes as short as it is.

    Returns
    -------
    np.ndarray [shape=(round(clip_seconds * sr),), dtype=float32]

    Raises
    ------
    Undecodable
        As `probe_audio`.
    """
    import soundfile

    from genre_models.sound_stream import open_sound

    try:
        with open_sound(path) as sound:
            _check_bounds(sound)
            native_sr = sound.sr
            # A little more than the clip, so that the resampler's edge lies outside it. Mixed block by block: channels may be many.
            mono = [block.mean(axis=1) for block in sound.blocks(math.ceil((clip_seconds + 0.1) * native_sr))]
            n_read = sum(map(len, mono))
            y = np.concatenate(mono)[: sound.true_end(n_read)] if mono else np.empty(0, np.float32)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise Undecodable(_reason(error)) from error
    if not len(y):
        raise Undecodable("holds no samples")
    if not np.isfinite(y).all():
        raise Undecodable("holds samples that are not finite numbers")
    if np.abs(y).max() > MAX_AMPLITUDE:
        raise Undecodable(_TOO_LOUD)
    if native_sr != sr:
        import soxr

        y = soxr.resample(y, native_sr, sr, quality="HQ")
    if not pad:
        return np.asarray(y[: clip_samples(sr, clip_seconds)], np.float32)
    clip = np.zeros(clip_samples(sr, clip_seconds), np.float32)
    clip[: len(y)] = y[: len(clip)]
    return clip


def clip_samples(sr: int, clip_seconds: float) -> int:
    """Length of a clip in samples."""
    return round(clip_seconds * sr)


def _check_bounds(sound: SoundStream) -> None:
    if not 1 <= sound.sr <= MAX_SR:
        raise Undecodable(f"declares a sampling rate of {sound.sr} Hz, but 1 to {MAX_SR} must hold")
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise Undecodable(f"declares {sound.channels} channels, but 1 to {MAX_CHANNELS} must hold")
    if sound.n_frames is not None:
        _check_length(sound.n_frames, sound)


def _check_length(n_frames: int, sound: SoundStream) -> None:
    if n_frames > MAX_SECONDS * sound.sr:
        raise Undecodable(_too_long(n_frames / sound.sr))
    if n_frames * sound.channels > MAX_SAMPLES:
        told = f"holds {n_frames * sound.channels / 1e6:,.0f} million samples or more in {sound.channels} channels at {sound.sr} Hz"
        raise Undecodable(f"{told}, but at most {MAX_SAMPLES / 1e6:,.0f} million are read: cut it into tracks, or lower its rate")


def _missing(sound: SoundStream, path: str | Path, n_frames: int) -> str | None:
    from genre_models.declared_length import missing_part, say_missing

    declared = sound.declared_frames
    if declared is not None and declared - n_frames > sound.sr // 10:
        return say_missing(declared / sound.sr, n_frames / sound.sr)
    return missing_part(path)


def _too_long(seconds: float) -> str:
    return f"lasts {seconds / 3600:.1f} hours or more, but at most {MAX_SECONDS / 3600:.0f} hours are read: cut it into tracks"


def _reason(error: Exception) -> str:
    # The library's message repeats the path; only the cause is wanted.
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    if "is not a regular file" in text:  # what it says of an mp3 file without frames, which the scan knows to be a regular file
        text = "no whole frame of sound found in it"
    return f"can't be decoded as audio: {text.strip().rstrip('.')}"
