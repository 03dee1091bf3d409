"""How a look learns what its steps cost, without knowing who measures: a composition root hands that in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Measured(Protocol):
    """What happened inside a ``with`` block.

    Attributes
    ----------
    cost : dict or None
        ``wall_seconds``, ``cpu_seconds``, ``peak_ram_mib``, ``energy_kwh``, ``emissions_kg``, ``energy``, each None where it is not known. To be
        read after the block.
    """

    cost: dict[str, Any] | None


#: A context manager for each block that is to be measured.
Measure = Callable[[], AbstractContextManager[Measured]]


class _NotMeasured:
    cost = None


def not_measured() -> AbstractContextManager[Measured]:
    """Measures nothing."""
    return nullcontext(_NotMeasured())


def together(costs: Mapping[str, Mapping[str, Any] | None], name: str) -> float | None:
    """Sum of what is known under a name, None where nothing is."""
    known = [cost[name] for cost in costs.values() if cost is not None and cost.get(name) is not None]
    return sum(known) if known else None
