"""One rung of one family: values in order, kept so as they come, so that a cut is found without sorting them all. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator


class Rung:
    """Values by root, larger is better; of equal ones the smaller root comes first."""

    def __init__(self) -> None:
        self._values: dict[int, float] = {}
        self._ranked: list[tuple[float, int]] = []  # (-value, root)

    def __len__(self) -> int:
        return len(self._ranked)

    def __iter__(self) -> Iterator[int]:
        """Roots, the best first."""
        return (root for _, root in self._ranked)

    def __getitem__(self, root: int) -> float:
        return self._values[root]

    def put(self, root: int, value: float) -> None:
        """Note a value; one that the root had before is replaced."""
        if self._values.get(root) == value:
            return
        self.drop(root)
        self._values[root] = value
        insort(self._ranked, (-value, root))

    def drop(self, root: int) -> None:
        """The root stands here no more."""
        value = self._values.pop(root, None)
        if value is not None:
            del self._ranked[bisect_left(self._ranked, (-value, root))]

    def value_at(self, place: int) -> float:
        """The value in that place, from 0, the best."""
        return -self._ranked[place][0]

    def is_among(self, root: int, best: int) -> bool:
        """True if the root is one of the `best` first."""
        return 0 < best and root in self._values and (-self._values[root], root) <= self._ranked[best - 1]
