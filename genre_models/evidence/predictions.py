"""A model's answers to some tracks, as they lie in ``validation.csv``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre_models.errors import GenreModelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST = ["track", "label", "predicted"]


@dataclass(frozen=True)
class Predictions:
    """Answers.

    Attributes
    ----------
    labels : tuple of str
    ids : tuple of str
        Of the tracks.
    y_true : np.ndarray of int [shape=(n,)]
        Class numbers, in the order of `labels`.
    p : np.ndarray [shape=(n, n_classes)]
        Probabilities.
    groups : np.ndarray of int [shape=(n,)] or None
        Tracks that go together; None for each alone.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    y_true: np.ndarray
    p: np.ndarray
    groups: np.ndarray | None = None

    @property
    def said(self) -> np.ndarray:
        """Class numbers [shape=(n,)] that the model gave."""
        return self.p.argmax(axis=1)


def read_predictions(path: Path) -> Predictions:
    """Read a file of predictions.

    Raises
    ------
    GenreModelsError
        It is not there, or is none.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            head, *rows = csv.reader(stream)
        labels = tuple(name.removeprefix("p_") for name in head[len(_FIRST) :])
        if head[: len(_FIRST)] != _FIRST or len(labels) < 2 or not rows:
            raise ValueError("its columns must be track, label, predicted and a probability for each class, and it must have rows")
        y_true = np.array([labels.index(row[1]) for row in rows])
        p = np.array([[float(value) for value in row[len(_FIRST) :]] for row in rows])
        _check(p, labels)
    except OSError as error:
        raise GenreModelsError(f"{path}: can't be read ({error.strerror or error})") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise GenreModelsError(f"{path}: is no file of predictions: {error}") from error
    return Predictions(labels, tuple(row[0] for row in rows), y_true, p)


def _check(p: np.ndarray, labels: Sequence[str]) -> None:
    if p.ndim != 2 or p.shape[1] != len(labels) or not np.isfinite(p).all() or p.min() < 0 or p.max() > 1 + 1e-6:
        raise ValueError(f"each row must have {len(labels)} probabilities")
