"""A trial's state on disk: what its finished parts gave, and the family's own snapshot of the part under way.

    trial.json              which part is under way, what the others gave; renamed into place last, so a crash leaves the snapshot before
    part-0003/              the family's snapshot of the part under way
    predictions-0002.npz    of the parts done, each on its own validation tracks
    weights.weights.h5      of part 1, where the family has weights
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.artifacts import WEIGHTS, copy_weights
from genre_models.durable import write_text, write_whole
from genre_models.errors import SnapshotError
from genre_models.snapshots import UNREADABLE

FORMAT = 1


@dataclass(frozen=True)
class TrialState:
    """Where a trial stands.

    Attributes
    ----------
    under_way : int or None
        Number (from 1) of the part that the family's snapshot is of; None between parts.
    parts : list of dict
        What each finished part gave, JSON-able.
    history : list of dict
        Epochs of part 1, once it is done.
    parameters : int
    predictions : list of np.ndarray [shape=(n, n_classes)]
    weights : Path or None
        File with the weights of part 1.
    """

    under_way: int | None
    parts: list[dict[str, Any]]
    history: list[dict[str, float]]
    parameters: int
    predictions: list[np.ndarray]
    weights: Path | None

    def family_folder(self, folder: Path) -> Path:
        """Where the family's snapshot lies in the trial's."""
        return folder / f"part-{self.under_way:04d}"


def write_trial(folder: str | Path, identity: Mapping[str, Any], state: TrialState, write: Callable[[str], None] | None) -> None:
    """Write a snapshot, in place of an earlier one in the same folder.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing.
    identity : mapping
        JSON-able; what a trial that takes the snapshot over must have in common with this one.
    state : TrialState
    write : callable or None
        The family's own snapshot of the part under way.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept = set()
    if write is not None:
        state.family_folder(folder).mkdir(exist_ok=True)
        write(str(state.family_folder(folder)))
        kept.add(state.family_folder(folder).name)
    predictions = f"predictions-{len(state.predictions):04d}.npz"
    if state.predictions:
        arrays = {str(number): p for number, p in enumerate(state.predictions, 1)}
        write_whole(folder / predictions, lambda path: np.savez(path, **arrays))
        kept.add(predictions)
    weights = None
    if state.weights is not None and state.weights.exists():
        weights = copy_weights(state.weights, folder / WEIGHTS).name
    told = {
        "format": FORMAT,
        "identity": identity,
        "under_way": state.under_way,
        "parts": state.parts,
        "history": state.history,
        "parameters": state.parameters,
        "predictions": predictions if state.predictions else None,
        "weights": weights,
    }
    write_text(folder / "trial.json", json.dumps(told))
    for earlier in (*folder.glob("part-*"), *folder.glob("predictions-*")):
        if earlier.name not in kept:
            shutil.rmtree(earlier) if earlier.is_dir() else earlier.unlink()


def read_trial(folder: Path, identity: Mapping[str, Any]) -> TrialState:
    """Read what `write_trial` wrote.

    Raises
    ------
    SnapshotError
        There is no whole snapshot in the folder, or it is of another trial.
    """
    try:
        told = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise SnapshotError(f"{folder}: the snapshot has format {told['format']}, this version reads {FORMAT}: start the trial afresh")
        now = json.loads(json.dumps(identity))
        differ = sorted(key for key in now | told["identity"] if now.get(key) != told["identity"].get(key))
        if differ:
            raise SnapshotError(f"{folder}: the snapshot is of another trial, {', '.join(differ)} differ: start this one afresh")
        predictions = []
        if told["predictions"] is not None:
            with np.load(folder / Path(told["predictions"]).name, allow_pickle=False) as stored:
                predictions = [stored[str(number)] for number in range(1, len(stored.files) + 1)]
        weights = None if told["weights"] is None else folder / WEIGHTS
        if weights is not None and not weights.exists():
            raise SnapshotError(f"{folder}: {WEIGHTS} is gone from the snapshot: start the trial afresh")
        return TrialState(told["under_way"], told["parts"], told["history"], told["parameters"], predictions, weights)
    except UNREADABLE as error:
        raise SnapshotError(f"{folder}: no readable snapshot ({error}): start the trial afresh") from error
