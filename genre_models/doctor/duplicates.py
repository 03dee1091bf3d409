"""Recordings that lie in more than one file, within a class and across classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from genre_models.doctor.findings import Case, Finding, counted
from genre_models.fingerprints import Pair, SameRecordings
from genre_models.scan import Scan

_HOW = ("bytes", "decoded", "near")  # from the plainest to the subtlest
_IN_WORDS = {"bytes": "byte for byte", "decoded": "the same samples or pixels in other bytes", "near": "the same recording in other bytes"}


def find_duplicates(scan: Scan, same: SameRecordings) -> list[Finding]:
    """Findings on copies."""
    row_of = {row.id: row for row in scan.rows}
    pairs_of: dict[str, list[Pair]] = defaultdict(list)
    for pair in same.pairs:
        pairs_of[pair.one].append(pair)
    across: list[Case] = []
    within: dict[str, list[Case]] = {how: [] for how in _HOW}
    for ids in same.sets:
        rows = tuple(row_of[id] for id in ids)
        pairs = [pair for id in ids for pair in pairs_of[id]]
        case = Case(rows, describe_pairs(pairs))
        subtlest = max((pair.how for pair in pairs), key=_HOW.index)
        (across if len({row.label for row in rows}) > 1 else within[subtlest]).append(case)
    found = [_across(across)] if across else []
    found += [_within(how, cases) for how, cases in within.items() if cases]
    return found + ([_not_compared(scan, same)] if same.failed else [])


def describe_pairs(pairs: Sequence[Pair]) -> str:
    """How the files of one recording are the same, in words; empty where they are byte for byte, which their finding says."""
    near = sorted(pair.similarity for pair in pairs if pair.how == "near")
    if not near:
        return "" if all(pair.how == "bytes" for pair in pairs) else _IN_WORDS["decoded"]
    told = f"alike to {near[0]:.2f}" + (f"–{near[-1]:.2f}" if near[-1] - near[0] >= 0.005 else "")
    shift = pairs[0].shift_seconds
    if len(pairs) > 1 or shift is None or abs(shift) < 0.1:
        return told
    return f"{told}, the second begins {abs(shift):.1f} s {'later' if shift > 0 else 'earlier'}"


def _across(cases: list[Case]) -> Finding:
    return Finding(
        "copies-across",
        "harm",
        f"{counted(len(cases), 'recording lies', 'recordings lie')} under more than one class",
        "At most one of its labels is right. Training on it teaches a contradiction, and where copies lie on both sides of a split the score is of "
        "memory. A search leaves all copies out unless data.near_duplicates is ignore; published lists run as they are.",
        "Listen, decide which class it is, and delete the other files.",
        tuple(cases),
    )


def _within(how: str, cases: list[Case]) -> Finding:
    ignored = "" if how == "bytes" else " unless data.near_duplicates is ignore"
    return Finding(
        f"copies-{how}",
        "warning",
        f"{counted(len(cases), 'recording lies', 'recordings lie')} in more than one file of one class, {_IN_WORDS[how]}",
        f"Dealt to both sides of a split, a copy is known by heart. A search keeps copies on one side{ignored}; they still count more than once.",
        "Keep one file of each.",
        tuple(cases),
    )


def _not_compared(scan: Scan, same: SameRecordings) -> Finding:
    row_of = {row.id: row for row in scan.rows}
    return Finding(
        "not-compared",
        "warning",
        f"{counted(len(same.failed), 'file')} could not be compared with the others",
        "They could be decoded when they were scanned, and can't be any more: they have changed, or went.",
        "Put them back, and run the doctor again.",
        tuple(Case((row_of[id],), reason) for id, reason in same.failed.items()),
    )
