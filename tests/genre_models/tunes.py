"""Tunes of random notes and beats, so that recordings differ as music does, and their copies: encoded again, softer, cut."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

SR = 22_050


def make_tune(seed: int, seconds: float = 9.0) -> np.ndarray:
    """Mono samples, float32: plucked notes on a scale of their own, over a beat."""
    rng = np.random.default_rng([77, seed])
    y = np.zeros(round(seconds * SR), np.float32)
    root, beat = rng.uniform(110, 220), rng.uniform(0.25, 0.5)
    for number in range(int(seconds / beat)):
        at = round((number + rng.uniform(0, 0.1)) * beat * SR)
        for _ in range(rng.integers(1, 4)):
            t = np.arange(min(len(y) - at, round(rng.uniform(0.3, 1.2) * SR))) / SR
            pitch = root * 2 ** (rng.choice([0, 2, 3, 5, 7, 8, 10, 12, 15, 19]) / 12)
            note = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6))
            y[at : at + len(t)] += rng.uniform(0.3, 1.0) * note * np.exp(-rng.uniform(2, 6) * t)
        hit = rng.normal(0, 0.5, min(len(y) - at, 2_000)) * np.exp(-np.arange(min(len(y) - at, 2_000)) / 400)
        y[at : at + len(hit)] += hit.astype(np.float32) * (number % 2)
    return (0.5 * y / np.abs(y).max()).astype(np.float32)


def write(path: Path, y: np.ndarray, sr: int = SR, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, sr, **options)
    return path


def as_mp3(y: np.ndarray) -> np.ndarray:
    """The same through a lossy encoder at its lowest quality."""
    stream = io.BytesIO()
    soundfile.write(stream, y, SR, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.99)
    stream.seek(0)
    return soundfile.read(stream, dtype="float32")[0]
