"""A table with a class for each track as a corpus: there are no files but the table's own.

Features are the table's columns (`genre_models.features.table_read`). A track's content is the numbers of its rows, so the table may
be moved or sorted without its tracks becoming others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.corpus.tracks import Corpus, Track, few, make_corpus
from genre_models.errors import CorpusError

if TYPE_CHECKING:
    from genre_models.features.table_read import Table
    from genre_models.scan import ScanRow


def open_table(source: str, input: str) -> Corpus:
    """List the tracks of a table that have a class.

    Parameters
    ----------
    source : str
        ``table:FILE``.
    input : {"auto", "audio", "image", "table"}

    Raises
    ------
    CorpusError
        If the table can't be read, has no column of classes, or fewer than two classes in it.
    """
    if input not in ("auto", "table"):
        raise CorpusError(f"data.input: {input} asks for files, but {source} holds numbers only; leave it at auto")
    table = _read(source.removeprefix("table:"))
    label_of = dict(zip(table.ids, table.labels, strict=True))
    tracks = [Track(id, label, table.path) for id, label in label_of.items() if label]
    without = [id for id, label in label_of.items() if not label]
    notes = list(table.notes)
    if len(table.ids) > len(label_of):
        notes.append(f"{table.path.name}: {len(table.ids)} rows of {len(label_of)} tracks: a track's prediction is the mean of its rows'")
    if without:
        notes.append(f"{table.path.name}: {len(without)} tracks have no class and are left out: {few(without)}")
    n_classes = len({track.label for track in tracks})
    if n_classes < 2:
        raise CorpusError(f"{table.path}: its tracks have {n_classes} classes, but at least 2 are needed; add tracks of others")
    return make_corpus(source, table.path.stem, "table", tracks, notes, [table.path])


def scan_table(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """What is known of each track, by its id, as `genre_models.scan.look_at` says it of a file.

    Returns
    -------
    dict of str to dict
        ``content``, ``bytes`` (of its numbers), and ``reason`` where one of them is not finite.
    """
    table = _read(corpus.tracks[0].path)
    rows_of = table.rows_of()
    return {track.id: _describe(table, rows_of.get(track.id, ())) for track in corpus.tracks}


def verify_rows(rows: Sequence[ScanRow]) -> None:
    """Check that the table still has the rows that were scanned.

    Parameters
    ----------
    rows : sequence of ScanRow
        Of one table corpus.

    Raises
    ------
    CorpusError
        If a track is gone or has changed; the message names it.
    """
    if not rows:
        return
    table = _read(rows[0].path)
    rows_of = table.rows_of()
    for row in rows:
        if _describe(table, rows_of.get(row.id, ()))["content"] != row.content:
            found = "have changed since they were" if row.id in rows_of else "are gone since the table was"
            raise CorpusError(f"track {row.id}: its rows in {row.path} {found} scanned; put the table back as it was")


def _describe(table: Table, rows: Sequence[int]) -> dict[str, Any]:
    from genre_models.features.table_read import row_content

    if not rows:
        return {"content": "", "bytes": 0, "reason": "is in the table no more"}
    faults = [fault for row in rows if (fault := table.fault(row))]
    facts = {"content": row_content(table, rows), "bytes": (table.with_sizes or table).X[list(rows)].nbytes}
    return facts | ({"reason": faults[0]} if faults else {})


def _read(path: str | Path) -> Table:
    from genre_models.features.table_read import LABEL_COLUMNS, read_table

    table = read_table(path, finite=False)
    if table.labels is None:
        if any(name.startswith("chroma_cens.") for name in table.columns):
            raise CorpusError(
                f"{table.path}: FMA's table of features has no genres; write data.source: fma:FOLDER, which reads them from tracks.csv, "
                f"and features.table: {table.path}"
            )
        raise CorpusError(
            f"{table.path}: no column says the class of a track; add one named {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}, or "
            "give data.source the corpus and features.table this file"
        )
    return table
