"""What a worker builds once and then runs trial after trial, and what the driver asks before it hands a trial out.

Knows specs, tasks and outcomes (docs/design.md, sections 4 and 5); knows neither the engine nor any one family. Importing it loads no
framework: `screen` and `resolve_precision` run in the driver.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

from genre_models.errors import ConfigurationRefused, GenreModelsError
from genre_models.families import FAMILIES
from genre_models.families.declaration import Cost
from genre_models.framework import import_keras
from genre_models.precision import resolve_precision

__all__ = ["METRICS", "Objective", "build", "resolve_precision", "screen"]

METRICS = {"val_accuracy": "maximize", "val_loss": "minimize"}
_LIMITS = {
    "gflops": ("GFLOP for one item", "fewer filters or smaller features"),
    "memory_mib": ("MiB to train", "a smaller batch or fewer filters"),
}
_OUT_OF_MEMORY = ("ResourceExhaustedError", "OutOfMemoryError")  # TensorFlow's and torch's; jax says it in the text


def screen(spec: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, float]:
    """Cost of a configuration before it is built; arithmetic only.

    Parameters
    ----------
    spec, task : mapping
        As in docs/design.md; of the task ``kind``, ``labels`` and ``limits``.

    Returns
    -------
    dict
        ``parameters``, ``gflops``, ``memory_mib``.

    Raises
    ------
    ConfigurationRefused
        It can't be built at that input size, or is over one of the task's limits.
    """
    from genre_models.features import feature_shape

    cost = _cost(spec, feature_shape(task["kind"], spec["features"]), len(task["labels"]))
    for name, limit in (task.get("limits") or {}).items():
        value = getattr(cost, name)
        if limit is not None and value > limit:
            unit, remedy = _LIMITS[name]
            raise ConfigurationRefused(f"{spec['family']}: needs {value:.4g} {unit}, the limit is {limit:.4g}: {remedy}")
    return asdict(cost)


def build(task: Mapping[str, Any]) -> Objective:
    """Make ready a worker: import Keras, set up devices, check the task.

    Parameters
    ----------
    task : mapping
        As in docs/design.md, section 5; ``threads`` (optional) bounds TensorFlow's pools where the environment does not.

    Raises
    ------
    GenreModelsError
        The objective's metric is not one that training reports.
    """
    metric = task["objective"]["metric"]
    if metric not in METRICS:
        raise GenreModelsError(f"objective.metric: {metric!r} is not reported by any family; it must be one of {', '.join(METRICS)}")
    _prepare_framework(task.get("threads"))
    return Objective(task)


def _prepare_framework(threads: int | None) -> None:
    """Import Keras with bounded thread pools, and let a GPU's memory grow, since workers may share one."""
    if threads is not None:  # TensorFlow reads them when its first operation runs
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    import_keras()
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            try:
                tf.config.experimental.set_memory_growth(device, True)
            except RuntimeError:
                pass  # the device is in use already, as in the driver's own process: it keeps the setting it has


class Objective:
    """Runs trials of one task.

    Parameters
    ----------
    task : mapping
    """

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._task = task
        self._data: dict[str, Any] = {}

    def data(self, features: Mapping[str, Any]) -> Any:
        """The development tracks under one feature setting; opened once."""
        from genre_models.features.store import FeatureStore
        from genre_models.training_data import DevelopmentData

        key = json.dumps(features, sort_keys=True)
        if key not in self._data:
            task = self._task
            store = FeatureStore(task["cache_dir"], task["kind"], dict(features), task["tracks"])
            self._data[key] = DevelopmentData(store, task["labels"], task["tracks"], task["objective"]["metric"])
        return self._data[key]

    def run(
        self, spec: Mapping[str, Any], report: Callable[..., str], *, workdir: str | None = None, resume: str | None = None
    ) -> dict[str, Any]:
        """Run one trial.

        Parameters
        ----------
        spec : mapping
        report : callable
            ``report(epoch, metrics, snapshot) -> "continue" | "stop" | "pause"``.
        workdir : str, optional
            Where weights, curve and validation predictions are left.
        resume : str, optional
            Folder of a snapshot to go on from.

        Returns
        -------
        dict
            The outcome of docs/design.md, section 4, and ``seconds`` (all of the trial) and ``phases`` (of it, in seconds: build, train,
            validate, report). `interval` is the 95 % Wilson interval of the validation accuracy at `best_epoch`, whatever the metric.

        Raises
        ------
        ConfigurationRefused, TrainingDiverged
        Exception
            Of any kind; one that means memory ran out has ``reason_code = "memory"``.
        """
        started = time.perf_counter()
        data = self.data(spec["features"])
        cost = _cost(spec, data.input_shape, len(data.labels))
        try:
            fitted = _family(spec).fit(
                spec["params"], data, epochs=spec["epochs"], seed=spec["seed"], report=report, resume=resume, precision=spec["precision"]
            )
        except Exception as error:
            if _is_out_of_memory(error):
                error.reason_code = "memory"
            raise
        if workdir is not None:
            from genre_models.artifacts import write_artifacts

            write_artifacts(workdir, fitted, data)
        return {**_outcome(fitted, data), "gflops": cost.gflops, "seconds": time.perf_counter() - started}


def _family(spec: Mapping[str, Any]) -> ModuleType:
    return importlib.import_module(FAMILIES[spec["family"]].module)


def _cost(spec: Mapping[str, Any], input_shape: tuple[int, int, int], n_classes: int) -> Cost:
    return _family(spec).estimate(spec["params"], input_shape, n_classes)


def _outcome(fitted: Any, data: Any) -> dict[str, Any]:
    from genre_models.metrics import wilson_interval

    n, best = len(data.validation_ids), fitted.history[fitted.best_epoch - 1]
    return {
        "value": best[data.metric],
        "best_epoch": fitted.best_epoch,
        "epochs": fitted.epochs,
        "stopped_early": fitted.stopped_early,
        "interval": list(wilson_interval(round(best["val_accuracy"] * n), n)),
        "parameters": fitted.parameters,
        "fit_seconds": fitted.phases["train"] + fitted.phases["validate"],
        "n_validation": n,
        "history": fitted.history,
        "phases": fitted.phases,
    }


def _is_out_of_memory(error: Exception) -> bool:
    named = any(base.__name__ in _OUT_OF_MEMORY for base in type(error).__mro__)
    return named or isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
