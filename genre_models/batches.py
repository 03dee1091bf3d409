"""Which items go together in a step. NumPy only."""

from __future__ import annotations

import math

import numpy as np


def even_batches(n: int, batch_size: int) -> tuple[int, int]:
    """Number and size of equally large batches that cover `n` items: no odd last batch, which would be traced anew and upset batch norm."""
    steps = math.ceil(n / batch_size)
    return steps, math.ceil(n / steps)


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Item numbers of the batches of an epoch [shape=(steps, rows)].

    Each of the `n` items comes once; where batches can't be equal, the first few of the order come again in the last.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return np.resize(order, even_batches(n, batch_size))
