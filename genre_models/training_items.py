"""What an epoch trains on: windows of tracks, their masked copies, mixtures of both. Imports Keras.

Everything random here follows from the seed, the epoch and the item or step, so a snapshot needs no state of it. Windows are chosen in
NumPy; pixels are masked and mixed by the backend, on the device that trains: for 32 items of 128 x 1280 in float16 that took 15 ms on two
CPU cores, and 93 ms in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from genre_models.augmentation import masked, mixed
from genre_models.batches import epoch_batches
from genre_models.copies import CopyMasks
from genre_models.fitted import Data
from genre_models.segments import items_of, segments_of

_CROP_STREAM, _MIXUP_STREAM = 2, 4  # beside 1 of `batch_norm` and 3 of `copies`: streams of one seed and epoch


class TrainingItems:
    """The training items of a trial.

    An item is a window of a track, or the track where it has one window, or what `data.items_of` says; then come the first copies of all
    items, the second, and so on: masked here, or as `data.copies` has them.

    Parameters
    ----------
    data : Data
    params : mapping
        ``batch_size``; and as far as a family declares them ``random_crop``, ``mixup``, ``copies`` and what belongs to it.
    seed : int

    Attributes
    ----------
    n : int
        Items of an epoch, copies included.

    Source
    ------
    Mixup: H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz (2018), "mixup: Beyond empirical risk minimization", section 2 and figure 1,
    arXiv:1710.09412; as there, one proportion a step.
    """

    def __init__(self, data: Data, params: Mapping[str, Any], seed: int) -> None:
        self._data, self._seed, self._batch_size = data, seed, params["batch_size"]
        self._segments = segments_of(data)
        self._ids, owners = items_of(data, data.train_ids)
        self._n_windows = len(self._ids) * self._segments
        self._crops, self._alpha = params.get("random_crop", False) and self._segments > 1, params.get("mixup", 0.0)
        copies = params.get("copies", 0)
        self._cached = getattr(data, "copies", None) if copies else None
        self._masks = CopyMasks(params, self._n_windows, data.input_shape, seed) if copies and self._cached is None else None
        self._fill = params.get("copy_fill")
        self._targets = np.eye(len(data.labels), dtype=np.float32)[data.targets(data.train_ids)[owners]]
        self.n = self._n_windows * (1 + copies)

    def batches(self, epoch: int) -> Iterator[tuple[Any, np.ndarray]]:
        """The batches of an epoch, in its order.

        Yields
        ------
        (items, targets)
            Items [shape=(rows, *input_shape)] of the type they are cached in, targets float32 [shape=(rows, n_classes)] that add up to 1.
        """
        starts = self._starts(epoch)
        for step, numbers in enumerate(epoch_batches(self.n, self._batch_size, self._seed, epoch)):
            tracks = numbers % self._n_windows // self._segments
            items, targets = self._windows(tracks, starts[numbers], numbers // self._n_windows), self._targets[tracks]
            if self._masks is not None:
                items = masked(items, *self._masks.at(numbers), self._fill)
            if self._alpha:
                rng = np.random.default_rng([self._seed, epoch, _MIXUP_STREAM, step])
                weight, partner = np.float32(rng.beta(self._alpha, self._alpha)), rng.permutation(len(numbers))
                items, targets = mixed(items, weight, partner), weight * targets + (1 - weight) * targets[partner]
            yield items, targets

    def _starts(self, epoch: int) -> np.ndarray:
        """First column of each item's window [shape=(n,)]: on the grid, or anywhere."""
        if self._segments == 1:
            return np.zeros(self.n, np.int64)
        width = self._data.input_shape[1]
        if not self._crops:
            return np.arange(self.n) % self._segments * width
        rng = np.random.default_rng([self._seed, epoch, _CROP_STREAM])
        return rng.integers(0, self._data.track_shape[1] - width, size=self.n, endpoint=True)

    def _windows(self, tracks: np.ndarray, starts: np.ndarray, copies: np.ndarray) -> np.ndarray:
        ids = [self._ids[track] for track in tracks]
        if self._cached is not None and copies.any():
            return self._with_copies(ids, copies)
        return self._data.features(ids) if self._segments == 1 else self._data.windows(ids, starts)

    def _with_copies(self, ids: list[str], copies: np.ndarray) -> np.ndarray:
        """Items and cached copies of items, as numbered: 0 is the item."""
        is_copy = copies > 0
        found = self._cached([ids[place] for place in np.flatnonzero(is_copy)], copies[is_copy])
        items = np.empty((len(ids), *found.shape[1:]), found.dtype)
        items[is_copy] = found
        if not is_copy.all():
            items[~is_copy] = self._data.features([ids[place] for place in np.flatnonzero(~is_copy)])
        return items
