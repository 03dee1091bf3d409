"""What trials cost, under names, and which of them are worth their price: the Pareto front. Pure.

Costs are stored beside the one objective that trials are pruned and chosen by; no trial is ever stopped for its cost. A cost that is not known is
None: studies of before have only some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search.trial import Trial

CostOf = Callable[[Trial], float | None]
#: Small values are told in these.
_THOUSANDTHS = {"kWh": "Wh", "kg CO2e": "g CO2e"}


@dataclass(frozen=True)
class Cost:
    """One way in which a trial is dear.

    Attributes
    ----------
    label : str
        For a table's head or a picture's axis.
    unit : str
        Empty for a count.
    of : callable
        Trial to its cost; None where it is not known.
    """

    label: str
    unit: str
    of: CostOf

    def text(self, value: float) -> str:
        """A value for people, with its unit."""
        unit = self.unit
        if unit in _THOUSANDTHS and abs(value) < 1:
            value, unit = 1000 * value, _THOUSANDTHS[unit]
        number = f"{value:,.0f}" if not unit or abs(value) >= 1000 else f"{value:.3g}"
        return f"{number} {unit}".rstrip()


def _outcome(*keys: str) -> CostOf:
    """The number that stands at these keys of an outcome."""

    def find(trial: Trial) -> float | None:
        found: Any = trial.outcome
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    return find


def _latency_ms(trial: Trial) -> float | None:
    """Milliseconds of validation for each item, in batches and warm; None where there are several parts, whose epochs are not all known."""
    outcome = trial.outcome
    seconds, items = outcome.get("phases", {}).get("validate"), outcome.get("n_validation")
    passes = 1 if trial.is_at_once else outcome.get("epochs")
    return 1000 * seconds / (passes * items) if seconds and items and passes and trial.parts == 1 else None


#: By the name that a user gives them.
COSTS: Mapping[str, Cost] = {
    "seconds": Cost("fitting", "s", _outcome("fit_seconds")),
    "wall_seconds": Cost("wall time", "s", _outcome("cost", "wall_seconds")),
    "cpu_seconds": Cost("CPU time", "s", _outcome("cost", "cpu_seconds")),
    "energy": Cost("energy", "kWh", _outcome("cost", "energy_kwh")),
    "emissions": Cost("emissions", "kg CO2e", _outcome("cost", "emissions_kg")),
    "memory": Cost("peak memory", "MiB", _outcome("cost", "peak_ram_mib")),
    "parameters": Cost("parameters", "", _outcome("parameters")),
    "gflops": Cost("forward pass", "GFLOP", _outcome("gflops")),
    "disk": Cost("artifacts", "bytes", _outcome("disk_bytes")),
    "latency": Cost("validation of an item", "ms", _latency_ms),
}


def front(trials: Iterable[Trial], cost: CostOf, maximize: bool) -> list[Trial]:
    """Trials that no other is both at least as good as and at most as dear as, and better in one of these.

    Parameters
    ----------
    trials : iterable of Trial
        Those without the full budget, and those whose cost or value is not known, are passed over.
    cost : callable
        Such as ``COSTS["energy"].of``.
    maximize : bool
        Of the objective.

    Returns
    -------
    list of Trial
        The cheapest first, so that values improve along it. Of equals in both the earliest.
    """
    sign, best, found = 1.0 if maximize else -1.0, None, []
    full = [(cost(trial), trial) for trial in trials if trial.is_full and trial.value is not None]
    known = [(price, -sign * trial.value, trial.number, trial) for price, trial in full if price is not None]
    for _, loss, _, trial in sorted(known, key=lambda each: each[:3]):
        if best is None or loss < best:
            best = loss
            found.append(trial)
    return found
