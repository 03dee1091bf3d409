"""KerasTuner's Hyperband over a space, as its documentation has it, in this process; what it does stands in the study.

Its own state is in the study's folder, ``keras-tuner/search``, and it goes on from there. Loads KerasTuner: import it where that is wanted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.errors import FailedTrialError

from search.engines.keras_tuner_space import Made, SpaceModel, drawn
from search.errors import SearchError, TrialFailed
from search.peer_study import PeerStudy
from search.space import FamilySpace
from search.trial import End, Trial, not_finite
from search.trial_cost import CostMeter
from search.worker import Workplace, available_cores, build_objective

PROJECT = "search"
#: So many failed trials in a row end KerasTuner's search; refused configurations fail too.
_FAILURES = 10


class KerasTunerEngine:
    """Runs KerasTuner until the study's totals are reached.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    max_epochs, factor : int
        Of Hyperband.
    seed : int
    folder : Path
        The study's.
    """

    def __init__(self, families: Mapping[str, FamilySpace], max_epochs: int, factor: int, seed: int, folder: Path) -> None:
        self._families, self._max_epochs, self._factor, self._seed = dict(families), max_epochs, factor, seed
        self._directory = folder / "keras-tuner"

    def run(self, study: PeerStudy, place: Workplace) -> None:
        """Return when a total of the study is reached, or when KerasTuner has nothing more to try.

        Raises
        ------
        SearchError
            KerasTuner's own state is gone or can't be read.
        """
        if study.stop_reason is not None or not study.has_trials_left:
            return
        project = self._directory / PROJECT
        if study.owner.trials and not (project / "oracle.json").is_file():
            raise SearchError(f"study '{study.owner.name}' has trials, but KerasTuner's own state is not in {project} any more: put it back, or take another name with --study NAME")
        task = build_objective(replace(place, threads=available_cores()))
        model = SpaceModel(self._families, lambda family, params: tuner.make(family, params))
        direction = "max" if study.owner.maximize else "min"
        try:
            tuner = _Tuner(
                study,
                task,
                self._families,
                hypermodel=model,
                objective=keras_tuner.Objective(task.logged[study.metric], direction),
                max_epochs=self._max_epochs,
                factor=self._factor,
                hyperband_iterations=None,  # without end: the study's totals end it
                seed=self._seed,
                max_consecutive_failed_trials=_FAILURES,
                directory=str(self._directory),
                project_name=PROJECT,
            )
        except (json.JSONDecodeError, KeyError, RuntimeError) as error:
            raise SearchError(f"{project}: KerasTuner can't read its own state ({type(error).__name__}: {error}), as after a kill while it wrote; take another name with --study NAME") from error
        study.begin()
        try:
            tuner.search(verbose=0)
        except _Stopped:
            study.abandon("stopped in an epoch")
        except RuntimeError as error:
            if "consecutive failures" not in str(error):
                raise
            study.failing = f"{_FAILURES} trials in a row failed, and KerasTuner gave up"


class _Stopped(BaseException):
    """The study's totals are reached, or the user stopped it; KerasTuner lets only this kind of exception through, and takes the trial up again next time."""


class _Tuner(keras_tuner.Hyperband):
    """KerasTuner's Hyperband, telling the study what it does."""

    def __init__(self, study: PeerStudy, task: Any, families: Mapping[str, FamilySpace], **given: Any) -> None:
        self._study, self._task, self._space = study, task, families
        self._trial: Trial | None = None
        self._meter: CostMeter | None = None
        self._epoch_began = 0.0
        super().__init__(**given)

    def make(self, family: str, params: dict[str, Any]) -> Made:
        """The network of the trial that runs, with its items."""
        return self._task.make(self._trial.spec)

    def _populate_initial_space(self) -> None:
        """All of the space is declared; nothing is built to find it, since the smallest values may make no network."""
        space = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(space)
        self.oracle.update_space(space)

    def _configure_tensorboard_dir(self, callbacks: Any, trial: Any, execution: int = 0) -> None:
        """Nothing: KerasTuner 1.4 imports TensorBoard here even where nobody asked for it, and TensorFlow brings it no more."""

    def pre_create_trial(self) -> None:
        if self._study.stop_reason is not None or not self._study.has_trials_left:
            raise _Stopped
        super().pre_create_trial()

    def run_trial(self, trial: Any, *args: Any, **given: Any) -> Any:
        """As KerasTuner's, but what the study has already, because a kill came between its writing and KerasTuner's, is not trained again."""
        family, sampled = drawn(trial.hyperparameters.values, self._space)
        if (before := self._study.recorded(trial.trial_id, family, sampled)) is not None:
            return self._recorded(before)
        self._begin(trial, family, sampled)
        try:
            with CostMeter() as self._meter:
                self._study.parts.screen(self._trial.spec)
                return super().run_trial(trial, *args, **given)
        except Exception as error:
            self._fail(error)
            raise FailedTrialError(str(error)) from error

    def _begin(self, trial: Any, family: str, sampled: dict[str, Any]) -> None:
        values = trial.hyperparameters.values
        about = {name: values[f"tuner/{name}"] for name in ("bracket", "round", "initial_epoch", "epochs") if f"tuner/{name}" in values}
        if "tuner/trial_id" in values:
            about["promoted"] = self._study.known(values["tuner/trial_id"]).number
        spec = self._study.parts.spec(family, sampled, self._study.next_number())
        self._trial = self._study.started(trial.trial_id, spec, sampled, about)

    def _recorded(self, before: Trial) -> dict[str, float]:
        """What KerasTuner would have been told of a trial that ended before a kill."""
        if before.state == "FAIL" or not before.reports:
            raise FailedTrialError(before.reason or before.end)
        return {self.oracle.objective.name: before.best(self._study.owner.maximize)}

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        self._epoch_began = time.monotonic()

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        row = self.hypermodel.made.row(epoch + 1, logs, time.monotonic() - self._epoch_began)
        if (bad := not_finite(row)) is not None:
            raise TrialFailed("nan", f"{bad} is {row[bad]} at epoch {epoch + 1}")
        self._study.reported(self._trial, row)
        if self._study.stop_reason is not None and epoch + 1 < trial.hyperparameters.values.get("tuner/epochs", 0):
            raise _Stopped

    def on_trial_end(self, trial: Any) -> None:
        """The study is told first: what it has is never trained again, and KerasTuner's own state would not tell the curve."""
        if self._trial is not None:
            self._study.ended(self._trial, self._end_of(trial), cost=self._meter.cost, outcome=self._early(trial))
            self._trial = None
        super().on_trial_end(trial)

    def _end_of(self, trial: Any) -> End:
        if self._is_early(trial):
            return End.EARLY_STOP
        return End.FULL if max(self._trial.reports) >= self._trial.spec["epochs"] else End.PRUNED

    def _early(self, trial: Any) -> dict[str, Any]:
        return {"stopped_early": True} if self._is_early(trial) else {}

    def _is_early(self, trial: Any) -> bool:
        """Whether the configuration's own early stopping ended it before the epochs of its round."""
        return max(self._trial.reports) < trial.hyperparameters.values["tuner/epochs"]

    def _fail(self, error: Exception) -> None:
        self._study.failed(self._trial, self._task.reason_code(error), error, self._meter.cost)
        self._trial = None
