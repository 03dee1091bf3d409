"""Numbers and tables of the section on faults as the page has them."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(share: float) -> str:
    """An accuracy with three digits."""
    return f"{share:.3f}"


def interval_text(value: float, interval: Sequence[float] | None, digits: int = 3) -> str:
    """A signed number with its interval, where there is one."""
    ends = "" if interval is None else f" ({interval[0]:+.{digits}f} to {interval[1]:+.{digits}f})"
    return f"{value:+.{digits}f}{ends}"


def table_text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
