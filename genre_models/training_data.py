"""What a family's `fit` trains on: the development tracks of one feature setting, whole or in windows. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from genre_models.segments import window_shape, windows_at

HELD_BYTES = 256 * 2**20  # of one feature setting, held by each worker; beyond that they are read from the shared map, batch by batch


class Store(Protocol):
    """Where features are read: `genre_models.features.store.FeatureStore`, or a fake."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Features [shape=(len(ids), *shape)]."""
        ...


class MemoryStore:
    """A store that reads a small corpus once and then holds it: for all trials of a worker with one feature setting, however each deals
    and cuts the tracks.

    Parameters
    ----------
    store : Store
    ids : sequence of str
        All tracks that will be asked for.

    Attributes
    ----------
    store : Store
        What it reads from.
    """

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self.store, self._row = store, {id: row for row, id in enumerate(ids)}
        self.shape, self.dtype = tuple(store.shape), np.dtype(store.dtype)
        self._fits = len(self._row) * int(np.prod(self.shape)) * self.dtype.itemsize <= HELD_BYTES
        self._held: np.ndarray | None = None

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Features as cached [shape=(len(ids), *shape)]."""
        return self._all()[self._rows(ids)] if self._fits else self.store.features(ids)

    def windows(self, ids: Sequence[str], starts: Sequence[int], width: int) -> np.ndarray:
        """A window of each of these tracks, from its column on [shape=(len(ids), height, width, channels)]."""
        if self._fits:
            return windows_at(self._all(), self._rows(ids), starts, width)
        several = list(dict.fromkeys(ids))  # windows of one track often come together
        row = {id: number for number, id in enumerate(several)}
        return windows_at(self.store.features(several), [row[id] for id in ids], starts, width)

    def _rows(self, ids: Sequence[str]) -> list[int]:
        return [self._row[id] for id in ids]

    def _all(self) -> np.ndarray:
        if self._held is None:
            self._held = self.store.features(tuple(self._row))
        return self._held


class DevelopmentData:
    """Training and validation tracks with their features and targets.

    Parameters
    ----------
    store : Store
        A `MemoryStore` may be shared by many.
    labels : sequence of str
    tracks : sequence of mapping
        With ``id``, ``label`` and ``part`` ("train" or "validation"); ``group``, a number, where tracks go together.
    metric : {"val_accuracy", "val_loss"}
        What decides between epochs.
    segments : int
        Windows that each track is cut into (see `genre_models.segments`); all of them are on the track's side of the split.

    Attributes
    ----------
    labels : tuple of str
    input_shape : (height, width, channels)
        Of what a network gets: a window, or with one segment the track.
    track_shape : (height, width, channels)
    segments : int
    train_ids, validation_ids : tuple of str
    metric : str

    Raises
    ------
    ConfigurationRefused
        Where the tracks have fewer columns than segments.
    """

    def __init__(
        self, store: Store, labels: Sequence[str], tracks: Sequence[Mapping[str, Any]], metric: str = "val_accuracy", segments: int = 1
    ) -> None:
        self._store = store if isinstance(store, MemoryStore) else MemoryStore(store, [track["id"] for track in tracks])
        self._row = {track["id"]: row for row, track in enumerate(tracks)}
        number = {label: n for n, label in enumerate(labels)}
        self._targets = np.array([number[track["label"]] for track in tracks], dtype=np.int64)
        self._groups = {track["id"]: track["group"] for track in tracks if "group" in track}
        self.labels, self.metric, self.segments = tuple(labels), metric, segments
        self.track_shape = tuple(store.shape)
        self.input_shape = self.track_shape if segments == 1 else window_shape(store.shape, segments)
        self.train_ids = tuple(track["id"] for track in tracks if track["part"] == "train")
        self.validation_ids = tuple(track["id"] for track in tracks if track["part"] == "validation")

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Features of whole tracks as cached [shape=(len(ids), *track_shape)]."""
        return self._store.features(ids)

    def windows(self, ids: Sequence[str], starts: Sequence[int]) -> np.ndarray:
        """A window of each of these tracks, from its column on [shape=(len(ids), *input_shape)]."""
        return self._store.windows(ids, starts, self.input_shape[1])

    def groups_of(self, ids: Sequence[str]) -> np.ndarray:
        """Of tracks the numbers of their groups, from 0 in the order in which they come [shape=(len(ids),)]: those of one artist, or copies, have the same."""
        seen: dict[object, int] = {}
        return np.array([seen.setdefault(self._groups.get(id, id), len(seen)) for id in ids], dtype=np.int64)

    def targets(self, ids: Sequence[str]) -> np.ndarray:
        """Class numbers [shape=(len(ids),)]."""
        return self._targets[[self._row[id] for id in ids]]
