"""Small pictures of tracks for a page: spectrograms of sound, thumbnails of images, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import numpy as np

from genre_models.audio import Undecodable
from genre_models.corpus import Progress
from genre_models.parallel import run_jobs
from genre_models.scan import ScanRow

_SECONDS, _SR = 30.0, 16_000
_WINDOW, _HOP = 1_024, 1_024
_BANDS, _LOWEST = 96, 60.0  # Hz
_RANGE_DB = 70.0
_WIDEST = 320  # pixels
_QUALITY = 80


def draw(rows: Sequence[ScanRow], kind: str, workers: int | None = None, progress: Progress | None = None) -> dict[str, str]:
    """Draw some tracks.

    Parameters
    ----------
    rows : sequence of ScanRow
        Readable.
    kind : {"audio", "image"}
    workers : int or None
        Processes; None for one on each core.
    progress : callable, optional

    Returns
    -------
    dict of str to str
        Data URIs by track id; files that can't be decoded any more are absent.
    """
    drawn: dict[str, str] = {}
    with closing(run_jobs(draw_one, [(kind, str(row.path)) for row in rows], workers)) as results:
        for done, (number, result) in enumerate(results, 1):
            if isinstance(result, str):
                drawn[rows[number].id] = result
            if progress is not None:
                progress(done, len(rows), "pictures")
    return drawn


def draw_one(kind: str, path: str) -> str | None:
    """One picture, in a worker process; None where the file can't be decoded."""
    try:
        return _of_sound(Path(path)) if kind == "audio" else _of_image(Path(path))
    except (Undecodable, OSError):
        return None


def _of_sound(path: Path) -> str:
    """The opening's spectrogram: low frequencies at the bottom, equal steps of pitch."""
    from PIL import Image

    from genre_models.audio import load_clip

    y = load_clip(path, _SR, _SECONDS, pad=False)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, _WINDOW // 2), _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2
    # Each band takes the bins up to the next one's first; the lowest bands have less than a bin each, and repeat it.
    edges = np.geomspace(_LOWEST, _SR / 2, _BANDS + 1) * _WINDOW / _SR
    first = np.minimum(edges[:-1].astype(int), power.shape[1] - 1)
    bands = np.add.reduceat(power, first, axis=1) / np.maximum(1, np.diff(np.append(first, power.shape[1])))
    db = 10 * np.log10(np.maximum(bands, 1e-12) / max(1e-12, float(bands.max())))
    levels = (255 * np.clip(1 + db / _RANGE_DB, 0, 1)).astype(np.uint8).T[::-1]
    image = Image.fromarray(np.ascontiguousarray(levels)).convert("P")
    image.putpalette(_magma())
    width = min(_WIDEST, max(40, image.width))
    return _uri(image.resize((width, 2 * _BANDS), Image.Resampling.NEAREST), "PNG")


def _of_image(path: Path) -> str:
    from PIL import Image

    from genre_models.features.image import make_opaque, opened_image

    with opened_image(path) as image:
        small = make_opaque(image).convert("RGB")
        small.thumbnail((_WIDEST, _WIDEST), Image.Resampling.LANCZOS)
        return _uri(small, "JPEG", quality=_QUALITY)


def _uri(image, form: str, **options) -> str:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


@lru_cache(maxsize=1)
def _magma() -> list[int]:
    from genre_models.features.picture_facts import COLOUR_MAPS

    known = np.array([list(bytes.fromhex(colour)) for colour in COLOUR_MAPS["magma"].split()], float)
    places = np.linspace(0, len(known) - 1, 256)
    return np.stack([np.interp(places, range(len(known)), known[:, channel]) for channel in range(3)], axis=1).round().astype(int).ravel().tolist()
