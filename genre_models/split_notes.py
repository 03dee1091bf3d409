"""What the user should know of the copies that a split was dealt with, and which of them are left out of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from genre_models.grouping import Group
from genre_models.scan import ScanRow


def note_copies(groups: Sequence[Group]) -> list[str]:
    """What there is of byte-identical files."""
    copies: dict[str, list[ScanRow]] = defaultdict(list)
    for row in (row for group in groups for row in group):
        copies[row.content].append(row)
    sets = [rows for rows in copies.values() if len(rows) > 1]
    if not sets:
        return []
    notes = [f"sets of byte-identical files: {len(sets)} ({sum(map(len, sets))} tracks), each kept on one side of the split"]
    across = [rows for rows in sets if len({row.label for row in rows}) > 1]
    if across:
        shown = "; ".join(" = ".join(row.id for row in rows) for rows in across[:3])
        notes.append(
            f"of these with different classes, so that a label must be wrong: {len(across)}: {shown}{'; …' if len(across) > 3 else ''}"
        )
    return notes


def contradictory(readable: Sequence[ScanRow], same: Sequence[Sequence[str]]) -> frozenset[str]:
    """Ids of the tracks whose recording lies under several classes."""
    label_of = {row.id: row.label for row in readable}
    sets = [[id for id in ids if id in label_of] for ids in same]
    return frozenset(id for ids in sets if len({label_of[id] for id in ids}) > 1 for id in ids)


def note_recordings(readable: Sequence[ScanRow], same: Sequence[Sequence[str]], left_out: frozenset[str]) -> list[str]:
    """What was found of `same`; `readable` are the rows that are dealt."""
    known = {row.id for row in readable}
    sets = [there for ids in same if len(there := [id for id in ids if id in known]) > 1]
    notes = []
    if sets:
        notes.append(f"recordings that lie in more than one file: {len(sets)} ({sum(map(len, sets))} tracks), each kept on one side of the split")
    across = [ids for ids in same if left_out.intersection(ids)]
    if across:
        shown = "; ".join(" = ".join(ids) for ids in across[:3]) + ("; …" if len(across) > 3 else "")
        notes.append(f"of one recording under several classes, so that a label must be wrong, and left out: {len(left_out)} tracks: {shown}")
    return notes
