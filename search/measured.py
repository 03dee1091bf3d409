"""What single steps of a program cost, energy too: as a trial's cost, for what is no trial. Composition roots hand `Measures` to those who take the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from search.accounts import Accounts
from search.energy_section import EnergySettings
from search.trial_cost import CostMeter


class Measures:
    """Context manager for as long as this machine is metered; called, it gives a context manager that measures one step.

    Parameters
    ----------
    settings : EnergySettings
    note : callable
        Told, in words, that energy can't be measured.
    """

    def __init__(self, settings: EnergySettings, note: Callable[[str], None]) -> None:
        self._accounts = Accounts(settings)
        self._accounts.note = note
        self._steps = 0

    def __enter__(self) -> Measures:
        self._accounts.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._accounts.close()

    def __call__(self) -> _Step:
        self._steps += 1
        return _Step(self._accounts, self._steps)


class _Step:
    """One step; `cost` after its ``with`` block is what it took."""

    def __init__(self, accounts: Accounts, number: int) -> None:
        self._accounts, self._number = accounts, number
        self._meter = CostMeter()
        self.cost: dict[str, Any] | None = None

    def __enter__(self) -> _Step:
        self._accounts.begin(self._number)
        self._meter.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._meter.__exit__(*error)
        self.cost = self._accounts.settle(self._number, self._meter.cost)
