"""What values a parameter may take: the four domains, and equality that keeps booleans and numbers apart.

Pure. A domain knows whether it contains a value, how many values it has, and how to write itself in one line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class IntDomain:
    """Whole numbers ``low, low + step, …, high``; `log` draws their logarithm evenly."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def contains(self, value: object) -> bool:
        """True if `value` can be drawn."""
        return type(value) is int and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def nearest(self, value: object) -> int:
        """The value of the domain that is nearest to a number."""
        steps = round((value - self.low) / self.step)
        return self.low + self.step * min(max(steps, 0), (self.high - self.low) // self.step)

    def size(self) -> float:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def __str__(self) -> str:
        return f"int {self.low}..{self.high}" + (f" step {self.step}" if self.step != 1 else "") + (" log" if self.log else "")


@dataclass(frozen=True)
class FloatDomain:
    """Numbers from low to high, both included; with `step` only ``low + k * step``."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def contains(self, value: object) -> bool:
        """True if `value` can be drawn (to rounding, where there is a step)."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        # Samplers work on a logarithm or count steps, and come back a rounding error off.
        at_an_end = math.isclose(value, self.low, rel_tol=1e-9) or math.isclose(value, self.high, rel_tol=1e-9)
        if self.step is None or at_an_end:
            return at_an_end or self.low <= value <= self.high
        steps = (value - self.low) / self.step
        return self.low < value < self.high and math.isclose(steps, round(steps), abs_tol=1e-6)

    def nearest(self, value: object) -> float:
        """The value of the domain that is nearest to a number."""
        inside = min(max(float(value), self.low), self.high)
        if self.step is None:
            return inside
        return self.low + self.step * min(round((inside - self.low) / self.step), int(self.size()) - 1)

    def size(self) -> float:
        """Number of values; infinite without a step."""
        if self.low == self.high:
            return 1
        return math.inf if self.step is None else round((self.high - self.low) / self.step) + 1

    def __str__(self) -> str:
        step = "" if self.step is None else f" step {self.step!r}"
        return f"float {self.low!r}..{self.high!r}{step}" + (" log" if self.log else "")


@dataclass(frozen=True)
class ChoiceDomain:
    """One of some values, without an order."""

    values: tuple[Any, ...]

    def contains(self, value: object) -> bool:
        """True if `value` can be drawn."""
        return among(value, self.values)

    def nearest(self, value: object) -> Any:
        """The value itself, among numbers the nearest one, and else the first."""
        if self.contains(value):
            return next(own for own in self.values if same(own, value))
        if all(_is_number(own) for own in (*self.values, value)):
            return min(self.values, key=lambda own: abs(own - value))
        return self.values[0]

    def size(self) -> float:
        """Number of values."""
        return len(self.values)

    def __str__(self) -> str:
        return "choice " + ", ".join(plain(value) for value in self.values)


@dataclass(frozen=True)
class Fixed:
    """One value, given by the file: not searched."""

    value: Any

    def contains(self, value: object) -> bool:
        """True if `value` is the one."""
        return same(value, self.value)

    def size(self) -> float:
        """One."""
        return 1

    def __str__(self) -> str:
        return plain(self.value)


Domain = IntDomain | FloatDomain | ChoiceDomain | Fixed


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(a: object, b: object) -> bool:
    """Equality that tells ``True`` from ``1``, and takes ``0.1 + 0.2``, as samplers count steps, for ``0.3``, as a file has it."""
    if isinstance(a, bool) or isinstance(b, bool) or not (isinstance(a, float) or isinstance(b, float)):
        return isinstance(a, bool) == isinstance(b, bool) and a == b
    return isinstance(a, int | float) and isinstance(b, int | float) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def among(value: object, values: Iterable[object]) -> bool:
    """True if `value` is one of `values`, booleans and numbers told apart."""
    return any(same(value, other) for other in values)


def plain(value: object) -> str:
    """A value as a space file has it: ``true``, ``0.5``, ``plateau``; a text that is empty or reads as another kind is quoted."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        json.loads(value or "0")
    except ValueError:
        return value
    return json.dumps(value)
