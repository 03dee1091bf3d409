"""GTZAN's known faults: what others have published of it, and whether it shows here.

Source
------
Sturm, An Analysis of the GTZAN Music Genre Dataset (MIRUM 2012, doi 10.1145/2390848.2390851), and The GTZAN dataset: Its contents, its faults,
their effects on evaluation, and its future use (2013, arXiv:1306.1461). The repetitions were read from two independent public transcriptions of
his list, which agree but for one number (reggae 54, misprinted as 65 in one of them); of the 47 pairs whose images were at hand all were found
again by `genre_models.fingerprints`. The distorted excerpts are the two that both transcriptions leave out. His lists of mislabelled excerpts (43
conspicuous and 63 contentious ones, by the 2012 paper's own count) could not be read, and are not here. That jazz.00054 can't be decoded in the
copy in common circulation is known from those who use it, and was seen here.
"""

from __future__ import annotations

from genre_models.corpus import Corpus
from genre_models.doctor.findings import Case, Finding, counted
from genre_models.fingerprints import SameRecordings
from genre_models.scan import Scan, ScanRow

GENRES = frozenset("blues classical country disco hiphop jazz metal pop reggae rock".split())
REPETITIONS = {
    "disco": ((50, 51, 70), (55, 60, 89), (71, 74), (98, 99)),
    "hiphop": ((39, 45), (76, 78)),
    "jazz": (
        *((33, 51), (34, 53), (35, 55), (36, 58), (37, 60), (38, 62), (39, 65), (40, 67)),
        *((42, 68), (43, 69), (44, 70), (45, 71), (46, 72)),
    ),
    "metal": ((4, 13), (34, 94), (40, 61), (41, 62), (42, 63), (43, 64), (44, 65), (45, 66)),
    "pop": ((15, 22), (30, 31), (45, 46), (47, 80), (52, 57), (54, 60), (56, 59), (67, 71), (87, 90)),
    "reggae": ((3, 54), (5, 56), (8, 57), (10, 60), (13, 58), (41, 69), (73, 74), (75, 91, 92), (80, 81, 82)),
}
"""Excerpts that repeat one another, by class and number."""
ACROSS_CLASSES = ("metal.00058", "rock.00016")
DISTORTED = {"reggae.00086": "distorted but for its first five seconds", "pop.00037": "distorted"}
UNREADABLE = "jazz.00054"
_SOURCE = "Sturm 2012, 2013 (arXiv:1306.1461)"


def is_gtzan(corpus: Corpus) -> bool:
    """Whether a corpus is GTZAN, or a part of it: by its source, or by its classes and names."""
    if corpus.source.startswith("gtzan:"):
        return True
    return GENRES.issuperset(corpus.labels) and all(name_of(track.id).startswith(f"{track.label}.") for track in corpus.tracks)


def find_known_faults(corpus: Corpus, scan: Scan, same: SameRecordings | None = None) -> list[Finding]:
    """Findings that GTZAN is known for; without `same` those that need no look at copies."""
    if scan.kind == "table" or not is_gtzan(corpus):
        return []
    row_of = {name_of(row.id): row for row in scan.rows}
    found = [_distorted(row_of), _unreadable(row_of)]
    if same is not None:
        found += [*_repetitions(row_of, same), _mislabelled()]
    return [finding for finding in found if finding is not None]


def name_of(id: str) -> str:
    """GTZAN's name of a track, ``jazz.00054``, from its id."""
    return id.rpartition("/")[2].partition("@")[0]


def published_sets() -> list[tuple[str, ...]]:
    """Names of the excerpts that repeat one another."""
    return [tuple(f"{label}.{number:05d}" for number in numbers) for label, sets in REPETITIONS.items() for numbers in sets] + [ACROSS_CLASSES]


def _repetitions(row_of: dict[str, ScanRow], same: SameRecordings) -> list[Finding]:
    set_of = {id: number for number, ids in enumerate(same.sets) for id in ids}
    seen, unseen = [], []
    for names in published_sets():
        rows = tuple(row_of[name] for name in names if name in row_of and row_of[name].readable)
        if len(rows) > 1:
            sets = {set_of.get(row.id) for row in rows}
            (seen if len(sets) == 1 and None not in sets else unseen).append(Case(rows, f"published: {_SOURCE}"))
    if not seen and not unseen:
        return []
    total = len(seen) + len(unseen)
    findings = []
    if seen:
        findings.append(
            Finding(
                "gtzan-repetitions",
                "note",
                f"of the {total} published repetitions that are here, {len(seen)} were found by the fingerprints too",
                f"GTZAN is known for them ({_SOURCE}); they are told above as copies.",
                "To compare with the literature, take the published fault-filtered lists (data.split), which leave them out.",
            )
        )
    if unseen:
        findings.append(
            Finding(
                "gtzan-repetitions-unseen",
                "warning",
                f"{counted(len(unseen), 'published repetition was', 'published repetitions were')} not found by the fingerprints",
                "They may be other takes or remixes, or not the files that were published; nothing keeps them on one side of a split.",
                "Tie them with data.groups, or take the published fault-filtered lists.",
                tuple(unseen),
            )
        )
    return findings


def _distorted(row_of: dict[str, ScanRow]) -> Finding | None:
    cases = tuple(Case((row_of[name],), told) for name, told in DISTORTED.items() if name in row_of)
    if not cases:
        return None
    return Finding(
        "gtzan-distorted",
        "warning",
        f"{counted(len(cases), 'excerpt is', 'excerpts are')} known to be distorted",
        f"Published by {_SOURCE}: there is little music in them to be recognised.",
        "Remove them, or take the published fault-filtered lists.",
        cases,
    )


def _unreadable(row_of: dict[str, ScanRow]) -> Finding | None:
    row = row_of.get(UNREADABLE)
    if row is None or row.readable:
        return None
    return Finding(
        "gtzan-unreadable",
        "note",
        f"{UNREADABLE} can't be decoded, as in most copies of GTZAN",
        "The common copy of that file is broken; it is left out, as everywhere.",
        "Nothing has to be done.",
        (Case((row,), row.reason or ""),),
    )


def _mislabelled() -> Finding:
    return Finding(
        "gtzan-mislabelled",
        "note",
        "GTZAN has wrong labels that no program finds",
        "Sturm (2012) counts 43 conspicuous and 63 contentious ones among its 1,000 excerpts, so that no honest accuracy comes near 1.",
        "Take the published fault-filtered lists (data.split) to compare with the literature, and report which you took.",
    )
