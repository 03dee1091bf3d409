"""Learning rate by epoch, early stopping, and which epoch was best: plain arithmetic over the validation scores, without Keras.

Each is a dataclass whose fields are JSON-able and are all its state, so a snapshot stores `dataclasses.asdict` of it. Epochs run from 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genre_models.errors import GenreModelsError

PLATEAU_MIN_FALL = 1e-4  # as Keras' ReduceLROnPlateau: a smaller fall of the loss is none
LOWER_IS_BETTER = {"val_loss": True, "val_accuracy": False}


def is_better(metric: str, value: float, than: float | None) -> bool:
    """Whether a value of a validation metric improves on an earlier one; anything does on None."""
    return than is None or (value < than if LOWER_IS_BETTER[metric] else value > than)


@dataclass
class LearningRate:
    """The learning rate of each epoch.

    Parameters
    ----------
    schedule : {"constant", "cosine", "plateau", "recorded"}
        ``cosine`` is half a cosine from the first rate to one step above 0 over `epochs` (Loshchilov and Hutter 2017, "SGDR", equation 5
        without restarts, arXiv:1608.03983); ``plateau`` cuts the rate by `factor` once the validation loss has not fallen for `patience`
        epochs; ``recorded`` replays `rates`.
    first : float
        Rate of epoch 1.
    epochs : int
        Full budget.
    factor, patience : float, int
        Of the plateau.
    rates : list of float
        Of the replay.
    """

    schedule: str
    first: float
    epochs: int
    factor: float = 0.5
    patience: int = 5
    rates: list[float] | None = None
    cuts: int = 0
    waited: int = 0
    lowest: float | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any], epochs: int, rates: Sequence[float] | None, validates: bool) -> LearningRate:
        """The schedule of a configuration, or the replay of recorded rates.

        Raises
        ------
        GenreModelsError
            Where there are fewer recorded rates than epochs, or a plateau is to be seen without validation tracks.
        """
        if rates is not None:
            if len(rates) < epochs:
                raise GenreModelsError(f"learning_rates: {len(rates)} were recorded for {epochs} epochs; one for each is needed")
            return cls("recorded", float(rates[0]), epochs, rates=[float(rate) for rate in rates])
        if params["schedule"] == "plateau" and not validates:
            raise GenreModelsError("schedule: plateau follows the validation loss, but there are no validation tracks: give learning_rates")
        return cls(params["schedule"], params["learning_rate"], epochs, params["plateau_factor"], params["plateau_patience"])

    def rate(self, epoch: int) -> float:
        """Rate of an epoch."""
        if self.schedule == "recorded":
            return self.rates[epoch - 1]
        if self.schedule == "cosine":
            return self.first * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2
        return self.first * self.factor**self.cuts

    def observe(self, val_loss: float) -> None:
        """Take note of an epoch's validation loss."""
        if self.lowest is None or val_loss < self.lowest - PLATEAU_MIN_FALL:
            self.lowest, self.waited = val_loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.cuts, self.waited = self.cuts + 1, 0


@dataclass
class EarlyStopping:
    """Whether training should end by itself.

    Parameters
    ----------
    active : bool
    monitor : {"val_loss", "val_accuracy"}
    patience : int
        Epochs in a row without improvement that end training.
    """

    active: bool
    monitor: str
    patience: int
    best: float | None = None
    waited: int = 0

    @property
    def is_due(self) -> bool:
        """True once patience has run out."""
        return self.active and self.waited >= self.patience

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Take note of an epoch's metrics."""
        if is_better(self.monitor, metrics[self.monitor], self.best):
            self.best, self.waited = metrics[self.monitor], 0
        else:
            self.waited += 1


@dataclass
class BestEpoch:
    """The epoch whose weights count: the first with the best value of the objective's metric.

    Parameters
    ----------
    metric : {"val_accuracy", "val_loss"}
    """

    metric: str
    epoch: int = 0
    value: float | None = None

    def observe(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Take note of an epoch; True where it is the best so far."""
        if not is_better(self.metric, metrics[self.metric], self.value):
            return False
        self.epoch, self.value = epoch, metrics[self.metric]
        return True
