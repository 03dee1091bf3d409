"""Development tracks whose items are vectors, or come through a pretrained network. NumPy only.

What `genre_models.training_data.DevelopmentData` has, and what the families on such items need besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.training_data import DevelopmentData

if TYPE_CHECKING:
    from genre_models.sources import Input


class SourceData(DevelopmentData):
    """Training and validation tracks with their items and targets.

    Parameters
    ----------
    found : Input
    task : mapping
        As in docs/design.md, section 5.
    tracks : sequence of mapping
    store_of : callable
        ``store_of(input)``: the `MemoryStore` of an input.
    copies : int
        Masked copies of each training track that will be asked for: what a pretrained network must still compute is computed at once.

    Attributes
    ----------
    source_key : str
        Names what the items' numbers follow from.
    cache_dir : str
        Where what is made of many items may be kept.
    """

    def __init__(
        self,
        found: Input,
        task: Mapping[str, Any],
        tracks: Sequence[Mapping[str, Any]],
        store_of: Callable[[Input], Any],
        copies: int = 0,
    ) -> None:
        from genre_models.sources import source_key

        super().__init__(store_of(found), task["labels"], tracks, task["objective"]["metric"])
        self._found, self._task, self._tracks, self._store_of, self._copies = found, task, tracks, store_of, copies
        self.source_key, self.cache_dir = source_key(found, task), task["cache_dir"]
        if found.trunk is not None:
            self._store.store.complete(copies, self.train_ids)
        if found.as_vector:
            self.input_shape = self.track_shape = (int(np.prod(self._store.shape)),)
        items, owners = self.items_of(list(self._row))
        self._targets_of_items = dict(zip(items, self._targets[owners].tolist(), strict=True))

    def items_of(self, ids: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The items of some tracks, and for each the place of its track in `ids` [shape=(n_items,)]."""
        if self._found.kind == "table":
            return self._store.store.items_of(ids)
        return list(ids), np.arange(len(ids))

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Items [shape=(len(ids), *input_shape)]."""
        found = self._store.features(ids)
        return found.reshape(len(found), -1) if self._found.as_vector else found

    def targets(self, ids: Sequence[str]) -> np.ndarray:
        """Class numbers of tracks or items [shape=(len(ids),)]."""
        known = self._targets_of_items
        return np.array([known[id] if id in known else self._targets[self._row[id]] for id in ids], dtype=np.int64)

    def copies(self, ids: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
        """Masked copies of items, each by its number from 1 [shape=(len(ids), *input_shape)]."""
        return self._store.store.copies(ids, numbers)

    def at(self, cut: str) -> SourceData:
        """The same tracks with what the network gives at another layer, height and width kept."""
        other = replace(self._found, trunk=self._found.trunk | {"cut": cut, "pooling": "flat"})
        return SourceData(other, self._task, self._tracks, self._store_of, self._copies)

    @cached_property
    def trunk(self) -> Any:
        """The pretrained network; None where the items did not go through one."""
        if self._found.trunk is None:
            return None
        from genre_models.features import feature_dtype, feature_shape
        from genre_models.sources import at_hand, trunk_facts
        from genre_models.trunks.handle import TrunkHandle

        found = self._found
        shape, dtype = feature_shape(found.kind, found.features), feature_dtype(found.kind)
        return TrunkHandle(at_hand(found.trunk, self._task), trunk_facts(found, self._task), shape, dtype, found.features.get("normalise", "unit"))
