"""Rows of a table as workers see them: those of development tracks, in a folder of the cache. NumPy only; the table's file is not opened.

``rows.npy`` holds the numbers, ``items.json`` the track and segment of each row, ``facts.json`` what is known of the table.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import fsync_path, fsync_tree
from genre_models.errors import CacheError, HeldOutError

_VERSION = 4  # raise it when the same table and tracks would give other rows or columns
_ROWS, _ITEMS, _FACTS = "rows.npy", "items.json", "facts.json"


class TableStore:
    """Rows of the development tracks of one table.

    An item is a row: by its track's id where the track has one, else the id, NUL, and the segment. No id has a NUL in it.

    Parameters
    ----------
    cache_dir : str or Path
    facts_or_key : mapping or str
        What `genre_models.features.table.prepare_table` gave, or its ``key``.
    tracks : sequence of mapping
        With ``id``: development tracks only.

    Attributes
    ----------
    shape : (int,)
        Numbers of an item.
    dtype : np.dtype
        float32.

    Raises
    ------
    CacheError
        If the rows are not in the cache.
    """

    def __init__(self, cache_dir: str | Path, facts_or_key: Mapping[str, Any] | str, tracks: Sequence[Mapping[str, Any]]) -> None:
        key = facts_or_key if isinstance(facts_or_key, str) else facts_or_key["key"]
        folder = _folder(Path(cache_dir).expanduser(), key)
        try:
            self._rows = np.load(folder / _ROWS, mmap_mode="r", allow_pickle=False)
            items = json.loads((folder / _ITEMS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CacheError(
                f"{folder}: the rows of the table can't be read ({error}); remove the folder and start again: it is made anew"
            ) from error
        self.shape, self.dtype = (int(self._rows.shape[1]),), self._rows.dtype
        allowed = {track["id"] for track in tracks}
        self._items: dict[str, list[str]] = defaultdict(list)
        self._row_of: dict[str, int] = {}
        for row, (id, segment) in enumerate(items):
            if id in allowed:
                item = id if segment is None else f"{id}\0{segment}"
                self._items[id].append(item)
                self._row_of[item] = row

    def items_of(self, ids: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The items of some tracks.

        Parameters
        ----------
        ids : sequence of str
            Of tracks.

        Returns
        -------
        list of str, np.ndarray of int [shape=(n_items,)]
            Ids of the items, those of a track together in the order of its segments, and for each the place of its track in `ids`.

        Raises
        ------
        HeldOutError
            If an id is not one of the store's tracks.
        """
        _check_known(ids, self._items)
        several = [self._items[id] for id in ids]
        return [item for items in several for item in items], np.repeat(np.arange(len(several)), [len(items) for items in several])

    def features(self, item_ids: Sequence[str]) -> np.ndarray:
        """Read some items.

        Returns
        -------
        np.ndarray [shape=(len(item_ids), *self.shape), dtype=float32]
            In the order of `item_ids`.

        Raises
        ------
        HeldOutError
            If one is not an item of the store's tracks.
        """
        _check_known(item_ids, self._row_of)
        return np.ascontiguousarray(self._rows[[self._row_of[item] for item in item_ids]])


def name_rows(sha256: str, tracks: Sequence[Mapping[str, Any]]) -> str:
    """Name of the rows of some tracks of a table: 16 hex digits. The class counts: columns that give it away are left out."""
    named = sorted((track["id"], str(track["label"])) for track in tracks)
    return hashlib.blake2b(json.dumps([_VERSION, sha256, named]).encode(), digest_size=8).hexdigest()


def saved_facts(cache_dir: Path, key: str) -> dict[str, Any] | None:
    """The facts of rows that were written before; None where they are not there, or not as they were written."""
    folder = _folder(cache_dir, key)
    try:
        saved = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if all(_digest(folder / name) == digest for name, digest in saved["files"].items()):
            return dict(saved["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def write_rows(cache_dir: Path, facts: Mapping[str, Any], items: Sequence[tuple[str, int | None]], rows: np.ndarray) -> None:
    """Write rows whole or not at all.

    Parameters
    ----------
    cache_dir : Path
    facts : mapping
        As `genre_models.features.table.prepare_table` gives them.
    items : sequence of (str, int or None)
        Track and segment of each row.
    rows : np.ndarray [shape=(len(items), facts["n_features"]), dtype=float32]

    Raises
    ------
    CacheError
        If they can't be written.
    """
    folder = _folder(cache_dir, facts["key"])
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        np.save(partial / _ROWS, rows, allow_pickle=False)
        (partial / _ITEMS).write_text(json.dumps([list(item) for item in items]), encoding="utf-8")
        files = {name: _digest(partial / name) for name in (_ROWS, _ITEMS)}
        (partial / _FACTS).write_text(json.dumps({"facts": dict(facts), "files": files}, indent=1), encoding="utf-8")
        fsync_tree(partial)
        _put_in_place(partial, folder, facts["key"])
        fsync_path(cache_dir)
    except OSError as error:
        full = ": free space and start again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise CacheError(f"{folder}: the rows of the table can't be written ({error.strerror or error}){full}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, folder: Path, key: str) -> None:
    if saved_facts(folder.parent, key) is not None:  # another process was faster, and its rows are the same
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        partial.rename(folder)
    except OSError:
        if saved_facts(folder.parent, key) is None:
            raise


def _folder(cache_dir: Path, key: str) -> Path:
    return cache_dir / f"table-{key}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _check_known(ids: Sequence[str], known: Mapping[str, Any]) -> None:
    unknown = next((str(id).replace("\0", ", segment ") for id in ids if id not in known), None)
    if unknown is not None:
        raise HeldOutError(
            f"the table's row of {unknown} was asked for, but it is not one of the development tracks: held-out tracks are read by the "
            "final evaluation only"
        )
