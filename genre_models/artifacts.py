"""What a trial leaves in its folder: weights, learning curve, validation predictions. Each file is whole or absent."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import write_text, write_whole


def write_artifacts(folder: str | Path, fitted: Any, data: Any) -> None:
    """Write ``curve.csv``, ``validation.csv`` and, of a family that has them, ``weights.weights.h5``.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing.
    fitted : Fitted
    data : Data
        Its validation tracks are predicted with the weights of the best epoch.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(fitted, "save_weights"):
        # Keras goes by the double suffix, which `write_whole` would not keep on a temporary name.
        write_whole(folder / "weights.weights.h5", lambda partial: _save_weights(fitted, partial))
    columns = list(fitted.history[0])
    write_text(folder / "curve.csv", _csv(columns, ([row[column] for column in columns] for row in fitted.history)))
    write_text(folder / "validation.csv", _predictions(data, fitted.predict(data.validation_ids)))


def _save_weights(fitted: Any, partial: Path) -> None:
    named = partial.with_name("partial.weights.h5")
    fitted.save_weights(named)
    named.replace(partial)


def _predictions(data: Any, p: np.ndarray) -> str:
    labels: Sequence[str] = data.labels
    rows = zip(data.validation_ids, data.targets(data.validation_ids), p.argmax(axis=1), p)
    return _csv(
        ["track", "label", "predicted", *(f"p_{label}" for label in labels)],
        ([id, labels[truth], labels[guess], *(f"{value:.6g}" for value in row)] for id, truth, guess, row in rows),
    )


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()
