"""What a search has cost, in words: for its progress line, its end, and its winner. Reads trials and sums; writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search.config import Budget
from search.pareto import COSTS, front
from search.spent import Spent
from search.trial import Trial
from search.trial_cost import MISSING_COUNTRY, PARTS

#: Costs whose fronts are told at the end of a search.
_TOLD = ("seconds", "energy")
#: Trials of a front that are named, at most.
_NAMED = 6


class Spending:
    """What is used of a budget that has no clock of its own.

    Parameters
    ----------
    spent : Spent
    budget : Budget
    """

    def __init__(self, spent: Spent, budget: Budget) -> None:
        self._spent, self._budget = spent, budget

    @property
    def epochs(self) -> int:
        """Trained so far."""
        return self._spent.epochs

    @property
    def epochs_text(self) -> str:
        """ "461 epochs", "461/1,000 epochs"."""
        return f"{self.epochs}{f'/{self._budget.epochs:,}' if self._budget.epochs else ''} epochs"

    @property
    def energy_text(self) -> str:
        """ "12.3 Wh", "12.3 Wh of 50 Wh, 4.7 g CO2e"; empty as long as nothing is known."""
        found = [("energy", self._spent.accounts.energy_kwh, self._budget.kwh), ("emissions", self._spent.accounts.emissions_kg, self._budget.kg_co2)]
        told = [f"{COSTS[name].text(used)}{f' of {COSTS[name].text(limit)}' if limit is not None else ''}" for name, used, limit in found if used is not None]
        return ", ".join(told)

    def seconds_left(self) -> list[float]:
        """For each total but the minutes and the trials: what is left of it at the pace so far."""
        accounts, budget = self._spent.accounts, self._budget
        limits = ((budget.epochs, self.epochs), (budget.kwh, accounts.energy_kwh), (budget.kg_co2, accounts.emissions_kg))
        return [self._spent.seconds * max(0.0, limit / used - 1) for limit, used in limits if limit is not None and used]


def total_line(cost: Mapping[str, Any] | None) -> str | None:
    """What the whole search took, and how that is known; None where no energy was measured."""
    if cost is None or cost.get("energy_kwh") is None:
        return None
    energy, emissions = cost["energy"], cost.get("emissions_kg")
    parts = [f"{part.upper()} {COSTS['energy'].text(energy[part]['kwh'])} {energy[part]['how']}" for part in PARTS if energy.get(part) is not None]
    country = energy.get("country")
    clean = f"{COSTS['emissions'].text(emissions)} ({country})" if emissions is not None else MISSING_COUNTRY if country is None else "CO2 not known"
    return f"energy: {COSTS['energy'].text(cost['energy_kwh'])} by this search, as its share of the machine's ({', '.join(parts)}); {clean}"


def front_lines(trials: Iterable[Trial], maximize: bool, metric: str) -> list[str]:
    """For seconds and for energy the trials that no other beats in both score and cost; nothing where one trial beats all.

    Parameters
    ----------
    trials : iterable of Trial
    maximize : bool
    metric : str
        What the scores are.
    """
    trials, lines = list(trials), []
    for name in _TOLD:
        cost = COSTS[name]
        found = front(trials, cost.of, maximize)
        if len(found) < 2:
            continue
        shown = found if len(found) <= _NAMED else [*found[: _NAMED - 1], found[-1]]
        told = ", ".join(f"trial {trial.number} {trial.value:.3f} at {cost.text(cost.of(trial))}" for trial in shown)
        more = f" ({len(found) - len(shown)} between them left out)" if len(shown) < len(found) else ""
        lines.append(f"{metric} against {cost.label}, no other is better for less: {told}{more}")
    return lines
