"""The one check of every split, however it came about: nothing lies on two sides of it.

A track, the content of a file, and a group (of the user, an artist, an album) are on one side, or it is an error. Copies in other bytes, which only a
fingerprint tells, are an error where tracks are dealt, since there they are kept together, and a warning in lists that are given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genre_models.errors import CorpusError
from genre_models.grouping import Group, ties_of
from genre_models.scan import ScanRow

_NAMED = 3  # sets of tracks that an error names
_SHOWN = 4  # tracks of a set


@dataclass(frozen=True)
class Torn:
    """Tracks on several sides that have something in common.

    Attributes
    ----------
    kind : {"track", "content", "samples", "group", "published", "recording"}
    name : str
        Of what they have in common.
    where : tuple of (str, str)
        Track id and side, sorted by id.
    """

    kind: str
    name: str
    where: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        # One of each side first, so that the sides are seen however many tracks there are.
        firsts = list({side: (id, side) for id, side in reversed(self.where)}.values())[::-1]
        shown = (firsts + [each for each in self.where if each not in firsts])[:_SHOWN]
        listed = " = ".join(f"{id} ({side})" for id, side in shown) + (" = …" if len(self.where) > len(shown) else "")
        return f"{self.name}: {listed}" if self.kind in ("group", "published") else listed


def find_torn(
    sides: Mapping[str, Sequence[ScanRow]], group_of: Mapping[str, str], recording_of: Mapping[str, str], published: bool = True
) -> list[Torn]:
    """What lies on two sides of a split.

    Parameters
    ----------
    sides : mapping of str to sequence of ScanRow
        By the name of each part.
    group_of, recording_of, published
        As of `genre_models.grouping.ties_of`.
    """
    places: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for side, rows in sides.items():
        for row in rows:
            for tie in [("track", row.id), *ties_of(row, group_of, recording_of, published)]:
                places[tie].append((row.id, side))
            if row.decoded:
                places["samples", row.decoded].append((row.id, side))
    torn = [Torn(kind, name, tuple(sorted(where))) for (kind, name), where in places.items() if len({side for _, side in where}) > 1]
    torn = [each for each in torn if each.kind == "track" or len({id for id, _ in each.where}) > 1]
    # Of the same bytes it is known that they decode to the same.
    bytes_alike = {each.where for each in torn if each.kind == "content"}
    return [each for each in torn if each.kind != "samples" or each.where not in bytes_alike]


def check_sides(torn: Sequence[Torn], *, given: bool, lenient: bool = False, groups: str = "data.groups") -> None:
    """Refuse a split that has something on two sides.

    Parameters
    ----------
    torn : sequence of Torn
    given : bool
        Whether its parts are lists, or published; else it was dealt.
    lenient : bool
        Of a given one: ``data.on_two_sides: warn``.
    groups : str
        Where its groups come from, in words.

    Raises
    ------
    CorpusError
        The message names the tracks, and the ways out.
    """
    if given:
        refused = [each for each in torn if each.kind != "recording" and (each.kind == "track" or not lenient)]
    else:
        refused = [each for each in torn if each.kind != "samples"]  # those are known only where copies were looked for
    if not refused:
        return
    said = "; ".join(_in_words(kind, [each for each in refused if each.kind == kind], groups) for kind in dict.fromkeys(each.kind for each in refused))
    if not given:
        raise CorpusError(f"the split that was dealt has something on two sides, which is a fault of the program, not of the corpus: {said}; please report it")
    if any(each.kind == "track" for each in refused):
        raise CorpusError(f"data.split: {said}; take it off all sides but one")
    raise CorpusError(
        f"data.split: {said}. A model would be scored on what it has learned by heart. Take them off all sides but one; or, to run published lists as they are, "
        "with scores that are too good, write data.on_two_sides: warn"
    )


def warn_of_ties_across(sides: Mapping[str, Sequence[ScanRow]], groups: Sequence[Group]) -> list[str]:
    """Say where tracks that belong together, also through others, lie on different sides of lists that are run as given."""
    side_of = {row.id: side for side, rows in sides.items() for row in rows}
    torn = [group for group in groups if len({side_of[row.id] for row in group if row.id in side_of}) > 1]
    if not torn:
        return []
    example = " and ".join(f"{row.id} ({side_of[row.id]})" for row in torn[0] if row.id in side_of)
    return [
        "WARNING: sets of tracks that belong together (copies of a recording, or one group) but are spread over the parts of the split: "
        f"{len(torn)}, so scores may be too good; it is run as given: {example}"
    ]


def _in_words(kind: str, torn: Sequence[Torn], groups: str) -> str:
    n = len(torn)
    head = {
        "track": "a track is on two sides" if n == 1 else f"{n} tracks are on two sides",
        "content": "a file lies on two sides byte for byte" if n == 1 else f"{n} files lie on two sides byte for byte",
        "samples": "the same samples or pixels lie on two sides in other bytes" + (f", {n} times" if n > 1 else ""),
        "group": f"a group of {groups} lies on two sides" if n == 1 else f"{n} groups of {groups} lie on two sides",
        "published": "an artist lies on two sides" if n == 1 else f"{n} artists lie on two sides",
        "recording": "a recording lies on two sides" if n == 1 else f"{n} recordings lie on two sides",
    }[kind]
    return f"{head}: " + "; ".join(map(str, torn[:_NAMED])) + (f"; and {n - _NAMED} more" if n > _NAMED else "")
