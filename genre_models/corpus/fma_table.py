"""FMA's table of tracks, ``tracks.csv``: read row by row, and of each row only what is needed.

The table has two rows of column names, the group above the name, and a third that holds ``track_id`` alone; texts in it run over several
lines. It has 106,574 rows and 52 columns.

Source
------
Defferrard, Benzi, Vandergheynst, Bresson: FMA: A Dataset for Music Analysis, ISMIR 2017, arXiv:1612.01840.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genre_models.errors import CorpusError

COLUMNS = {"part": ("set", "split"), "subset": ("set", "subset"), "genre": ("track", "genre_top"), "artist": ("artist", "id")}
OPTIONAL = {"album": ("album", "id")}
PARTS = {"training": "train", "validation": "validation", "test": "test"}


class TableRow(NamedTuple):
    """One track of the table; texts are empty where the table has nothing.

    Attributes
    ----------
    id : str
        Six digits, as the file is named.
    part : {"train", "validation", "test", ""}
    subset : {"small", "medium", "large", ""}
        The smallest one that the track is in.
    genre : str
        Its one root genre.
    artist, album : str
        Numbers; a table without albums has none.
    """

    id: str
    part: str
    subset: str
    genre: str
    artist: str
    album: str = ""


def read_table(path: Path) -> Iterator[TableRow]:
    """Read the table from front to back.

    Parameters
    ----------
    path : Path

    Yields
    ------
    TableRow

    Raises
    ------
    CorpusError
        If it can't be read, lacks a column, or has a number of a track that is none.
    """
    limit = csv.field_size_limit(2**24)  # some biographies are longer than the module allows
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            places = _places(path, next(rows, []), next(rows, []))
            for row in rows:
                if row and row[0] != "track_id":
                    yield _parse(path, row, places, rows.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{path}: can't be read as FMA's table: {reason}; unpack fma_metadata.zip again") from error
    finally:
        csv.field_size_limit(limit)


def _places(path: Path, groups: list[str], names: list[str]) -> dict[str, int]:
    place = {column: number for number, column in enumerate(zip(groups, names, strict=False))}
    missing = [f"({', '.join(column)})" for column in COLUMNS.values() if column not in place]
    if missing:
        raise CorpusError(
            f"{path}: is not FMA's table: its first two rows name no column {', '.join(missing)}; "
            "take tracks.csv as it is in fma_metadata.zip"
        )
    return {field: place[column] for field, column in (COLUMNS | OPTIONAL).items() if column in place}


def _parse(path: Path, row: list[str], places: dict[str, int], line: int) -> TableRow:
    if not row[0].isdecimal() or len(row) <= max(places.values()):
        raise CorpusError(
            f"{path}: line {line}: a row must begin with a track's number and have a value for each column, but begins with "
            f"{row[0][:20]!r} and has {len(row)}; unpack fma_metadata.zip again"
        )
    # Interned: few texts stand in many rows.
    found = {field: sys.intern(row[place].strip()) for field, place in places.items()}
    return TableRow(row[0].zfill(6), PARTS.get(found["part"], ""), found["subset"], found["genre"], found["artist"], found.get("album", ""))
