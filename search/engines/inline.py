"""Trials in this process, one after another: for debugging, tests, and machines without Ray."""

from __future__ import annotations

from search.loop import Loop
from search.worker import Failure, Workplace, build_objective, run_trial


class InlineEngine:
    """The simplest engine: no workers, no messages."""

    def run(self, loop: Loop, place: Workplace) -> None:
        """Run trials until the loop starts no more."""
        objective = None
        while (trial := loop.next()) is not None:
            # Built only when there is something to run: a study that is done must answer at once.
            objective = objective or build_objective(place)
            number = trial.number
            try:
                errand = loop.errand(trial, place)
                result = run_trial(
                    objective,
                    errand,
                    lambda epoch, metrics, number=number: loop.report(number, epoch, metrics),
                    lambda checkpoint, number=number: loop.saved(number, checkpoint),
                )
            except KeyboardInterrupt:
                loop.stop("interrupted")
                loop.lost(number, "interrupted in an epoch")
                raise
            if isinstance(result, Failure):
                loop.failed(number, result.reason_code, result.message, result.cost)
            else:
                loop.finished(number, result)
