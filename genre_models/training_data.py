"""What a family's `fit` trains on: the development tracks of one feature setting. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

HELD_BYTES = 256 * 2**20  # of features held by each worker; beyond that they are read from the shared map, batch by batch


class Store(Protocol):
    """Where features are read: `genre_models.features.store.FeatureStore`, or a fake."""

    shape: tuple[int, int, int]
    dtype: np.dtype

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Features [shape=(len(ids), *shape)]."""
        ...


class DevelopmentData:
    """Training and validation tracks with their features and targets.

    Parameters
    ----------
    store : Store
    labels : sequence of str
    tracks : sequence of mapping
        With ``id``, ``label`` and ``part`` ("train" or "validation").
    metric : {"val_accuracy", "val_loss"}
        What decides between epochs.

    Attributes
    ----------
    labels : tuple of str
    input_shape : (height, width, channels)
    train_ids, validation_ids : tuple of str
    metric : str
    """

    def __init__(self, store: Store, labels: Sequence[str], tracks: Sequence[Mapping[str, Any]], metric: str = "val_accuracy") -> None:
        self._store = store
        self._row = {track["id"]: row for row, track in enumerate(tracks)}
        self._targets = np.array([list(labels).index(track["label"]) for track in tracks], dtype=np.int64)
        self._held: np.ndarray | None = None
        self._fits = len(tracks) * int(np.prod(store.shape)) * np.dtype(store.dtype).itemsize <= HELD_BYTES
        self.labels, self.input_shape, self.metric = tuple(labels), tuple(store.shape), metric
        self.train_ids = tuple(track["id"] for track in tracks if track["part"] == "train")
        self.validation_ids = tuple(track["id"] for track in tracks if track["part"] == "validation")

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Features as cached [shape=(len(ids), *input_shape)]; small corpora are read once and then held."""
        if not self._fits:
            return self._store.features(ids)
        if self._held is None:
            self._held = self._store.features(tuple(self._row))
        return self._held[[self._row[id] for id in ids]]

    def targets(self, ids: Sequence[str]) -> np.ndarray:
        """Class numbers [shape=(len(ids),)]."""
        return self._targets[[self._row[id] for id in ids]]
