"""How the trials of a study are shared out between families: none starves, whatever a sampler thinks of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from search.space import FamilySpace

#: Each family gets at least this share of the trials.
FAMILY_FLOOR = 0.10


class Shares:
    """Which family each trial is of that counts for the shares.

    Parameters
    ----------
    families : mapping of name to FamilySpace
        Those that may be proposed; trials may be of others too.
    """

    def __init__(self, families: Mapping[str, FamilySpace]) -> None:
        self._families = families
        self._family_of: dict[int, str] = {}
        self._counts: Counter[str] = Counter()

    def note(self, number: int, family: str) -> None:
        """A trial has begun."""
        self._counts[family] += number not in self._family_of
        self._family_of[number] = family

    def drop(self, number: int) -> None:
        """A trial was lost, and says nothing about its family."""
        family = self._family_of.pop(number, None)
        if family is not None:
            self._counts[family] -= 1

    def begun(self, family: str) -> int:
        """How many trials of a family have begun."""
        return self._counts[family]

    def clear(self) -> None:
        """Forget all trials."""
        self._family_of.clear()
        self._counts.clear()

    def overdue(self) -> str | None:
        """A family that must have the next trial: below its ``min_trials``, or below the floor."""
        short = [name for name, space in self._families.items() if self._counts[name] < space.min_trials]
        short = short or [name for name in self._families if self._counts[name] < FAMILY_FLOOR * self._counts.total()]
        return self.least_tried(short) if short else None

    def least_tried(self, families: Iterable[str] | None = None) -> str:
        """The one of these, or of all, with the fewest trials; of several the first."""
        return min(self._families if families is None else families, key=lambda name: self._counts[name])
