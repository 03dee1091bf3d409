"""Outputs of a trunk for the development tracks: computed once, kept on disk, read by any number of processes.

Like `genre_models.features.store.FeatureStore` it knows the tracks it was given and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.errors import HeldOutError
from genre_models.features.trunk_pass import Base, Progress, TrunkPass, row_name, wanted_items
from genre_models.features.trunk_rows import CutRows, pass_name
from genre_models.trunks.registry import TRUNKS


_VERIFIED: dict[Path, frozenset[str]] = {}  # names of rows by folder, whose checksums held in this process


class TrunkStore:
    """Outputs at one cut of a trunk.

    What is missing is computed when it is asked for, by one process at a time; rows go by the content of files: identical ones pass once.

    Parameters
    ----------
    base : FeatureStore or the like
        Base features: ``features(ids)``, ``shape``, ``dtype``; from its ``settings`` comes how they are normalised.
    tracks : sequence of mapping
        With ``id`` and ``content``: development tracks only.
    cache_dir : str or Path
    settings : mapping
        Trunk settings: ``trunk``, ``weights``, ``sha256``, ``side``, ``cut``, ``channels``, ``pooling``, and for copies
        ``copy_frequency_mask``, ``copy_time_mask``, ``copy_masks``, ``copy_fill``.
    base_key : str
        Name of the base features (`genre_models.features.feature_key`).
    facts : mapping, optional
        Of the trunk; without them Keras is imported for the shape.

    Attributes
    ----------
    shape : tuple of int
        Of one item: (d,) pooled or a vector, (height, width, channels) of a map.
    dtype : np.dtype
        float16.
    """

    def __init__(
        self,
        base: Base,
        tracks: Sequence[Mapping[str, Any]],
        cache_dir: str | Path,
        settings: Mapping[str, Any],
        base_key: str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings, self.base_key, self.dtype = _with_hash(settings), base_key, np.dtype(np.float16)
        self._base, self._folder = base, Path(cache_dir).expanduser()
        self._normalise = getattr(base, "settings", {}).get("normalise", "unit")
        self._contents = {track["id"]: track["content"] for track in tracks}
        cut = settings["cut"]
        self._map_shape = tuple(facts["layers"][cut]["shape"]) if facts else _shape(settings["trunk"], int(settings["side"]), cut)
        self._flat = settings["pooling"] == "flat" or len(self._map_shape) == 1
        self.shape = self._map_shape if self._flat else self._map_shape[-1:]
        self._rows: dict[bool, CutRows] = {}

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Outputs for some tracks [shape=(len(ids), *shape), dtype=float16], computed now where they are missing.

        Raises
        ------
        HeldOutError
            If an id is not one of the store's tracks.
        TrunkUnavailable
            If something is missing, and so are the trunk's weights.
        CacheError
            If the cache can't be written.
        """
        return self._read(ids, [0] * len(ids))

    def copies(self, ids: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
        """Outputs for masked copies of tracks, of each the copy with its number, from 1; else as `features`.

        A copy's masks follow from the track's content, the number and the settings alone.
        """
        if len(numbers) and min(numbers) < 1:
            raise ValueError(f"copies are numbered from 1, but number {min(numbers)} was asked for")
        return self._read(ids, [int(number) for number in numbers])

    def prepare(
        self,
        copies: int = 0,
        progress: Progress | None = None,
        threads: int | None = None,
        copied_ids: Sequence[str] | None = None,
    ) -> int:
        """Compute what is missing or broken for all tracks.

        Parameters
        ----------
        copies : int
            Masked copies of each track that are computed too.
        progress : callable, optional
            ``progress(done, total, what)``, counted in items.
        threads : int or None
            Threads to compute with; None for as many as the framework takes. Of no effect once it has computed anything.
        copied_ids : sequence of str or None
            Tracks that have copies; None for all.

        Returns
        -------
        int
            Items that passed through the trunk.
        """
        return prepare_stores([self], copies, progress, threads, copied_ids)

    def complete(self, copies: int = 0, copied_ids: Sequence[str] | None = None) -> None:
        """Compute in one pass what of `prepare` is not there yet; rows that are there are verified once in a process."""
        for masked, wanted in zip((False, True), self.wanted(copied_ids, copies), strict=True):
            if not wanted:
                continue  # no copies: nothing says how they would be masked
            rows = self.of_copies(masked)
            names = frozenset(wanted) - _VERIFIED.get(rows.caches()[-1].folder, frozenset())
            if names or not rows.holds(list(wanted)):
                self.passing([self], masked).run(wanted, checked=True)
                _VERIFIED[rows.caches()[-1].folder] = _VERIFIED.get(rows.caches()[-1].folder, frozenset()) | names

    def of_copies(self, masked: bool) -> CutRows:
        """The rows on disk: of the tracks, or of their masked copies."""
        if masked not in self._rows:
            name = pass_name(self.settings, self.base_key, masked)
            self._rows[masked] = CutRows(self._folder, name, self.settings["cut"], self._map_shape, self._flat)
        return self._rows[masked]

    def wanted(self, ids: Sequence[str] | None, copies: int) -> tuple[dict, dict]:
        """What is to pass: the tracks themselves, and `copies` copies of some of them (None for all)."""
        everything = list(self._contents)
        some = everything if ids is None else list(ids)
        numbers = [number for number in range(1, copies + 1) for _ in some]
        return wanted_items(self._contents, everything, [0] * len(everything)), wanted_items(self._contents, some * copies, numbers)

    def passing(self, stores: Sequence[TrunkStore], masked: bool) -> TrunkPass:
        """A pass of this store's settings for all cuts of some stores that share them."""
        return TrunkPass([store.of_copies(masked) for store in stores], self._base, self.settings, self._normalise)

    def _read(self, ids: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
        unknown = [str(id) for id in ids if id not in self._contents]
        if unknown:
            raise HeldOutError(
                f"outputs of {self.settings['trunk']} for {unknown[0]} were asked for, but it is not one of the {len(self._contents)} "
                "development tracks: held-out tracks are read by the final evaluation only"
            )
        parts = np.empty((len(ids), *self.shape), self.dtype)
        for masked in (False, True):
            places = [place for place, number in enumerate(numbers) if bool(number) == masked]
            if places:
                parts[places] = self._of_rows([ids[place] for place in places], [numbers[place] for place in places], masked)
        return parts

    def _of_rows(self, ids: Sequence[str], numbers: Sequence[int], masked: bool) -> np.ndarray:
        rows = self.of_copies(masked)
        names = [row_name(self._contents[id], number) for id, number in zip(ids, numbers, strict=True)]
        if not rows.holds(names):
            self.passing([self], masked).run(wanted_items(self._contents, ids, numbers))
        return rows.read(names, self.settings["pooling"])


def prepare_stores(
    stores: Sequence[TrunkStore],
    copies: int = 0,
    progress: Progress | None = None,
    threads: int | None = None,
    copied_ids: Sequence[str] | None = None,
) -> int:
    """Compute what is missing or broken of stores of the same tracks; parameters and result as of `TrunkStore.prepare`.

    Stores that differ in nothing but their cuts are computed in one pass. Two of the same cut, pooled and flat, have one row of it.
    """
    _bound_threads(threads)
    passed = 0
    for masked in (False, True) if copies else (False,):
        groups: dict[str, dict[str, TrunkStore]] = {}
        for store in stores:
            group = groups.setdefault(pass_name(store.settings, store.base_key, masked), {})
            if store.settings["cut"] not in group or store.of_copies(masked).flat:  # the map serves the pooled ones too
                group[store.settings["cut"]] = store
        for group in groups.values():
            first = next(iter(group.values()))
            wanted = first.wanted(copied_ids, copies)[masked]
            passed += first.passing(list(group.values()), masked).run(wanted, progress, checked=True)
    return passed


def _with_hash(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the hash of a file of weights."""
    known = {"sha256": None, **settings}
    if settings["weights"] not in ("imagenet", "random") and known["sha256"] is None:
        from genre_models.trunks.weights import hash_of_file

        known["sha256"] = hash_of_file(settings["weights"])
    return known


@lru_cache(maxsize=64)
def _shape(trunk: str, side: int, cut: str) -> tuple[int, ...]:
    from genre_models.trunks.network import needs_top, symbolic_network

    network = symbolic_network(TRUNKS[trunk], side, needs_top(TRUNKS[trunk], cut))
    return tuple(int(size) for size in network.get_layer(cut).output.shape[1:])


def _bound_threads(threads: int | None) -> None:
    if threads is None:
        return
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError:
            pass  # it has computed already: its pool keeps the size it has
