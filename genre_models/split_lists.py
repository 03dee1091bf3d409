"""A split that is given: the user's text files that name the tracks of each part, or the one that a corpus was published with.

A file that a list names and that is absent is said and not mended; whether something lies on two sides is `genre_models.sides`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genre_models.errors import CorpusError
from genre_models.scan import ScanRow
from genre_models.settings import SplitLists
from genre_models.text_files import read_text
from genre_models.track_names import TrackNames, tidy

Parts = dict[str, list[ScanRow]]


def read_parts(lists: SplitLists, rows: Sequence[ScanRow]) -> tuple[Parts, list[str]]:
    """Read the lists.

    Parameters
    ----------
    lists : SplitLists
    rows : sequence of ScanRow
        All rows of the scan, unreadable ones too.

    Returns
    -------
    dict of str to list of ScanRow, list of str
        Readable rows of ``train`` and, where they are given, ``validation`` and ``test``; and notes.

    Raises
    ------
    CorpusError
        If a list is missing, empty or names no readable track, or a track is on two lists.
    """
    by_id = {row.id: row for row in rows}
    names = TrackNames(by_id)
    parts: Parts = {}
    notes: list[str] = []
    on_list: dict[str, str] = {}
    for part, path in lists.model_dump(exclude_none=True).items():
        file = Path(path).expanduser()
        listed = {names.find(line) or tidy(line): line for line in _lines(file, part)}
        for id in listed:
            if id in on_list:
                raise CorpusError(
                    f"{file}: track {id} is on two lists, data.split.{on_list[id]} and data.split.{part}; take it off one of them"
                )
            on_list[id] = part
        found = [by_id[id] for id in sorted(listed) if id in by_id and by_id[id].readable]
        absent = sorted(listed.keys() - {row.id for row in found})
        if not found:
            raise CorpusError(
                f"{file}: none of its {len(listed)} tracks is a readable track of this corpus; names are as in {rows[0].id}"
            )
        if absent:
            few = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
            notes.append(f"{file.name}: {len(absent)} of {len(listed)} tracks have no readable file and are left out: {few}")
        parts[part] = found
    unlisted = sum(row.readable and row.id not in on_list for row in rows)
    if unlisted:
        notes.append(f"readable tracks that are on no list and not used: {unlisted}")
    return parts, notes


def read_official(rows: Sequence[ScanRow]) -> tuple[Parts, list[str]]:
    """Take the parts that the corpus itself says.

    Parameters
    ----------
    rows : sequence of ScanRow
        All rows of the scan, unreadable ones too.

    Returns
    -------
    dict of str to list of ScanRow, list of str
        Readable rows of ``train``, ``validation`` and ``test``, and notes.

    Raises
    ------
    CorpusError
        If the corpus has no split of its own, or a class has no readable track in one of its parts.
    """
    readable = sorted((row for row in rows if row.readable), key=lambda row: row.id)
    parts = {part: [row for row in readable if row.official_part == part] for part in ("train", "validation", "test")}
    if not any(parts.values()):
        raise CorpusError("data.split: official: this corpus was published without a split; leave data.split out, or name your own lists")
    used = [row for part in parts.values() for row in part]
    for part, found in parts.items():
        missing = sorted({row.label for row in used} - {row.label for row in found})
        if missing:
            raise CorpusError(
                f"data.split: official: its {part} part has no readable track of class {missing[0]!r}; take another data.subset, "
                "put the files back, or leave data.split out"
            )
    notes = ["the split is the corpus's own, as published"]
    if len(used) < len(readable):
        notes.append(f"readable tracks that the official split does not name and that are not used: {len(readable) - len(used)}")
    return parts, notes


def _lines(file: Path, part: str) -> list[str]:
    try:
        text = read_text(file)
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{file}: data.split.{part} can't be read as text in UTF-8: {getattr(error, 'strerror', None) or error}"
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise CorpusError(f"{file}: data.split.{part} is empty; it must hold one track a line, as CLASS/STEM")
    return lines
