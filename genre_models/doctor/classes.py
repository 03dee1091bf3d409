"""How many tracks each class has. From the scan alone."""

from __future__ import annotations

from collections import Counter

from genre_models.doctor.findings import Finding
from genre_models.scan import Scan

LEAST, FEW = 3, 10
"""Readable tracks of a class that a search needs; and below which its scores are hardly worth a name."""
UNEQUAL_WARNING, UNEQUAL_NOTE = 3.0, 1.5
"""The largest class, as a multiple of the smallest."""


def class_sizes(scan: Scan) -> dict[str, tuple[int, int]]:
    """Readable tracks and files of each class, by its name."""
    files = Counter(row.label for row in scan.rows)
    readable = Counter(row.label for row in scan.rows if row.readable)
    return {label: (readable[label], n) for label, n in sorted(files.items())}


def find_in_classes(scan: Scan) -> list[Finding]:
    """Findings on the balance of classes."""
    sizes = {label: readable for label, (readable, _) in class_sizes(scan).items()}
    return [*_small(sizes), *_unequal(sizes)]


def _small(sizes: dict[str, int]) -> list[Finding]:
    found = []
    too_few = {label: n for label, n in sizes.items() if n < LEAST}
    few = {label: n for label, n in sizes.items() if LEAST <= n < FEW}
    if too_few:
        found.append(
            Finding(
                "class-too-small",
                "harm",
                f"classes with fewer than {LEAST} readable tracks: {_list(too_few)}",
                "A search refuses them: one track each is needed to train, to validate and to hold out.",
                "Add tracks, or remove the class.",
                facts=tuple(f"{label}: {n}" for label, n in too_few.items()),
            )
        )
    if few:
        found.append(
            Finding(
                "class-small",
                "warning",
                f"classes with fewer than {FEW} readable tracks: {_list(few)}",
                "One or two of their tracks are held out, so one right guess moves their score by half or all of it.",
                "Add tracks; or validate by folds (data.validation.folds), and read the intervals.",
                facts=tuple(f"{label}: {n}" for label, n in few.items()),
            )
        )
    return found


def _unequal(sizes: dict[str, int]) -> list[Finding]:
    held = {label: n for label, n in sizes.items() if n}
    if len(held) < 2:
        return []
    largest, smallest = max(held.items(), key=lambda item: item[1]), min(held.items(), key=lambda item: item[1])
    ratio = largest[1] / smallest[1]
    if ratio < UNEQUAL_NOTE:
        return []
    return [
        Finding(
            "class-balance",
            "warning" if ratio >= UNEQUAL_WARNING else "note",
            f"classes are unequal: {largest[0]} has {largest[1]} tracks, {smallest[0]} has {smallest[1]}",
            f"Always guessing {largest[0]} would score {largest[1] / sum(held.values()):.2f} in accuracy.",
            "Compare with that score rather than with 1 over the number of classes; macro F1 counts all classes alike.",
            facts=tuple(f"{label}: {n}" for label, n in sorted(held.items(), key=lambda item: -item[1])),
        )
    ]


def _list(sizes: dict[str, int]) -> str:
    return ", ".join(f"{label} ({n})" for label, n in sizes.items())
