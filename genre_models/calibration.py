"""How far a model's probabilities can be believed, as they are and scaled by a temperature that was found in validation. Pure.

The temperature comes from the validation predictions of the trial that won; the final model is trained anew on more tracks, so it need not suit that one best. It changes
no class: softmax(log p / T) orders the classes as p does.
"""

from __future__ import annotations

import numpy as np

from genre_models.metrics import CALIBRATION_BINS, SMALLEST_PROBABILITY, as_list, expected_calibration_error, log_loss
from genre_models.resampling.intervals import proportion_interval
from genre_models.temperature import softmax


def scaled(p, temperature: float) -> np.ndarray:
    """Probabilities at a temperature [shape=(n, n_classes), dtype=float64]: 1 leaves them as they are, more makes them less sure."""
    return softmax(np.log(np.maximum(np.asarray(p, dtype=np.float64), SMALLEST_PROBABILITY)), temperature)


def calibration(y_true, p, temperature: float | None, groups=None) -> dict:
    """What ``metrics.json`` says of calibration, under ``calibration``.

    Parameters
    ----------
    y_true : np.ndarray of int [shape=(n,)]
    p : np.ndarray [shape=(n, n_classes)]
        As the model gives them.
    temperature : float or None
        None where the search recorded none.
    groups : np.ndarray of int [shape=(n,)] or None

    Returns
    -------
    dict
        JSON-able: ``temperature``; ``log_loss`` and ``ece`` of the scaled probabilities, None without a temperature; ``reliability`` of the raw and
        ``reliability_scaled`` (or None) of the scaled ones, each a list of bins (`reliability`).
    """
    found = {"temperature": temperature, "log_loss": None, "ece": None, "reliability": reliability(y_true, p, groups), "reliability_scaled": None}
    if temperature is not None:
        cooled = scaled(p, temperature)
        found |= {"log_loss": log_loss(y_true, cooled), "ece": expected_calibration_error(y_true, cooled)}
        found["reliability_scaled"] = reliability(y_true, cooled, groups)
    return found


def reliability(y_true, p, groups=None, bins: int = CALIBRATION_BINS) -> list[dict]:
    """Confidence and accuracy of the tracks in each bin of confidence that has any.

    Returns
    -------
    list of dict
        ``low`` (exclusive) and ``high`` end of the bin, ``n`` tracks, their mean ``confidence``, their ``accuracy`` and its 95 % interval ``accuracy_ci95``,
        None where the bin's tracks are of one group.
    """
    y_true, p = np.asarray(y_true), np.asarray(p, dtype=np.float64)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y_true
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # as of the calibration error
    found = []
    for number in np.unique(which):
        inside = which == number
        interval = proportion_interval(right[inside], None if groups is None else np.asarray(groups)[inside])
        found.append({
            "low": number / bins, "high": (number + 1) / bins, "n": int(inside.sum()), "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()), "accuracy_ci95": as_list(interval),
        })  # fmt: skip
    return found
