"""A row of the page: what was claimed, what came out on each split, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.replication.verdicts import CANNOT_TELL


@dataclass(frozen=True)
class Outcome:
    """What came out on one split.

    Attributes
    ----------
    split : str
        In words.
    ours : str
        The figures, with intervals.
    difference : str
        From the claim; "" where there is nothing to subtract.
    verdict : str
        One of `scripts.replication.verdicts`, or why there is none.
    """

    split: str
    ours: str
    difference: str = ""
    verdict: str = CANNOT_TELL


@dataclass(frozen=True)
class Row:
    """A claim.

    Attributes
    ----------
    id : str
        As docs/presets.md has it.
    claim : str
    its : str
        The claimed figure with its interval from n; "" where it has no figure.
    preset : str
        File name of the preset, without its ending; "" where there is none.
    outcomes : sequence of Outcome
    """

    id: str
    claim: str
    its: str = ""
    preset: str = ""
    outcomes: Sequence[Outcome] = field(default_factory=tuple)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table; rows of several splits take several lines."""
    lines = ["| row | claim | its interval from n | split | ours | difference | verdict |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        for number, found in enumerate(row.outcomes or (Outcome("", "", verdict="not run"),)):
            head = (row.id, row.claim, row.its) if number == 0 else ("", "", "")
            verdict = f"**{found.verdict}**" if found.verdict in ("agrees", "differs") else found.verdict
            lines.append(f"| {' | '.join((*head, found.split, found.ours, found.difference, verdict))} |")
    return "\n".join(lines)
