"""Masked copies of training items: where the masks lie, settled once for a trial. NumPy only.

The masks are those of `genre_models.augmentation.SpecAugment`, but drawn before training instead of at each step. Nothing of a copy is kept
but the ends of its masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_STREAM = 3  # sets these draws apart from others of the same seed


class CopyMasks:
    """Frequency and time masks of the copies of some items.

    Parameters
    ----------
    params : mapping
        ``copies``, ``copy_frequency_mask``, ``copy_time_mask``, ``copy_masks``.
    n_items : int
        Items that are copied. Copy c (from 1) of item i has number ``c * n_items + i``; numbers below `n_items` are the items themselves.
    shape : (height, width, channels)
        Of an item.
    seed : int
        A copy's masks follow from it, the item and the copy, whatever the number of copies.

    Source
    ------
    As `genre_models.augmentation.SpecAugment`.
    """

    def __init__(self, params: Mapping[str, Any], n_items: int, shape: Sequence[int], seed: int) -> None:
        self._n_items, (self._height, self._width, _) = n_items, shape
        bands = [
            np.random.default_rng([seed, 0, _STREAM, copy]).random((2, n_items, params["copy_masks"], 2))
            for copy in range(params["copies"])
        ]
        self._rows = np.concatenate([_ends(drawn[0], self._height, params["copy_frequency_mask"]) for drawn in bands])
        self._columns = np.concatenate([_ends(drawn[1], self._width, params["copy_time_mask"]) for drawn in bands])

    def at(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is masked of some items and copies: rows, bool [shape=(n, height)], and columns, bool [shape=(n, width)]."""
        of_copies = numbers - self._n_items
        is_copy, known = (of_copies >= 0)[:, None], np.maximum(of_copies, 0)
        return _inside(self._rows[known], self._height) & is_copy, _inside(self._columns[known], self._width) & is_copy


def _ends(drawn: np.ndarray, length: int, largest: int) -> np.ndarray:
    """First place of masks, and the one after their last, int32 [shape=(n, masks, 2)], from two numbers in [0, 1) each."""
    largest = min(largest, length)
    size = np.floor(drawn[..., 0] * (largest + 1))
    start = np.floor(drawn[..., 1] * (length - size + 1))
    return np.stack([start, start + size], axis=-1).astype(np.int32)


def _inside(ends: np.ndarray, length: int) -> np.ndarray:
    place = np.arange(length, dtype=np.int32)
    return ((place >= ends[..., :1]) & (place < ends[..., 1:])).any(axis=1)
