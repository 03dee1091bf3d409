"""The mistakes that a model was surest of. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genre_models.doctor.findings import counted, shown
from genre_models.evidence.predictions import Predictions

_ROWS = 30


@dataclass(frozen=True)
class Mistake:
    """One wrong answer; `confidence` is the probability it was given, `p_truth` that of the true class."""

    id: str
    truth: str
    said: str
    confidence: float
    p_truth: float

    @property
    def text(self) -> str:
        """In words."""
        return f"is {shown(self.truth)}, taken for {shown(self.said)} with {100 * self.confidence:.0f} % ({shown(self.truth)}: {100 * self.p_truth:.0f} %)"


def most_confident_mistakes(predictions: Predictions) -> list[Mistake]:
    """All wrong answers, the surest first; equally sure ones by the track's id."""
    said = predictions.said
    found = [
        Mistake(predictions.ids[i], predictions.labels[predictions.y_true[i]], predictions.labels[said[i]], float(predictions.p[i, said[i]]), float(predictions.p[i, predictions.y_true[i]]))
        for i in np.flatnonzero(said != predictions.y_true)
    ]
    return sorted(found, key=lambda each: (-each.confidence, each.id))


def mistakes_table(mistakes: list[Mistake]) -> dict:
    """A table as ``index.json`` names them (`genre_models.evidence.writing`)."""
    rows = [
        {
            "name": shown(each.id),
            "cells": [
                {"text": shown(each.truth)},
                {"text": shown(each.said)},
                {"text": f"{100 * each.confidence:.0f} %", "shade": round(each.confidence, 3), "tone": "bad"},
                {"text": f"{100 * each.p_truth:.0f} %"},
            ],
        }
        for each in mistakes[:_ROWS]
    ]
    return {"corner": "track", "columns": ["is", "taken for", "surety", "given to the truth"], "rows": rows}


def mistakes_caption(mistakes: list[Mistake], n: int) -> str:
    """How many there are, and what to make of them."""
    shown_of = f"; the {_ROWS} surest are shown" if len(mistakes) > _ROWS else ""
    return f"{counted(len(mistakes), 'mistake')} on {n} tracks{shown_of}. Where the model is sure and wrong, listen: the label may be what is wrong."
