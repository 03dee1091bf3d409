"""What a search is told before it begins: its limits, who goes on, what a specification is made of, who watches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from search.schedulers import Scheduler
from search.schedulers.ladder import Ladder
from search.schedulers.stopping import Asha
from search.trial import Trial, trial_seed


@dataclass(frozen=True)
class Limits:
    """Totals of the study over all its runs; None is no limit."""

    trials: int | None = None
    minutes: float | None = None
    epochs: int | None = None
    kwh: float | None = None
    kg_co2: float | None = None


class Monitor(Protocol):
    """Somebody who watches: the terminal display, a test."""

    def started(self, trial: Trial) -> None: ...
    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None: ...
    def paused(self, trial: Trial) -> None: ...
    def ended(self, trial: Trial) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class SpecParts:
    """What the loop needs to turn a proposal into a specification."""

    epochs: int
    seed: int
    precision: str
    resolve: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]  # (family, sampled) -> all parameters
    sections: Mapping[str, Mapping[str, Any]]  # family -> task sections that go into the spec, such as features
    screen: Callable[[dict[str, Any]], Mapping[str, Any]]  # declared cost, or raises with reason_code "refused"
    folds: int = 1
    repeats: int = 1
    backend: str = "tensorflow"

    def spec(self, family: str, sampled: Mapping[str, Any], number: int) -> dict[str, Any]:
        """The whole specification of trial `number` (docs/design.md, section 4)."""
        spec = {
            "family": family,
            "params": dict(self.resolve(family, sampled)),
            **self.sections[family],
            "epochs": self.epochs,
            "seed": trial_seed(self.seed, number),
            "precision": self.precision,
            "backend": self.backend,
            "retry_of": None,
        }
        if self.folds * self.repeats > 1:
            spec |= {"folds": self.folds, "repeats": self.repeats}
        return spec


@dataclass(frozen=True)
class Confirmation:
    """How many of the best trials are scored again, and on how many folds; those of blocked families wait for another run."""

    top: int
    folds: int
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Saving:
    """When a trial that goes on writes a checkpoint, so that what is lost with it is little.

    Attributes
    ----------
    epochs : frozenset of int
        After these: the rungs, so that a lost trial repeats one rung at most.
    seconds : float
        And whenever so long has gone by since the last.
    ladder : Ladder or None
        Rungs that are in seconds.
    """

    epochs: frozenset[int] = frozenset()
    seconds: float = math.inf
    ladder: Ladder | None = None

    def is_at_rung(self, trial: Trial, epoch: int | None) -> bool:
        """True if a trial met a rung with that epoch; None is none of its own."""
        return epoch in self.epochs or (self.ladder is not None and epoch is not None and len(self.ladder.reached(trial, epoch)) > 0)


@dataclass(frozen=True)
class Rules:
    """Who goes on.

    Attributes
    ----------
    scheduler : Scheduler
    between : Asha or None
        Decides between the folds of a trial, by its running mean; None runs them all.
    confirmation : Confirmation or None
    saving : Saving
        When a trial that goes on writes a checkpoint.
    is_in_seconds : bool
        Whether rungs are in seconds of training.
    """

    scheduler: Scheduler
    between: Asha | None = None
    confirmation: Confirmation | None = None
    saving: Saving = Saving()
    is_in_seconds: bool = False

    def seconds_of(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> float | None:
        """What an epoch took; None where rungs do not ask for it, and of what is reported beyond the first part's epochs."""
        return float(metrics["seconds"]) if self.is_in_seconds and epoch <= trial.spec["epochs"] else None
