"""What a training loop of a family's own takes and gives: batches, scores by track, the best epoch, a history; what `fit` returns. NumPy only.

For loops that are not `genre_models.training.train`, such as that of a native ``torch.nn.Module`` (docs/torch-family.md).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.batches import epoch_batches
from genre_models.errors import GenreModelsError, SnapshotError, TrainingDiverged
from genre_models.metrics import accuracy, log_loss
from genre_models.schedules import BestEpoch
from genre_models.segments import by_owner, by_track, grid_windows, items_of, segments_of
from genre_models.snapshots import UNREADABLE, Report, Snapshot

if TYPE_CHECKING:
    from genre_models.fitted import Data

Predict = Callable[[np.ndarray], np.ndarray]  # features [n, *input_shape] -> probabilities [n, n_classes]
_ITEMS = 32  # that are predicted at once


def training_batches(data: Data, batch_size: int, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of an epoch, equally large, in an order that follows from (seed, epoch) alone.

    Yields
    ------
    (features, targets)
        Features [shape=(rows, *data.input_shape)] as they are cached, uint8, float16 or float32: of tracks, their windows, or their rows in a table.
        Class numbers, int64 [shape=(rows,)].
    """
    ids, owners = items_of(data, data.train_ids)
    segments, targets = segments_of(data), data.targets(data.train_ids)[owners]
    for numbers in epoch_batches(len(ids) * segments, batch_size, seed, epoch):
        yield grid_windows(data, ids, numbers), targets[numbers // segments]


def track_probabilities(predict: Predict, data: Data, ids: Sequence[str]) -> np.ndarray:
    """Probabilities of some tracks, each the mean of its windows' or rows'.

    Returns
    -------
    np.ndarray [shape=(len(ids), n_classes), dtype=float32]
    """
    segments, (items, owners) = segments_of(data), items_of(data, ids)
    n, parts = len(items) * segments, [np.zeros((0, len(data.labels)), np.float32)]
    for start in range(0, n, _ITEMS):
        parts.append(np.asarray(predict(grid_windows(data, items, range(start, min(start + _ITEMS, n)))), np.float32))
    return by_owner(by_track(np.concatenate(parts), segments), owners, len(ids))


@dataclass(frozen=True)
class OwnFitted:
    """A trained model; attributes as of `genre_models.fitted.Fitted`.

    Attributes
    ----------
    ask : callable
        ``ask(features) -> probabilities``, with the weights of the best epoch.
    write : callable
        ``write(folder)`` saves the model, as files directly in a folder that exists.
    """

    data: Data
    best_epoch: int
    epochs: int
    stopped_early: bool
    history: list[dict[str, float]]
    parameters: int
    phases: dict[str, float]
    hits: np.ndarray | None
    ask: Predict
    write: Callable[[Path], object]

    def predict(self, ids: Sequence[str]) -> np.ndarray:
        """Probabilities of tracks [shape=(len(ids), n_classes), dtype=float32]."""
        return track_probabilities(self.ask, self.data, ids)

    def save(self, folder: str | Path) -> None:
        """Write the model's files."""
        self.write(Path(folder))


class OwnLoop:
    """The record of a training under way. Iterating it gives the epochs still to be done, from 1, until the budget is used up or a report is answered otherwise.

    Of each epoch: train, then `score`, then `report`.

    Parameters
    ----------
    data : Data
        Without `validation_ids` nothing is scored and the last epoch is the best.
    epochs : int
        Full budget.
    report : callable
        As `fit` was given it.

    Attributes
    ----------
    history : list of dict
        An entry for each epoch done: ``epoch``, what `score` was told, ``val_loss`` and ``val_accuracy`` where there is validation, ``seconds``.
    best : object
        Weights of the best epoch so far, as `score` was given them; without validation those of the last. None before the first.
    stopped_early : bool
        To be set True where the family stops by itself before the budget is used up.
    """

    def __init__(self, data: Data, epochs: int, report: Report) -> None:
        self.history: list[dict[str, float]] = []
        self.best: Any = None
        self.stopped_early = False
        self._data, self._epochs, self._tell, self._goes_on = data, epochs, report, True
        self._best = BestEpoch(getattr(data, "metric", "val_accuracy"))
        self._hits: list[np.ndarray] = []
        self._phases = {"build": 0.0, "train": 0.0, "validate": 0.0, "report": 0.0}
        self._since = self._began = time.perf_counter()

    def __iter__(self) -> Iterator[int]:
        self._took("build")
        while len(self.history) < self._epochs and self._goes_on and not self.stopped_early:
            epoch, self._began = len(self.history) + 1, time.perf_counter()
            yield epoch
            if len(self.history) != epoch:
                raise GenreModelsError(f"epoch {epoch}: call score() once in each epoch, and then report()")

    def score(self, predict: Predict, weights: Callable[[], Any], **metrics: float) -> None:
        """Take note of an epoch: score the validation tracks, and keep the weights where no epoch before was better.

        Parameters
        ----------
        predict : callable
            ``predict(features) -> probabilities``, of the model as it is now.
        weights : callable
            ``weights()`` gives the model's, such as ``net.state_dict``; they are copied.
        metrics
            Of training, such as ``loss``, ``accuracy`` and ``learning_rate``. Where every epoch has the latter, the final retrain hands the same rates to `fit`.

        Raises
        ------
        TrainingDiverged
            One of them, or a probability, is not finite.
        GenreModelsError
            What `predict` gives are no probabilities.
        """
        self._took("train")
        epoch = len(self.history) + 1
        row = {"epoch": epoch, **{name: float(value) for name, value in metrics.items()}}
        bad = next((name for name, value in row.items() if not np.isfinite(value)), None)
        if bad is not None:
            raise TrainingDiverged(f"{bad} is {row[bad]} at epoch {epoch}: a lower learning rate may help")
        if len(self._data.validation_ids):
            row |= self._validate(predict, epoch)
        self._took("validate")
        self.history.append(row | {"seconds": time.perf_counter() - self._began})
        if not len(self._data.validation_ids) or self._best.observe(epoch, row):
            self.best = copy.deepcopy(weights())

    def _validate(self, predict: Predict, epoch: int) -> dict[str, float]:
        ids, n_classes = self._data.validation_ids, len(self._data.labels)
        p, targets = track_probabilities(predict, self._data, ids), self._data.targets(ids)
        if not np.isfinite(p).all():
            raise TrainingDiverged(f"a probability is not finite at epoch {epoch}: a lower learning rate may help")
        if p.shape != (len(ids), n_classes) or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
            raise GenreModelsError(f"predict must give one probability for each of {n_classes} classes, adding up to 1 (a softmax, no logits), but gave shape {p.shape}")
        self._hits.append(p.argmax(axis=1) == targets)
        return {"val_loss": log_loss(targets, p), "val_accuracy": accuracy(targets, p)}

    def report(self, snapshot: Snapshot) -> None:
        """Report the epoch that was scored last; ``snapshot(folder)`` writes the state after it into a folder that exists."""
        self._took("validate")
        row = {name: value for name, value in self.history[-1].items() if name != "epoch"}
        self._goes_on = self._tell(len(self.history), row, snapshot) == "continue"
        self._took("report")

    def state_dict(self) -> dict[str, Any]:
        """The record for a snapshot, named as PyTorch names it: `best` as it is, and texts, numbers, lists and dictionaries."""
        hits = [np.packbits(each).tobytes().hex() for each in self._hits]
        return {"history": self.history, "best_epoch": asdict(self._best), "best": self.best, "hits": hits, "stopped_early": self.stopped_early}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises
        ------
        SnapshotError
            It is of another version.
        """
        try:
            self.history, self._best, self.best = list(state["history"]), BestEpoch(**state["best_epoch"]), state["best"]
            self.stopped_early = bool(state["stopped_early"])
            count = len(self._data.validation_ids)
            self._hits = [np.unpackbits(np.frombuffer(bytes.fromhex(each), np.uint8), count=count).astype(bool) for each in state["hits"]]
        except UNREADABLE as error:
            raise SnapshotError(f"the snapshot is of another version ({error}): start the trial afresh") from error

    def fitted(self, predict: Predict, save: Callable[[Path], object], parameters: int) -> OwnFitted:
        """What `fit` returns.

        Parameters
        ----------
        predict : callable
            ``predict(features) -> probabilities``, now with the weights of the best epoch.
        save : callable
            ``save(folder)`` writes files directly into the folder, from which the family's `load` makes the same function again.
        parameters : int
            Trainable ones.
        """
        done, validates = len(self.history), len(self._data.validation_ids) > 0
        return OwnFitted(
            data=self._data,
            best_epoch=self._best.epoch if validates else done,
            epochs=done,
            stopped_early=self.stopped_early and done < self._epochs,
            history=self.history,
            parameters=parameters,
            phases=self._phases,
            hits=np.array(self._hits) if validates and len(self._hits) == done else None,
            ask=predict,
            write=save,
        )

    def _took(self, phase: str) -> None:
        now = time.perf_counter()
        self._phases[phase] += now - self._since
        self._since = now
