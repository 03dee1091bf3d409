"""Which of the trials near the best is named the winner: ``prefer``. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from search.trial import Trial

REMEDY = "write best, cheapest-within X (a difference of the score, such as 0.01) or cheapest-within ties"
_CHEAPEST = "cheapest-within"


@dataclass(frozen=True)
class Preference:
    """The cheapest of those near the best, instead of the best.

    Attributes
    ----------
    within : float or None
        How far from the best score; None: those that a paired test can't tell from the best.
    """

    within: float | None

    def __str__(self) -> str:
        return f"{_CHEAPEST} {'ties' if self.within is None else f'{self.within:g}'}"


def read_preference(text: str) -> Preference | None:
    """What ``prefer`` says; None for the best.

    Raises
    ------
    ValueError
        It is neither ``best`` nor ``cheapest-within X``; the message says what it may be.
    """
    rule, *given = text.split()
    if rule == "best" and not given:
        return None
    if rule != _CHEAPEST or len(given) > 1:
        raise ValueError(REMEDY)
    if given in ([], ["ties"]):
        return Preference(None)
    try:
        within = float(given[0])
    except ValueError:
        raise ValueError(REMEDY) from None
    if not (math.isfinite(within) and within >= 0):
        raise ValueError(REMEDY)
    return Preference(within)


def price(trial: Trial) -> tuple[Any, ...]:
    """What a trial costs, to be compared: seconds of its fit as recorded, then parameters, then its number. What is not known costs most."""
    outcome = trial.outcome
    return outcome.get("fit_seconds", math.inf), outcome.get("parameters", math.inf), trial.number
