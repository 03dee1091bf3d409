"""Reading a table of features: one row for each track, or several, which are then segments of it. Reads all rows, held-out ones too."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre_models.corpus.tracks import few
from genre_models.durable import sha256_file
from genre_models.errors import CorpusError
from genre_models.features.table_columns import HOW_THEY_TELL, columns_that_tell, numbers_of
from genre_models.features.table_file import column_names, read_frame
from genre_models.features.table_ids import ID_COLUMNS, LABEL_COLUMNS, SEGMENT_COLUMN, bare_names, composed, find_id_column, identify_rows, texts_of

if TYPE_CHECKING:
    import pandas as pd

_NEVER = (*ID_COLUMNS, *LABEL_COLUMNS, SEGMENT_COLUMN, "file", "path", "index", "")  # nor what pandas calls columns without a name
SIZE_COLUMNS = ("length", "duration", "n_samples")  # how long the file is: that is the recording's, not the music's


@dataclass(frozen=True)
class Table:
    """A table's features.

    Attributes
    ----------
    path : Path
    columns : tuple of str
        Names of the features.
    ids : tuple of str
        Of each row's track, ``CLASS/STEM``, or six digits as FMA has them; rows of one track lie together.
    segments : tuple of int or None
        Of each row, where its track has several.
    X : np.ndarray [shape=(n_rows, n_columns), dtype=float32]
    labels : tuple of str or None
        Of each row, empty where the row has none; None where the table has no such column.
    sha256 : str
        Of the file.
    notes : tuple of str
        What was left out.
    with_sizes : Table or None
        The same with the columns that say how long the file is, where there are any. They are no features, but part of what a track is known
        by, and models of before they were left out take them.
    bare : mapping of str to str
        Ids whose class is a guess from a bare name (`genre_models.features.table_ids.bare_names`), by that name.
    """

    path: Path
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    segments: tuple[int | None, ...]
    X: np.ndarray
    labels: tuple[str, ...] | None
    sha256: str
    notes: tuple[str, ...] = ()
    with_sizes: Table | None = None
    bare: Mapping[str, str] = field(default_factory=dict)

    def rows_of(self) -> dict[str, list[int]]:
        """Numbers of each track's rows, in the order of its segments."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, id in enumerate(self.ids):
            rows[id].append(row)
        return dict(rows)

    def fault(self, row: int) -> str | None:
        """What of a row is not finite; None where all is."""
        wrong = np.flatnonzero(~np.isfinite(self.X[row]))
        if not len(wrong):
            return None
        found = self.X[row, wrong[0]]
        says = "is empty or not a number" if np.isnan(found) else "is infinite, or too large for float32"
        segment = "" if self.segments[row] is None else f", segment {self.segments[row]}"
        return f"column {self.columns[wrong[0]]} {says} in the row of {self.ids[row]}{segment}"

    def check_finite(self, rows: Sequence[int]) -> None:
        """Refuse rows that can't be trained on.

        Raises
        ------
        CorpusError
            Naming the first column and row that is not finite.
        """
        wrong = np.flatnonzero(~np.isfinite(self.X[list(rows)]).all(axis=1))
        if len(wrong):
            fault, n = self.fault(rows[wrong[0]]), len(wrong)
            raise CorpusError(
                f"{self.path}: {fault} ({n} of {len(rows)} rows are like that); fill in the value, or take the column out of the table"
            )

    def only(self, kept: np.ndarray) -> Table:
        """The same rows with some of the columns (bool [shape=(n_columns,)])."""
        columns = tuple(name for name, keep in zip(self.columns, kept, strict=True) if keep)
        return self if kept.all() else replace(self, columns=columns, X=np.ascontiguousarray(self.X[:, kept]))


def read_table(path: str | Path, *, finite: bool = True) -> Table:
    """Read a table of features.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, Parquet, or .npz without pickled objects: GTZAN's ``features_30_sec.csv`` and ``features_3_sec.csv``, FMA's
        ``features.csv``, or any that has a column ``track``, ``filename``, ``track_id`` or ``id``, or else texts in a column, of which
        the first is taken.
    finite : bool
        Whether values that are missing or infinite are an error.

    Returns
    -------
    Table
        Neither the id, nor the label, nor a column of text, nor the file's length (`SIZE_COLUMNS`), nor a column that gives the class away
        (`columns_that_tell`, by the table's own labels, of all its rows: that can only take columns away) is among the columns.

    Raises
    ------
    CorpusError
        If it can't be read, changes meanwhile, has no ids, no numbers, or two rows of one track that are not told apart as segments.
    """
    path = Path(path).expanduser()
    frame, sha256 = _frame_and_hash(path)
    by_name = {name.lower(): name for name in frame.columns}
    id_column = find_id_column(path, frame, by_name)
    label_column = next((by_name[name] for name in LABEL_COLUMNS if name in by_name and by_name[name] != id_column), None)
    labels = None if label_column is None else tuple(texts_of(frame[label_column]))
    numbers = frame[by_name[SEGMENT_COLUMN]] if SEGMENT_COLUMN in by_name else None
    names = texts_of(frame[id_column])
    ids, segments = identify_rows(path, names, labels, numbers)
    candidates = [name for name in frame.columns if name != id_column and name.lower() not in _NEVER and not name.startswith("Unnamed: ")]
    columns, X, notes = numbers_of(path, frame, candidates)
    del frame
    table = _sorted(Table(path.absolute(), tuple(columns), ids, segments, X, labels, sha256, bare=bare_names(ids, names, labels)))
    left = [f"{id_column} (the id)", *([f"{label_column} (the class)"] if label_column else [])]
    if labels is not None:
        _check_one_class_each(table)
        labelled = [row for row, label in enumerate(table.labels) if label]
        told = columns_that_tell(table.X[labelled], [table.labels[row] for row in labelled], [table.ids[row] for row in labelled])
        left += [f"{name} (gives the class away)" for name, tells in zip(columns, told, strict=True) if tells]
        table = without_columns(table, told)
        notes += [f"{path.name}: columns give the class away where {HOW_THEY_TELL}"] if told.any() else []
    table, sizes = _without_sizes(table)
    left += [f"{name} (the file's length)" for name in sizes]
    if finite:
        table.check_finite(range(len(table.ids)))
    return replace(table, notes=(f"{path.name}: {len(table.columns)} columns are features, not {', '.join(left)}", *notes))


def _frame_and_hash(path: Path) -> tuple[pd.DataFrame, str]:
    """The whole table and its file's SHA-256, both of the same bytes: what is kept is named by the hash."""
    before = _stamp(path)
    frame = read_frame(path, (*ID_COLUMNS, *LABEL_COLUMNS, SEGMENT_COLUMN))
    try:
        sha256 = sha256_file(path)  # once it is known to be a table, and of what size
    except OSError as error:
        raise CorpusError(f"{path}: can't be read any more: {error.strerror or error}; put the file back and start again") from error
    if _stamp(path) != before:
        raise CorpusError(f"{path}: changed while it was read; start again once it is written")
    return frame, sha256


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file's content; None where it can't be found."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def size_columns(path: str | Path) -> list[str]:
    """Columns of a table that say how long the file is; none where it can't be read. Only its names are looked at."""
    return [name for name in column_names(Path(path)) if name.lower() in SIZE_COLUMNS]


def match_tracks(table: Table, ids: Sequence[str]) -> list[list[int]]:
    """Numbers of the rows of some tracks.

    Parameters
    ----------
    table : Table
    ids : sequence of str
        Of a corpus; one with a class is also found by its file alone where the table's ids have no class, and one without by the file
        where only one of the table's has that. Numbers are the same with and without leading zeros there. Where the table has a bare name, it is that of a
        file of any class.

    Raises
    ------
    CorpusError
        If a track has no row, or two have the same.
    """
    rows = table.rows_of()
    by_file: dict[str, list[str]] = defaultdict(list)
    for name in rows:
        by_file[_file(name)].append(name)
    found = [_find(composed(id), rows, by_file, table.bare) for id in ids]
    absent = [id for id, name in zip(ids, found, strict=True) if name is None]
    if absent:
        raise CorpusError(
            f"{table.path}: has no rows of {len(absent)} of {len(ids)} tracks: {few(absent)} (its own are named as {table.ids[0]}); add "
            "them, take the tracks out of the corpus, or use lists of tracks (data.split) that the table has"
        )
    shared = next((name for name, n in Counter(found).items() if n > 1), None)
    if shared is not None:
        alike = [id for id, name in zip(ids, found, strict=True) if name == shared]
        raise CorpusError(f"{table.path}: {shared} may be any of {few(alike)}; name the table's tracks CLASS/STEM")
    return [rows[name] for name in found]


def _find(id: str, rows: Mapping[str, list[int]], by_file: Mapping[str, Sequence[str]], bare: Mapping[str, str]) -> str | None:
    stem = id.rpartition("/")[2]
    for name in (id, stem, _file(id), bare.get(stem)):
        if name in rows:
            return name
    alone = by_file.get(_file(id), ()) if "/" not in id else ()
    return alone[0] if len(alone) == 1 else None


def _file(id: str) -> str:
    """The name of a track's file, a number as FMA writes it."""
    stem = id.rpartition("/")[2]
    return stem.zfill(6) if stem.isdecimal() else stem


def row_content(table: Table, rows: Sequence[int]) -> str:
    """Identity of a track in a table: 32 hex digits over the numbers of its rows, the file's length included."""
    numbers = (table.with_sizes or table).X[list(rows)]
    return hashlib.blake2b(np.ascontiguousarray(numbers).tobytes(), digest_size=16).hexdigest()


def without_columns(table: Table, told: np.ndarray) -> Table:
    """The table without the columns that give the class away (bool [shape=(n_columns,)]).

    Raises
    ------
    CorpusError
        If none is left.
    """
    if told.all():
        raise CorpusError(f"{table.path}: every column of numbers gives the class away ({few(table.columns)}): there are no features in it")
    return table.only(~told)


def _without_sizes(table: Table) -> tuple[Table, list[str]]:
    """The table without the columns that say how long the file is, and their names."""
    sizes = np.array([name.lower() in SIZE_COLUMNS for name in table.columns], bool)
    if not sizes.any():
        return table, []
    names = [name for name, is_size in zip(table.columns, sizes, strict=True) if is_size]
    if sizes.all():
        raise CorpusError(f"{table.path}: {few(names)} says how long a file is, and no other column has numbers: there are no features in it")
    return replace(table.only(~sizes), with_sizes=table), names


def _sorted(table: Table) -> Table:
    order = sorted(range(len(table.ids)), key=lambda row: (table.ids[row], table.segments[row] is not None, table.segments[row] or 0))
    if order == list(range(len(order))):
        return table
    picked = {name: tuple(values[row] for row in order) for name in ("ids", "segments") if (values := getattr(table, name)) is not None}
    labels = None if table.labels is None else tuple(table.labels[row] for row in order)
    return replace(table, X=table.X[order], labels=labels, **picked)


def _check_one_class_each(table: Table) -> None:
    label_of: dict[str, str] = {}
    for id, label in zip(table.ids, table.labels, strict=True):
        if label_of.setdefault(id, label) != label:
            two = f"{label_of[id] or 'none'} and {label or 'none'}"
            raise CorpusError(f"{table.path}: rows of {id} have two classes, {two}; a track has one")
