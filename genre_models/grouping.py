"""Tracks that must stay together, and dealing them whole into two parts.

Everything here depends on track ids, contents and a seed only, never on the order of files.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from genre_models.errors import CorpusError
from genre_models.scan import ScanRow
from genre_models.text_files import read_text
from genre_models.track_names import TrackNames

Group = tuple[ScanRow, ...]


def read_groups(path: str, rows: Sequence[ScanRow]) -> tuple[dict[str, str], list[str]]:
    """Read a groups file: a CSV with the columns ``track`` and ``group``.

    Parameters
    ----------
    path : str
    rows : sequence of ScanRow
        The tracks that its names are matched with.

    Returns
    -------
    dict of str to str, list of str
        Group by track id, and notes.

    Raises
    ------
    CorpusError
        If the file is missing, lacks a column, puts a track into two groups or matches no track.
    """
    file = Path(path).expanduser()
    try:
        with io.StringIO(read_text(file), newline="") as stream:
            reader = csv.DictReader(stream)
            columns = [name.strip().lower() for name in reader.fieldnames or []]
            if not {"track", "group"} <= set(columns):
                raise CorpusError(
                    f"{file}: data.groups needs a header with the columns track,group, but found {','.join(columns) or 'nothing'}"
                )
            reader.fieldnames = columns
            lines = [((line["track"] or "").strip(), (line["group"] or "").strip()) for line in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(
            f"{file}: data.groups can't be read as a CSV file in UTF-8: {getattr(error, 'strerror', None) or error}; name one that can, or write auto, artist, "
            "album or recording"
        ) from error
    names = TrackNames(row.id for row in rows)
    group_of: dict[str, str] = {}
    strangers = 0
    for track, group in lines:
        if not track or not group:
            continue
        id = names.find(track)
        if id is None:
            strangers += 1
        elif group_of.setdefault(id, group) != group:
            raise CorpusError(f"{file}: track {id} is in two groups, {group_of[id]} and {group}; a track has one group")
    if not group_of:
        raise CorpusError(
            f"{file}: none of its {len(lines)} lines names a readable track of this corpus; names are as in {rows[0].id}"
        )
    notes = [f"{file.name}: {len(group_of)} of {len(rows)} tracks in {len(set(group_of.values()))} groups"]
    if strangers:
        notes.append(f"{file.name}: {strangers} of its lines name no readable track of this corpus")
    return group_of, notes


def ties_of(row: ScanRow, group_of: Mapping[str, str], recording_of: Mapping[str, str], published: bool = True) -> list[tuple[str, str]]:
    """What a track has in common with those that must be on its side, as (kind, name).

    Parameters
    ----------
    row : ScanRow
    group_of, recording_of : mapping of str to str
        By track id; tracks may be absent.
    published : bool
        Whether the group that the corpus itself gives (of FMA the artist) counts.

    Returns
    -------
    list of (str, str)
        Kinds are ``"content"``, ``"group"``, ``"published"``, ``"recording"``.
    """
    ties = [("content", row.content)] + ([("group", group_of[row.id])] if row.id in group_of else [])
    ties += [("published", row.group)] if published and row.group is not None else []
    return ties + ([("recording", recording_of[row.id])] if row.id in recording_of else [])


def number_recordings(same: Iterable[Sequence[str]]) -> dict[str, str]:
    """A name for the recording of each track that lies in more than one file, by its id."""
    return {id: str(number) for number, ids in enumerate(same) for id in ids}


def gather(
    rows: Iterable[ScanRow], group_of: Mapping[str, str], same: Iterable[Sequence[str]] = (), *, published: bool = True
) -> list[Group]:
    """Join copies of a recording, tracks of one group of the corpus (an artist) and tracks of one user group, transitively.

    Parameters
    ----------
    rows : iterable of ScanRow
    group_of : mapping of str to str
        User groups by track id; tracks may be absent.
    same : iterable of sequence of str
        Ids of tracks that hold the same recording in other bytes; byte-identical ones need not be named.
    published : bool
        As of `ties_of`.

    Returns
    -------
    list of tuple of ScanRow
        A partition of `rows`, sorted.
    """
    rows = sorted(rows, key=lambda row: row.id)
    parent = {row.id: row.id for row in rows}

    def root(id: str) -> str:
        while parent[id] != id:
            parent[id] = parent[parent[id]]
            id = parent[id]
        return id

    first: dict[tuple[str, str], str] = {}
    recording_of = number_recordings(same)
    for row in rows:
        for tie in ties_of(row, group_of, recording_of, published):
            one, other = sorted((root(row.id), root(first.setdefault(tie, row.id))))
            parent[other] = one
    members: dict[str, list[ScanRow]] = defaultdict(list)
    for row in rows:
        members[root(row.id)].append(row)
    return [tuple(group) for _, group in sorted(members.items())]


def deal_groups(groups: Sequence[Group], fraction: float, seed: int, purpose: str, keep: int) -> tuple[list[Group], list[Group]]:
    """Deal whole groups into a smaller and a larger part, close to the same fraction of each class.

    Groups go one by one, the largest first and equal ones in an order that the seed gives, to the part that is then the less full, counted
    in the group's own classes. With groups of one track that gives exactly the rounded fraction of each class.

    Parameters
    ----------
    groups : sequence of tuple of ScanRow
    fraction : float
        Of the smaller part.
    seed : int
    purpose : str
        Keeps deals with the same seed independent of each other.
    keep : int
        Groups of each class that the larger part must have; the smaller part gets at least one.

    Returns
    -------
    list of group, list of group
        The smaller part, the larger part.

    Raises
    ------
    CorpusError
        If a class has too few groups.
    """
    groups = seeded_order(groups, purpose, seed)
    sizes = Counter(row.label for group in groups for row in group)
    small_target = {label: min(max(1, round(fraction * n)), max(1, n - keep)) for label, n in sizes.items()}
    targets = (small_target, {label: max(1, n - small_target[label]) for label, n in sizes.items()})
    parts: tuple[list[Group], list[Group]] = ([], [])
    filled = (Counter(), Counter())
    for group in groups:
        counts = Counter(row.label for row in group)
        crowding = [sum(n * (filled[side][label] + n) / targets[side][label] for label, n in counts.items()) for side in (0, 1)]
        side = 0 if crowding[0] < crowding[1] else 1
        parts[side].append(group)
        filled[side].update(counts)
    lacking = mend(parts, (1, keep))
    if lacking is not None:
        raise CorpusError(
            f"class {lacking!r}: its tracks form too few groups to have one on each side of the split (copies of a recording "
            "and tracks of one group or artist stay together): add tracks, or split its groups"
        )
    return parts


def seeded_order(groups: Iterable[Group], purpose: str, seed: int) -> list[Group]:
    """Groups by size, the largest first; equal ones in an order that follows from their ids, `purpose` and `seed` alone."""
    key = f"{purpose}:{seed}".encode()

    def order(group: Group) -> tuple[int, bytes]:
        names = "\n".join(row.id for row in group)
        return -len(group), hashlib.blake2b(names.encode(), key=key, digest_size=16).digest()

    return sorted(groups, key=order)


def labels_of(group: Group) -> set[str]:
    """Classes of a group's tracks."""
    return {row.label for row in group}


def mend(parts: Sequence[list[Group]], least: Sequence[int]) -> str | None:
    """Move groups, the smallest that will do, until each part has its least number of groups of each class; a class that can't, or None."""
    held = [Counter(label for group in part for label in labels_of(group)) for part in parts]
    labels = sorted(set().union(*held))
    for _ in range(2):  # a group of several classes that was moved for one may have to be made up for in another
        for side, part in enumerate(parts):
            for label in labels:
                while held[side][label] < least[side]:
                    movable = [
                        (giver, group)
                        for giver, its in enumerate(parts)
                        for group in its
                        if giver != side
                        and label in labels_of(group)
                        and all(held[giver][each] > least[giver] for each in labels_of(group))
                    ]
                    if not movable:
                        break
                    giver, group = min(reversed(movable), key=lambda move: len(move[1]))
                    parts[giver].remove(group)
                    part.append(group)
                    held[giver].subtract(labels_of(group))
                    held[side].update(labels_of(group))
    return next((label for side in range(len(parts)) for label in labels if held[side][label] < least[side]), None)
