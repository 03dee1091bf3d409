"""What training takes and gives: the data, a network in two forms, and the trained model that can predict and be saved.

Imports Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from genre_models.batches import even_batches
from genre_models.segments import by_track, grid_windows, segments_of

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


class Data(Protocol):
    """What is trained on (docs/design.md, section 5); `metric` may be missing and is then val_accuracy.

    Where tracks are cut into windows, it also has `segments` (windows of a track), `track_shape`, and
    ``windows(ids, starts) -> [n, *input_shape]``; `input_shape` is a window's and `features` gives whole tracks.
    """

    labels: Sequence[str]
    input_shape: tuple[int, int, int]
    train_ids: Sequence[str]
    validation_ids: Sequence[str]

    def features(self, ids: Sequence[str]) -> np.ndarray: ...
    def targets(self, ids: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class Network:
    """A network in two forms that share all weights.

    Parameters
    ----------
    core : keras.Model
        From features as cached to probabilities; what is saved.
    trainer : keras.Model
        From features as cached to logits, with augmentation.
    settler : keras.Model or None
        The core without dropout, where batch norm is to be measured anew before the network is used (see `settle`); None where it is not.
    """

    core: keras.Model
    trainer: keras.Model
    settler: keras.Model | None = None


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes
    ----------
    best_epoch : int
        Whose weights the model has.
    epochs : int
        Epochs done, those before a resume included.
    stopped_early : bool
        By the family's own early stopping.
    history : list of dict
        For each epoch ``epoch``, ``loss``, ``accuracy``, ``learning_rate``, ``seconds`` and, with validation, ``val_loss`` and
        ``val_accuracy``. The first two are of training items as they were trained on (see `hit_share` for mixed ones), the last two of
        whole tracks.
    parameters : int
        Trainable.
    phases : dict of str to float
        Seconds since the start or the resume: ``build``, ``train``, ``validate``, ``report``.
    """

    core: keras.Model
    data: Data
    batch_size: int
    best_epoch: int
    epochs: int
    stopped_early: bool
    history: list[dict[str, float]]
    parameters: int
    phases: dict[str, float]

    def predict(self, ids: Sequence[str]) -> np.ndarray:
        """Probabilities of tracks [shape=(len(ids), n_classes), dtype=float32]."""
        return predict(self.core, self.data, ids, self.batch_size)

    def save(self, folder: str | Path) -> None:
        """Write ``model.keras``: built-in layers only, no augmentation, loads in safe mode."""
        self.core.save(Path(folder) / "model.keras")

    def save_weights(self, path: str | Path) -> None:
        """Write the weights alone; the name must end in ``.weights.h5``."""
        self.core.save_weights(path)


def predict(core: keras.Model, data: Data, ids: Sequence[str], batch_size: int) -> np.ndarray:
    """Probabilities of some tracks, each the mean of its windows', in batches of one shape.

    Returns
    -------
    np.ndarray [shape=(len(ids), n_classes), dtype=float32]
    """
    segments = segments_of(data)
    n = len(ids) * segments
    steps, rows = even_batches(n, batch_size) if n else (0, 0)
    parts = [np.zeros((0, len(data.labels)), np.float32)]
    for start in range(0, steps * rows, rows or 1):
        batch = grid_windows(data, ids, range(start, min(start + rows, n)))
        missing = rows - len(batch)
        if missing:
            batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)])
        parts.append(np.asarray(core.predict_on_batch(batch))[: rows - missing])
    return by_track(np.concatenate(parts), segments)
