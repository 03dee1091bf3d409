"""The driver's decisions, whatever engine runs the trials.

An engine calls :meth:`Loop.next` when a worker is free, :meth:`Loop.report` for each epoch, and one of
:meth:`Loop.finished`, :meth:`Loop.failed`, :meth:`Loop.lost` when a worker is done with a trial. The loop asks the scheduler
and the proposer, writes the study, keeps the budget. It knows no threads, processes or clocks of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from search.budget import BudgetWatch
from search.checkpoints import Checkpoints
from search.confirm import WITHDRAWN, confirming_spec
from search.failures import Failures
from search.next_move import Confirm, EndPaused, GoOn, Move, NextMove, StartNew, StartWaiting
from search.rules import Limits, Monitor, Rules, SpecParts
from search.sampling import Proposer
from search.schedulers import Start
from search.study import StudyOwner
from search.trial import Decision, End, Trial, end_of, with_earlier_legs
from search.worker import Errand, Workplace


class Loop:
    """One search, from the first trial to the last.

    Parameters
    ----------
    owner : StudyOwner
    proposer : Proposer
    rules : Rules
    parts : SpecParts
    limits : Limits
    metric : str
        Key of the reported metrics that is the objective.
    monitor : Monitor
    checkpoints : Checkpoints
    """

    def __init__(
        self,
        owner: StudyOwner,
        proposer: Proposer,
        rules: Rules,
        parts: SpecParts,
        limits: Limits,
        metric: str,
        monitor: Monitor,
        checkpoints: Checkpoints,
    ) -> None:
        self.owner, self.metric, self.checkpoints = owner, metric, checkpoints
        self._proposer, self._rules, self._parts, self._monitor = proposer, rules, parts, monitor
        self._scheduler = rules.scheduler
        self._asked_to_end: dict[int, End | None] = {}  # why a trial was told to stop; None: to pause
        self._saved_at: dict[int, float] = {}  # elapsed seconds when a running trial began or last saved
        self._too_large = {_configuration(t): t.number for t in owner.trials.values() if t.end == End.MEMORY}
        self._failures = Failures()
        self._budget = BudgetWatch(limits, owner, monitor, self._asked_to_end)
        self._without: frozenset[str] = frozenset()
        self._proposals_end = False
        self._next_move = NextMove(owner, rules, self._budget, monitor, self._may_start_new)
        searched = [t for t in owner.trials.values() if t.confirms is None]
        proposer.rebuild(searched)
        self._scheduler.rebuild(searched)
        if rules.between is not None:
            rules.between.rebuild(searched)
        if begin_again := checkpoints.clean(owner.trials.values()):
            told = f"trial {begin_again[0].number} begins" if len(begin_again) == 1 else f"{len(begin_again)} trials begin"
            monitor.note(f"no checkpoint of theirs is in {checkpoints.place} any more, so {told} again at epoch 1, to the same values (was `artifacts` changed?)")
        self._drop_stale_confirmations()

    def _drop_stale_confirmations(self) -> None:
        """Those that wait on folds the file no longer asks for: the task has no such folds."""
        wanted = None if self._rules.confirmation is None else self._rules.confirmation.folds
        for trial in self.owner.waiting():
            if trial.confirms is not None and trial.spec["folds"] != wanted:
                self.owner.finish(trial.number, End.REFUSED, reason=WITHDRAWN)

    # -- what next -------------------------------------------------------------------------------------------------

    @property
    def running(self) -> list[Trial]:
        """Trials under way."""
        return self.owner.roster.running

    @property
    def stop_reason(self) -> str | None:
        """Why nothing more begins; None where the study's totals were not reached and nobody stopped it."""
        return self._budget.stop_reason

    @property
    def keeps_failing(self) -> bool:
        """True if the search ended itself because trials kept failing."""
        return self._failures.reason is not None

    @property
    def has_work(self) -> bool:
        """True while a free worker would be given something now."""
        return self._next_move() is not None

    def next(self, without: Collection[str] = ()) -> Trial | None:
        """A trial for a free worker, written to the study; None if there is none now.

        Where it is for the sampler to choose a family, none of those in `without` is begun if there is another: they wait for room already.
        """
        self.owner.spent.begin()
        self._without = frozenset(without)
        while (move := self._next_move()) is not None:
            if (trial := self._do(move)) is not None:
                return trial
        return None

    def errand(self, trial: Trial, place: Workplace, node: str | None = None) -> Errand:
        """A trial as it is handed to a worker, on this machine or on that node of a cluster."""
        self.owner.spent.accounts.begin(trial.number, node)
        where = self.checkpoints.where(trial)
        return Errand(trial.number, trial.spec, place.workdir(trial.number), where, self.checkpoints.to_resume(trial))

    def _do(self, move: Move) -> Trial | None:
        """Carry a move out; the trial that a worker is to get, None where it took none or was refused."""
        match move:
            case StartNew(wanted):
                return self._start_new(wanted)
            case StartWaiting(trial):
                return self._start_waiting(trial)
            case GoOn(trial):
                return self._resume(trial)
            case Confirm(trial, folds):
                return self._confirm(trial, folds)
            case EndPaused(trials, why):
                return self._end_paused(trials, why)

    def _may_start_new(self) -> bool:
        if not self._proposals_end and not self._proposer.has_more():
            self._no_more_of(None)
        return not self._proposals_end and self._budget.has_trials_left

    # -- beginnings ------------------------------------------------------------------------------------------------

    def _start_waiting(self, trial: Trial) -> Trial:
        self.owner.start_waiting(trial, self._proposer.written_params(trial.params))
        if trial.confirms is None:
            self._proposer.adopt(trial)
            self._scheduler.begun(trial)
        self._monitor.started(trial)
        return trial

    def _resume(self, trial: Trial) -> Trial:
        self.owner.resume(trial)
        self._scheduler.resumed(trial)
        self._monitor.started(trial)
        return trial

    def _start_new(self, wanted: Start) -> Trial | None:
        number, asked = self.owner.next_number, wanted.family
        if asked is None and self._without:
            asked = self._proposer.other_than(self._without)
        proposal = self._proposer.propose(number, asked)
        if proposal is None:
            self._no_more_of(asked)
            return None
        family, sampled, written = proposal
        spec = self._parts.spec(family, sampled, number)
        if (origin := self._proposer.origin_of(number)) is not None:
            spec["warm_start_of"] = origin
        trial = self.owner.start(spec, written, wanted.bracket)
        reason = self._refusal(trial)
        if reason is not None:
            self._end(trial, End.REFUSED, reason=reason)
            return None
        self._scheduler.begun(trial)
        self._monitor.started(trial)
        return trial

    def _refusal(self, trial: Trial) -> str | None:
        """Why a configuration is not to be tried, or None."""
        before = self._too_large.get(_configuration(trial))
        if before is not None:
            return f"the same configuration ran out of memory in trial {before}"
        try:
            self._parts.screen(trial.spec)
        except Exception as error:
            if getattr(error, "reason_code", None) != "refused":
                raise
            return str(error)
        return None

    def _no_more_of(self, family: str | None) -> None:
        if family is not None and self._proposer.has_more():
            self._scheduler.exhausted(family)
            return
        self._proposals_end = True
        self._monitor.note(f"the grid is done: all {self._proposer.total} configurations have been tried")

    def _confirm(self, trial: Trial, folds: int) -> Trial:
        confirming = self.owner.start(confirming_spec(trial, folds), self._proposer.written_params(trial.params))
        self._monitor.note(f"trial {confirming.number} scores trial {trial.number} ({trial.value:.3f}) again, on {folds} folds")
        self._monitor.started(confirming)
        return confirming

    # -- what the engine tells -------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, metrics: Mapping[str, float]) -> Decision:
        """Take in an epoch and say whether the trial goes on.

        Without metrics it is a beat: an epoch inside a further fold, which has no score of its own. An epoch that the study has already
        (trained again, because a checkpoint was lost) changes nothing in it.
        """
        trial = self.owner.trials[number]
        if not metrics or epoch <= trial.spec["epochs"]:  # else it is the mean of a further part, whose epochs were counted as beats
            self.owner.spent.epochs += 1
        if metrics and epoch not in trial.reports:
            self.owner.report(number, epoch, float(metrics[self.metric]), self._rules.seconds_of(trial, epoch, metrics))
            self._monitor.reported(trial, epoch, metrics)
        self.tick()
        if metrics and epoch >= trial.spec["epochs"] + trial.parts - 1:
            return Decision.CONTINUE  # it ends by itself; a full trial is never pruned
        decision = self._decide(trial, epoch) if metrics and trial.confirms is None else Decision.CONTINUE
        if decision is not Decision.CONTINUE:
            self._asked_to_end[number] = End.PRUNED if decision is Decision.STOP else None
        elif self.must_end(trial):
            self._asked_to_end[number] = End.INTERRUPTED
            return Decision.PAUSE  # so that its checkpoint is written
        elif self._is_to_save(trial, epoch if metrics else None):
            return Decision.SAVE
        return decision

    def _is_to_save(self, trial: Trial, epoch: int | None) -> bool:
        """True after a rung, after a part of several, and when the last checkpoint is old; of a beat `epoch` is None."""
        saving, now = self._rules.saving, self.owner.elapsed_seconds
        since = now - self._saved_at.setdefault(trial.number, now)
        at_end_of_part = epoch is not None and saving.epochs and epoch >= trial.spec["epochs"]
        if not saving.is_at_rung(trial, epoch) and not at_end_of_part and since < saving.seconds:
            return False
        self._saved_at[trial.number] = now
        return True

    def saved(self, number: int, checkpoint: Mapping[str, Any]) -> None:
        """A worker answered SAVE with a checkpoint, or with the reason why there is none."""
        trial = self.owner.trials[number]
        usable = self._usable(trial, checkpoint)
        if usable is not None:
            self.owner.keep_checkpoint(number, usable)
            self.checkpoints.keep_newest(trial)
            self._keep_to_limit()

    def must_end(self, trial: Trial) -> bool:
        """True if the search is ending and this trial is not one that is finished first."""
        return self._budget.must_end(trial)

    def _decide(self, trial: Trial, epoch: int) -> Decision:
        best = trial.best(self.owner.maximize, epoch)
        decision = self._scheduler.decide(trial, epoch, best)
        if epoch >= trial.spec["epochs"] and self._rules.between is not None:
            decision = self._rules.between.decide(trial, epoch, best)
        if decision is not Decision.CONTINUE and trial.root == self._budget.finish_first:
            return Decision.CONTINUE
        return decision

    def finished(self, number: int, outcome: Mapping[str, Any]) -> None:
        """The objective returned: the trial is done, or waits."""
        trial = self.owner.trials[number]
        outcome = self._settled(trial, outcome)
        checkpoint = self._usable(trial, outcome.pop("checkpoint", None))
        was_asked, why = number in self._asked_to_end, self._asked_to_end.get(number)
        end = end_of(outcome, (why or End.PRUNED) if was_asked else None, trial.spec["epochs"])
        if was_asked and why is None and end is End.PRUNED:
            self._park(trial, outcome, checkpoint)
            return
        reason = {
            End.EARLY_STOP: f"no better after epoch {outcome['best_epoch']}",
            End.PRUNED: f"below the cut of its family at epoch {max(trial.reports, default=0)}",
            End.INTERRUPTED: self.stop_reason,
            End.EXCEPTION: f"the objective returned after {outcome['epochs']} of {trial.spec['epochs']} epochs without being asked to",
        }.get(end)
        self._end(trial, end, value=outcome.get("value"), reason=reason, outcome=outcome, checkpoint=checkpoint)
        self._end_lost_out()

    def _settled(self, trial: Trial, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """An outcome, or the cost alone of a trial that has none, with what the leg that ends took, and what earlier ones did."""
        cost = self.owner.spent.accounts.settle(trial.number, outcome.get("cost"))
        return with_earlier_legs(trial.outcome, {**outcome, "cost": cost})

    def _usable(self, trial: Trial, checkpoint: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if checkpoint is None:
            return None
        if "error" not in checkpoint:
            # Written at a beat, it holds more than the epoch of that beat: all that was reported.
            return {**checkpoint, "epoch": max(trial.reports)}
        self._monitor.note(f"a checkpoint could not be written ({checkpoint['error']}); should its trial be taken up again, that is from the one before, or from epoch 1 where there is none")
        return None

    def failed(self, number: int, reason_code: str, message: str, cost: Mapping[str, Any] | None = None) -> None:
        """The objective raised; `reason_code` is one of ``refused``, ``nan``, ``memory``, ``exception``; `cost` is None where its process is gone."""
        known = {str(e) for e in (End.REFUSED, End.NAN, End.MEMORY)}
        end = End(reason_code) if reason_code in known else End.EXCEPTION
        self._end_without_outcome(number, end, message, cost)

    def lost(self, number: int, message: str) -> None:
        """The worker died, or the engine was stopped under it."""
        end = End.INTERRUPTED if self.must_end(self.owner.trials[number]) else End.WORKER_LOST
        self._end_without_outcome(number, end, message)

    def timed_out(self, number: int, message: str) -> None:
        """The worker gave no sign of life for too long, and was killed. The first time it may have been the machine's fault."""
        self._end_without_outcome(number, End.TIMEOUT, message)

    def _end_without_outcome(self, number: int, end: End, reason: str, cost: Mapping[str, Any] | None = None) -> None:
        trial = self.owner.trials[number]
        self._end(trial, end, reason=reason, outcome=self._settled(trial, {} if cost is None else {"cost": cost}))
        self._end_lost_out()

    def note(self, text: str) -> None:
        """Tell whoever watches."""
        self._monitor.note(text)

    def tick(self) -> None:
        """Called now and then while nothing is reported: a budget ends without being told, and what waits is written."""
        self._budget.check()
        self.owner.flush_when_due()

    def stop(self, reason: str) -> None:
        """Start nothing more, and let running trials end at their next report."""
        self._budget.call_off(reason)

    # -- pauses and ends -------------------------------------------------------------------------------------------

    def _park(self, trial: Trial, outcome: Mapping[str, Any], checkpoint: Mapping[str, Any] | None) -> None:
        self._asked_to_end.pop(trial.number)
        self._saved_at.pop(trial.number, None)
        self.owner.park(trial.number, max(trial.reports), outcome, checkpoint)
        self.checkpoints.keep_newest(trial)
        self._scheduler.parked(trial)
        self._proposer.learn(trial)
        self._failures.went_well()
        self._monitor.paused(trial)
        self._end_lost_out()
        self._keep_to_limit()

    def _keep_to_limit(self) -> None:
        for dropped in self.checkpoints.over_limit(self.owner.roster.unfinished, self.owner.maximize):
            self.owner.forget_checkpoint(dropped)
            self.checkpoints.remove(dropped)

    def _end_lost_out(self) -> None:
        """End what the scheduler will never take up again; each end may decide more."""
        while losers := self._losers():
            self._end_paused(losers, "not among the best of its rung")

    def _losers(self) -> list[Trial]:
        return self.owner.roster.paused_of(self._scheduler.losers())

    def _end_paused(self, trials: Iterable[Trial], why: str) -> None:
        for trial in trials:
            self._end(trial, End.PRUNED, reason=f"{why} at epoch {trial.paused}", outcome=trial.outcome)

    def _end(self, trial: Trial, end: End, **facts: Any) -> None:
        self.owner.finish(trial.number, end, **facts)
        requeued = self.owner.successor(trial) is not None
        if requeued:
            self.checkpoints.keep_newest(trial)
        else:
            self.checkpoints.remove(trial)
        self._asked_to_end.pop(trial.number, None)
        self._saved_at.pop(trial.number, None)
        if end is End.MEMORY:
            self._too_large.setdefault(_configuration(trial), trial.number)
        self._budget.ended(trial, requeued)
        if trial.confirms is None:
            self._proposer.learn(trial)
            self._scheduler.ended(trial, requeued)
            if self._rules.between is not None:
                self._rules.between.ended(trial, requeued)
        self._monitor.ended(trial)
        if self._failures.observe(trial, end) and not self._budget.is_called_off:
            self.stop(self._failures.reason)


def _configuration(trial: Trial) -> str:
    """What a trial tries, whatever its seed."""
    return json.dumps([trial.spec["family"], trial.spec.get("params"), trial.spec.get("features")], sort_keys=True)
