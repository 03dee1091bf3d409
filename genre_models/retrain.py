"""The winner trained again, on every development track.

Owns: the final retrain and the saved model's folder: ``model.keras``, or ``model.skops`` with what belongs to it, or what a family of the user's own saves, and ``pipeline.json``. Nothing
is validated and nothing is stopped early: the epochs and the learning rate of each are those that the trial found. Sees no held-out item.
"""

from __future__ import annotations

import importlib
import json
import platform
import shutil
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from genre_models.durable import fsync_tree, write_text
from genre_models.families import FAMILIES
from genre_models.features import CODE_VERSION
from genre_models.framework import backend_of
from genre_models.keras_model import rewrite_in_float32
from genre_models.measuring import Measure, not_measured
from genre_models.own_models import add_trunk, describe_code
from genre_models.sound_networks import copy_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from genre_models.training_data import DevelopmentData

RECORDED_VERSIONS = ("keras", "tensorflow", "torch", "jax", "numpy", "librosa", "soundfile", "pillow", "scikit-learn", "skops")


@dataclass(frozen=True)
class Confirmed:
    """The score by which a winner was chosen among the best few, all of them trained again on other folds.

    Parameters
    ----------
    folds : int
    metric : str
        The objective's.
    value : float
        Mean of the metric over the folds.
    val_accuracy : float or None
        Mean over the folds; None where it was not recorded.
    """

    folds: int
    metric: str
    value: float
    val_accuracy: float | None


@dataclass(frozen=True)
class Expected:
    """What a winner's score in validation is worth, estimated on the validation tracks themselves (`genre_models.resampling.choosing`).

    Parameters
    ----------
    value : float
        Accuracy.
    interval : tuple of float or None
    candidates, states : int
        Trials that it was chosen among, and epochs of all of them.
    """

    value: float
    interval: tuple[float, float] | None
    candidates: int
    states: int


@dataclass(frozen=True)
class Winner:
    """The trial to be retrained, as its study recorded it.

    Parameters
    ----------
    study : str
    trial : int
    spec : dict
        The whole resolved configuration (docs/design.md, section 4).
    best_epoch : int
        Epochs of the retrain, 1 or more; of a trial with several parts the rounded mean over them. A family without epochs has 1.
    learning_rates : tuple of float
        One for each of these epochs, as the trial had them.
    history : tuple of dict
        The trial's epochs, for the picture of its learning curve; those of its first part where it has several.
    validation_accuracy : float or None
        At `best_epoch`, or the mean over all parts at theirs; None where the trial did not record it.
    confirmed : Confirmed or None
        None where the search confirmed nothing.
    temperature : float or None
        What suited the probabilities of its validation tracks; None where the trial did not record it.
    expected : Expected or None
        What its validation score is worth after it was chosen by; None where too little is known.
    gflops : float or None
        Of an item's forward pass; None where the trial did not record it.
    """

    study: str
    trial: int
    spec: dict
    best_epoch: int
    learning_rates: tuple[float, ...]
    history: tuple[dict, ...]
    validation_accuracy: float | None
    confirmed: Confirmed | None = None
    temperature: float | None = None
    expected: Expected | None = None
    gflops: float | None = None

    @property
    def family(self) -> str:
        return self.spec["family"]

    @property
    def has_epochs(self) -> bool:
        """Whether the family trains in epochs; of one without it is said that it was fitted."""
        return FAMILIES[self.family].has_epochs


def retrain(winner: Winner, task: dict, folder: Path, on_epoch: Callable[[int, dict], None], measure: Measure = not_measured) -> None:
    """Train the winner on every track of `task` and save it; the folder is whole, and flushed, once it has its name.

    Parameters
    ----------
    winner : Winner
    task : dict
        The development tracks (docs/design.md, section 5); their parts are not heeded, all are trained on.
    folder : Path
        Replaced if it exists: a leftover of a retrain that no receipt speaks of.
    on_epoch : callable
        Gets each epoch's number and metrics.
    measure : callable
        Tells what it costs; that goes into ``pipeline.json``.

    Raises
    ------
    GenreModelsError
        The configuration can't be built, or training diverged.
    """
    def report(epoch: int, metrics: dict, snapshot: object) -> str:
        on_epoch(epoch, metrics)
        return "continue"

    started, partial = time.perf_counter(), folder.with_name(f".{folder.name}.partial")
    with measure() as measured:
        spec, family = complete(winner.spec, task), importlib.import_module(FAMILIES[winner.family].module)
        data = every_track(spec, task)
        fitted = family.fit(
            spec["params"],
            data,
            epochs=winner.best_epoch,
            seed=spec["seed"],
            report=report,
            precision=spec["precision"],
            learning_rates=list(winner.learning_rates) or None,
        )
        for leftover in (partial, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        fitted.save(partial)
        code = describe_code(winner.family, partial)
        add_trunk(code, data, partial)
        _take_network_along(spec, task, partial)
        if hasattr(fitted, "core"):  # a network, which may have been trained in another precision
            rewrite_in_float32(partial / "model.keras")
    seconds = time.perf_counter() - started
    write_text(partial / "pipeline.json", json.dumps(_pipeline(winner, spec, task, data, fitted, seconds) | {"code": code, "cost": measured.cost}, indent=1) + "\n")
    fsync_tree(partial)
    partial.rename(folder)
    fsync_tree(folder)


def recorded_rates(history: Sequence[dict], epochs: int, params: Mapping[str, Any] | None = None) -> tuple[float, ...]:
    """Learning rate of each epoch of a retrain, as a trial's first part had them; where that ended sooner, its last goes on.

    Where it ended before fine-tuning began, the rates that go on have the factor of fine-tuning from there on.

    Parameters
    ----------
    history : sequence of dict
        Epochs of the part.
    epochs : int
        Of the retrain; the mean over several parts may lie beyond the end of the first.
    params : mapping, optional
        The trial's; ``fine_tune_blocks``, ``fine_tune_after`` and ``fine_tune_factor`` count.

    Returns
    -------
    tuple of float
        `epochs` of them; empty where the trial did not record any.
    """
    rates = [epoch["learning_rate"] for epoch in history[:epochs] if "learning_rate" in epoch]
    more = rates[-1:] * (epochs - max(len(history), 1))
    if params and params.get("fine_tune_blocks") and len(history) <= params["fine_tune_after"]:
        begins = params["fine_tune_after"] - len(history)
        more = more[:begins] + [rate * params["fine_tune_factor"] for rate in more[begins:]]
    return tuple(rates + more)


def added_since(spec: dict) -> dict:
    """Parameters that the family has learned since the trial ran, with the defaults that the retrain takes for them."""
    return {name: value for name, value in FAMILIES[spec["family"]].defaults().items() if name not in spec["params"]}


def complete(spec: dict, task: dict) -> dict:
    """A specification in which every parameter that its family has now has a value, and files are where the task says."""
    features = spec["features"] | task.get("files", {}).get(spec["family"], {})
    return spec | {"params": FAMILIES[spec["family"]].defaults() | spec["params"], "features": features}


def table_of(winner: Winner, task: dict) -> str | None:
    """The table of features that a trial is trained on beside its corpus; None where there is none."""
    from genre_models.sources import trial_input

    found = trial_input(complete(winner.spec, task), task)
    return found.features["table"] if found.kind == "table" != task["kind"] else None


def every_track(spec: dict, task: dict) -> DevelopmentData:
    """The development tracks as a family's `fit` takes them, all of them for training, cut as the trial cut them."""
    from genre_models.sources import development_data

    return development_data(spec, task, [track | {"part": "train"} for track in task["tracks"]])


def _take_network_along(spec: dict, task: dict, folder: Path) -> None:
    from genre_models.sources import trial_input

    found = trial_input(spec, task)
    copy_network(found.kind, found.features, folder)


def _pipeline(winner: Winner, spec: dict, task: dict, data, fitted, seconds: float) -> dict:
    """What a user of the saved model needs to know beside its weights, and where it comes from."""
    from genre_models.sources import describe_input

    versions = {"python": platform.python_version()}
    for name in RECORDED_VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an optional backend that is not installed
    return {
        "schema": 1,
        "labels": list(task["labels"]),
        "kind": task["kind"],
        "demo": task["demo"],
        "about": task.get("about"),  # the corpus and its split, in words and settings; None where nobody said
        "features": spec["features"],
        "features_version": CODE_VERSION,
        "input": describe_input(spec, task),
        "input_shape": list(data.input_shape),
        "segments": data.segments,  # windows that a track is cut into; its prediction is the mean of theirs
        "study": winner.study,
        "trial": winner.trial,
        "spec": winner.spec,
        "validation_accuracy": winner.validation_accuracy,
        "epochs": winner.best_epoch if winner.has_epochs else None,
        "learning_rates": list(winner.learning_rates),
        "temperature": winner.temperature,  # of the trial's validation; the model's probabilities are not scaled by it
        "n_tracks": len(data.train_ids),
        "backend": backend_of(spec) if hasattr(fitted, "core") else None,  # of its training and of the look; the file itself loads on any
        "parameters": fitted.parameters,
        "train_seconds": round(seconds, 3),
        "history": fitted.history,
        "versions": versions,
    }
