"""What is kept of one cut of a trunk, on disk. NumPy only.

A folder holds a row for each item: its vector; or of a map the mean and the maximum of each channel; a folder beside it the map itself,
where that was asked for. Numbers are float16: what lies beyond its range is cut off, what is no number is kept and shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.errors import CacheError
from genre_models.features.cache import RowCache

CODE_VERSION = 1  # raise it when the same settings would give other numbers
COPY_SETTINGS = ("copy_frequency_mask", "copy_time_mask", "copy_masks", "copy_fill")
_LARGEST = 65504.0  # of float16


def pass_name(settings: Mapping[str, Any], base_key: str, masked: bool) -> str:
    """Everything but the cut that a trunk's numbers follow from, as a text: what has the same can be computed in one pass.

    Parameters
    ----------
    settings : mapping
        Trunk settings, with the ``sha256`` of a file, and the ``backend`` where that is not TensorFlow.
    base_key : str
        Of the base features (`genre_models.features.feature_key`).
    masked : bool
        Whether of masked copies.
    """
    from importlib.metadata import version

    weights = settings["sha256"] or [settings["weights"], version("keras")]
    named = [CODE_VERSION, base_key, settings["trunk"], weights, settings["side"], settings["channels"]]
    of_backend = [{"backend": settings["backend"]}] if "backend" in settings else []  # it rounds in its own way
    return json.dumps(named + ([[settings[name] for name in COPY_SETTINGS]] if masked else []) + of_backend)


class CutRows:
    """Rows of one cut.

    Parameters
    ----------
    cache_dir : Path
    name : str
        As `pass_name` gives it.
    cut : str
    shape : tuple of int
        Of the cut's output for one item: a map's (height, width, channels) or a vector's (d,).
    flat : bool
        Whether maps themselves are wanted.
    """

    def __init__(self, cache_dir: Path, name: str, cut: str, shape: Sequence[int], flat: bool) -> None:
        key = hashlib.blake2b(json.dumps([name, cut]).encode(), digest_size=8).hexdigest()
        self.is_map, self.flat, self.cut = len(shape) > 1, flat and len(shape) > 1, cut
        self.pair = RowCache(cache_dir / f"trunk-{key}", (2, shape[-1]) if self.is_map else tuple(shape), "float16")
        self.map = RowCache(cache_dir / f"trunk-{key}-map", tuple(shape), "float16")
        self._opened: dict[str, tuple[dict[str, int], np.ndarray]] = {}

    def caches(self) -> list[RowCache]:
        """The folders that a pass writes to."""
        return [self.pair, self.map] if self.flat else [self.pair]

    def missing(self, contents: Collection[str], checked: bool = False) -> set[str]:
        """Those of some contents that a pass must make; with `checked`, rows whose checksum fails too."""

        def has(cache: RowCache) -> set[str]:
            if checked:
                return cache.find_sound(contents)
            return cache.open()[0].keys() & set(contents)

        wanted = set(contents)
        if self.flat:
            return wanted - has(self.map)
        missing = wanted - has(self.pair)
        return missing - has(self.map) if missing and self.is_map else missing

    def holds(self, contents: Sequence[str]) -> bool:
        """Whether rows of all these contents are there, without reading the index again while they are known to be."""
        known = [self._open(cache)[0] for cache in ([self.map] if self.flat else [self.pair, self.map] if self.is_map else [self.pair])]
        if all(any(content in rows for rows in known) for content in contents):
            return True
        self._opened.clear()  # another process may have added some
        return not self.missing(contents)

    def append(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Store the cut's outputs of some contents; the locks must be held."""
        made = {content: _pair(output) if self.is_map else _float16(output) for content, output in outputs.items()}
        if self.flat:  # first: a map without its pair is whole, a pair without its map is not
            self.map.append({content: _float16(output) for content, output in outputs.items()})
        self.pair.append(made)
        self._opened.clear()

    def read(self, contents: Sequence[str], pooling: str) -> np.ndarray:
        """Rows of some contents [shape=(n, channels), (n, d) or (n, height, width, channels), dtype=float16].

        Raises
        ------
        CacheError
            If one is not there.
        """
        if not self.is_map:
            return self._rows(self.pair, contents)
        if self.flat:
            return self._rows(self.map, contents)
        place = ("average", "max").index(pooling)
        try:
            return self._rows(self.pair, contents, place)
        except CacheError:  # some may be there as maps only
            known = self._open(self.pair)[0]
            return np.stack([self._one(content, content in known, place) for content in contents])

    def _one(self, content: str, pooled: bool, place: int) -> np.ndarray:
        return self._rows(self.pair, [content], place)[0] if pooled else _pair(self._rows(self.map, [content])[0])[place]

    def _rows(self, cache: RowCache, contents: Sequence[str], *place: int) -> np.ndarray:
        row_of, rows = self._open(cache)
        if any(content not in row_of for content in contents):  # rows may have been added since
            self._opened.clear()
            row_of, rows = self._open(cache)
        if absent := [content for content in contents if content not in row_of]:
            found = f"no output of {self.cut} for {len(absent)} of {len(contents)} items"
            raise CacheError(f"{cache.folder}: {found}; it must be prepared first")
        numbers = [row_of[content] for content in contents]
        return np.ascontiguousarray(rows[(numbers, *place)])

    def _open(self, cache: RowCache) -> tuple[dict[str, int], np.ndarray]:
        if cache.folder.name not in self._opened:
            self._opened[cache.folder.name] = cache.open()
        return self._opened[cache.folder.name]


def _pair(output: np.ndarray) -> np.ndarray:
    wide = output.astype(np.float32, copy=False)
    return _float16(np.stack([wide.mean(axis=(0, 1)), wide.max(axis=(0, 1))]))


def _float16(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
