"""What a doctor finds: one kind of thing that is wrong, the files it holds for, what it means, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from genre_models.scan import ScanRow

SEVERITIES = ("harm", "warning", "note")
"""``harm`` would corrupt a result, whoever computes it; ``warning`` costs tracks or accuracy; ``note`` is good to know."""


@dataclass(frozen=True)
class Case:
    """One thing that a finding holds for.

    Attributes
    ----------
    rows : tuple of ScanRow
        A file, or the files of one recording.
    detail : str
        What is known of these in particular.
    """

    rows: tuple[ScanRow, ...]
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong.

    Attributes
    ----------
    kind : str
        For programs: ``"unreadable"``, ``"copies-across"``, ...
    severity : {"harm", "warning", "note"}
    title, meaning, remedy : str
        One sentence each.
    cases : tuple of Case
        Empty where it holds for the corpus as a whole.
    facts : tuple of str
        Figures behind it, a line each.
    """

    kind: str
    severity: str
    title: str
    meaning: str
    remedy: str
    cases: tuple[Case, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Things that are wrong: its cases, or the one that holds for all."""
        return len(self.cases) or 1


def shown(text: object) -> str:
    """A name as it may be shown: control characters and other invisible ones as escapes, everything else whole."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def counted(n: int, one: str, more: str | None = None) -> str:
    """ "1 file", "2 files"."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"
