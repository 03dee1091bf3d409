"""Which track, which segment of it and which class each row of a table is of."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_models.corpus.tracks import few
from genre_models.errors import CorpusError
from genre_models.track_names import tidy

if TYPE_CHECKING:
    import pandas as pd

ID_COLUMNS = ("track", "filename", "track_id", "id")  # the first that is there
LABEL_COLUMNS = ("label", "genre", "class", "track.genre_top")
SEGMENT_COLUMN = "segment"
_DIGITS = 6  # of FMA's ids
_GTZAN = re.compile(r"([a-z]+)\.?(\d{5})(?:\.(\d+))?")  # class, number, and in the table of 3-second rows the segment


def find_id_column(path: Path, frame: pd.DataFrame, by_name: Mapping[str, str]) -> str:
    """Name of the column that says which track a row is of; `by_name` has the columns by their names in lower case.

    Raises
    ------
    CorpusError
        If there is none of `ID_COLUMNS`, and no other column of texts.
    """
    for name in ID_COLUMNS:
        if name in by_name:
            return by_name[name]
    for name, column in frame.items():
        if name.lower() not in LABEL_COLUMNS and isinstance(next((value for value in column if not _is_missing(value)), None), str):
            return name
    names = few(list(frame.columns))
    raise CorpusError(f"{path}: no column says which track a row is of; add one named track, with CLASS/STEM of each (found: {names})")


def texts_of(column: pd.Series) -> list[str]:
    """A column as texts, empty where it has nothing: `composed`, and without NUL, which parts track and segment in an item's name."""
    texts = ["" if _is_missing(value) else str(value) for value in column.tolist()]
    return [composed(text.replace("\0", "")).strip() for text in texts]


def _is_missing(value: object) -> bool:
    """Whether a cell has nothing: None, NaN, pandas' NA or NaT. A list in a cell, as Parquet may have them, is something."""
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def composed(text: str) -> str:
    """A text in Unicode's NFC: macOS names files with letters and accents apart, most tables have them in one."""
    return unicodedata.normalize("NFC", text)


def identify_rows(
    path: Path, names: Sequence[str], labels: Sequence[str] | None, numbers: pd.Series | None
) -> tuple[tuple[str, ...], tuple[int | None, ...]]:
    """The id of each row's track, and its segment.

    Parameters
    ----------
    path : Path
        For messages.
    names, labels : sequence of str
        What stands in the columns of ids and, where there is one, of classes.
    numbers : pandas.Series or None
        The column of segments, where there is one.

    Returns
    -------
    tuple of str, tuple of int or None
        Ids are ``CLASS/STEM`` (``STEM`` without a class), or six digits where a track's name is six, as FMA's are, or fewer and the
        row has no class. GTZAN's ``blues.00000.3.wav`` is segment 3 of ``blues/blues.00000``, unless a class or folder beside it is another.

    Raises
    ------
    CorpusError
        If a row has no id, or two have the same and are no segments.
    """
    ids, segments = [], []
    for row, name in enumerate(names):
        if not name:
            raise CorpusError(f"{path}: row {row + 1} names no track; fill in the id")
        label = labels[row] if labels is not None else ""
        folder, _, stem = (named := tidy(name)).rpartition("/")
        segment = None
        if (match := _GTZAN.fullmatch(stem)) and (label or folder or match[1]) == match[1]:
            named, segment = f"{match[1]}/{match[1]}.{match[2]}", match[3] and int(match[3])
        elif stem.isdecimal() and (len(stem) == _DIGITS or (len(stem) < _DIGITS and not label)) and "/" not in named:
            named = stem.zfill(_DIGITS)
        elif label:
            named = f"{label}/{stem}"
        ids.append(named)
        segments.append(segment)
    if numbers is not None:
        segments = [_segment(path, row, text) for row, text in enumerate(texts_of(numbers))]
    twice = next((key for key, n in Counter(zip(ids, segments, strict=True)).items() if n > 1), None)
    if twice is not None:
        where = [row + 1 for row, key in enumerate(zip(ids, segments, strict=True)) if key == twice]
        said = twice[0] if twice[1] is None else f"{twice[0]}, segment {twice[1]}"
        raise CorpusError(
            f"{path}: rows {few([str(row) for row in where])} are of one track, {said}; keep one of them, number them in a column "
            "named segment, or name the tracks CLASS/STEM if they are several"
        )
    return tuple(ids), tuple(segments)


def bare_names(ids: Sequence[str], names: Sequence[str], labels: Sequence[str] | None) -> dict[str, str]:
    """Ids of the rows whose class was read off a bare name, as of GTZAN's, by that name without its segment: a file ``track00012`` may be of any class."""
    found = {}
    for row, (id, name) in enumerate(zip(ids, names, strict=True)):
        folder, _, stem = tidy(name).rpartition("/")
        if not folder and not (labels and labels[row]) and (match := _GTZAN.fullmatch(stem)):
            found[stem[: match.end(2)]] = id
    return found


def _segment(path: Path, row: int, text: str) -> int:
    try:
        whole = float(text).is_integer()
    except ValueError:
        whole = False
    if not whole:
        raise CorpusError(f"{path}: column segment, row {row + 1}: found {text[:40]!r} where a whole number must stand")
    return int(float(text))
