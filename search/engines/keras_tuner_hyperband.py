"""KerasTuner's Hyperband, telling the study what it does. Loads KerasTuner, and with it Keras: import it where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras_tuner
from keras_tuner.errors import FailedTrialError

from search.engines.keras_tuner_space import Made, SpaceModel, drawn
from search.errors import TrialFailed
from search.peer_study import PeerStudy
from search.space import FamilySpace
from search.trial import End, Trial, not_finite
from search.trial_cost import CostMeter


class Stopped(BaseException):
    """The study's totals are reached, or the user stopped it; KerasTuner lets only this kind of exception through, and takes the trial up again next time."""


class ToldHyperband(keras_tuner.Hyperband):
    """KerasTuner's Hyperband with a study that is told.

    Parameters
    ----------
    study : PeerStudy
    task : object
        What the workplace's factory builds: ``make(spec) -> Made``, ``logged``, ``reason_code(error)``.
    families : mapping of name to FamilySpace
    given : keyword arguments
        Of `keras_tuner.Hyperband`, but the model and the objective.
    """

    def __init__(self, study: PeerStudy, task: Any, families: Mapping[str, FamilySpace], **given: Any) -> None:
        self._study, self._task, self._space = study, task, families
        self._trial: Trial | None = None
        self._meter: CostMeter | None = None
        self._epoch_began = 0.0
        objective = keras_tuner.Objective(task.logged[study.metric], "max" if study.owner.maximize else "min")
        super().__init__(SpaceModel(families, self.make), objective, **given)

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
            raise Stopped
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
            raise Stopped

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
