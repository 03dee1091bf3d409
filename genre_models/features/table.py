"""Tables of features that others made, as the driver prepares them and as the final evaluation reads them.

Both read the whole file. Workers see what `prepare_table` wrote for them, the rows of development tracks and no others
(`genre_models.features.table_store`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.corpus.tracks import few
from genre_models.durable import sha256_file
from genre_models.errors import CorpusError
from genre_models.features.table_columns import HOW_THEY_TELL, columns_that_tell
from genre_models.features.table_read import Table, match_tracks, read_table, without_columns
from genre_models.features.table_store import name_rows, saved_facts, write_rows

if TYPE_CHECKING:
    from genre_models.scan import ScanRow

__all__ = ["Table", "finite_rows", "heldout_vectors", "prepare_table", "read_table"]


def prepare_table(cache_dir: str | Path, path: str | Path, tracks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write the rows of the development tracks, and no others, where `genre_models.features.table_store.TableStore` reads them.

    Parameters
    ----------
    cache_dir : str or Path
    path : str or Path
    tracks : sequence of mapping
        Development tracks with ``id`` and ``label``.

    Returns
    -------
    dict
        What a task holds of a table: ``key`` (of the folder), ``n_features``, ``n_items`` (rows of these tracks), ``columns``, ``sha256`` (of the file), ``notes``. Columns
        that give the class of these tracks away are not among them.

    Raises
    ------
    CorpusError
        If the table can't be used, lacks a track, or a track's row is not finite.
    CacheError
        If the rows can't be written.
    """
    path, cache_dir = Path(path).expanduser(), Path(cache_dir).expanduser()
    tracks = sorted(tracks, key=lambda track: track["id"])
    if path.is_file() and (known := saved_facts(cache_dir, name_rows(sha256_file(path), tracks))) is not None:
        return known
    table = read_table(path, finite=False)
    rows = match_tracks(table, [track["id"] for track in tracks])
    table = _without_telling(table, tracks, rows)
    flat = [row for several in rows for row in several]
    table.check_finite(flat)
    owned = zip(tracks, rows, strict=True)
    items = [(track["id"], table.segments[row] if len(several) > 1 else None) for track, several in owned for row in several]
    facts = {
        "key": name_rows(table.sha256, tracks),
        "n_features": len(table.columns),
        "n_items": len(items),
        "columns": list(table.columns),
        "sha256": table.sha256,
        "notes": list(table.notes),
    }
    write_rows(cache_dir, facts, items, table.X[flat])
    return facts


def heldout_vectors(path: str | Path, sha256: str, rows: Sequence[ScanRow], columns: Sequence[str] | None = None) -> Iterator[np.ndarray]:
    """Rows of held-out tracks, straight from the table; nothing of them is kept.

    To be called after the receipt ``opened`` is on disk.

    Parameters
    ----------
    path : str or Path
    sha256 : str
        Of the file that was trained on.
    rows : sequence of ScanRow
        The held-out tracks.
    columns : sequence of str, optional
        Those that were trained on, as `prepare_table` names them; None for all of the table's features.

    Yields
    ------
    np.ndarray [shape=(n_segments, n_columns), dtype=float32]
        Of each track.

    Raises
    ------
    CorpusError
        If the file is another, or a track has no rows, or one that is not finite.
    """
    path = Path(path).expanduser()
    if path.is_file() and sha256_file(path) != sha256:
        raise CorpusError(f"{path}: is not the table that was trained on, which had SHA-256 {sha256[:12]}…; put it back as it was")
    yield from finite_rows(path, rows, columns)


def finite_rows(path: str | Path, rows: Sequence[ScanRow], columns: Sequence[str] | None = None) -> Iterator[np.ndarray]:
    """What `heldout_vectors` gives, of any file.

    Raises
    ------
    CorpusError
        If it can't be read, lacks a column, or a track has no rows, or one that is not finite.
    """
    table = read_table(path, finite=False)
    if columns is not None:
        if table.with_sizes is not None and set(columns) - set(table.columns):  # a model of before the file's length was left out
            table = table.with_sizes
        missing = sorted(set(columns) - set(table.columns))
        if missing:
            raise CorpusError(f"{table.path}: {len(missing)} columns that were trained on are no features of it: {few(missing)}")
        table = table.only(np.isin(np.array(table.columns), np.array(columns)))
    matched = match_tracks(table, [row.id for row in rows])
    for several in matched:
        table.check_finite(several)
        yield table.X[several]


def _without_telling(table: Table, tracks: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[int]]) -> Table:
    """The table without columns that give away the class of these tracks, by the tracks' own labels; with a note on what went."""
    flat = [row for several in rows for row in several]
    labels = [str(track["label"]) for track, several in zip(tracks, rows, strict=True) for _ in several]
    told = columns_that_tell(table.X[flat], labels, [table.ids[row] for row in flat])
    names = [name for name, tells in zip(table.columns, told, strict=True) if tells]
    note = (
        f"{table.path.name}: {len(names)} columns give the class of the development tracks away and are no features: {few(names)} "
        f"({HOW_THEY_TELL})"
    )
    return replace(without_columns(table, told), notes=(*table.notes, note)) if names else table
