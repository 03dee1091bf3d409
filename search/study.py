"""The study: the only truth about trials, and its one writer.

:class:`StudyOwner` is the driver's: it holds everything that is written. :func:`read_study` is for everybody else
(final evaluation, reports) and writes nothing. No other module opens an Optuna storage.
"""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.config import diff_fingerprints
from search.errors import StudyError
from search.lease import hold_lease
from search.storage import StudyStorage
from search.trial import MAX_RETRIES, End, Trial

__all__ = ["StudyOwner", "StudyView", "hold_lease", "list_studies", "read_study"]

optuna.logging.set_verbosity(optuna.logging.WARNING)

#: Reports wait at most so long (seconds) before they are written; the dashboard sees them no later.
_REPORT_DELAY_S = 1.0


def database(studies_dir: Path, name: str) -> Path:
    """The study's SQLite file."""
    return studies_dir / name / "study.db"


class StudyOwner:
    """Reads a study once, then writes every change to it; hold the lease while one exists.

    Parameters
    ----------
    studies_dir : Path
    name : str
    maximize : bool
    fingerprint : mapping, JSON-able
        What a resume must match.

    Raises
    ------
    StudyError
        If the study was made with another fingerprint; the message lists the differing keys and the ways out.
    """

    def __init__(self, studies_dir: Path, name: str, *, maximize: bool, fingerprint: Mapping[str, Any]) -> None:
        self.name = name
        self.maximize = maximize
        self.storage = StudyStorage(database(studies_dir, name))
        study = optuna.create_study(
            storage=self.storage,
            study_name=name,
            direction="maximize" if maximize else "minimize",
            load_if_exists=True,
        )
        self._study_id = study._study_id
        attrs = self.storage.get_study_user_attrs(self._study_id)
        _match(name, attrs.get("fingerprint"), fingerprint)
        if "fingerprint" not in attrs:
            self._set("fingerprint", dict(fingerprint))
            metric = fingerprint.get("objective", {}).get("metric")
            self._set("metric", metric)
            if metric is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names([metric])  # the dashboard's axes
        self.generation = attrs.get("generation", 0) + 1
        self._set("generation", self.generation)
        self._elapsed_before = float(attrs.get("elapsed_seconds", 0.0))
        self._clock_started: float | None = None
        self._last_write = time.monotonic()
        self._pending: dict[int, dict[int, float]] = {}
        frozen = self.storage.get_all_trials(self._study_id)
        self.trials: dict[int, Trial] = {t.number: _to_trial(t) for t in frozen}
        self._take_in_orphans()

    def _set(self, key: str, value: Any) -> None:
        self.storage.set_study_user_attr(self._study_id, key, value)

    def describe(self, about: Mapping[str, str]) -> None:
        """Attributes of the study that its dashboard shows beside the scores."""
        for key, text in about.items():
            self._set(key, text)

    @property
    def elapsed_seconds(self) -> float:
        """Seconds that drivers have searched, over all runs of the study; getting workers ready does not count."""
        here = 0.0 if self._clock_started is None else time.monotonic() - self._clock_started
        return self._elapsed_before + here

    def start_clock(self) -> None:
        """The search begins: a worker is free for the first time."""
        if self._clock_started is None:
            self._clock_started = time.monotonic()

    @property
    def next_number(self) -> int:
        """Number that the next new trial will have."""
        return len(self.trials)

    # -- beginnings ------------------------------------------------------------------------------------------------

    def start(self, spec: dict[str, Any], params: Mapping[str, tuple[Any, BaseDistribution]]) -> Trial:
        """Write a new RUNNING trial, whole: its number, specification and parameters."""
        attrs = {"spec": spec, "family": spec["family"]}
        trial_id, number = self.storage.insert_trial(
            self._study_id, TrialState.RUNNING, params, attrs, number=self.next_number
        )
        values = {name: value for name, (value, _) in params.items()}
        self.trials[number] = Trial(number, "RUNNING", spec, values, trial_id=trial_id)
        return self.trials[number]

    def start_waiting(self, trial: Trial, params: Mapping[str, tuple[Any, BaseDistribution]]) -> Trial:
        """Set a requeued trial running."""
        self.storage.start_waiting(trial.trial_id, params)
        trial.state = "RUNNING"
        return trial

    def waiting(self) -> list[Trial]:
        """Requeued trials that have not been started again, oldest first."""
        return [t for t in self.trials.values() if t.state == "WAITING"]

    # -- middles and ends ------------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, value: float) -> None:
        """Take in the value of an epoch; written within a second, and always before the trial's end."""
        self.trials[number].reports[epoch] = value
        self._pending.setdefault(number, {})[epoch] = value
        if time.monotonic() - self._last_write >= _REPORT_DELAY_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits, and the time spent so far."""
        for number, reports in self._pending.items():
            self.storage.write_trial(self.trials[number].trial_id, reports)
        self._pending.clear()
        self._set("elapsed_seconds", self.elapsed_seconds)
        self._last_write = time.monotonic()

    def finish(
        self, number: int, end: End, *, value: float | None = None, reason: str | None = None, outcome: Mapping[str, Any] | None = None
    ) -> Trial:
        """End a trial and, where it was lost rather than finished, put it in the queue again.

        A PRUNED trial's value is its last report, as in Optuna; the better one before it stays in ``outcome``.
        """
        trial = self.trials[number]
        trial.end, trial.state, trial.reason = str(end), end.state, reason
        trial.outcome = dict(outcome or {})
        if end.state == "COMPLETE":
            trial.value = value
        elif end is End.PRUNED and trial.reports:
            trial.value = trial.reports[max(trial.reports)]
        attrs: dict[str, Any] = {"end": trial.end}
        if reason:
            attrs["reason"] = reason
        if trial.outcome:
            attrs["outcome"] = trial.outcome
        self.storage.write_trial(
            trial.trial_id, self._pending.pop(number, {}), attrs, TrialState[end.state], trial.value
        )
        if end.is_requeued:
            self._requeue(trial)
        return trial

    def close(self) -> None:
        """Write what waits and let the database go."""
        self.flush()
        self.storage.engine.dispose()

    # -- orphans and retries ---------------------------------------------------------------------------------------

    def _take_in_orphans(self) -> None:
        """End what an earlier driver left running; requeue what it left without a successor. Safe to repeat."""
        for trial in list(self.trials.values()):
            if trial.state == "RUNNING":
                self.finish(trial.number, End.ORPHAN, reason="the driver that ran it ended before it did")
        for trial in list(self.trials.values()):
            if trial.end is not None and End(trial.end).is_requeued:
                self._requeue(trial)

    def _requeue(self, trial: Trial) -> None:
        has_successor = any(t.retry_of == trial.number for t in self.trials.values())
        if has_successor or self._ancestors(trial) >= MAX_RETRIES:
            return
        spec = {**trial.spec, "retry_of": trial.number}
        attrs = {"spec": spec, "family": spec["family"], "retry_of": trial.number}
        trial_id, number = self.storage.insert_trial(
            self._study_id, TrialState.WAITING, {}, attrs, {"fixed_params": trial.params}, number=self.next_number
        )
        self.trials[number] = Trial(number, "WAITING", spec, dict(trial.params), trial_id=trial_id)

    def _ancestors(self, trial: Trial) -> int:
        """How often this trial's configuration was lost to a crash; a stop the user asked for is not held against it."""
        count = 0
        while trial.retry_of is not None:
            trial = self.trials[trial.retry_of]
            count += trial.end != End.INTERRUPTED
        return count


def require_match(studies_dir: Path, name: str, fingerprint: Mapping[str, Any]) -> None:
    """Refuse a study of that name that was made with other settings, before any work is done; a new name is fine.

    Raises
    ------
    StudyError
        With the differing keys and the ways out.
    """
    path = database(studies_dir, name)
    if not path.is_file():
        return
    storage = StudyStorage(path)
    try:
        attrs = [s.user_attrs for s in storage.get_all_studies() if s.study_name == name]
    finally:
        storage.engine.dispose()
    if attrs:
        _match(name, attrs[0].get("fingerprint"), fingerprint)


class StudyView:
    """A study as read, for those who do not write it.

    Attributes
    ----------
    name, metric : str
    maximize : bool
    run : dict
        ``run.json``: what the composition root wrote about the run.
    trials : list of Trial
    elapsed_seconds : float
        Searched so far, over all runs.
    """

    def __init__(
        self, name: str, maximize: bool, metric: str | None, run: dict[str, Any], trials: list[Trial], elapsed_seconds: float = 0.0
    ) -> None:
        self.name, self.maximize, self.metric, self.run, self.trials = name, maximize, metric, run, trials
        self.elapsed_seconds = elapsed_seconds

    @property
    def direction(self) -> str:
        """ "maximize" or "minimize"."""
        return "maximize" if self.maximize else "minimize"

    def winner(self) -> Trial:
        """The best trial among those with the full budget.

        Raises
        ------
        StudyError
            If there is none; the message counts what there is.
        """
        return winner_of(self.name, self.trials, self.maximize)


def winner_of(name: str, trials: list[Trial], maximize: bool) -> Trial:
    """The best of the trials that had the full budget; ties go to the earlier one.

    Raises
    ------
    StudyError
        If none had.
    """
    full = [t for t in trials if t.is_full and t.value is not None]
    if not full:
        counts = {state: sum(t.state == state for t in trials) for state in ("PRUNED", "FAIL", "RUNNING", "WAITING")}
        told = ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "no trials yet"
        raise StudyError(f"study '{name}': no trial has had the full budget ({told}); run the search again to go on")
    sign = 1 if maximize else -1
    return max(full, key=lambda t: (sign * t.value, -t.number))


def list_studies(studies_dir: Path) -> list[str]:
    """Names of the studies in a folder."""
    return sorted(p.parent.name for p in studies_dir.glob("*/study.db") if _holds_study(p))


def _holds_study(path: Path) -> bool:
    """False for the moment between the making of a database and of the study in it."""
    if path.parent.name.startswith("."):
        return False
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM studies WHERE study_name = ?", (path.parent.name,)).fetchone() is not None
    except sqlite3.Error:
        return False


def read_study(studies_dir: Path, name: str) -> StudyView:
    """Read a study without writing to it.

    Raises
    ------
    StudyError
        If there is none of that name; the message lists those there are.
    """
    path = database(studies_dir, name)
    if not path.is_file() or not _holds_study(path):
        known = ", ".join(list_studies(studies_dir)) or "none yet"
        raise StudyError(f"no study '{name}' in {studies_dir} (there: {known}); start one with python -m search.run --space FILE")
    storage = StudyStorage(path)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        trials = [_to_trial(t) for t in storage.get_all_trials(study._study_id)]
        maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
        attrs = study.user_attrs
    finally:
        storage.engine.dispose()
    run_file = path.parent / "run.json"
    run = json.loads(run_file.read_text()) if run_file.is_file() else {}
    return StudyView(name, maximize, attrs.get("metric"), run, trials, attrs.get("elapsed_seconds", 0.0))


def _to_trial(frozen: FrozenTrial) -> Trial:
    attrs = frozen.user_attrs
    params = frozen.params or frozen.system_attrs.get("fixed_params", {})
    return Trial(
        frozen.number,
        frozen.state.name,
        attrs["spec"],
        dict(params),
        dict(frozen.intermediate_values),
        attrs.get("end"),
        attrs.get("reason"),
        frozen.value if frozen.state is not TrialState.RUNNING else None,
        attrs.get("outcome", {}),
        frozen._trial_id,
    )


def _match(name: str, stored: Mapping[str, Any] | None, fingerprint: Mapping[str, Any]) -> None:
    if stored is None or stored == json.loads(json.dumps(fingerprint)):
        return
    lines = "\n".join(f"  {line}" for line in diff_fingerprints(stored, fingerprint))
    raise StudyError(
        f"study '{name}' was made with other settings, and its trials can't be compared with new ones:\n{lines}\n"
        "ways out: put the settings back; or start another study with --study NAME; or remove the study's folder"
    )
