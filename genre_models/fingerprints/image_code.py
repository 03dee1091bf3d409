"""From an image to its code: rows of the picture are bands, columns are time, as in a spectrogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genre_models.fingerprints.codes import BANDS, encode

COLUMNS = 128
_LAG = 1
_LEAST = 2.0  # of 255


def code_of_image(path: str | Path, border: str | None = None) -> np.ndarray:
    """Compute the code of an image.

    Parameters
    ----------
    path : str or Path
    border : str or None
        As `genre_models.features.picture_facts` tells it; it is cut off.

    Returns
    -------
    np.ndarray [shape=(COLUMNS, 2), dtype=uint32]

    Raises
    ------
    genre_models.audio.Undecodable
    """
    from PIL import Image

    from genre_models.features.image import make_opaque, opened_image

    with opened_image(path) as image:
        grey = make_opaque(image).convert("L")
        left, top, right, bottom = (int(width) for width in border.partition(" ")[0].split(",")) if border else (0, 0, 0, 0)
        grey = grey.crop((left, top, grey.width - right, grey.height - bottom))
        levels = np.asarray(grey.resize((COLUMNS + _LAG, BANDS + 1), Image.Resampling.BILINEAR), np.float32)
    return encode(levels[::-1].T, _LAG, _LEAST)


def independent_signs(width: int, height: int) -> int:
    """How many signs of a code can be independent: small images hold fewer pixels than the grid has places."""
    return min(COLUMNS, width) * min(BANDS, height)
