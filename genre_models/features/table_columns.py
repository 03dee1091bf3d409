"""Which columns of a table are features: numbers that don't give the class away. NumPy; pandas only where it is handed in.

A column gives the class away where its values tell it by themselves, for every track: codes, numbers of tracks or albums in the order
of the classes, and whatever else thresholds part without one mistake (`columns_that_tell`). Of two classes a single good feature can
do that too, so there fractions stay, unless their values are few; so they do where tracks are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre_models.corpus.tracks import few
from genre_models.errors import CorpusError

if TYPE_CHECKING:
    import pandas as pd

_MOSTLY = 0.9  # of a column's cells: if so many are numbers, the others are mistakes
_FEW, _FEW_WHOLE = 4, 2  # tracks for each value of a column, at least, that is said to have few values; the second of whole numbers
_ENOUGH, _ENOUGH_ORDERED = 3, 5  # tracks for each class, at least, where whole numbers, or the order of any, may tell it
HOW_THEY_TELL = "each of their values, or of the ranges that their values fall into, has one class"


def numbers_of(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], np.ndarray, list[str]]:
    """The columns that hold numbers.

    Parameters
    ----------
    path : Path
        For messages.
    frame : pandas.DataFrame
    names : sequence of str
        Columns that come into question.

    Returns
    -------
    list of str, np.ndarray [shape=(n_rows, n_columns), dtype=float32], list of str
        Names, values (NaN where a cell is empty) and notes on what is left out.

    Raises
    ------
    CorpusError
        If a cell of a column of numbers is none, or no column is left.
    """
    kept, texts, empty = [], [], []
    X = np.empty((len(frame), len(names)), np.float32)  # columns one by one: lists of them would hold a large table twice
    for name in names:
        values = _as_numbers(path, name, frame[name])
        if values is None:
            texts.append(name)
        elif np.isnan(values).all():
            empty.append(name)
        else:
            X[:, len(kept)] = values
            kept.append(name)
    if not kept:
        raise CorpusError(f"{path}: has no column of numbers; it must have an id column and at least one feature")
    notes = [f"{path.name}: {len(texts)} columns of text are no features: {few(texts)}"] if texts else []
    notes += [f"{path.name}: {len(empty)} columns are empty and left out: {few(empty)}"] if empty else []
    return kept, X if len(kept) == len(names) else np.ascontiguousarray(X[:, : len(kept)]), notes


def _as_numbers(path: Path, name: str, column: pd.Series) -> np.ndarray | None:
    """A column as float32 [shape=(n_rows,)]; None where it holds texts or dates."""
    import pandas as pd

    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused as that
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            return None if pd.api.types.is_complex_dtype(column) else column.to_numpy(np.float32, na_value=np.nan)
        if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
            return None
        found = pd.to_numeric(column.astype(str), errors="coerce")
        filled = column.notna() & (column.astype(str).str.strip() != "")
        if not (filled & found.notna()).any() or found[filled].notna().mean() < _MOSTLY:
            return None if filled.any() else np.full(len(column), np.nan, np.float32)
        wrong = filled & found.isna()
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            cell = str(column.iloc[row])[:40]
            raise CorpusError(f"{path}: column {name}, row {row + 1}: found {cell!r} where a number must stand; mend the cell")
        return found.to_numpy(np.float32, na_value=np.nan)


def columns_that_tell(values: np.ndarray, labels: Sequence[str], tracks: Sequence[str]) -> np.ndarray:
    """Find the columns that give the class away.

    Parameters
    ----------
    values : np.ndarray [shape=(n, d)]
    labels, tracks : sequence of str [shape=(n,)]
        The class and the id of each row's track.

    Returns
    -------
    np.ndarray of bool [shape=(d,)]
        True for a column whose values are the same within each class (one of one-hot columns, a coded group of classes); whose every
        value belongs to one class while it has few values (a coded class; an album, where they are whole numbers); or whose values in
        their order change class as seldom as they can: whole numbers that count the tracks, and with three classes or more any. A
        track's rows count once. Never where there are fewer than two tracks a class: such a table shows nothing. Whole numbers are
        judged from three on, the order of any from five: with three tracks of each of three genres up to nine of GTZAN's 58 columns
        part them, with five up to four, with all of them none.
    """
    classes, label = np.unique(np.asarray(labels, str), return_inverse=True)
    n_tracks = len(set(tracks))
    if len(classes) < 2 or n_tracks < 2 * len(classes):
        return np.zeros(values.shape[1], bool)
    return np.array([_tells(values[:, number], label, len(classes), n_tracks) for number in range(values.shape[1])], bool)


def _tells(values: np.ndarray, label: np.ndarray, n_classes: int, n_tracks: int) -> bool:
    distinct, first, value = np.unique(values, return_index=True, return_inverse=True)
    if len(distinct) < 2:
        return False
    pairs = len(np.unique(value.astype(np.int64) * n_classes + label))
    if pairs == n_classes:
        return True
    if pairs != len(distinct):
        return False
    if len(distinct) * _FEW <= n_tracks:
        return True
    if n_tracks < _ENOUGH * n_classes:
        return False
    whole = bool((distinct == np.round(distinct)).all())
    runs = 1 + np.count_nonzero(np.diff(label[first]))
    if runs == n_classes and ((n_classes > 2 and n_tracks >= _ENOUGH_ORDERED * n_classes) or (whole and len(distinct) >= n_tracks)):
        return True
    return whole and len(distinct) * _FEW_WHOLE <= n_tracks
