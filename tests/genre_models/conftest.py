"""Makers of small corpora: 1-second tones and 24-pixel images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not REAL.is_dir():
        pytest.skip(f"the real data is not beside this repository ({REAL})")
    return REAL


@pytest.fixture
def write_tone() -> Callable[..., Path]:
    def write(path: Path, hertz: float = 440.0, seconds: float = 1.0, sr: int = 22_050, channels: int = 1, gain: float = 0.3) -> Path:
        import soundfile

        path.parent.mkdir(parents=True, exist_ok=True)
        y = gain * np.sin(2 * np.pi * hertz * np.arange(round(seconds * sr)) / sr)
        soundfile.write(path, np.repeat(y[:, None], channels, axis=1), sr)
        return path

    return write


@pytest.fixture
def write_image() -> Callable[..., Path]:
    def write(path: Path, value: int = 0, size: tuple[int, int] = (24, 24), mode: str = "RGB") -> Path:
        from PIL import Image

        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(value).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def tones(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """Two classes of four tones each."""
    for number, label in enumerate(("high", "low")):
        for i in range(4):
            write_tone(tmp_path / "tones" / label / f"{i}.wav", hertz=200 + 1000 * number + 50 * i, seconds=0.5)
    return tmp_path / "tones"


@pytest.fixture
def images(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Two classes of five images each."""
    for number, label in enumerate(("bright", "dark")):
        for i in range(5):
            write_image(tmp_path / "images" / label / f"{i}.png", value=10 * number + i)
    return tmp_path / "images"
