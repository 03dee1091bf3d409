"""Rungs and their cost, in integers.

Pure arithmetic: no I/O, no imports of the engine. The unit of resource is the epoch; epochs run 1..max_epochs.
Levels are found by multiplying, never through a floating-point logarithm: ``floor(log(243, 3))`` is 4, not 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BracketPlan:
    """One bracket of Hyperband: a successive halving.

    Attributes
    ----------
    configurations : int
        How many begin ("n" in the paper).
    levels : tuple of int
        Epochs of its rungs ("r_i"), ascending; the last is the full budget.
    reduction_factor : int
        "eta".
    """

    configurations: int
    levels: tuple[int, ...]
    reduction_factor: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Configurations that reach each rung ("n_i")."""
        return tuple(self.configurations // self.reduction_factor**i for i in range(len(self.levels)))

    @property
    def epochs(self) -> int:
        """Epochs of the whole bracket, going on from checkpoints."""
        steps = zip(self.sizes, (0, *self.levels), self.levels, strict=False)
        return sum(size * (level - before) for size, before, level in steps)


def brackets(min_epochs: int, max_epochs: int, reduction_factor: int) -> tuple[BracketPlan, ...]:
    """The brackets of one round of Hyperband, the most exploring first.

    Parameters
    ----------
    min_epochs : int >= 1
        Least epochs a configuration gets; the paper's unit of resource.
    max_epochs : int >= min_epochs
        "R", in epochs.
    reduction_factor : int >= 2
        "eta".

    Returns
    -------
    tuple of BracketPlan
        For s = s_max, …, 0, where s_max is the largest s with ``min_epochs * eta**s <= max_epochs``: ``n = ceil((s_max + 1) * eta**s / (s + 1))``
        configurations at ``R // eta**s`` epochs, and so on up to R. Where R is no power of eta the paper's R * eta**-s is no integer: rounded down.

    Raises
    ------
    ValueError
        If a bound above does not hold.

    Source
    ------
    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18(185), 2018,
    Algorithm 1. arXiv:1603.06560. The table beside it has other numbers of configurations (81, 27, 9, 6, 5) than the algorithm (81, 34, 15, 8, 5).
    """
    _check_bounds(min_epochs, max_epochs, reduction_factor)
    most = 0
    while min_epochs * reduction_factor ** (most + 1) <= max_epochs:
        most += 1
    return tuple(
        BracketPlan(
            configurations=-(-(most + 1) * reduction_factor**s // (s + 1)),
            levels=tuple(max_epochs // reduction_factor ** (s - i) for i in range(s + 1)),
            reduction_factor=reduction_factor,
        )
        for s in range(most, -1, -1)
    )


def hyperband_epochs(trials: int, plans: Sequence[BracketPlan], families: int = 1) -> int:
    """Epochs that `trials` configurations take in true brackets, each family taking each bracket in turn.

    Parameters
    ----------
    trials : int >= 0
    plans : sequence of BracketPlan
        From :func:`brackets`.
    families : int >= 1

    Returns
    -------
    int
        A bracket that the trials do not fill is halved from what it has.
    """
    total, bracket = 0, 0
    while trials > 0:
        plan = plans[bracket // families % len(plans)]
        alive, reached = min(trials, plan.configurations), 0
        trials -= alive
        for level in plan.levels:
            total += alive * (level - reached)
            alive, reached = max(1, alive // plan.reduction_factor), level
        bracket += 1
    return total


def _check_bounds(min_epochs: int, max_epochs: int, reduction_factor: int) -> None:
    if min_epochs < 1 or max_epochs < min_epochs or reduction_factor < 2:
        raise ValueError(
            "1 <= min_epochs <= max_epochs and reduction_factor >= 2 must hold, "
            f"but got min_epochs={min_epochs}, max_epochs={max_epochs}, reduction_factor={reduction_factor}"
        )


def rungs(min_epochs: int, max_epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """Epochs at which a trial may be stopped.

    Parameters
    ----------
    min_epochs : int >= 1
        The first rung ("r" in the paper).
    max_epochs : int >= min_epochs
        The full budget ("R"). It is no rung: nothing is stopped where it would have ended anyway.
    reduction_factor : int >= 2
        One of so many goes on ("eta").

    Returns
    -------
    tuple of int
        ``min_epochs * reduction_factor**k`` for k = 0, 1, … while below ``max_epochs``.

    Raises
    ------
    ValueError
        If a bound above does not hold.

    Source
    ------
    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar, "A System for Massively Parallel
    Hyperparameter Tuning", MLSys 2020, Algorithm 2 (ASHA). arXiv:1810.05934
    """
    _check_bounds(min_epochs, max_epochs, reduction_factor)
    levels = []
    level = min_epochs
    while level < max_epochs:
        levels.append(level)
        level *= reduction_factor
    return tuple(levels)


def halving_epochs(trials: int, levels: tuple[int, ...], max_epochs: int, reduction_factor: int) -> int:
    """Epochs that `trials` trials take if exactly one of `reduction_factor` passes each rung.

    A plan for ``--dry-run``, not a promise: asynchronous decisions let a few more through.

    Parameters
    ----------
    trials : int >= 0
    levels : tuple of int
        From :func:`rungs`; empty when nothing is stopped.
    max_epochs, reduction_factor : int

    Returns
    -------
    int
    """
    total, reached, alive = 0, 0, trials
    for level in (*levels, max_epochs):
        total += alive * (level - reached)
        reached = level
        alive = -(-alive // reduction_factor)  # at least one goes on, as in the decision itself
    return total
