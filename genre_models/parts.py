"""The parts of one trial: a network trained for each fold, and again for each repeat.

Owns: their order, what is reported of them (docs/design.md, section 4), and what they add up to. A trial of one part, validated by
hold-out, is the case k = 1. Knows neither Keras nor any one family.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from genre_models.artifacts import WEIGHTS, copy_weights, write_tables, write_weights
from genre_models.errors import SnapshotError
from genre_models.framework import DEFAULT_BACKEND, backend_of
from genre_models.item_scores import describe_items, repeated_interval, scores_of, validated
from genre_models.metrics import as_list
from genre_models.part_snapshots import TrialState, read_trial, write_trial
from genre_models.snapshots import Report, Snapshot

T = TypeVar("T")

PHASES = ("build", "train", "validate", "report")
DECIDES = ("family", "params", "features", "epochs", "seed", "precision")  # keys of a specification that change what is trained


@dataclass(frozen=True)
class Part:
    """What one part gave.

    Attributes
    ----------
    value : float
        The objective's metric at its best epoch.
    val_accuracy : float
        At that epoch.
    best_epoch, epochs : int
    stopped_early : bool
        By the family's own early stopping.
    n_validation : int
        Tracks it was validated on.
    scored : str
        What it scored on each of them, as the outcome's ``items`` have it; empty in snapshots of before they had it.
    """

    value: float
    val_accuracy: float
    best_epoch: int
    epochs: int
    stopped_early: bool
    n_validation: int
    scored: str = ""


def part_seed(seed: int, number: int, folds: int) -> int:
    """Seed of a part: the trial's own in the first repeat, later a stable hash of it and the part's number, 0 <= seed < 2**31."""
    if number <= folds:
        return seed
    digest = hashlib.blake2b(f"{seed}/part {number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def describe_parts(spec: Mapping[str, Any]) -> str | None:
    """What a trial's score is the mean of: ``"5 folds"``, ``"5 folds, each trained 3 times"``, ``"3 trainings"``; None for one training."""
    folds, repeats = spec.get("folds", 1), spec.get("repeats", 1)
    if folds > 1:
        return f"{folds} folds" + (f", each trained {repeats} times" if repeats > 1 else "")
    return f"{repeats} trainings" if repeats > 1 else None


class Parts:
    """One trial under way.

    Parameters
    ----------
    spec : mapping
    fit : callable
        ``fit(data, seed=, report=, resume=) -> Fitted``.
    data_of : callable
        ``data_of(fold)``: the development tracks with that fold (from 0) for validation; with None the hold-out.
    metric : str
    report : callable
        ``report(epoch, metrics, snapshot) -> "continue" | "stop" | "pause"``.
    tracks : str
        Names the tracks and how they are dealt: a snapshot of others is refused.
    groups : mapping of str to int
        Tracks that go together, as those of one artist; others stand alone.
    workdir : Path or None
        Where weights, curve and validation predictions are left.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        fit: Callable[..., Any],
        data_of: Callable[[int | None], Any],
        metric: str,
        report: Report,
        tracks: str,
        groups: Mapping[str, int],
        workdir: Path | None = None,
    ) -> None:
        self._spec, self._fit, self._data_of, self._metric, self._report, self._workdir = spec, fit, data_of, metric, report, workdir
        self._tracks, self._groups = tracks, groups
        self.folds, self.repeats = spec.get("folds", 1), spec.get("repeats", 1)
        self.wanted = self.folds * self.repeats
        self.done: list[Part] = []
        self._history: list[dict[str, float]] = []
        self._parameters = 0
        self._predictions: list[np.ndarray] = []  # of the parts of the first repeat, each on its own validation tracks
        self._weights: Path | None = None
        self._under_way: tuple[int, Snapshot] | None = None
        self._answer = "continue"
        self._artifacts_error: str | None = None
        self.phases = dict.fromkeys(PHASES, 0.0)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        kept = {key: self._spec[key] for key in DECIDES}
        if backend_of(self._spec) != DEFAULT_BACKEND:  # what TensorFlow's snapshots, those of before there were others, do not say
            kept["backend"] = self._spec["backend"]
        return {**kept, "folds": self.folds, "repeats": self.repeats, "metric": self._metric, "tracks": self._tracks}

    def run(self, resume: str | None = None) -> None:
        """Train part after part, those that a snapshot holds excepted, until all are done or an answer ends the trial."""
        family_snapshot = None
        if resume is not None:
            family_snapshot = self._restore(Path(resume))
            if family_snapshot is None and len(self.done) < self.wanted:
                self._tell(len(self.done))
        while len(self.done) < self.wanted and self._answer == "continue":
            if not self._run_part(len(self.done) + 1, family_snapshot):
                break
            family_snapshot = None

    def _run_part(self, number: int, resume: str | None) -> bool:
        """Train one part and take down what it gave; False where it was cut short and gives nothing. Its network is gone afterwards."""
        data = self._data_of((number - 1) % self.folds if self.folds > 1 else None)
        reported = 0

        def on_epoch(epoch: int, metrics: dict[str, float], snapshot: Snapshot) -> str:
            nonlocal reported
            self._under_way, reported = (number, snapshot), epoch
            self._answer = self._report(epoch, metrics if number == 1 else {}, self.snapshot)
            return self._answer

        try:
            fitted = self._fit(data, seed=part_seed(self._spec["seed"], number, self.folds), report=on_epoch, resume=resume)
        except Exception as error:
            if resume is None or reported or isinstance(error, MemoryError) or hasattr(error, "reason_code"):
                raise
            raise SnapshotError(f"{resume}: can't be gone on from ({type(error).__name__}: {error}): start the trial afresh") from error
        finally:
            self._under_way = None  # it holds the network
        for phase, seconds in fitted.phases.items():
            self.phases[phase] = self.phases.get(phase, 0.0) + seconds
        is_whole = fitted.epochs >= self._spec["epochs"] or fitted.stopped_early
        if number > 1 and not is_whole:
            return False
        best, n = fitted.history[fitted.best_epoch - 1], len(data.validation_ids)
        p = np.asarray(fitted.predict(data.validation_ids))
        scored = scores_of(self._metric, np.asarray(data.targets(data.validation_ids)), p, getattr(fitted, "hits", None))
        part = Part(best[self._metric], best["val_accuracy"], fitted.best_epoch, fitted.epochs, fitted.stopped_early, n, scored)
        if number <= self.folds:
            self._predictions.append(p)
        if number == 1:
            self._history, self._parameters = fitted.history, fitted.parameters
            if self._workdir is not None:
                self._weights = self._left(lambda: write_weights(self._workdir, fitted))
        self.done.append(part)
        is_told = number == 1 and reported == self._spec["epochs"]  # not where it stopped early, and not if it was resumed at its very end
        if is_whole and self._answer == "continue" and self.wanted > 1 and not is_told:
            self._tell(number)
        return is_whole

    def _tell(self, number: int) -> None:
        """Report the step of a part that is done: of the first the full budget's, with its best epoch where it stopped early.

        A trial that was stopped at that step tells it again when it goes on: what was answered then may not have been about its score.
        """
        epochs, first = self._spec["epochs"], self.done[0]
        if number > 1:
            metrics = {self._metric: self.value}
        else:
            row = self._history[-1 if first.epochs == epochs else first.best_epoch - 1]
            metrics = {name: value for name, value in row.items() if name != "epoch"}
        self._answer = self._report(epochs + number - 1, metrics, self.snapshot)

    @property
    def value(self) -> float:
        """Mean of the parts done."""
        return sum(part.value for part in self.done) / len(self.done)

    def snapshot(self, folder: str) -> None:
        """Write what the finished parts gave, and the state of the one under way."""
        number, write = self._under_way or (None, None)
        state = TrialState(
            number, [asdict(part) for part in self.done], self._history, self._parameters, self._predictions, self._weights
        )
        write_trial(folder, self._identity, state, write)

    def _restore(self, folder: Path) -> str | None:
        """Take over a snapshot; the folder of the family's own, if a part was under way."""
        state = read_trial(folder, self._identity)
        try:
            self.done = [Part(**part) for part in state.parts]
        except TypeError as error:
            raise SnapshotError(f"{folder}: the snapshot is of another version ({error}): start the trial afresh") from error
        self._history, self._parameters = state.history, state.parameters
        self._predictions, self._weights = state.predictions, state.weights
        if self._weights is not None and self._workdir is not None:
            self._weights = self._left(lambda: copy_weights(self._weights, self._workdir / WEIGHTS))
        return None if state.under_way is None else str(state.family_folder(folder))

    @property
    def _is_whole(self) -> bool:
        first = self.done[0]
        return len(self.done) == self.wanted and (first.epochs >= self._spec["epochs"] or first.stopped_early)

    def outcome(self) -> dict[str, Any]:
        """What the parts add up to (docs/design.md, section 4), without what the objective knows: ``gflops`` and ``seconds``."""
        first, pooled = self.done[0], self.done[: self.folds]
        ids, y, p = self._pooled()
        told = validated([id for fold in ids for id in fold], y, p, self._groups)
        interval = told.pop("interval")
        if not self._is_whole:
            told = {}  # nobody compares those that were stopped, and there are many
        elif all(part.scored for part in self.done):
            scored = [part.scored for part in self.done]
            told["items"] = describe_items(ids, scored, self._metric, self._groups)
            if self.wanted > self.folds and self._metric == "val_accuracy":  # of all repeats, as the value is
                interval = as_list(repeated_interval(ids, scored, self._groups))
        return {
            "value": self.value,
            "val_accuracy": sum(part.val_accuracy for part in self.done) / len(self.done),
            "best_epoch": math.floor(sum(part.best_epoch for part in self.done) / len(self.done) + 0.5),
            "epochs": first.epochs,
            "stopped_early": first.stopped_early,
            "interval": interval if self._metric == "val_accuracy" else None,
            "parameters": self._parameters,
            "fit_seconds": self.phases["train"] + self.phases["validate"],
            "n_validation": sum(part.n_validation for part in pooled),
            "parts": len(self.done),
            "parts_wanted": self.wanted,
            "scores": [part.value for part in self.done],
            "history": self._history,
            "phases": self.phases,
            **({} if self._artifacts_error is None else {"artifacts_error": self._artifacts_error}),
            **told,
        }

    def _pooled(self) -> tuple[list[Any], np.ndarray, np.ndarray]:
        """Validation tracks of each fold, and of all of them classes and probabilities, of the parts of the first repeat that are done."""
        data = [self._data_of(fold if self.folds > 1 else None) for fold in range(len(self._predictions))]
        y = [np.asarray(of_fold.targets(of_fold.validation_ids)) for of_fold in data]
        return [of_fold.validation_ids for of_fold in data], np.concatenate(y), np.concatenate(self._predictions)

    def write_artifacts(self) -> None:
        """Leave the first part's curve and the out-of-fold predictions beside its weights, which are there since it ended."""
        if self._workdir is None:
            return
        ids, y, p = self._pooled()
        rows = sorted(zip([id for fold in ids for id in fold], y, p, strict=True), key=lambda row: row[0])
        self._left(lambda: write_tables(self._workdir, self._history, self._data_of(None).labels, rows))

    def _left(self, write: Callable[[], T]) -> T | None:
        """What `write` gives; None where the disk takes no more: that costs the artifact, not what was trained."""
        try:
            return write()
        except OSError as error:
            self._artifacts_error = " ".join(str(error).split())
            return None
