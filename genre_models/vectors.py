"""Items that are vectors: what a family takes, read in blocks, and the scale of each feature. NumPy only.

A track may have several items, as a table may have a row for each 3 seconds; a track's probabilities are the mean of its items'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from genre_models.errors import TrainingDiverged

BLOCK_BYTES = 64 * 2**20  # of float32 held at a time where all items are not
_CONSTANT = 1e-6  # a standard deviation this small beside the mean is rounding


class VectorData(Protocol):
    """What a family on vectors trains on; `trunk` is None where the vectors do not come from a pretrained network."""

    labels: Sequence[str]
    input_shape: tuple[int]
    train_ids: Sequence[str]
    validation_ids: Sequence[str]
    cache_dir: str
    trunk: Any

    def items_of(self, ids: Sequence[str]) -> tuple[Sequence[str], np.ndarray]:
        """The items of some tracks, and for each the place of its track in `ids`."""
        ...

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Vectors of items [shape=(len(ids), d)], float16 or float32."""
        ...

    def targets(self, ids: Sequence[str]) -> np.ndarray:
        """Class numbers of tracks or items."""
        ...


def vector_rows(d: int) -> int:
    """Vectors of `d` numbers that a block holds."""
    return max(1, BLOCK_BYTES // (4 * d))


def read_vectors(data: VectorData, items: Sequence[str]) -> np.ndarray:
    """Vectors of some items.

    Returns
    -------
    np.ndarray [shape=(len(items), d), dtype=float32]
        The caller's own, to write into.

    Raises
    ------
    TrainingDiverged
        A number is not finite; the message names the item.
    """
    x = np.array(data.features(items), dtype=np.float32)  # a copy: the store may have handed out what it holds
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise TrainingDiverged(f"the features of {items[row]} are not all finite: leave the track out, or mend where they come from")
    return x


def vector_blocks(data: VectorData, items: Sequence[str]) -> Iterator[tuple[slice, np.ndarray]]:
    """Vectors of some items, a bounded number at a time: (which rows, float32 [shape=(rows, d)])."""
    rows = vector_rows(data.input_shape[0])
    for start in range(0, len(items), rows):
        where = slice(start, min(start + rows, len(items)))
        yield where, read_vectors(data, items[where])


def mean_and_deviation(data: VectorData, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature over some items.

    Returns
    -------
    tuple of np.ndarray [shape=(d,), dtype=float32]
        A feature that is the same in all items has the deviation 1: nothing is known of its scale.

    Source
    ------
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979,
    equation 2.1: blocks are joined without ever subtracting large sums of squares.
    """
    n = 0
    mean = squares = np.zeros(data.input_shape[0])
    for _, block in vector_blocks(data, items):
        here = block.mean(axis=0, dtype=np.float64)
        difference = here - mean
        joined = n + len(block)
        squares = squares + np.square(block - here, dtype=np.float64).sum(axis=0) + difference**2 * (n * len(block) / joined)
        mean = mean + difference * (len(block) / joined)
        n = joined
    deviation = np.sqrt(squares / n)
    is_constant = deviation <= _CONSTANT * np.abs(mean) + np.finfo(np.float32).tiny
    return mean.astype(np.float32), np.where(is_constant, 1.0, deviation).astype(np.float32)
