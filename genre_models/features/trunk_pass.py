"""One pass of items through a trunk: what is missing of any of its cuts, computed together and stored as it goes.

Importing this module loads no Keras. One process passes items of a folder at a time, another waits and then finds them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from genre_models.copies import CopyMasks
from genre_models.features.trunk_rows import CutRows
from genre_models.framework import runs_compiled

Progress = Callable[[int, int, str], None]
# Activations of the first layers are what a pass takes most memory for: 16 items at 224 x 224 take about 0.5 GiB in VGG16.
_BATCH_PIXELS, _MOST_ITEMS = 16 * 224 * 224, 128
_FLUSH_SECONDS, _FLUSH_BYTES = 2.0, 64 * 2**20


class Base(Protocol):
    """Where base features are read."""

    shape: Sequence[int]
    dtype: np.dtype

    def features(self, ids: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class Wanted:
    """An item that may have to pass.

    Attributes
    ----------
    id : str
        Track whose base features it is made of.
    copy : int
        Number of its masked copy; 0 for the item itself.
    seed : str
        Text that the masks are drawn from.
    """

    id: str
    copy: int
    seed: str


def wanted_items(contents: Mapping[str, str], ids: Sequence[str], numbers: Sequence[int]) -> dict[str, Wanted]:
    """Items by the name that their rows have: the content's hash, and the number of a copy; identical files are one item.

    Parameters
    ----------
    contents : mapping of str to str
        Content hash by id.
    ids, numbers : sequence
        Tracks, and of each the copy, 0 for itself.
    """
    return {
        row_name(contents[id], number): Wanted(id, int(number), f"{contents[id]}#{number}") for id, number in zip(ids, numbers, strict=True)
    }


def row_name(content: str, copy: int) -> str:
    """Name of an item's row."""
    return f"{content}#{copy}" if copy else content


class TrunkPass:
    """Items on their way through a trunk with one setting.

    Parameters
    ----------
    cuts : sequence of CutRows
        Of one trunk, with the same settings but for the cut.
    base : Base
    settings : mapping
        Trunk settings; ``copy_*`` where there are copies.
    normalise : {"unit", "item"}
        Of the base features.
    """

    def __init__(self, cuts: Sequence[CutRows], base: Base, settings: Mapping[str, Any], normalise: str) -> None:
        self._cuts, self._base, self._settings, self._normalise = list(cuts), base, settings, normalise
        self._size = max(1, min(_BATCH_PIXELS // int(settings["side"]) ** 2, _MOST_ITEMS))

    def run(self, wanted: Mapping[str, Wanted], progress: Progress | None = None, checked: bool = False) -> int:
        """Compute and store what is missing.

        Parameters
        ----------
        wanted : mapping of str to Wanted
            Items by the names of their rows.
        progress : callable, optional
        checked : bool
            Whether the checksums of rows that are there are verified too.

        Returns
        -------
        int
            Items that passed.
        """
        copies = any(item.copy for item in wanted.values())
        what = f"{self._settings['trunk']} to {', '.join(rows.cut for rows in self._cuts)}{' of masked copies' if copies else ''}"

        def on_wait() -> None:
            if progress is not None:
                progress(0, len(wanted), f"waiting for another process that computes {what}")

        with ExitStack() as locks:
            caches = {cache.folder.name: cache for rows in self._cuts for cache in rows.caches()}
            for name in sorted(caches):  # the same order in every process
                locks.enter_context(caches[name].writing(on_wait))
            missing = [(rows, rows.missing(wanted.keys(), checked)) for rows in self._cuts]
            missing = [(rows, names) for rows, names in missing if names]
            todo = [name for name in wanted if any(name in names for _, names in missing)]
            if todo:
                self._pass(todo, missing, wanted, what, progress)
        return len(todo)

    def _pass(
        self, todo: list[str], missing: list[tuple[CutRows, set[str]]], wanted: Mapping[str, Wanted], what: str, progress: Progress | None
    ) -> None:
        compute = self._model([rows.cut for rows, _ in missing])
        held: list[dict[str, np.ndarray]] = [{} for _ in missing]
        flushed_at = time.monotonic()
        try:
            for start in range(0, len(todo), self._size):
                names = todo[start : start + self._size]
                outputs = compute(self._items([wanted[name] for name in names]))
                for (_, lacking), of_cut, output in zip(missing, held, outputs, strict=True):
                    of_cut.update({name: np.array(array) for name, array in zip(names, output, strict=False) if name in lacking})
                if progress is not None:
                    progress(start + len(names), len(todo), what)
                n_bytes = sum(array.nbytes for of_cut in held for array in of_cut.values())
                if n_bytes > _FLUSH_BYTES or time.monotonic() - flushed_at > _FLUSH_SECONDS:
                    _flush(missing, held)
                    flushed_at = time.monotonic()
        finally:
            _flush(missing, held)  # after Ctrl-C too

    def _items(self, wanted: Sequence[Wanted]) -> np.ndarray:
        """Base features of some items, masked where they are copies, filled up to a whole batch: the network is traced for one size."""
        items = self._base.features([item.id for item in wanted])
        if any(item.copy for item in wanted):
            import keras

            from genre_models.augmentation import masked

            items = keras.ops.convert_to_numpy(masked(items, *self._masks(wanted), self._settings["copy_fill"]))
        return np.concatenate([items, np.repeat(items[-1:], self._size - len(items), axis=0)])

    def _masks(self, wanted: Sequence[Wanted]) -> tuple[np.ndarray, np.ndarray]:
        """What is masked of each [shape=(n, height)] and [shape=(n, width)]: it follows from the item's content and the copy alone."""
        drawn = []
        for item in wanted:
            seed = int.from_bytes(hashlib.blake2b(item.seed.encode(), digest_size=8).digest(), "big")
            masks = CopyMasks({**self._settings, "copies": 1}, 1, self._base.shape, seed)
            drawn.append(masks.at(np.array([1 if item.copy else 0])))
        rows, columns = zip(*drawn, strict=True)
        return np.concatenate(rows), np.concatenate(columns)

    def _model(self, cuts: Sequence[str]) -> Callable[[np.ndarray], list[np.ndarray]]:
        """From base features to the outputs of cuts, in float32."""
        import keras

        from genre_models.trunks.handle import from_base
        from genre_models.trunks.network import load_outputs

        settings = self._settings
        network = load_outputs(settings["trunk"], settings["weights"], settings["side"], cuts, settings["sha256"])
        features = keras.Input(tuple(self._base.shape), dtype=np.dtype(self._base.dtype).name, name="features")
        model = keras.Model(features, from_base(features, settings, self._normalise, network))
        model.jit_compile = runs_compiled()  # measured on a CPU, XLA makes this slower on TensorFlow
        return lambda items: keras.tree.flatten(model.predict_on_batch(items))


def _flush(missing: list[tuple[CutRows, set[str]]], held: list[dict[str, np.ndarray]]) -> None:
    for number, (rows, _) in enumerate(missing):
        of_cut, held[number] = held[number], {}
        rows.append(of_cut)
