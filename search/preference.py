"""Which of the trials near the best is named the winner: ``prefer``. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from search.pareto import COSTS
from search.trial import Trial

REMEDY = (
    "write best, cheapest-within X (a difference of the score, such as 0.01) or cheapest-within ties; after X may stand what is to be cheap: "
    f"by COST, one of {', '.join(COSTS)}"
)
_CHEAPEST, _BY = "cheapest-within", "by"


@dataclass(frozen=True)
class Preference:
    """The cheapest of those near the best, instead of the best.

    Attributes
    ----------
    within : float or None
        How far from the best score; None: those that a paired test can't tell from the best.
    by : str or None
        What is to be cheap, one of `search.pareto.COSTS`; None is fitting, then parameters.
    """

    within: float | None
    by: str | None = None

    def __str__(self) -> str:
        return f"{_CHEAPEST} {'ties' if self.within is None else f'{self.within:g}'}{'' if self.by is None else f' {_BY} {self.by}'}"

    def price(self, trial: Trial) -> tuple[Any, ...]:
        """What a trial costs, to be compared: what is to be cheap, then seconds of its fit as recorded, then parameters, then its number. What is not
        known costs most."""
        outcome, wanted = trial.outcome, None if self.by is None else COSTS[self.by].of(trial)
        first = () if self.by is None else (math.inf if wanted is None else wanted,)
        return *first, outcome.get("fit_seconds", math.inf), outcome.get("parameters", math.inf), trial.number

    def price_text(self, trial: Trial) -> str | None:
        """The price in words; None where it is not known."""
        if self.by is None:
            seconds = trial.outcome.get("fit_seconds")
            return None if seconds is None else f"{seconds:.3g} s of fitting"
        value = COSTS[self.by].of(trial)
        return None if value is None else f"{COSTS[self.by].label} {COSTS[self.by].text(value)}"


def read_preference(text: str) -> Preference | None:
    """What ``prefer`` says; None for the best.

    Raises
    ------
    ValueError
        It is neither ``best`` nor ``cheapest-within X`` nor ``cheapest-within X by COST``; the message says what it may be.
    """
    rule, *given = text.split() or [""]
    if rule == "best" and not given:
        return None
    by = None
    if _BY in given:
        given, wanted = given[: given.index(_BY)], given[given.index(_BY) + 1 :]
        if len(wanted) != 1 or wanted[0] not in COSTS:
            raise ValueError(REMEDY)
        by = wanted[0]
    if rule != _CHEAPEST or len(given) != 1:
        raise ValueError(REMEDY)
    if given == ["ties"]:
        return Preference(None, by)
    try:
        within = float(given[0])
    except ValueError:
        raise ValueError(REMEDY) from None
    if not (math.isfinite(within) and within >= 0):
        raise ValueError(REMEDY)
    return Preference(within, by)


def recorded_preference(text: str) -> str:
    """What a study recorded, as it is said now: before X had to be said, a rule without it meant ties."""
    words = text.split()
    return " ".join([_CHEAPEST, "ties", *words[1:]]) if words[:1] == [_CHEAPEST] and words[1:2] in ([], [_BY]) else text
