"""Mean and variance of training items, channel by channel. NumPy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genre_models.segments import items_of

if TYPE_CHECKING:
    from genre_models.fitted import Data

_BYTES_AT_ONCE = 16 * 2**20  # of the items in float64
_SMALLEST_VARIANCE = 1e-4  # as a part of the mean over channels


def channel_moments(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel over all training items and their positions, read a few at a time.

    Parameters
    ----------
    data : Data

    Returns
    -------
    mean, variance : np.ndarray [shape=(channels,), dtype=float32]
        The variance is at least a ten-thousandth of its mean over the channels: one that is nearly always 0 in training would otherwise
        come out thousands of deviations away where it is not.
    """
    ids, _ = items_of(data, data.train_ids)
    at_once = max(1, _BYTES_AT_ONCE // (8 * int(np.prod(data.input_shape))))
    n, total, squares = 0, 0.0, 0.0
    shift = None
    for start in range(0, len(ids), at_once):
        rows = data.features(ids[start : start + at_once]).astype(np.float64).reshape(-1, data.input_shape[-1])
        shift = rows.mean(axis=0) if shift is None else shift  # the variance is then no small difference of large numbers
        rows -= shift
        n, total, squares = n + len(rows), total + rows.sum(axis=0), squares + np.square(rows).sum(axis=0)
    variance = np.maximum(squares / n - np.square(total / n), 0.0)
    smallest = _SMALLEST_VARIANCE * variance.mean()
    variance = np.maximum(variance, smallest) if smallest > 0 else np.ones_like(variance)
    return (shift + total / n).astype(np.float32), variance.astype(np.float32)
