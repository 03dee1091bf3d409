"""A picture and a few seconds of sound of a track, small enough to be part of a page."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from genre_models.audio import Undecodable, load_clip
from genre_models.doctor.pictures import draw_one
from genre_models.durable import write_whole

_SR = 22_050
_OPENING, _SECONDS = 30.0, 6.0
_FADE = 0.05  # seconds: a cut in the middle of a note would click
_COMPRESSION = 0.5  # of 0 to 1: about 35 kbit/s, 27 kB a clip
_LOUDEST = 0.9


def write_picture(kind: str, path: Path, stem: Path) -> Path | None:
    """Write what a track looks like: the spectrogram of its opening, or the image, small.

    Parameters
    ----------
    kind : {"audio", "image"}
    path : Path
        The track's file.
    stem : Path
        Where to, without a suffix.

    Returns
    -------
    Path or None
        None where the file can't be decoded any more.
    """
    uri = draw_one(kind, str(path))
    if uri is None:
        return None
    head, _, data = uri.partition(",")
    target = stem.with_name(f"{stem.name}.{head.removeprefix('data:image/').partition(';')[0]}")
    write_whole(target, lambda temporary: temporary.write_bytes(base64.b64decode(data)))
    return target


def write_clip(path: Path, target: Path) -> Path | None:
    """Write six seconds from the middle of a track's opening as mp3, which every browser plays; None where it can't be decoded any more."""
    import soundfile

    try:
        y = load_clip(path, _SR, _OPENING, pad=False)
    except (Undecodable, OSError):
        return None
    length = round(_SECONDS * _SR)
    start = max(0, (len(y) - length) // 2)
    y = np.array(y[start : start + length], dtype=np.float32)
    fade = min(round(_FADE * _SR), len(y) // 2)
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        y[:fade] *= ramp
        y[-fade:] *= ramp[::-1]
    y *= _LOUDEST / max(_LOUDEST, float(np.abs(y).max()))
    write_whole(target, lambda temporary: soundfile.write(temporary, y, _SR, format="MP3", subtype="MPEG_LAYER_III", compression_level=_COMPRESSION))
    return target
