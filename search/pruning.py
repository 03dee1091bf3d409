"""ASHA with one table of rungs for each family.

A transfer head is good at epoch 1, a network from scratch is not; compared with one another at the first rung the slow
starters would all be stopped. So a trial is only ever compared with trials of its own family.

The table lives in memory and is rebuilt from the study at every start: it holds nothing the study does not.
"""

from __future__ import annotations

from collections.abc import Iterable

from search.trial import Decision, Trial


class Asha:
    """Asynchronous successive halving, stopping variant, stratified by family.

    At a rung a trial goes on if its best value so far is among the best ``1/reduction_factor`` of the values its family
    has at that rung, its own included; while there are fewer than `reduction_factor` of them, if it is the best.

    Parameters
    ----------
    levels : tuple of int
        Rungs in epochs, ascending (:func:`search.schedule.rungs`).
    reduction_factor : int >= 2
    maximize : bool

    Source
    ------
    Li et al. 2020, Algorithm 2, arXiv:1810.05934. It is the stopping form, as in Optuna and Ray Tune: a trial
    below the cut ends instead of waiting. The stratification is ours.
    """

    def __init__(self, levels: tuple[int, ...], reduction_factor: int, maximize: bool) -> None:
        self._levels = levels
        self._reduction_factor = reduction_factor
        self._sign = 1.0 if maximize else -1.0
        self._table: dict[tuple[str, int], dict[int, float]] = {}

    def decide(self, family: str, number: int, epoch: int, best: float) -> Decision:
        """Continue or stop trial `number`, whose best value up to `epoch` is `best`."""
        if epoch not in self._levels:
            return Decision.CONTINUE
        values = self._table.setdefault((family, epoch), {})
        values[number] = self._sign * best
        ranked = sorted(values.values(), reverse=True)
        keep = max(1, len(ranked) // self._reduction_factor)
        return Decision.CONTINUE if values[number] >= ranked[keep - 1] else Decision.STOP

    def settle(self, family: str, number: int, last_epoch: int, best: float) -> None:
        """Let a trial that ended by its own early stop stand, with its value, at the rungs it did not reach."""
        for level in self._levels:
            if level > last_epoch:
                self._table.setdefault((family, level), {})[number] = self._sign * best

    def forget(self, number: int) -> None:
        """Take out a trial that failed or was lost: its successor must not be compared with its ghost."""
        for values in self._table.values():
            values.pop(number, None)

    def rebuild(self, trials: Iterable[Trial], maximize: bool) -> None:
        """Fill the table from the study's finished trials."""
        pick = max if maximize else min
        for trial in trials:
            if trial.state not in ("COMPLETE", "PRUNED") or not trial.reports:
                continue
            for level in self._levels:
                seen = [value for epoch, value in trial.reports.items() if epoch <= level]
                if level in trial.reports:
                    self._table.setdefault((trial.family, level), {})[trial.number] = self._sign * pick(seen)
            if trial.end == "early-stop":
                self.settle(trial.family, trial.number, max(trial.reports), pick(trial.reports.values()))


class NoPruning:
    """``scheduler: none``: every trial runs to its full budget."""

    def decide(self, family: str, number: int, epoch: int, best: float) -> Decision:
        """Always continue."""
        return Decision.CONTINUE

    def settle(self, family: str, number: int, last_epoch: int, best: float) -> None:
        """Nothing to keep."""

    def forget(self, number: int) -> None:
        """Nothing was kept."""

    def rebuild(self, trials: Iterable[Trial], maximize: bool) -> None:
        """Nothing to rebuild."""
