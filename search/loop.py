"""The driver's decisions, whatever engine runs the trials.

An engine calls :meth:`Loop.next` when a worker is free, :meth:`Loop.report` for each epoch, and one of
:meth:`Loop.finished`, :meth:`Loop.failed`, :meth:`Loop.lost` at a trial's end. The loop asks the proposer, consults the
pruner, writes the study, keeps the budget. It knows no threads, processes or clocks of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from search.pruning import Asha, NoPruning
from search.sampling import Proposer
from search.study import StudyOwner
from search.trial import Decision, End, Trial, end_of, trial_seed

#: So many failures in a row for the same reason are a fault of the setting, not of the configurations.
SAME_FAILURES = 10
#: So many configurations refused in a row mean that the space holds hardly any that fits.
REFUSALS = 100


@dataclass(frozen=True)
class Limits:
    """Totals of the study over all its runs; None is no limit."""

    trials: int | None = None
    minutes: float | None = None


class Monitor(Protocol):
    """Somebody who watches: the terminal display, a test."""

    def started(self, trial: Trial) -> None: ...
    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None: ...
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


class Loop:
    """One search, from the first trial to the last.

    Parameters
    ----------
    owner : StudyOwner
    proposer : Proposer
    pruner : Asha or NoPruning
    parts : SpecParts
    limits : Limits
    metric : str
        Key of the reported metrics that is the objective.
    monitor : Monitor
    """

    def __init__(
        self,
        owner: StudyOwner,
        proposer: Proposer,
        pruner: Asha | NoPruning,
        parts: SpecParts,
        limits: Limits,
        metric: str,
        monitor: Monitor,
    ) -> None:
        self.owner, self.limits, self.metric = owner, limits, metric
        self._proposer, self._pruner, self._parts, self._monitor = proposer, pruner, parts, monitor
        self._stopped_as: dict[int, End] = {}
        self._failures: list[str] = []
        self._refusals = 0
        self._finish_first: int | None = None
        self.stop_reason: str | None = None
        self.keeps_failing = False
        proposer.rebuild(owner.trials.values())
        pruner.rebuild(owner.trials.values(), owner.maximize)

    # -- what next -------------------------------------------------------------------------------------------------

    @property
    def running(self) -> list[Trial]:
        """Trials under way."""
        return [t for t in self.owner.trials.values() if t.state == "RUNNING"]

    def next(self) -> Trial | None:
        """A trial for a free worker, written to the study; None if no more are to be started now."""
        self.owner.start_clock()
        while self.may_start:
            waiting = self.owner.waiting()
            trial = self._start_waiting(waiting[0]) if waiting else self._start_new()
            if trial is not None:
                return trial
        return None

    @property
    def may_start(self) -> bool:
        """True while another trial may begin."""
        if self.stop_reason is None:
            self._check_budget()
        if self.stop_reason is not None:
            return False
        if self.limits.trials is None:
            return True
        counted = sum(t.counts or t.state == "RUNNING" for t in self.owner.trials.values())
        return counted < self.limits.trials

    def _start_waiting(self, trial: Trial) -> Trial:
        self.owner.start_waiting(trial, self._proposer.written_params(trial.params))
        self._proposer.adopt(trial)
        self._monitor.started(trial)
        return trial

    def _start_new(self) -> Trial | None:
        number = self.owner.next_number
        family, sampled, written = self._proposer.propose(number)
        spec = {
            "family": family,
            "params": dict(self._parts.resolve(family, sampled)),
            **self._parts.sections[family],
            "epochs": self._parts.epochs,
            "seed": trial_seed(self._parts.seed, number),
            "precision": self._parts.precision,
            "retry_of": None,
        }
        trial = self.owner.start(spec, written)
        try:
            self._parts.screen(spec)
        except Exception as error:
            if getattr(error, "reason_code", None) != "refused":
                raise
            self._end(trial, End.REFUSED, reason=str(error))
            return None
        self._monitor.started(trial)
        return trial

    # -- what the engine tells -------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, metrics: Mapping[str, float]) -> Decision:
        """Take in an epoch and say whether the trial goes on."""
        trial = self.owner.trials[number]
        self.owner.report(number, epoch, float(metrics[self.metric]))
        self._monitor.reported(trial, epoch, metrics)
        self._check_budget()
        if epoch >= self._parts.epochs:
            return Decision.CONTINUE  # it ends by itself; a full trial is never pruned
        if self.stop_reason is not None and number != self._finish_first:
            self._stopped_as[number] = End.INTERRUPTED
            return Decision.STOP
        decision = self._pruner.decide(trial.family, number, epoch, trial.best(self.owner.maximize))
        if decision is Decision.STOP:
            self._stopped_as[number] = End.PRUNED
        return decision

    def finished(self, number: int, outcome: Mapping[str, Any]) -> None:
        """The objective returned."""
        trial = self.owner.trials[number]
        end = end_of(outcome, self._stopped_as.get(number), self._parts.epochs)
        reason = None
        if end is End.EARLY_STOP:
            self._pruner.settle(trial.family, number, outcome["epochs"], trial.best(self.owner.maximize))
            reason = f"no better after epoch {outcome['best_epoch']}"
        elif end is End.PRUNED:
            reason = f"below the cut of its family at epoch {outcome['epochs']}"
        elif end is End.INTERRUPTED:
            reason = self.stop_reason
        elif end is End.EXCEPTION:
            reason = f"the objective returned after {outcome['epochs']} of {self._parts.epochs} epochs without being asked to"
        self._end(trial, end, value=outcome.get("value"), reason=reason, outcome=outcome)

    def failed(self, number: int, reason_code: str, message: str) -> None:
        """The objective raised; `reason_code` is one of ``refused``, ``nan``, ``memory``, ``exception``."""
        known = {str(e) for e in (End.REFUSED, End.NAN, End.MEMORY)}
        end = End(reason_code) if reason_code in known else End.EXCEPTION
        self._end(self.owner.trials[number], end, reason=message)

    def lost(self, number: int, message: str) -> None:
        """The worker died, or the engine was stopped under it."""
        end = End.INTERRUPTED if self.stop_reason is not None else End.WORKER_LOST
        self._end(self.owner.trials[number], end, reason=message)

    def note(self, text: str) -> None:
        """Tell whoever watches."""
        self._monitor.note(text)

    def tick(self) -> None:
        """Called now and then while nothing is reported: the time budget ends without being told."""
        self._check_budget()

    def stop(self, reason: str) -> None:
        """Start nothing more, and let running trials end at their next report."""
        self.stop_reason = self.stop_reason or reason

    # -- inside ----------------------------------------------------------------------------------------------------

    def _end(self, trial: Trial, end: End, **facts: Any) -> None:
        self.owner.finish(trial.number, end, **facts)
        if end.state == "FAIL":
            self._pruner.forget(trial.number)
        self._proposer.learn(trial)
        self._stopped_as.pop(trial.number, None)
        if trial.number == self._finish_first:
            self._finish_first = None
        self._monitor.ended(trial)
        self._watch_failures(trial, end)

    def _watch_failures(self, trial: Trial, end: End) -> None:
        self._refusals = self._refusals + 1 if end is End.REFUSED else 0
        if self._refusals >= REFUSALS:
            self.keeps_failing = True
            self.stop(f"{REFUSALS} configurations in a row were refused, the last because: {trial.reason}")
        if end is End.REFUSED or end is End.INTERRUPTED:
            return
        if end.state != "FAIL":
            self._failures.clear()
            return
        same = f"{end}: {trial.reason}"
        self._failures = [*self._failures, same] if self._failures[-1:] == [same] else [same]
        if len(self._failures) >= SAME_FAILURES:
            self.keeps_failing = True
            self.stop(f"{SAME_FAILURES} trials in a row failed for the same reason: {trial.reason}")

    def _check_budget(self) -> None:
        minutes = self.limits.minutes
        if self.stop_reason is not None or minutes is None or self.owner.elapsed_seconds < 60 * minutes:
            return
        self.stop_reason = f"the budget of {minutes:g} minutes is used up"
        self._finish_first = self._most_advanced()
        if self._finish_first is not None:
            self._monitor.note(
                f"{self.stop_reason}; no trial has had the full budget yet, so trial {self._finish_first} is finished first"
            )

    def _most_advanced(self) -> int | None:
        """The running trial to finish although the time is up: only if nothing could win otherwise."""
        if any(t.is_full for t in self.owner.trials.values()):
            return None
        sign = 1 if self.owner.maximize else -1
        started = [t for t in self.running if t.reports]
        if not started:
            started = self.running
        best = max(
            started,
            key=lambda t: (len(t.reports), sign * (t.best(self.owner.maximize) or 0.0), -t.number),
            default=None,
        )
        return None if best is None else best.number

    @property
    def budget_met(self) -> bool:
        """True if the study's totals are reached."""
        counted = sum(t.counts for t in self.owner.trials.values())
        if self.limits.trials is not None and counted >= self.limits.trials:
            return True
        return self.limits.minutes is not None and self.owner.elapsed_seconds >= 60 * self.limits.minutes
