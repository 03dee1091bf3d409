"""What one pass over an image's pixels tells, strip by strip: a border, the colour map, and a hash of what was decoded.

Only descriptions are kept, no pixels.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_STRIP_PIXELS = 4_000_000
_SAMPLE = 512  # pixels that the colour map is told by
_ALIKE = 12  # of 255: what a lossy encoding changes
_GREY = 16  # of 255, between channels
# Of matplotlib's colour maps, 16 equally spaced colours each.
COLOUR_MAPS = {
    "magma": "000004 0b0924 20114b 3b0f70 57157e 721f81 8c2981 a8327d c43c75 de4968 f1605d fa7f5e fe9f6d febf84 fddea0 fcfdbf",
    "inferno": "000004 0c0826 240c4f 420a68 5d126e 781c6d 932667 ae305c c73e4c dd513a ed6925 f8850f fca50a fac62d f2e661 fcffa4",
    "plasma": "0d0887 330597 5002a2 6a00a8 8405a7 9c179e b12a90 c33d80 d35171 e16462 ed7953 f68f44 fca636 fec029 f9dc24 f0f921",
    "viridis": "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725",
    "cividis": "00224e 002e6c 1e3a6f 35456c 47516c 575d6d 666970 757575 848279 948e77 a59c74 b7a96e c8b866 dbc75a eed649 fee838",
    "jet": "000080 0000cd 0008ff 004cff 0090ff 00d4ff 29ffce 60ff97 97ff60 ceff29 ffe600 ffa700 ff6800 ff2900 cd0000 800000",
    "turbo": "30123b 4143a7 4771e9 3e9bfe 22c5e2 1ae4b6 46f884 88ff4e b9f635 e1dd37 faba39 fd8d27 f05b12 d63506 af1801 7a0403",
    "hot": "0b0000 370000 640000 900000 bd0000 ea0000 ff1700 ff4400 ff7100 ff9d00 ffca00 fff600 ffff36 ffff79 ffffbc ffffff",
    "coolwarm": "3b4cc0 4f69d9 6485ec 7b9ff9 93b5fe aac7fd c0d4f5 d4dbe6 e5d8d1 f2cbb7 f7b89c f5a081 ee8468 e0654f cc403a b40426",
}


def picture_facts(image: Image.Image) -> dict[str, Any]:
    """Describe a decoded image.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded.

    Returns
    -------
    dict
        ``decoded`` (32 hex digits: the same for the same size and colours, however they were stored), ``border`` (left, top, right and bottom
        width of one colour around all four sides, and that colour, as ``"35,54,44,31 #ffffff"``; None where one side has none), ``colours``
        (``"grey"``, the name of a colour map, or ``"other"``), ``contrast`` (0 to 255: how far any pixel is from the first one), ``brightness`` (0 to 255: mean
        of the pixels that colours are told by).
    """
    width, height = image.size
    digest = hashlib.blake2b(f"{width} x {height}".encode(), digest_size=16)
    rows, columns = np.zeros(height, bool), np.zeros(width, bool)
    samples, contrast = [], 0
    stride = max(1, width * height // _SAMPLE)
    corner: np.ndarray | None = None
    for top, pixels in _strips(image):
        digest.update(pixels)
        corner = pixels[0, 0].astype(np.int16) if corner is None else corner
        far = np.abs(pixels - corner).max(axis=2)
        contrast = max(contrast, int(far.max()))
        inside = far > _ALIKE
        rows[top : top + len(pixels)] = inside.any(axis=1)
        columns |= inside.any(axis=0)
        samples.append(pixels.reshape(-1, 3)[(-top * width) % stride :: stride])
    sample = np.concatenate(samples)
    return {
        "decoded": digest.hexdigest(),
        "border": _border(rows, columns, corner),
        "colours": colours_of(sample),
        "contrast": contrast,
        "brightness": round(float(sample.mean()), 1),
    }


def colours_of(pixels: np.ndarray) -> str:
    """The colour map that pixels, uint8 [shape=(n, 3)], come from: ``"grey"``, a name, or ``"other"``."""
    of_255 = pixels.astype(np.float32)
    if np.quantile(of_255.max(axis=1) - of_255.min(axis=1), 0.98) <= _GREY:
        return "grey"
    lines = _lines()
    squared = (of_255**2).sum(axis=1)[:, None] - 2 * of_255 @ lines.reshape(-1, 3).T + (lines**2).sum(axis=2).reshape(-1)
    to_map = np.sqrt(np.maximum(squared, 0)).reshape(len(pixels), len(COLOUR_MAPS), -1).min(axis=2).mean(axis=0)
    nearest = int(to_map.argmin())
    return list(COLOUR_MAPS)[nearest] if to_map[nearest] <= _ALIKE else "other"


@lru_cache(maxsize=1)
def _lines() -> np.ndarray:
    """Colours of the maps, float32 [shape=(maps, 31, 3)]: those above, and one between each two."""
    known = np.array([[list(bytes.fromhex(colour)) for colour in line.split()] for line in COLOUR_MAPS.values()], np.float32)
    lines = np.empty((len(known), 2 * known.shape[1] - 1, 3), np.float32)
    lines[:, ::2], lines[:, 1::2] = known, (known[:, 1:] + known[:, :-1]) / 2
    return lines


def _strips(image: Image.Image) -> Any:
    """First row and pixels, uint8 [shape=(n, width, 3)], of strips from top to bottom: an image may be larger than copies of it should be."""
    from genre_models.features.image import make_opaque

    n = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, n):
        strip = image.crop((0, top, image.width, min(top + n, image.height)))
        yield top, np.asarray(make_opaque(strip).convert("RGB"), np.uint8)


def _border(rows: np.ndarray, columns: np.ndarray, colour: np.ndarray | None) -> str | None:
    if colour is None or not rows.any():
        return None
    top, bottom = int(rows.argmax()), int(rows[::-1].argmax())
    left, right = int(columns.argmax()), int(columns[::-1].argmax())
    if not min(left, top, right, bottom):
        return None
    return f"{left},{top},{right},{bottom} #" + "".join(f"{channel:02x}" for channel in colour)
