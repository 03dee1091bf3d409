"""Tracks of one artist or album: as the corpus's own table has them (FMA), or as the tags of the files say."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_models.corpus import Progress
from genre_models.errors import CorpusError
from genre_models.scan import Scan, ScanRow
from genre_models.tags import Tags, read_tags

_NOBODY = {"", "va", "various", "various artists", "unknown", "unknown artist", "unknown album", "n/a", "none"}
_GUESTS = re.compile(r"[\s(\[]+(?:feat|ft|featuring)\b\.?\s*[^\s)\].].*", re.IGNORECASE)  # of 'A feat. B' the artist is A, and Little Feat has no guest


@dataclass(frozen=True)
class KnownGroups:
    """What is known.

    Attributes
    ----------
    by : {"artist", "album"}
    group_of : dict of str to str
        Name of the group by track id; of tracks of which neither is known there is none.
    notes : tuple of str
    """

    by: str
    group_of: dict[str, str]
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """For ``run.json``: a study keeps what it was dealt with."""
        groups: dict[str, list[str]] = defaultdict(list)
        for id, name in sorted(self.group_of.items()):
            groups[name].append(id)
        return {"by": self.by, "groups": dict(groups), "notes": list(self.notes)}

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> KnownGroups:
        """From what `as_data` gave."""
        group_of = {id: name for name, ids in data["groups"].items() for id in ids}
        return cls(data["by"], group_of, tuple(data["notes"]))


def find_known_groups(scan: Scan, by: str, cache_dir: Path, workers: int | None = None, progress: Progress | None = None) -> KnownGroups:
    """Group the tracks of a corpus.

    Where the one that is asked for is not known of a track the other stands in for it; of the tracks where neither is known only copies stay together.

    Parameters
    ----------
    scan : Scan
    by : {"artist", "album"}
    cache_dir : Path
        Tags that were read are kept there.
    workers : int or None
    progress : callable, optional

    Raises
    ------
    CorpusError
        Of no track it is known.
    CacheError
    """
    rows = [row for row in scan.rows if row.readable]
    names, source = find_names(scan, cache_dir, workers, progress)
    place = ("artist", "album").index(by)
    asked, other = {id: both[place] for id, both in names.items()}, {id: both[1 - place] for id, both in names.items()}
    if not any(asked.values()):
        raise CorpusError(
            f"data.groups: {by}: of none of the {len(rows)} readable tracks the {by} is known ({_looked_at(scan.kind)}): name a CSV file with columns "
            "track,group instead, or write recording to keep only copies together"
        )
    group_of = {id: name for id in names if (name := asked[id] or other[id])}
    return KnownGroups(by, group_of, tuple(_notes(by, source, rows, asked, group_of)))


def find_names(
    scan: Scan, cache_dir: Path, workers: int | None = None, progress: Progress | None = None
) -> tuple[dict[str, tuple[str | None, str | None]], str]:
    """Artist and album of each readable track, by its id, and where that is known from; arguments as of `find_known_groups`."""
    rows = [row for row in scan.rows if row.readable]
    if any(row.group or row.album for row in rows):
        return {row.id: (row.group, row.album) for row in rows}, "the corpus's table"
    if scan.kind != "audio":
        return {row.id: (None, None) for row in rows}, "nothing here"
    tags = read_tags(rows, cache_dir, workers, progress)
    return {row.id: names_of(tags[row.id]) for row in rows}, "the tags of the files"


def names_of(tags: Tags) -> tuple[str | None, str | None]:
    """Artist and album of a file in words that are the same for the same artist or album, however they are written."""
    artist, album_artist, album = (_plain(text) for text in (tags.artist, tags.album_artist, tags.album))
    # The title alone would join all that is called 'Greatest Hits'; of a compilation the album artist is 'Various Artists', or missing.
    whose = (_folded(tags.album_artist) or _folded(tags.artist)) if album else ""
    return (f"artist {artist or album_artist}" if artist or album_artist else None), (f"album {album} by {whose}" if album else None)


def artists_on_two_sides(names: Mapping[str, tuple[str | None, str | None]], sides: Mapping[str, Sequence[ScanRow]]) -> dict[str, list[str]]:
    """Artists with tracks on several sides of a split, and which sides."""
    where: dict[str, list[str]] = defaultdict(list)
    for side, rows in sides.items():
        for artist in sorted({names[row.id][0] for row in rows if names[row.id][0]}):
            where[artist].append(side)
    return {artist: found for artist, found in sorted(where.items()) if len(found) > 1}


def _plain(text: str | None) -> str | None:
    plain = _folded(text)
    return None if plain in _NOBODY else plain


def _folded(text: str | None) -> str:
    """Without guests, capitals and superfluous spaces."""
    return " ".join(_GUESTS.sub("", (text or "").casefold()).split())


def _looked_at(kind: str) -> str:
    return {"audio": "their tags say nothing", "image": "images have no tags for it", "table": "a table has no column for it that is read"}[kind]


def _notes(by: str, source: str, rows: list[ScanRow], asked: Mapping[str, str | None], group_of: Mapping[str, str]) -> list[str]:
    known = sum(map(bool, asked.values()))
    sizes = Counter(name for id, name in group_of.items() if asked[id])
    largest, n = sizes.most_common(1)[0]
    told = f"groups by {by}, from {source}: {known} of {len(rows)} tracks, {len(sizes)} {by}s, the largest {largest.removeprefix(by).strip()} with {n} tracks"
    stand_in, neither = len(group_of) - known, len(rows) - len(group_of)
    if stand_in:
        told += f"; {stand_in} of unknown {by} go by their {'album' if by == 'artist' else 'artist'}"
    if neither:
        told += f"; {neither} say neither: of these only copies stay together"
    return [told]
