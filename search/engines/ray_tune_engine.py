"""Ray Tune over a space as its documentation has it: `OptunaSearch` with `ASHAScheduler`; what it does stands in the study.

Its own state is in the study's folder, ``ray-tune/search``, and it goes on from there (`Tuner.restore`). Loads Ray Tune: import it where that is wanted.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from search.config import SearchConfig
from search.domains import ChoiceDomain, IntDomain
from search.engines.ray_connect import connected, first_line
from search.engines.ray_tune_trainable import specification, train, train_by_fit
from search.errors import SearchError
from search.peer_study import PeerStudy
from search.peers import FITTED
from search.space import FamilySpace, Parameter
from search.trial import End, Trial, end_of
from search.worker import Workplace, available_cores

NAME = "search"


@dataclass(frozen=True)
class DefineByRun:
    """The space as `OptunaSearch` takes it: a function of an Optuna trial. What it returns goes into the configuration beside what was suggested."""

    families: Mapping[str, FamilySpace]

    def __call__(self, trial: Any) -> dict[str, Any]:
        family = trial.suggest_categorical("family", tuple(self.families))
        self.families[family].sample(lambda parameter: _suggested(trial, f"{family}/{parameter.name}", parameter))
        return {"number": trial.number}


def _suggested(trial: Any, name: str, parameter: Parameter) -> Any:
    domain = parameter.domain
    if isinstance(domain, ChoiceDomain):
        return trial.suggest_categorical(name, domain.values)
    suggest = trial.suggest_int if isinstance(domain, IntDomain) else trial.suggest_float
    return suggest(name, domain.low, domain.high, step=domain.step, log=domain.log)


class RayTuneEngine:
    """Runs Ray Tune until the study's totals are reached.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    config : SearchConfig
    folder : Path
        The study's.
    """

    def __init__(self, families: Mapping[str, FamilySpace], config: SearchConfig, folder: Path) -> None:
        self._families, self._config, self._directory = dict(families), config, folder / "ray-tune"

    def run(self, study: PeerStudy, place: Workplace) -> None:
        """Return when a total of the study is reached, or when Tune's experiment has ended.

        Raises
        ------
        SearchError
            Ray can't be started, or Tune can't go on from its own state.
        """
        if study.stop_reason is not None or not study.has_trials_left:
            return
        resources = self._config.resources
        workers = self._config.workers or max(1, available_cores() // resources.cpus)
        # Our own handlers end a search; paths may be relative to where the command was given; Tune's tables would come between our lines.
        os.environ |= {"TUNE_DISABLE_SIGINT_HANDLER": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_AIR_NEW_OUTPUT": "0"}
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        study.note("starting Ray on this machine")
        place = replace(place, gpus=resources.gpus > 0)
        with connected(None, workers * resources.cpus, workers * resources.gpus):
            ends = self._directory / "ends"
            ends.mkdir(parents=True, exist_ok=True)
            trainable = tune.with_resources(
                tune.with_parameters(self._train, place=place, parts=study.parts, ends=str(ends)), {"cpu": resources.cpus, "gpu": resources.gpus}
            )
            _run.append(_Run(study, ends))
            try:
                tuner = self._tuner(trainable, study, workers)
                study.begin()
                tuner.fit()
                if _run[-1].trouble is not None:
                    raise _run[-1].trouble
            finally:
                _run.pop()
        if study.stop_reason is None and study.has_trials_left:
            study.note("Ray Tune's experiment has ended and can't be given more; for a larger budget take another name with --study NAME")

    @property
    def _train(self) -> Any:
        return train_by_fit if self._config.engine in FITTED else train

    def _tuner(self, trainable: Any, study: PeerStudy, workers: int) -> tune.Tuner:
        path = str(self._directory / NAME)
        if not any(Path(path).glob("experiment_state-*.json")):  # killed before it wrote any, Tune knows of nothing
            return self._new_tuner(trainable, study, workers)
        try:
            return tune.Tuner.restore(path, trainable)
        except Exception as error:  # unpickling what another version wrote may raise anything
            told = f"{type(error).__name__}: {first_line(error)}"
            raise SearchError(f"{path}: Ray Tune can't go on from its own state ({told}); take another name with --study NAME") from error

    def _new_tuner(self, trainable: Any, study: PeerStudy, workers: int) -> tune.Tuner:
        config, budget = self._config, self._config.budget
        metric, mode = config.objective.metric, "max" if study.owner.maximize else "min"
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric=metric,
                mode=mode,
                search_alg=OptunaSearch(DefineByRun(self._families), metric=metric, mode=mode, seed=config.seed),
                scheduler=ASHAScheduler(
                    time_attr="epoch", max_t=budget.max_epochs, grace_period=budget.min_epochs, reduction_factor=budget.reduction_factor
                ),
                num_samples=-1 if budget.trials is None else budget.trials,
                max_concurrent_trials=workers,
                reuse_actors=config.engine == "ray-tune-reuse",
            ),
            run_config=tune.RunConfig(name=NAME, storage_path=str(self._directory), callbacks=[ToStudy()], verbose=0),
        )


class _Run:
    """Takes down what Tune does, in the driver.

    Attributes
    ----------
    trouble : Exception or None
        Why nothing can be written any more; Tune itself would take it for a failure of a trial.
    """

    def __init__(self, study: PeerStudy, ends: Path) -> None:
        self._study, self._ends = study, ends
        self._trials: dict[str, Trial | None] = {}  # by Tune's name; None: the study has it whole from before a kill
        self._costs: dict[str, Any] = {}
        self._is_interrupted = False
        self.trouble: Exception | None = None

    def looked(self) -> None:
        """Between two steps of Tune's: is it to end? Then it is told as its documentation says, so that it writes its state and can go on."""
        self._study.tick()
        is_full = not self._study.has_trials_left and not self._study.owner.roster.running  # a restored Tune still has the number it began with
        if not self._is_interrupted and (self.trouble is not None or self._study.stop_reason is not None or is_full):
            self._is_interrupted = True
            os.kill(os.getpid(), signal.SIGUSR1)

    def started(self, tuned: Any) -> None:
        spec, sampled = specification(tuned.config, self._study.parts)
        name = str(tuned.config["number"])
        before = self._study.recorded(name, spec["family"], sampled)
        self._trials[tuned.trial_id] = None if before is not None else self._study.started(name, spec, sampled, {"id": tuned.trial_id})

    def reported(self, tuned: Any, result: Mapping[str, Any]) -> None:
        trial = self._trials.get(tuned.trial_id)
        if "row" not in result:
            return  # Tune's own last word on a trial
        self._costs[tuned.trial_id] = result.get("cost")
        if trial is None:
            self._study.trained_again()
        else:
            self._study.reported(trial, result["row"])

    def completed(self, tuned: Any) -> None:
        trial, cost = self._trials.pop(tuned.trial_id, None), self._costs.pop(tuned.trial_id, None)
        if trial is None:
            return
        left, whole = self._left(trial), trial.spec["epochs"]
        if "outcome" in left:
            self._study.ended(trial, end_of(left["outcome"], None, whole), cost=left["cost"], outcome=left["outcome"])
        elif max(trial.reports, default=0) >= whole:
            self._study.ended(trial, End.FULL, cost=cost)
        else:
            self._study.ended(trial, End.PRUNED, reason=f"stopped by ASHA at epoch {max(trial.reports, default=0)}", cost=cost)

    def failed(self, tuned: Any) -> None:
        trial, cost = self._trials.pop(tuned.trial_id, None), self._costs.pop(tuned.trial_id, None)
        if trial is None:
            return
        left = self._left(trial)
        if "failed" in left:
            self._study.failed(trial, left["failed"], left["message"], left["cost"])
            return
        said = str(tuned.get_error() or "its process ended")
        line = said.strip().splitlines()[-1] if said.strip() else "its process ended"
        self._study.failed(trial, "memory" if "OutOfMemory" in said else "exception", line, cost)

    def _left(self, trial: Trial) -> dict[str, Any]:
        """How the training itself said that it ended; empty where it was stopped or killed."""
        file = self._ends / f"{trial.spec['peer']['trial']}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


#: The run under way. Tune pickles its callbacks, and what writes a study can't be.
_run: list[_Run] = []


class ToStudy(tune.Callback):
    """Hands what Tune does to the run under way."""

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        self._hand("looked")

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._hand("started", trial)

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        self._hand("reported", trial, result)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._hand("completed", trial)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._hand("failed", trial)

    @staticmethod
    def _hand(what: str, *told: Any) -> None:
        run = _run[-1]
        if run.trouble is not None and what != "looked":
            return
        try:
            getattr(run, what)(*told)
        except Exception as error:
            run.trouble = run.trouble or error
