"""What a trial leaves in its folder: weights, learning curve, validation predictions. Each file is whole or absent."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import write_text, write_whole

WEIGHTS = "weights.weights.h5"


def write_weights(folder: Path, fitted: Any) -> Path | None:
    """Write ``weights.weights.h5`` of the best epoch, of a family that has them; its path.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    fitted : Fitted
    """
    if not hasattr(fitted, "save_weights"):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    # Keras goes by the double suffix, which `write_whole` would not keep on a temporary name.
    write_whole(folder / WEIGHTS, lambda partial: _save_weights(fitted, partial))
    return folder / WEIGHTS


def copy_weights(source: Path, target: Path) -> Path:
    """Copy a file of weights, unless it is there already; its new path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.exists() and target.samefile(source)):
        write_whole(target, lambda partial: shutil.copyfile(source, partial))
    return target


def write_tables(
    folder: Path, history: Sequence[Mapping[str, float]], labels: Sequence[str], rows: Iterable[tuple[str, int, np.ndarray]]
) -> None:
    """Write ``curve.csv`` and ``validation.csv``.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    history : sequence of mapping
        One for each epoch.
    labels : sequence of str
    rows : iterable of (track id, class number, probabilities)
        Of tracks that the network was not trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(history[0])
    write_text(folder / "curve.csv", _csv(columns, ([row[column] for column in columns] for row in history)))
    head = ["track", "label", "predicted", *(f"p_{label}" for label in labels)]
    told = ([id, labels[truth], labels[p.argmax()], *(f"{value:.6g}" for value in p)] for id, truth, p in rows)
    write_text(folder / "validation.csv", _csv(head, told))


def _save_weights(fitted: Any, partial: Path) -> None:
    named = partial.with_name("partial.weights.h5")
    fitted.save_weights(named)
    named.replace(partial)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()
