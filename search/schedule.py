"""Rungs and their cost, in integers.

Pure arithmetic: no I/O, no imports of the engine. The unit of resource is the epoch; epochs run 1..max_epochs.
Levels are found by multiplying, never through a floating-point logarithm: ``floor(log(243, 3))`` is 4, not 5.
"""

from __future__ import annotations


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
    if min_epochs < 1 or max_epochs < min_epochs or reduction_factor < 2:
        raise ValueError(
            "1 <= min_epochs <= max_epochs and reduction_factor >= 2 must hold, "
            f"but got min_epochs={min_epochs}, max_epochs={max_epochs}, reduction_factor={reduction_factor}"
        )
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
