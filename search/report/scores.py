"""Scores as people read them: shares in percent, losses as numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Endings of names of scores between 0 and 1.
_SHARES = ("accuracy", "f1")


@dataclass(frozen=True)
class Scale:
    """How a metric is written.

    Attributes
    ----------
    metric : str
        As the study names it, such as ``val_accuracy``.
    """

    metric: str

    @property
    def name(self) -> str:
        """In words: ``accuracy``."""
        return self.metric.removeprefix("val_").replace("_", " ")

    @property
    def is_share(self) -> bool:
        """True if it is written in percent."""
        return self.metric.lower().endswith(_SHARES)

    def text(self, value: float | None) -> str:
        """``75.0 %`` or ``0.812``; a dash where there is none."""
        if value is None:
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.3f}"

    def interval(self, ends: Sequence[float] | None) -> str:
        """``64.5 to 83.2 %``; empty where there is none."""
        if ends is None:
            return ""
        return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %" if self.is_share else f"{ends[0]:.3f} to {ends[1]:.3f}"

    def difference(self, value: float, ends: Sequence[float] | None = None) -> str:
        """``+2.1 points (-3.0 to +7.2)`` or ``+0.021``."""
        factor, form, unit = (100, "+.1f", " points") if self.is_share else (1, "+.3f", "")
        between = "" if ends is None else f" ({factor * ends[0]:{form}} to {factor * ends[1]:{form}})"
        return f"{factor * value:{form}}{unit}{between}"
