"""Images as features: any colour mode to grey or RGB bytes of one size.

Shapes are (height, width, channels); values are 0 to 255 as stored, and the network divides.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre_models.audio import Undecodable

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG")  # no others are tried: some of Pillow's readers start programs


def probe_image(path: str | Path) -> dict:
    """Decode a whole image and keep only what describes it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        ``width``, ``height`` (pixels), ``channels``.

    Raises
    ------
    Undecodable
        If the file is no PNG or JPEG, is broken, or has more than 64 million pixels.
    """
    with _opened(path) as image:
        return {"width": image.width, "height": image.height, "channels": len(image.getbands())}


def load_image(path: str | Path, image_size: tuple[int, int], colour: str) -> np.ndarray:
    """Read an image as bytes of one size.

    Parameters
    ----------
    path : str or Path
    image_size : (int, int)
        Height and width, pixels.
    colour : {"grey", "rgb"}
        ``grey`` is the luma of ITU-R 601. What is transparent shows black, which is silence in the usual colour maps.

    Returns
    -------
    np.ndarray [shape=(height, width, 1 or 3), dtype=uint8]

    Raises
    ------
    Undecodable
        As `probe_image`.
    """
    from PIL import Image

    height, width = image_size
    with _opened(path) as image:
        image = _opaque(image).convert("L" if colour == "grey" else "RGB")
        # Pillow widens the filter when it shrinks, so this does not alias.
        pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.uint8)
    return pixels[..., None] if colour == "grey" else pixels


def _opaque(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 bits a pixel: convert() would clip, not scale
        return Image.fromarray((np.clip(np.asarray(image, np.float64), 0, 65535) / 257).astype(np.uint8))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_FORMATS) as image:
                image.load()
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise Undecodable(f"declares more than {MAX_PIXELS // 1_000_000} million pixels: scale it down") from error
        except Image.UnidentifiedImageError as error:
            raise Undecodable("can't be decoded as a PNG or JPEG image") from error
        # Pillow reports broken files with whatever its parser stumbled over.
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError) as error:
            raise Undecodable(f"can't be decoded as an image: {error}") from error
