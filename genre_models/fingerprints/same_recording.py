"""Files that hold the same recording, and what follows from it for a corpus: what stays together, and what is left out.

The rule: copies under one class stay on one side of a split. Copies under several classes are left out, all of them, where tracks are dealt:
at most one of their labels is right, and nobody here knows which; training on them teaches a contradiction, testing on them bounds every
score. Lists that are given (``data.split``) run as given, and it is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre_models.corpus import Progress
from genre_models.fingerprints.audio_code import SECONDS_A_FRAME
from genre_models.scan import Scan, ScanRow


@dataclass(frozen=True)
class Pair:
    """Two files of one recording.

    Attributes
    ----------
    one, other : str
        Track ids; ``one < other``.
    how : {"bytes", "decoded", "near"}
        The same bytes; the same samples or pixels in other bytes; the same recording by its fingerprint.
    similarity : float
        1 for the first two.
    shift_seconds : float or None
        Of near copies of sound: how much later `other` begins in the recording than `one`.
    """

    one: str
    other: str
    how: str
    similarity: float = 1.0
    shift_seconds: float | None = None


@dataclass(frozen=True)
class SameRecordings:
    """All copies of a corpus.

    Attributes
    ----------
    sets : tuple of tuple of str
        Ids of the tracks of one recording, sorted; two or more each, no track in two.
    pairs : tuple of Pair
        What connects them.
    compared : int
        Files whose fingerprints were compared.
    computed, cached : int
        Fingerprints that were made now, and that were there.
    failed : dict of str to str
        Reasons by track id, of files that could not be compared.
    """

    sets: tuple[tuple[str, ...], ...] = ()
    pairs: tuple[Pair, ...] = ()
    compared: int = 0
    computed: int = 0
    cached: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def find_same_recordings(scan: Scan, cache_dir: Path, workers: int | None = None, progress: Progress | None = None) -> SameRecordings:
    """Find the files that hold the same recording.

    Parameters
    ----------
    scan : Scan
    cache_dir : Path
        Fingerprints are kept there, so that a second look decodes nothing.
    workers : int or None
        Processes; None for one on each core.
    progress : callable, optional

    Returns
    -------
    SameRecordings
        Nothing for a table, which has no files.

    Raises
    ------
    CacheError
        If the cache can't be written.
    """
    if scan.kind == "table":
        return SameRecordings()
    rows = sorted((row for row in scan.rows if row.readable), key=lambda row: row.id)
    pairs = _exact(rows, "bytes", lambda row: row.content)
    firsts = _firsts(rows, lambda row: row.content)
    pairs += _exact(firsts, "decoded", lambda row: row.decoded or row.content)
    firsts = _firsts(firsts, lambda row: row.decoded or row.content)
    near, codes = _near(firsts, scan.kind, cache_dir, workers, progress)
    pairs += near
    sets = join((pair.one, pair.other) for pair in pairs)
    failed = {row.id: codes.failed[row.content] for row in firsts if row.content in codes.failed}
    return SameRecordings(sets, tuple(pairs), len(codes.of), codes.computed, codes.cached, failed)


def join(ties: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Sets of ids that are tied together, directly or through others; sorted."""
    parent: dict[str, str] = {}

    def root(id: str) -> str:
        parent.setdefault(id, id)
        while parent[id] != id:
            parent[id] = parent[parent[id]]
            id = parent[id]
        return id

    for tie in ties:
        for id in tie[1:]:
            one, other = sorted((root(tie[0]), root(id)))
            parent[other] = one
    members: dict[str, list[str]] = defaultdict(list)
    for id in sorted(parent):
        members[root(id)].append(id)
    return tuple(tuple(ids) for _, ids in sorted(members.items()))


def _exact(rows: Sequence[ScanRow], how: str, key) -> list[Pair]:
    copies: dict[str, list[ScanRow]] = defaultdict(list)
    for row in rows:
        copies[key(row)].append(row)
    return [Pair(same[0].id, other.id, how) for same in copies.values() for other in same[1:]]


def _firsts(rows: Sequence[ScanRow], key) -> list[ScanRow]:
    return list({key(row): row for row in reversed(rows)}.values())[::-1]


def _near(rows: Sequence[ScanRow], kind: str, cache_dir: Path, workers: int | None, progress: Progress | None):
    from genre_models.fingerprints.audio_matching import match_audio
    from genre_models.fingerprints.image_code import independent_signs
    from genre_models.fingerprints.image_matching import match_images
    from genre_models.fingerprints.store import codes_of

    codes = codes_of(rows, kind, cache_dir, workers, progress)
    coded = [row for row in rows if row.content in codes.of]
    of = [codes.of[row.content] for row in coded]
    if kind == "audio":
        found = match_audio(of)
    else:
        found = match_images(of, [independent_signs(row.width, row.height) for row in coded])
    pairs = []
    for match in found:
        shift = match.shift * SECONDS_A_FRAME if kind == "audio" else None
        pairs.append(Pair(coded[match.one].id, coded[match.other].id, "near", round(match.similarity, 3), shift))
    return pairs, codes
