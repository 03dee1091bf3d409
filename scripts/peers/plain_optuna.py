"""A search with Optuna alone, as its documentation shows one: `study.optimize` in one process, TPE, `HyperbandPruner`, `model.fit` with a pruning callback.

    python -m scripts.peers.plain_optuna --space FILE --data SOURCE --study NAME --studies-dir DIR --minutes M --seed N

Networks, features and split are those of ``python -m search.run``, and the space is the same, conditions included: parameters that have no effect are not
asked for. TensorFlow uses all cores that the process may use. The study is in SQLite, as Optuna's page on resuming shows ("Saving/Resuming Study with RDB
Backend"); the same command goes on with it for as many minutes more. A trial that was running when the process was killed stays so.

Source
------
Optuna 5.0: API of `optuna.pruners.HyperbandPruner` (its example); examples ``keras/keras_integration.py`` (`optimize`, the callback's two lines).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

    from scripts.peers.opened import Opened


class Objective:
    """What `study.optimize` calls.

    Parameters
    ----------
    opened : Opened
    """

    def __init__(self, opened: Opened) -> None:
        from genre_models.compilable import build

        self._opened, self._trials = opened, build(opened.task)
        self._metric, self._maximizes = opened.config.objective.metric, opened.config.objective.direction == "maximize"

    def __call__(self, trial: optuna.Trial) -> float:
        """Train one configuration; the value is that of its best epoch."""
        import keras
        import optuna

        from genre_models.errors import ConfigurationRefused
        from genre_models.objective import screen

        spec = self._spec(trial)
        trial.set_user_attr("spec", spec)
        try:
            screen(spec, self._opened.task)
            made = self._trials.make(spec)
        except ConfigurationRefused as refused:
            raise optuna.TrialPruned(str(refused)) from refused
        history = _Reporting(trial, made, self._metric)
        try:
            made.model.fit(**made.fit_arguments, epochs=spec["epochs"], callbacks=[*made.callbacks, history.callback], verbose=0)
        finally:
            rows = history.rows
            trial.set_user_attr("outcome", {"epochs": len(rows), "history": rows})
            keras.backend.clear_session()
        return (max if self._maximizes else min)(row[self._metric] for row in rows)

    def _spec(self, trial: optuna.Trial) -> dict[str, Any]:
        from search.drawing import suggest
        from search.trial import trial_seed

        config = self._opened.config
        families = list(config.families)
        family = trial.suggest_categorical("family", families) if len(families) > 1 else families[0]
        space = config.families[family]
        sampled = space.sample(lambda parameter: suggest(trial, f"{family}/{parameter.name}", parameter))
        return self._opened.spec(family, dict(space.resolve(sampled)), trial_seed(config.seed, trial.number), "float32")


class _Reporting:
    """Tells Optuna each epoch, and ends the trial where its pruner says so."""

    def __init__(self, trial: optuna.Trial, made: Any, metric: str) -> None:
        import keras

        self.rows: list[dict[str, float]] = []
        self._trial, self._made, self._metric, self._began = trial, made, metric, time.monotonic()
        self.callback = keras.callbacks.LambdaCallback(on_epoch_begin=self._begin, on_epoch_end=self._report)

    def _begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()

    def _report(self, epoch: int, logs: dict[str, float]) -> None:
        import optuna

        self.rows.append(self._made.row(epoch + 1, logs, time.monotonic() - self._began))
        self._trial.report(self.rows[-1][self._metric], step=epoch + 1)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"trial was pruned at epoch {epoch + 1}")


def search(space: Path, source: str | None, study: str, studies_dir: Path, minutes: float, seed: int, defaults: bool = False) -> None:
    """Search for so many minutes from the first trial on; what is running then is still finished, as Optuna does it.

    With `defaults` it is told to begin with the families' declared defaults, as ours does where a space says ``try_defaults``.
    """
    import optuna

    from genre_models.framework import import_keras
    from scripts.peers.opened import open_space
    from search.warm_start import declared_defaults

    opened = open_space(space, source, seed, studies_dir)
    folder = studies_dir / study
    folder.mkdir(parents=True, exist_ok=True)
    import_keras()
    budget = opened.config.budget
    made = optuna.create_study(
        study_name=study,
        storage=f"sqlite:///{folder / 'study.db'}",
        load_if_exists=True,
        direction=opened.config.objective.direction,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=budget.min_epochs, max_resource=budget.max_epochs, reduction_factor=budget.reduction_factor),
    )
    objective = Objective(opened)
    for each in declared_defaults(opened.config.families) if defaults else ():
        named = {f"{each.family}/{name}": value for name, value in each.sampled.items()}
        made.enqueue_trial(named | ({"family": each.family} if len(opened.config.families) > 1 else {}), skip_if_exists=True)
    made.optimize(objective, timeout=60 * minutes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--data", metavar="SOURCE")
    parser.add_argument("--study", required=True)
    parser.add_argument("--studies-dir", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--defaults", action="store_true")
    o = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    search(o.space, o.data, o.study, o.studies_dir.resolve(), o.minutes, o.seed, o.defaults)
    return 0


if __name__ == "__main__":
    from scripts.ending import exit_code_of

    sys.exit(exit_code_of(main, stopped="stopped; the same command goes on"))
