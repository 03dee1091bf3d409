"""Which classes a model takes for which: a table for people. Pure."""

from __future__ import annotations

import numpy as np

from genre_models.doctor.findings import counted, shown
from genre_models.evidence.predictions import Predictions

#: With more classes a matrix is not readable any more; the pairs that are most often confused are.
MOST_CLASSES = 30
_PAIRS = 25


def confusion_table(predictions: Predictions) -> dict:
    """Counts of truth (rows) against answer (columns), shaded by the part of the true class; of many classes the pairs most often confused.

    Returns
    -------
    dict
        A table as ``index.json`` names them (`genre_models.evidence.writing`).
    """
    n = len(predictions.labels)
    counts = np.zeros((n, n), dtype=int)
    np.add.at(counts, (predictions.y_true, predictions.said), 1)
    return _matrix(predictions.labels, counts) if n <= MOST_CLASSES else _pairs(predictions.labels, counts)


def _matrix(labels: tuple[str, ...], counts: np.ndarray) -> dict:
    names, rows = [shown(label) for label in labels], []
    for number, row in enumerate(counts):
        total = int(row.sum())
        cells = [
            {"text": str(count) if count or column == number else "", "shade": round(count / total, 3) if total else 0.0, "tone": "good" if column == number else "bad"}
            for column, count in enumerate(row.tolist())
        ]
        rows.append({"name": names[number], "note": str(total), "cells": cells})
    return {"corner": "truth ↓  answer →", "columns": names, "rows": rows, "square": True}


def _pairs(labels: tuple[str, ...], counts: np.ndarray) -> dict:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda pair: -wrong[pair])[:_PAIRS]
    support, rows = counts.sum(axis=1), []
    for truth, said in order:
        share = wrong[truth, said] / support[truth]
        cells = [{"text": shown(labels[said])}, {"text": f"{wrong[truth, said]} of {support[truth]}", "shade": round(float(share), 3), "tone": "bad"}]
        rows.append({"name": shown(labels[truth]), "cells": cells})
    return {"corner": "truth", "columns": ["taken for", "tracks"], "rows": rows}


def confusion_caption(predictions: Predictions) -> str:
    """What the table shows and what to conclude, in two sentences."""
    wrong = predictions.said != predictions.y_true
    if not wrong.any():
        return "Each row is a true class, each column an answer. No track is off the diagonal: there is nothing to confuse here."
    pairs = np.zeros((len(predictions.labels),) * 2, dtype=int)
    np.add.at(pairs, (predictions.y_true[wrong], predictions.said[wrong]), 1)
    both = np.triu(pairs + pairs.T)
    first, second = np.unravel_index(both.argmax(), both.shape)
    names = [shown(predictions.labels[i]) for i in (first, second)]
    told = f"{counted(int(both.max()), 'track')} of the {counted(int(wrong.sum()), 'mistake')}"
    return f"Each row is a true class, each column an answer; the diagonal is right. {names[0]} and {names[1]} are confused most: {told}."
