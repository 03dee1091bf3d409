"""What training takes and gives: the data, a network in two forms, and the trained model that can predict and be saved.

Imports Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import keras
import numpy as np

from genre_models.batches import even_batches
from genre_models.segments import by_owner, by_track, grid_windows, items_of, segments_of

if TYPE_CHECKING:
    from genre_models.batch_norm import Settler

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


class Data(Protocol):
    """What is trained on (docs/design.md, section 5); `metric` may be missing and is then val_accuracy.

    Where tracks are cut into windows, it also has `segments` (windows of a track), `track_shape`, and
    ``windows(ids, starts) -> [n, *input_shape]``; `input_shape` is a window's and `features` gives whole tracks.

    Where a track has several items, such as rows of a table, it has ``items_of(ids) -> (item_ids, owners)`` (see `segments.items_of`), and
    `features` takes the items' ids. Where the masked copies of training items are cached, it has ``copies(ids, numbers)``: copy number
    ``numbers[i]`` (from 1) of each item, as `features` gives the items.
    """

    labels: Sequence[str]
    input_shape: tuple[int, ...]
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
    settler : Settler or None
        The core without dropout, where batch norm is to be measured anew before the network is used (`batch_norm.settle`); None where it is not.
    finish : callable or None
        ``finish(core) -> keras.Model``: the model to be saved, from the features of a corpus, where the core takes something further on,
        such as the output of a pretrained network. None where the core is the model.
    """

    core: keras.Model
    trainer: keras.Model
    settler: Settler | None = None
    finish: Callable[[keras.Model], keras.Model] | None = None


@dataclass(frozen=True)
class Switch:
    """A second phase of training, with a bigger network on other features of the same tracks.

    Parameters
    ----------
    after : int
        Last epoch of the first phase; where training ends by then, there is no second.
    factor : float
        On the learning rate in the second phase; recorded rates are taken as they are.
    data : callable
        ``data() -> Data`` of the second phase, with the tracks of the first.
    build : callable
        ``build(first, data) -> Network``: its core has all layers of the first one's core, the very objects.
    """

    after: int
    factor: float
    data: Callable[[], Data]
    build: Callable[[Network, Data], Network]


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
    finish : callable or None
        As of `Network`.
    hits : np.ndarray of bool [shape=(epochs, n_validation)] or None
        Which validation tracks each epoch told right; None where that is not known of every epoch.
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
    finish: Callable[[keras.Model], keras.Model] | None = None
    hits: np.ndarray | None = None

    def predict(self, ids: Sequence[str]) -> np.ndarray:
        """Probabilities of tracks [shape=(len(ids), n_classes), dtype=float32]."""
        return predict(self.core, self.data, ids, self.batch_size)

    def save(self, folder: str | Path) -> None:
        """Write ``model.keras``, from features of the corpus to probabilities: built-in layers, no augmentation, loads in safe mode."""
        model = self.core if self.finish is None else self.finish(self.core)
        model.save(Path(folder) / "model.keras")

    def save_weights(self, path: str | Path) -> None:
        """Write the core's weights alone; the name must end in ``.weights.h5``."""
        self.core.save_weights(path)


def predict(core: keras.Model, data: Data, ids: Sequence[str], batch_size: int) -> np.ndarray:
    """Probabilities of some tracks, each the mean of its items' and windows', in batches of one shape.

    Returns
    -------
    np.ndarray [shape=(len(ids), n_classes), dtype=float32]
    """
    segments = segments_of(data)
    items, owners = items_of(data, ids)
    n = len(items) * segments
    steps, rows = even_batches(n, batch_size) if n else (0, 0)
    parts = [np.zeros((0, len(data.labels)), np.float32)]
    for start in range(0, steps * rows, rows or 1):
        batch = grid_windows(data, items, range(start, min(start + rows, n)))
        missing = rows - len(batch)
        if missing:
            batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)])
        parts.append(np.asarray(core.predict_on_batch(batch))[: rows - missing])
    return by_owner(by_track(np.concatenate(parts), segments), owners, len(ids))
