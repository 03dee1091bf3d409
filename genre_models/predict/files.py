"""Which tracks are meant: files as named, folders with all that is in them, the tracks of tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.corpus.tracks import NOUN, SUFFIXES
from genre_models.errors import CorpusError, GenreModelsError
from genre_models.features.table_file import SUFFIXES as TABLE_SUFFIXES
from genre_models.sound_networks import NETWORKS

if TYPE_CHECKING:
    import numpy as np

    from genre_models.saved_model import SavedModel

_MEDIA = {"audio": "audio", "handcrafted": "audio", **dict.fromkeys(NETWORKS, "audio"), "image": "image", "table": "table"}  # which files each kind of input is made of


@dataclass(frozen=True)
class Source:
    """One track.

    Attributes
    ----------
    name : str
        As it is told to the user: its path as given, or its id in a table.
    path : Path
    rows : np.ndarray or None
        Of a track of a table, its rows.
    reason : str or None
        Why nothing can be said of it, where that is known already.
    """

    name: str
    path: Path
    rows: np.ndarray | None = None
    reason: str | None = None


@dataclass
class Listed:
    """What was found.

    Attributes
    ----------
    sources : list of Source
        In the order of the arguments, folders in the order of their names; each file once.
    passed_over : int
        Files in folders that are of no kind the model takes.
    """

    sources: list[Source] = field(default_factory=list)
    passed_over: int = 0


def list_sources(paths: Sequence[str], model: SavedModel) -> Listed:
    """List the tracks that a user named.

    Parameters
    ----------
    paths : sequence of str
        Files and folders; folders are read with all folders in them, but for hidden ones. For a model that takes rows of a table, tables.
    model : SavedModel

    Raises
    ------
    GenreModelsError
        There is nothing of the kind that the model takes.
    """
    media, found = _MEDIA[model.kind], Listed()
    suffixes = TABLE_SUFFIXES if media == "table" else SUFFIXES[media]
    seen: set[str] = set()
    for text in paths:
        path = Path(text).expanduser()
        inside = _walk(path) if path.is_dir() else None
        for each in [path] if inside is None else inside:
            if inside is not None and each.suffix.lower() not in suffixes:
                found.passed_over += 1
                continue
            real = os.path.realpath(each)
            if real in seen:
                continue
            seen.add(real)
            found.sources += _sources(each, media, model)
    if not found.sources:
        said = f"; {found.passed_over} files are of other kinds" if found.passed_over else ""
        raise CorpusError(f"{', '.join(paths[:3])}: nothing to predict: the model takes {NOUN[media]} ({' '.join(suffixes)}){said}")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))


def _sources(path: Path, media: str, model: SavedModel) -> list[Source]:
    name = str(path).encode(errors="replace").decode()  # a name that is no text can be read, and shown
    if not path.exists():
        return [Source(name, path, reason="no such file")]
    other = next((kind for kind, suffixes in (*SUFFIXES.items(), ("table", TABLE_SUFFIXES)) if path.suffix.lower() in suffixes), media)
    if other != media:
        return [Source(name, path, reason=f"is one of {NOUN[other]}, but the model takes {NOUN[media]}")]
    if media != "table":
        return [Source(name, path)]
    try:
        return list(table_sources(path, model.input["table"]["columns"]))
    except GenreModelsError as error:
        return [Source(name, path, reason=str(error).removeprefix(f"{path}: "))]


def table_sources(path: Path, columns: Sequence[str]) -> Iterator[Source]:
    """The tracks of a table, each with its rows, in the columns that were trained on and in their order; no class is needed, and none is heeded.

    Parameters
    ----------
    path : Path
    columns : sequence of str

    Raises
    ------
    CorpusError
        The table can't be read, or lacks a column.
    """
    import numpy as np

    from genre_models.corpus.tracks import few
    from genre_models.features.table_columns import numbers_of
    from genre_models.features.table_file import read_frame
    from genre_models.features.table_ids import ID_COLUMNS, LABEL_COLUMNS, SEGMENT_COLUMN, find_id_column, identify_rows, texts_of

    frame = read_frame(path, (*ID_COLUMNS, *LABEL_COLUMNS, SEGMENT_COLUMN))
    by_name: dict[str, Any] = {name.lower(): name for name in frame.columns}
    id_column = find_id_column(path, frame, by_name)
    label_column = next((by_name[name] for name in LABEL_COLUMNS if name in by_name and by_name[name] != id_column), None)
    labels = None if label_column is None else texts_of(frame[label_column])
    numbers = frame[by_name[SEGMENT_COLUMN]] if SEGMENT_COLUMN in by_name else None
    ids, segments = identify_rows(path, texts_of(frame[id_column]), labels, numbers)
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise CorpusError(f"{path}: {len(missing)} of the {len(columns)} columns that the model was trained on are not in it: {few(missing)}")
    kept, values, _ = numbers_of(path, frame, columns)
    if len(kept) < len(columns):
        raise CorpusError(f"{path}: columns that the model was trained on hold no numbers: {few([name for name in columns if name not in kept])}")
    rows_of: dict[str, list[int]] = {}
    for row, id in enumerate(ids):
        rows_of.setdefault(id, []).append(row)
    for id, rows in rows_of.items():
        rows = sorted(rows, key=lambda row: (segments[row] is not None, segments[row] or 0))
        wrong = np.argwhere(~np.isfinite(values[rows]))
        fault = f"column {columns[wrong[0][1]]} is empty, infinite or not a number in row {rows[wrong[0][0]] + 1}" if len(wrong) else None
        yield Source(id, path, values[rows], fault)
