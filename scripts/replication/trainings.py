"""What a run left: which tracks each epoch told right, and its curve. Reads finished studies, trains nothing."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.schedules import EarlyStopping
from scripts.replication.boxes import CUT, ending_of
from scripts.replication.runs import Run
from search.errors import SearchError
from search.item_scores import item_scores
from search.study_view import StudyView, read_study
from search.trial import Trial


@dataclass(frozen=True)
class Training:
    """One configuration, trained once or on each fold.

    Attributes
    ----------
    run : Run
    order : str
        Names the tracks and their order.
    ids : tuple of str or None
        The tracks; None where their order is not known.
    groups : np.ndarray of int [shape=(n,)] or None
        Of tracks that belong together; None where each stands alone.
    parts : tuple of np.ndarray of bool [shape=(epochs, n of the fold)]
        Which tracks each epoch told right.
    history : list of dict
        Epochs of the first part, as `genre_models.fitted.Fitted` has them.
    precision : str
    trial : Trial
    """

    run: Run
    order: str
    ids: tuple[str, ...] | None
    groups: np.ndarray | None
    parts: tuple[np.ndarray, ...]
    history: list[dict[str, float]]
    precision: str
    trial: Trial

    @property
    def last(self) -> np.ndarray:
        """Tracks told right after the last epoch [shape=(n,)]."""
        return np.concatenate([part[-1] for part in self.parts])

    def restored(self, stopped: int | None = None) -> np.ndarray:
        """Tracks told right by the weights that early stopping on the validation loss restores, had it ended after epoch `stopped` [shape=(n,)]."""
        losses = [row["val_loss"] for row in self.history[:stopped]]
        return self.parts[0][int(np.argmin(losses))]

    def stops(self, monitor: str, patience: int) -> int | None:
        """The epoch after which early stopping ends this training; None where it does not."""
        rule = EarlyStopping(True, monitor, patience)
        for row in self.history:
            rule.observe(row)
            if rule.is_due:
                return int(row["epoch"])
        return None


@dataclass(frozen=True)
class Cut:
    """A training that its row's box of time ended: how far it came.

    Attributes
    ----------
    run : Run
    epoch : int
        The last one; 0 where it never began.
    """

    run: Run
    epoch: int


def read_run(studies_dir: Path, run: Run) -> Training | Cut | None:
    """The run's only configuration; None where the run did not end yet or failed."""
    view = view_of(studies_dir, run)
    if view is None or not (full := [trial for trial in view.trials if trial.is_full]):
        ended = ending_of(studies_dir, run)
        if ended is None or ended.how != CUT:
            return None
        return Cut(run, max((max(t.reports, default=0) for t in view.trials), default=0) if view is not None else 0)
    return training_of(studies_dir, run, view, full[0])


def training_of(studies_dir: Path, run: Run, view: StudyView, trial: Trial) -> Training | None:
    """One of the run's trials; None where it does not tell what it scored on each track."""
    items = item_scores(trial)
    if items is None:
        return None
    ids = _ids(studies_dir / run.study / "trials" / f"{trial.number:04d}" / "validation.csv", items.order)
    return Training(run, items.order, ids, items.groups, items.parts, trial.outcome["history"], view.run.get("precision", ""), trial)


def view_of(studies_dir: Path, run: Run) -> StudyView | None:
    """The run's study; None where there is none yet."""
    try:
        return read_study(studies_dir, run.study)
    except SearchError:
        return None


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Validation predictions that a trial left; empty where there are none."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _ids(file: Path, order: str) -> tuple[str, ...] | None:
    """Tracks of one fold, which lie in the file in the order in which they are scored; checked by the name of that order."""
    ids = [row["track"] for row in rows_of(file)]
    name = hashlib.blake2b("\n".join(f"0 {id}" for id in ids).encode(), digest_size=8).hexdigest()
    return tuple(ids) if ids and name == order else None


def pooled(trainings: Sequence[Training], hits: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Mean hits of each track over trainings that may have validated on different ones.

    Returns
    -------
    scores : np.ndarray of float [shape=(n,)]
    groups : np.ndarray of int [shape=(n,)] or None
        A track's number where tracks lie in several entries: scores of one track by several trainings say less than those of as many tracks.
    tracks : int
        Different ones.
    """
    if len({training.order for training in trainings}) == 1:
        return np.mean([np.asarray(each, dtype=np.float64) for each in hits], axis=0), trainings[0].groups, len(hits[0])
    scores = np.concatenate([np.asarray(each, dtype=np.float64) for each in hits])
    numbers: dict[str, int] = {}
    names = [
        f"{training.run.seed} {place}" if training.ids is None else training.ids[place] for training, each in zip(trainings, hits, strict=True) for place in range(len(each))
    ]
    return scores, np.array([numbers.setdefault(name, len(numbers)) for name in names]), len(numbers)
