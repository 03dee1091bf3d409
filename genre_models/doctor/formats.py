"""Rates, channels, sizes, borders and colour maps: those that are odd, and those that tell the class. From the scan alone.

What is told here is the file's and not the music's. Where it goes with the class, a network may learn it instead, and be right for a reason
that holds in this folder only.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from genre_models.doctor.findings import Case, Finding, counted
from genre_models.scan import Scan, ScanRow

TELLS_HARM, TELLS_WARNING = 0.5, 0.1
"""Share of what chance gets wrong that the property alone gets right, from which it is harm or a warning."""
_DEALS = 100  # random deals of the labels, all of which the real ones must beat
_RARE = 5  # values of fewer tracks are one value together: each for itself would tell anything
_USUAL = 0.6  # a value that so many tracks have is what is usual here
_OTHER_LENGTH = 0.2  # of the median

PROPERTIES: dict[str, Callable[[ScanRow], str | None]] = {
    "sampling rate": lambda row: f"{row.sr:,} Hz" if row.sr else None,
    "number of channels": lambda row: str(row.channels) if row.channels else None,
    "kind of file": lambda row: row.path.suffix.lower(),
    "size": lambda row: f"{row.width} × {row.height} pixels" if row.width else None,
    "border": lambda row: (row.border or "none") if row.width else None,
    "colour map": lambda row: row.colours if row.width else None,
}


def find_formats(scan: Scan) -> list[Finding]:
    """Findings on what files are, rather than what they hold."""
    rows = [row for row in scan.rows if row.readable]
    if scan.kind == "table" or not rows:
        return []
    found: list[Finding] = []
    for name, value_of in PROPERTIES.items():
        values = {row.id: value for row in rows if (value := value_of(row)) is not None}
        having = [row for row in rows if row.id in values]
        if len(set(values.values())) > 1:
            found += _tells_class(name, having, values) or _odd(name, having, values)
    return found + _odd_lengths(rows)


def gain_of(values: Sequence[str], labels: Sequence[str]) -> tuple[float, bool]:
    """How well a property alone tells the class.

    Parameters
    ----------
    values, labels : sequence of str
        Of each track.

    Returns
    -------
    (float, bool)
        The share of what is wrong by chance that guessing each value's commonest class gets right; chance is the mean over random deals of the
        labels. And whether the real labels beat all of these deals.
    """
    common = {value for value, n in Counter(values).items() if n >= _RARE}
    _, value_of = np.unique([value if value in common else "" for value in values], return_inverse=True)
    names, label_of = np.unique(labels, return_inverse=True)

    def right(labels_dealt: np.ndarray) -> float:
        table = np.bincount(value_of * len(names) + labels_dealt, minlength=(value_of.max() + 1) * len(names))
        return table.reshape(-1, len(names)).max(axis=1).sum() / len(labels)

    rng = np.random.default_rng(0)
    dealt = [right(rng.permutation(label_of)) for _ in range(_DEALS)]
    real, chance = right(label_of), statistics.fmean(dealt)
    return (real - chance) / max(1e-9, 1 - chance), real > max(dealt)


def _tells_class(name: str, rows: Sequence[ScanRow], values: dict[str, str]) -> list[Finding]:
    gain, is_real = gain_of([values[row.id] for row in rows], [row.label for row in rows])
    if not is_real or gain < TELLS_WARNING:
        return []
    return [
        Finding(
            f"{name.replace(' ', '-')}-tells-class",
            "harm" if gain >= TELLS_HARM else "warning",
            f"the {name} goes with the class",
            f"Knowing nothing but the {name} puts right {gain:.0%} of what chance gets wrong. A network can cheat with it, and its score would "
            "say nothing about music from elsewhere.",
            f"Bring all files to one {name}, from the best source of each; don't compare models before.",
            facts=tuple(_by_value(rows, values)),
        )
    ]


def _by_value(rows: Sequence[ScanRow], values: dict[str, str]) -> list[str]:
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        labels[values[row.id]][row.label] += 1
    ordered = sorted(labels.items(), key=lambda item: -item[1].total())
    told = [f"{value}: " + ", ".join(f"{label} {n}" for label, n in counts.most_common()) for value, counts in ordered[:12]]
    return told + ([f"{len(ordered) - 12} more values"] if len(ordered) > 12 else [])


def _odd(name: str, rows: Sequence[ScanRow], values: dict[str, str]) -> list[Finding]:
    counts = Counter(values.values())
    usual, n = counts.most_common(1)[0]
    odd = [row for row in rows if values[row.id] != usual]
    is_usual = n >= _USUAL * len(rows)
    title = f"{counted(len(odd), 'file has', 'files have')} another {name} than most ({usual})" if is_usual else f"files differ in their {name}"
    return [
        Finding(
            f"odd-{name.replace(' ', '-')}",
            "note",
            title,
            "They are brought to one form before a model sees them, but what they lack (high frequencies, detail) stays lacking.",
            "Nothing has to be done; where it is one source's habit, see that all classes have some of it.",
            tuple(Case((row,), values[row.id]) for row in odd) if is_usual else (),
            () if is_usual else tuple(_by_value(rows, values)),
        )
    ]


def _odd_lengths(rows: Sequence[ScanRow]) -> list[Finding]:
    timed = [row for row in rows if row.duration_seconds is not None]
    if not timed:
        return []
    median = statistics.median(row.duration_seconds for row in timed)
    odd = [row for row in timed if abs(row.duration_seconds - median) > _OTHER_LENGTH * median]
    if not odd:
        return []
    if len(odd) > (1 - _USUAL) * len(timed):
        lengths = sorted(row.duration_seconds for row in timed)
        cases, facts = (), (f"from {lengths[0]:.1f} to {lengths[-1]:.1f} s, median {median:.1f} s",)
    else:
        cases, facts = tuple(Case((row,), f"{row.duration_seconds:.1f} s") for row in odd), ()
    return [
        Finding(
            "odd-duration",
            "note",
            f"{counted(len(odd), 'file is', 'files are')} a fifth longer or shorter than the median of {median:.1f} s",
            "Of longer ones the opening is used, which may be an introduction; shorter ones are padded.",
            "Nothing has to be done; features.clip_seconds sets what is used.",
            cases,
            facts,
        )
    ]
