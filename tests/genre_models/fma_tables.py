"""FMA's table of tracks in its published format, with few rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

_NAMES = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title tracks type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude location longitude "
    "members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all information interest "
    "language_code license listens lyricist number publisher tags title",
}
COLUMNS = [(group, name) for group, names in _NAMES.items() for name in names.split()]
# What a careless reader stumbles over: line breaks, quotes and commas inside fields.
BIOGRAPHY = '<p>Born in "Ghent",\nlater\r\nof nowhere.</p>\n1,2,3\n' * 3


def row(id: int, genre: str = "", artist: int = 1, part: str = "training", subset: str = "small", album: object = "") -> dict[tuple[str, str] | None, object]:
    """One line of the table; None is the track's number."""
    return {
        None: id,
        ("album", "id"): album,
        ("album", "information"): f"<p>Album, no. {id}</p>",
        ("artist", "bio"): BIOGRAPHY,
        ("artist", "id"): artist,
        ("set", "split"): part,
        ("set", "subset"): subset,
        ("track", "genre_top"): genre,
        ("track", "genres"): "[21, 5]",
        ("track", "title"): "track_id",
    }


def write_table(path: Path, rows: Iterable[Mapping], columns: list[tuple[str, str]] = COLUMNS) -> Path:
    """Write ``tracks.csv``: two rows of column names, one with the name of the index, the tracks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *(group for group, _ in columns)])
        writer.writerow(["", *(name for _, name in columns)])
        writer.writerow(["track_id", *("" for _ in columns)])
        for each in rows:
            writer.writerow([each[None], *(each.get(column, "") for column in columns)])
    return path
