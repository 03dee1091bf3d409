"""The study: the only truth about trials, and its one writer.

:class:`StudyOwner` is the driver's: it holds everything that is written. `search.study_view` is for everybody else and writes
nothing. No other module opens an Optuna storage.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from search.database import in_words
from search.energy_section import EnergySettings
from search.fingerprint import completed
from search.lease import Lease
from search.location import Location
from search.roster import Roster
from search.spent import Spent
from search.storage import StudyStorage
from search.study_view import refuse_mismatch, refuse_stranger, trial_of
from search.trial import MAX_RETRIES, SECONDS, End, Trial, until_checkpoint
from search.trial_cost import added

#: Reports wait at most so long (seconds) before they are written; the dashboard sees them no later.
_REPORT_DELAY_S = 1.0


class StudyOwner:
    """Reads a study once, then writes every change to it; hold the lease while one exists.

    Parameters
    ----------
    location : Location
    maximize : bool
    fingerprint : mapping, JSON-able
        What a resume must match.
    defaults : mapping, optional
        What a study did that was made before a key of the fingerprint existed.
    lease : Lease, optional
        Asked before each write.
    energy : EnergySettings, optional
        How the energy of what this driver does is measured; without them it is not.
    trains_here : bool
        Whether trials train in the driver's own process, so that one may be what ended it.

    Attributes
    ----------
    spent : Spent
        Seconds, epochs and energy, over all runs.

    Raises
    ------
    StudyError
        If the study was made with another fingerprint; the message lists the differing keys and the ways out.
        From every method that writes: the database has not answered for long, or (LeaseLost) the study is another driver's now.
    """

    def __init__(
        self,
        location: Location,
        *,
        maximize: bool,
        fingerprint: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
        energy: EnergySettings | None = None,
        trains_here: bool = False,
    ) -> None:
        self.name = location.name
        self.maximize = maximize
        self._forgiven = {End.INTERRUPTED} if trains_here else {End.INTERRUPTED, End.ORPHAN}  # ends that are not held against a trial
        self.storage = StudyStorage(location, lease)
        with in_words(location, "opened"):
            attrs = self._join(location, fingerprint, defaults or {})
        self._last_write = time.monotonic()
        self._pending: dict[int, dict[int, float]] = {}
        with in_words(location, "read"):
            frozen = self.storage.get_all_trials(self._study_id)
        self.trials: dict[int, Trial] = {t.number: trial_of(t) for t in frozen}
        self.spent = Spent(attrs, self.trials.values(), energy)
        self.roster = Roster(self.trials.values())
        self._take_in_orphans()

    def _join(self, location: Location, fingerprint: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Find or make the study, see that it is the one that is meant, and become its driver; the attributes it had."""
        name, known = self.name, {s.study_name: s.user_attrs for s in self.storage.get_all_studies()}
        refuse_stranger(location, known.get(name))
        study = optuna.create_study(
            storage=self.storage, study_name=name, direction="maximize" if self.maximize else "minimize", load_if_exists=True
        )
        self._study_id = study._study_id
        attrs = self.storage.get_study_user_attrs(self._study_id)
        stored = attrs.get("fingerprint")
        refuse_mismatch(name, stored, fingerprint, defaults)
        self.generation = self.storage.take_over(self._study_id)
        if location.variable is not None:
            identity = attrs.get("identity") or uuid.uuid4().hex
            self._set("identity", identity)
            location.remember(identity)
        if stored is not None and (whole := completed(stored, fingerprint)) != stored:
            self._set("fingerprint", whole)
        if stored is None:
            self._set("fingerprint", dict(fingerprint))
        if attrs.get("metric") is None:  # also where a kill came between the two
            metric = fingerprint.get("objective", {}).get("metric")
            self._set("metric", metric)
            if metric is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names([metric])  # the dashboard's axes
        return attrs

    def _set(self, key: str, value: Any) -> None:
        self.storage.set_study_user_attr(self._study_id, key, value)

    def note_confirmation(self, confirm: Mapping[str, int] | None) -> None:
        """How many finalists are to be confirmed before there is a winner, on how many folds: ``{"top", "folds"}``."""
        self._set("confirm", None if confirm is None else dict(confirm))

    def note_preference(self, prefer: str) -> None:
        """Which of the trials near the best is to win (`search.preference`)."""
        self._set("prefer", prefer)

    def warm_start(self) -> dict[str, Any] | None:
        """What the study has taken over from others (`search.warm_start`), if it has."""
        return self.storage.get_study_system_attrs(self._study_id).get("warm_start")

    def keep_warm_start(self, record: Mapping[str, Any]) -> None:
        """Keep what the study has taken over from others, before its first trial."""
        self.storage.set_study_system_attr(self._study_id, "warm_start", dict(record))

    def describe(self, about: Mapping[str, str]) -> None:
        """Attributes of the study that its dashboard shows beside the scores."""
        for key, text in about.items():
            self._set(key, text)

    @property
    def elapsed_seconds(self) -> float:
        """Seconds that drivers have searched, over all runs of the study; getting workers ready does not count."""
        return self.spent.seconds

    @property
    def next_number(self) -> int:
        """Number that the next new trial will have."""
        return len(self.trials)

    # -- beginnings ------------------------------------------------------------------------------------------------

    def start(self, spec: dict[str, Any], params: Mapping[str, tuple[Any, BaseDistribution]], bracket: int | None = None) -> Trial:
        """Write a new RUNNING trial, whole: its number, specification and parameters."""
        attrs = {"spec": spec, "family": spec["family"]} | ({} if bracket is None else {"bracket": bracket})
        if spec.get("confirms") is not None:
            attrs["confirms"] = spec["confirms"]
        trial_id, number = self.storage.insert_trial(
            self._study_id, TrialState.RUNNING, params, attrs, number=self.next_number
        )
        values = {name: value for name, (value, _) in params.items()}
        return self._take_in(Trial(number, "RUNNING", spec, values, trial_id=trial_id, bracket=bracket))

    def _take_in(self, trial: Trial) -> Trial:
        self.trials[trial.number] = trial
        self.roster.note(trial)
        return trial

    def start_waiting(self, trial: Trial, params: Mapping[str, tuple[Any, BaseDistribution]]) -> Trial:
        """Set a requeued trial running."""
        self.storage.start_waiting(trial.trial_id, params)
        trial.state = "RUNNING"
        self.roster.note(trial)
        return trial

    def resume(self, trial: Trial) -> Trial:
        """Set a paused trial running again."""
        self.storage.start_waiting(trial.trial_id, {}, {"paused": None})
        trial.state, trial.paused = "RUNNING", None
        self.roster.note(trial)
        return trial

    def waiting(self) -> list[Trial]:
        """Requeued trials that have not been started again, oldest first."""
        return self.roster.waiting

    def paused(self) -> list[Trial]:
        """Trials that the scheduler let wait, oldest first."""
        return self.roster.paused

    # -- middles and ends ------------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, value: float, took: float | None = None) -> None:
        """Take in the value of an epoch and, where rungs are in seconds, the seconds it `took`; written within a second, and always before the trial's end."""
        trial = self.trials[number]
        if took is not None and (epoch == 1 or epoch - 1 in trial.seconds):
            trial.seconds[epoch] = round(trial.seconds.get(epoch - 1, 0.0) + took, 3)
        trial.reports[epoch], trial.reported_at[epoch] = value, round(self.elapsed_seconds, 3)
        self._pending.setdefault(number, {})[epoch] = value
        self.flush_when_due()

    def flush_when_due(self) -> None:
        """Write what has waited for a second."""
        if time.monotonic() - self._last_write >= _REPORT_DELAY_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits, and what was spent so far."""
        reports = {self.trials[number].trial_id: values for number, values in self._pending.items()}
        spent = self.spent.changed()
        for number, energy in self.spent.accounts.late():
            self._add_energy(self.trials[number], energy)
        self.storage.write_reports(self._study_id, reports, spent)
        self.spent.written(spent)
        self._pending.clear()
        self._last_write = time.monotonic()

    def _add_energy(self, trial: Trial, energy: Mapping[str, Any]) -> None:
        """A trial, or a leg of it, ended before its energy could be told."""
        while trial is not None:
            trial.outcome["cost"] = added(trial.outcome.get("cost"), energy)
            self.storage.write_trial(trial.trial_id, {}, {"outcome": trial.outcome})
            trial = self.successor(trial)  # what a lost trial took is its successors' too

    def park(self, number: int, epoch: int, outcome: Mapping[str, Any], checkpoint: Mapping[str, Any] | None) -> Trial:
        """Let a running trial wait after `epoch`, with what it has come to so far and, where one could be written, its checkpoint.

        In Optuna's words it is WAITING again: nothing of it runs, and something may go on with it.
        """
        trial = self.trials[number]
        trial.state, trial.paused, trial.outcome = "WAITING", epoch, dict(outcome)
        if checkpoint is not None:
            trial.checkpoint = dict(checkpoint)
        elif trial.checkpoint is not None:  # an earlier one still serves, but what its leg took is in the outcome now
            trial.checkpoint = {key: value for key, value in trial.checkpoint.items() if key != "leg"}
        attrs = {"paused": epoch, "outcome": trial.outcome, "checkpoint": trial.checkpoint, **_times(trial)}
        self.storage.write_trial(trial.trial_id, self._pending.pop(number, {}), attrs, TrialState.WAITING)
        self.roster.note(trial)
        return trial

    def keep_checkpoint(self, number: int, checkpoint: Mapping[str, Any]) -> Trial:
        """A running trial has saved its state: should it be lost, its successor goes on from there. All its reports are written with it."""
        trial = self.trials[number]
        trial.checkpoint = dict(checkpoint)
        self.storage.write_trial(trial.trial_id, self._pending.pop(number, {}), {"checkpoint": trial.checkpoint, **_times(trial)})
        return trial

    def forget_checkpoint(self, trial: Trial) -> None:
        """The trial's checkpoint is to be removed: should it go on, it starts afresh."""
        trial.checkpoint = None
        self.storage.write_trial(trial.trial_id, {}, {"checkpoint": None})

    def finish(
        self,
        number: int,
        end: End,
        *,
        value: float | None = None,
        reason: str | None = None,
        outcome: Mapping[str, Any] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> Trial:
        """End a trial and, where it was lost rather than finished, put it in the queue again, to go on from `checkpoint` or an earlier one.

        A PRUNED trial's value is its last report, as in Optuna; the better one before it stays in ``outcome``.
        """
        trial = self.trials[number]
        changed = {"paused": None} if trial.paused is not None else {}
        trial.end, trial.state, trial.reason, trial.paused = str(end), end.state, reason, None
        if checkpoint is not None or trial.checkpoint is not None:
            trial.checkpoint = changed["checkpoint"] = dict(checkpoint or trial.checkpoint) if trial.is_lost else None
        before, trial.outcome = trial.outcome, dict(outcome or {})
        if trial.checkpoint is not None and "fit_seconds" not in trial.outcome:
            trial.outcome |= until_checkpoint(before, trial.checkpoint)
        if end.state == "COMPLETE":
            trial.value = value
        elif end is End.PRUNED and trial.reports:
            trial.value = trial.reports[max(trial.reports)]
        attrs: dict[str, Any] = {"end": trial.end, **changed}
        if reason:
            attrs["reason"] = reason
        if trial.outcome:
            attrs["outcome"] = trial.outcome
        attrs |= _times(trial)
        self.storage.write_trial(
            trial.trial_id, self._pending.pop(number, {}), attrs, TrialState[end.state], trial.value
        )
        self.roster.note(trial)
        self._requeue(trial)
        return trial

    def close(self) -> None:
        """Write what waits and let the database go. A driver that may not write any more, or can't, only does the latter."""
        try:
            self.spent.accounts.close()
            if self.storage.given_up is None:
                self.flush()
        finally:
            self.storage.engine.dispose()

    # -- orphans and retries ---------------------------------------------------------------------------------------

    def _take_in_orphans(self) -> None:
        """End what an earlier driver left running; requeue what it left without a successor. Safe to repeat."""
        for trial in list(self.trials.values()):
            if trial.state == "RUNNING":
                earlier = {key: trial.outcome[key] for key in ("cost",) if key in trial.outcome}
                self.finish(trial.number, End.ORPHAN, reason="the driver that ran it ended before it did", outcome=earlier)
        for trial in list(self.trials.values()):
            self._requeue(trial)

    def _requeue(self, trial: Trial) -> None:
        if not trial.is_lost or self.successor(trial) is not None:
            return
        if trial.end not in self._forgiven and self._ancestors(trial) >= MAX_RETRIES:
            return
        spec = {**trial.spec, "retry_of": trial.number, "first": trial.root}
        if trial.end == End.TIMEOUT:
            spec["timeouts"] = trial.timeouts + 1
        attrs = {"spec": spec, "family": spec["family"], "retry_of": trial.number}
        attrs |= {name: value for name in ("bracket", "confirms") if (value := getattr(trial, name)) is not None}
        if trial.checkpoint is not None:  # for its successor it is of an earlier leg
            attrs["checkpoint"] = {key: value for key, value in trial.checkpoint.items() if key != "leg"}
        # What it took is its successor's too; seconds are those of the epochs that it has, so without a checkpoint they begin anew.
        handed = ("cost", *SECONDS, "phases", "untold") if trial.checkpoint is not None else ("cost",)
        if earlier := {key: trial.outcome[key] for key in handed if key in trial.outcome}:
            attrs["outcome"] = earlier
        known = {} if trial.checkpoint is None else {e: v for e, v in trial.reports.items() if e <= trial.checkpoint["epoch"]}
        times = _times(trial, known)
        attrs |= times
        trial_id, number = self.storage.insert_trial(
            self._study_id, TrialState.WAITING, {}, attrs, {"fixed_params": trial.params}, number=self.next_number, reports=known
        )
        successor = Trial(number, "WAITING", spec, dict(trial.params), dict(known), trial_id=trial_id)
        successor.checkpoint, successor.bracket, successor.outcome = attrs.get("checkpoint"), trial.bracket, attrs.get("outcome", {})
        successor.reported_at, successor.seconds = times.get("reported_at", {}), times.get("seconds", {})
        self._take_in(successor)

    def successor(self, trial: Trial) -> Trial | None:
        """The trial that repeats a lost one, if any."""
        return self.roster.successor(trial)

    def _ancestors(self, trial: Trial) -> int:
        """How often this trial's configuration was lost to a crash of its own: not by a stop that the user asked for, nor by the end of a driver elsewhere."""
        count = 0
        while trial.retry_of is not None:
            trial = self.trials[trial.retry_of]
            count += trial.end not in self._forgiven
        return count


def _times(trial: Trial, epochs: Collection[int] | None = None) -> dict[str, dict[int, float]]:
    """When its epochs were reported and what they took, of these epochs or of all: attributes, as far as there is something to say."""
    times = {name: {e: t for e, t in getattr(trial, name).items() if epochs is None or e in epochs} for name in ("reported_at", "seconds")}
    return {name: of_epochs for name, of_epochs in times.items() if of_epochs}
