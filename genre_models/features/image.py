"""Images as features: any colour mode to grey or RGB bytes of one size.

Shapes are (height, width, channels); values are 0 to 255 as stored, and the network divides.
"""

from __future__ import annotations

import mmap
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre_models.audio import Undecodable
from genre_models.content import require_regular

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 32_000_000  # some copies of so many, with four bytes each, stay below a GiB
_MOST_SCANS = 100  # of a JPEG; encoders make ten, and each goes over all pixels
_FORMATS = ("PNG", "JPEG")  # no others are tried: some of Pillow's readers start programs


def probe_image(path: str | Path) -> dict:
    """Decode a whole image and keep only what describes it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        ``width``, ``height`` (pixels), ``channels``, and what `picture_facts` gives.

    Raises
    ------
    Undecodable
        If the file is no PNG or JPEG, is broken, or has more than 32 million pixels.
    """
    from genre_models.features.picture_facts import picture_facts

    with opened_image(path) as image:
        return {"width": image.width, "height": image.height, "channels": len(image.getbands()), **picture_facts(image)}


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
    with opened_image(path) as image:
        image = make_opaque(image).convert("L" if colour == "grey" else "RGB")
        # Pillow widens the filter when it shrinks, so this does not alias.
        pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.uint8)
    return pixels[..., None] if colour == "grey" else pixels


def make_opaque(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel and black where it is transparent; of mode L or RGB."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 bits a pixel: convert() would clip, not scale
        values = np.asarray(image)
        scaled = np.empty(values.shape, np.uint8)
        for row in range(0, len(values), 256):  # not all as 64-bit numbers at once
            scaled[row : row + 256] = np.clip(values[row : row + 256].astype(np.float64), 0, 65535) / 257
        return Image.fromarray(scaled)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


@contextmanager
def opened_image(path: str | Path) -> Iterator[Image.Image]:
    """An image, decoded.

    Raises
    ------
    Undecodable
        As `probe_image`.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            require_regular(path)
            with Image.open(path, formats=_FORMATS) as image:
                if image.format != "PNG":  # a JPEG of several pictures is told as another format, MPO
                    _check_scans(path)
                image.load()
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise Undecodable(f"declares more than {MAX_PIXELS // 1_000_000} million pixels: scale it down") from error
        except Image.UnidentifiedImageError as error:
            raise Undecodable("can't be decoded as a PNG or JPEG image") from error
        # Pillow reports broken files with whatever its parser stumbled over.
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error) as error:
            raise Undecodable(f"can't be decoded as an image: {getattr(error, 'strerror', None) or error}") from error


def _check_scans(path: str | Path) -> None:
    """Refuse a JPEG that is drawn over and over again; in its data the mark of a scan stands nowhere else."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = -1
        for _ in range(_MOST_SCANS + 1):
            at = data.find(b"\xff\xda", at + 1)
            if at < 0:
                return
    raise Undecodable(f"can't be decoded as an image: it is drawn in more than {_MOST_SCANS} scans")
