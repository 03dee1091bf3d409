"""A family's network as a compiled `keras.Model` that is trained by ``model.fit``: for tuners, and for scripts of the user's own. Imports Keras.

The network, its optimizer, loss and schedules are those that `genre_models.training` trains; the loop is Keras' own. Tracks must be whole items
(`genre_models.compilable` says what else). Two things differ from a trial: the order of the batches is Keras', and ``val_loss`` is the smoothed loss;
``val_log_loss`` is what trials call ``val_loss``.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from genre_models import objective
from genre_models.batch_norm import Settler, settle
from genre_models.errors import GenreModelsError
from genre_models.families import FAMILIES
from genre_models.fitted import Data
from genre_models.framework import seed_everything
from genre_models.schedules import LOWER_IS_BETTER, PLATEAU_MIN_FALL, LearningRate
from genre_models.segments import items_of, segments_of
from genre_models.sources import trial_input
from genre_models.training import make_optimizer

#: A trial's name of a score to Keras' name.
LOGGED = {"val_accuracy": "val_accuracy", "val_loss": "val_log_loss"}


@dataclass(frozen=True)
class Compiled:
    """A network ready for ``model.fit``.

    Attributes
    ----------
    model : keras.Model
        Compiled; from features as cached to logits. Augmentation and dropout act in training only.
    fit_arguments : dict
        For ``model.fit``: ``batch_size``; of a trial also its items, ``x``, ``y`` and ``validation_data``.
    callbacks : list of keras.callbacks.Callback
        The configuration's schedule, early stopping and batch statistics.
    """

    model: keras.Model
    fit_arguments: dict[str, Any]
    callbacks: list[keras.callbacks.Callback]

    def train(self, epochs: int, tell: Callable[[dict[str, float]], object]) -> int:
        """Run ``model.fit`` on a trial's items and tell each epoch's row as it ends; the number of epochs that it came to."""
        began, done = 0.0, 0

        def begin(epoch: int, logs: Any = None) -> None:
            nonlocal began
            began = time.monotonic()

        def end(epoch: int, logs: Mapping[str, float]) -> None:
            nonlocal done
            done = epoch + 1
            tell(self.row(done, logs, time.monotonic() - began))

        telling = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)
        self.model.fit(**self.fit_arguments, epochs=epochs, callbacks=[*self.callbacks, telling], verbose=0)
        return done

    def row(self, epoch: int, logs: Mapping[str, float], seconds: float) -> dict[str, float]:
        """An epoch as trials tell it (`genre_models.fitted.Fitted.history`), from what Keras logged at its end."""
        told = {name: float(logs[name]) for name in ("loss", "accuracy")} | {name: float(logs[logged]) for name, logged in LOGGED.items()}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        return {"epoch": epoch, **told, "learning_rate": rate, "seconds": seconds}


class ArrayData:
    """Arrays as a family takes them, for those who have no corpus.

    Parameters
    ----------
    x, y : np.ndarray [shape=(n, height, width, channels) or (n, d)], [shape=(n,)]
        Training items (uint8, float16 or float32) and their classes, 0 to ``len(labels) - 1``.
    labels : sequence of str
    validation : (np.ndarray, np.ndarray)
        The same of validation items.
    """

    segments, trunk, cache_dir = 1, None, None

    def __init__(self, x: np.ndarray, y: np.ndarray, labels: Sequence[str], validation: tuple[np.ndarray, np.ndarray]) -> None:
        self._x, self._y = np.concatenate([x, validation[0]]), np.concatenate([y, validation[1]]).astype(np.int64)
        self.labels, self.input_shape = tuple(labels), tuple(x.shape[1:])
        self.train_ids, self.validation_ids = tuple(range(len(x))), tuple(range(len(x), len(self._x)))

    def features(self, ids: Sequence[int]) -> np.ndarray:
        """Items [shape=(len(ids), *input_shape)]."""
        return self._x[list(ids)]

    def targets(self, ids: Sequence[int]) -> np.ndarray:
        """Classes [shape=(len(ids),)]."""
        return self._y[list(ids)]

    def items_of(self, ids: Sequence[int]) -> tuple[Sequence[int], np.ndarray]:
        """Each is its own item."""
        return ids, np.arange(len(ids))


def compiled(family: str, params: Mapping[str, Any], data: Data, *, epochs: int, seed: int = 0, precision: str = "float32") -> Compiled:
    """Build and compile the network of a configuration.

    Parameters
    ----------
    family : str
        One that trains a Keras network: ``cnn``, ``feedforward``, a pretrained network with its head.
    params : mapping
        Of declared parameters; those left out take their default.
    data : Data
        What is trained on: shapes, classes, and what the network is scaled by. `ArrayData` makes one of arrays.
    epochs : int
        Full budget: the cosine's length.
    seed : int
        Of weights, dropout and augmentation.
    precision : {"float32", "bfloat16", "float16"}

    Returns
    -------
    Compiled

    Raises
    ------
    ConfigurationRefused
        It can't be built at that input size, or is more than one network (fine-tuning).
    GenreModelsError
        The family has no network.
    """
    module = importlib.import_module(FAMILIES[family].module) if family in FAMILIES else None
    if not hasattr(module, "builder"):
        raise GenreModelsError(f"{family}: no family of that name has a Keras network that can be had alone")
    if FAMILIES[family].inputs == "trunk" and getattr(data, "trunk", None) is None:
        raise GenreModelsError(f"{family}: its head is on a pretrained network's output, and this data has no such network: take the data of a trial")
    params = FAMILIES[family].defaults() | dict(params)
    seed_everything(seed % 2**32)
    dtype = data.features(items_of(data, data.train_ids[:1])[0][:1]).dtype.name
    network = module.builder(params, data)(params, data.input_shape, len(data.labels), input_dtype=dtype, seed=seed, precision=precision)
    network.trainer.compile(
        make_optimizer(params, precision),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params["label_smoothing"]),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy"), keras.metrics.CategoricalCrossentropy(name="log_loss", from_logits=True)],
        jit_compile=keras.backend.backend() == "jax",  # on a CPU it makes TensorFlow's steps several times slower (`genre_models.training`)
    )
    callbacks = _callbacks(params, epochs)
    if network.settler is not None:
        callbacks.append(SettledBatchNorm(network.settler, data, params["batch_size"], seed))
    return Compiled(network.trainer, {"batch_size": params["batch_size"]}, callbacks)


def _callbacks(params: Mapping[str, Any], epochs: int) -> list[keras.callbacks.Callback]:
    """The configuration's schedule and early stopping, as Keras has them."""
    found: list[keras.callbacks.Callback] = []
    if params["schedule"] == "cosine":
        rates = LearningRate.of(params, epochs, None, True)
        found.append(keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates.rate(epoch + 1)))
    elif params["schedule"] == "plateau":
        factor, patience = params["plateau_factor"], params["plateau_patience"]
        found.append(keras.callbacks.ReduceLROnPlateau(LOGGED["val_loss"], factor, patience, mode="min", min_delta=PLATEAU_MIN_FALL, min_lr=0))
    if params["early_stopping"]:
        monitor = params["early_stopping_monitor"]
        mode = "min" if LOWER_IS_BETTER[monitor] else "max"
        found.append(keras.callbacks.EarlyStopping(LOGGED[monitor], patience=params["early_stopping_patience"], mode=mode))
    return found


class SettledBatchNorm(keras.callbacks.Callback):
    """Measures batch statistics anew before each validation, as trials do (`genre_models.batch_norm.settle`)."""

    def __init__(self, settler: Settler, data: Data, batch_size: int, seed: int) -> None:
        super().__init__()
        self._settler, self._data, self._batch_size, self._seed, self._epoch = settler, data, batch_size, seed, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1

    def on_test_begin(self, logs: Any = None) -> None:
        settle(self._settler, self._data, self._batch_size, self._seed, self._epoch)


def fit_arrays(data: Data) -> dict[str, Any]:
    """The items of a trial as ``model.fit`` takes them: ``x``, ``y``, ``validation_data``; targets are float32 rows that add up to 1.

    Raises
    ------
    GenreModelsError
        A track has several items: Keras would score items, not tracks.
    """
    if segments_of(data) > 1 or len(items_of(data, data.train_ids)[0]) != len(data.train_ids):
        told = "a track has several items here, and model.fit would score items instead of tracks"
        raise GenreModelsError(f"{told}: take whole tracks (features.segments: 1, one row a track)")
    one_hot = np.eye(len(data.labels), dtype=np.float32)
    train, validation = ((data.features(items_of(data, ids)[0]), one_hot[data.targets(ids)]) for ids in (data.train_ids, data.validation_ids))
    return {"x": train[0], "y": train[1], "validation_data": validation}


class CompiledTrials:
    """Networks and items of a task's trials.

    Parameters
    ----------
    task : mapping
        As in docs/design.md, section 5.
    made : Objective
        Of that task.
    """

    #: A trial's name of a score to that in Keras' logs.
    logged = LOGGED

    def __init__(self, task: Mapping[str, Any], made: objective.Objective) -> None:
        self._task, self._objective = task, made
        self._held: tuple[str, dict[str, Any]] = ("", {})

    def make(self, spec: Mapping[str, Any]) -> Compiled:
        """The network of a trial with its items in memory; errors as of `compiled` and `fit_arrays`."""
        data = self._objective.data(spec)
        made = compiled(spec["family"], spec["params"], data, epochs=spec["epochs"], seed=spec["seed"], precision=spec["precision"])
        key = repr(trial_input(spec, self._task))
        if self._held[0] != key:
            self._held = ("", {})  # before the next are read
            self._held = key, fit_arrays(data)
        return replace(made, fit_arguments=made.fit_arguments | self._held[1])

    @staticmethod
    def reason_code(error: Exception) -> str:
        """Why a trial failed: ``refused``, ``nan``, ``memory`` or ``exception``."""
        return "memory" if objective._is_out_of_memory(error) else getattr(error, "reason_code", "exception")
