"""What a worker builds once and then runs trial after trial, and what the driver asks before it hands a trial out.

Knows specs, tasks and outcomes (docs/design.md, sections 4 and 5); knows neither the engine nor any one family. Importing it loads no
framework: `screen` and `resolve_precision` run in the driver.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from genre_models.errors import ConfigurationRefused, GenreModelsError
from genre_models.families import FAMILIES
from genre_models.families.declaration import Cost
from genre_models.families.own import add_own_families
from genre_models.framework import backend_of, prepare_backend, settle_backend
from genre_models.precision import resolve_precision

__all__ = ["METRICS", "Objective", "build", "resolve_precision", "screen"]

METRICS = {"val_accuracy": "maximize", "val_loss": "minimize"}
_LIMITS = {
    "gflops": ("GFLOP for one item", "fewer filters or smaller features"),
    "memory_mib": ("MiB to train", "a smaller batch or fewer filters"),
}
# TensorFlow's error and torch's of a GPU by name; jax's, and torch's of the processor, by what they say.
_OUT_OF_MEMORY, _SAID_OF_MEMORY = ("ResourceExhaustedError", "OutOfMemoryError"), ("RESOURCE_EXHAUSTED", "DefaultCPUAllocator: can't allocate memory")


def screen(spec: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, float]:
    """Cost of a configuration before it is built; arithmetic only.

    Parameters
    ----------
    spec, task : mapping
        As in docs/design.md; of the task ``kind``, ``labels``, ``limits`` and, for the cost of an epoch, ``tracks``.

    Returns
    -------
    dict
        ``parameters``, ``gflops`` (of one item: a window, where tracks are cut into segments), ``memory_mib``; where the task has tracks, and
        the family epochs, also ``epoch_gflops``, of an epoch's training (a backward pass costs about two forward ones) and validation.

    Raises
    ------
    ConfigurationRefused
        It can't be built at that input size, or is over one of the task's limits.
    """
    from genre_models.segments import segment_count

    windows = segment_count(spec)
    if "naive" in task:
        from genre_models.naive import require_items

        require_items(spec, task)
    cost = _cost(spec, task)
    for name, limit in (task.get("limits") or {}).items():
        value = getattr(cost, name)
        if limit is not None and value > limit:
            unit, remedy = _LIMITS[name]
            raise ConfigurationRefused(f"{spec['family']}: needs {value:.4g} {unit}, the limit is {limit:.4g}: {remedy}")
    told = asdict(cost)
    if "tracks" in task and FAMILIES[spec["family"]].has_epochs:
        trained = sum(track["part"] == "train" for track in task["tracks"])
        passes = 3 * trained * (1 + spec["params"].get("copies", 0)) + len(task["tracks"]) - trained
        told["epoch_gflops"] = cost.gflops * windows * passes
    return told


def build(task: Mapping[str, Any]) -> Objective:
    """Make ready a worker: import Keras, set up devices, check the task.

    Parameters
    ----------
    task : mapping
        As in docs/design.md, section 5; ``backend`` (optional) is Keras', ``threads`` (optional) bounds its pools where the environment does not, and
        ``own_families`` (optional) are files with families of the user's own, with their hashes.

    Raises
    ------
    GenreModelsError
        The objective's metric is not one that training reports; a family's file is not here, or is another; or the backend is not installed here, or
        this process has another.
    """
    settle_backend(backend_of(task))  # a family's file may import Keras
    add_own_families(task.get("own_families", {}))
    metric = task["objective"]["metric"]
    if metric not in METRICS:
        raise GenreModelsError(f"objective.metric: {metric!r} is not reported by any family; it must be one of {', '.join(METRICS)}")
    prepare_backend(backend_of(task), task.get("threads"))
    return Objective(task)


class Objective:
    """Runs trials of one task.

    Parameters
    ----------
    task : mapping
    """

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._task = task
        self._stores: dict[str, Any] = {}

    def data(self, spec: Mapping[str, Any], fold: int | None = None) -> Any:
        """The development tracks as a trial sees them; with `fold`, that one of its folds is for validation instead of the hold-out."""
        from genre_models.folds import validated_on
        from genre_models.sources import development_data

        if "naive" in self._task:
            from genre_models.naive import naive_data

            return naive_data(spec, self._task, fold, self._stores)
        tracks = self._task["tracks"] if fold is None else validated_on(self._task["tracks"], spec["folds"], fold)
        return development_data(spec, self._task, tracks, self._stores)

    def run(
        self, spec: Mapping[str, Any], report: Callable[..., str], *, workdir: str | None = None, resume: str | None = None
    ) -> dict[str, Any]:
        """Run one trial.

        Parameters
        ----------
        spec : mapping
        report : callable
            ``report(epoch, metrics, snapshot) -> "continue" | "stop" | "pause"``: for each epoch of part 1, then for each part; without
            metrics for the epochs of later parts.
        workdir : str, optional
            Where weights and curve of part 1 and the out-of-fold predictions are left.
        resume : str, optional
            Folder of a snapshot to go on from.

        Returns
        -------
        dict
            The outcome of docs/design.md, section 4, and ``seconds`` (since the start or the resume) and ``phases`` (of it, in seconds:
            build, train, validate, report). `interval` is the 95 % interval of the validation accuracy at the best epochs, over the groups of
            the tracks validated in the first repeat; None where the objective is another metric.

        Raises
        ------
        ConfigurationRefused, TrainingDiverged
        SnapshotError
            The snapshot can't be read or is of another trial.
        Exception
            Of any kind; one that means memory ran out has ``reason_code = "memory"``.
        """
        from genre_models.folds import name_deal
        from genre_models.own_models import checked
        from genre_models.parts import Parts

        started = time.perf_counter()
        data = self.data(spec)
        cost = _cost(spec, self._task)
        fit = checked(spec["family"], partial(_family(spec).fit, spec["params"], epochs=spec["epochs"], precision=spec["precision"]))
        deal = name_deal(self._task["tracks"], spec.get("folds", 1))
        groups = {track["id"]: track["group"] for track in self._task["tracks"] if "group" in track}
        if "naive" in self._task:
            from genre_models.naive import item_groups

            deal += f"/naive {self._task['naive']}"
            groups = item_groups(spec, self._task, self._stores)
        parts = Parts(spec, fit, partial(self.data, spec), data.metric, report, deal, groups, None if workdir is None else Path(workdir))
        try:
            parts.run(resume)
        except Exception as error:
            if _is_out_of_memory(error):
                error.reason_code = "memory"
            raise
        parts.write_artifacts()
        return {**parts.outcome(), "gflops": cost.gflops, "seconds": time.perf_counter() - started}


def _family(spec: Mapping[str, Any]) -> ModuleType:
    return importlib.import_module(FAMILIES[spec["family"]].module)


def _cost(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Cost:
    from genre_models.segments import refused_window, segment_count, window_shape
    from genre_models.sources import item_shape, trial_input, trunk_facts

    found, windows = trial_input(spec, task), segment_count(spec)
    shape = item_shape(found, task)
    family = FAMILIES[spec["family"]]
    if family.inputs != "spectrogram":
        # One without epochs takes all training items at once.
        known = {} if family.has_epochs or "tracks" not in task else {"n_items": _training_items(found, task)}
        return _family(spec).estimate(spec["params"], shape, len(task["labels"]), trunk=trunk_facts(found, task), **known)
    shape = window_shape(shape, windows)
    try:
        return _family(spec).estimate(spec["params"], shape, len(task["labels"]))
    except ConfigurationRefused as refused:
        raise ConfigurationRefused(refused_window(str(refused), shape, windows)) from refused


def _training_items(found: Any, task: Mapping[str, Any]) -> int:
    from genre_models.sources import table_facts

    rows_a_track = table_facts(found, task).get("n_items", 0) / len(task["tracks"]) if found.kind == "table" else 1
    return round(sum(track["part"] == "train" for track in task["tracks"]) * max(1, rows_a_track))


def _is_out_of_memory(error: Exception) -> bool:
    named = any(base.__name__ in _OUT_OF_MEMORY for base in type(error).__mro__)
    return named or isinstance(error, MemoryError) or any(said in str(error) for said in _SAID_OF_MEMORY)
