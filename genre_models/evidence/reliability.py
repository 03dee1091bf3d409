"""Whether the probabilities can be believed: a curve for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genre_models.calibration import reliability
from genre_models.doctor.findings import counted
from genre_models.evidence.predictions import Predictions
from genre_models.metrics import expected_calibration_error


def reliability_curve(predictions: Predictions, calibration: Mapping[str, Any] | None = None) -> dict:
    """How often answers of each confidence are right.

    Parameters
    ----------
    predictions : Predictions
    calibration : mapping, optional
        Of ``metrics.json``; adds the probabilities at the temperature of validation.

    Returns
    -------
    dict
        A curve as ``index.json`` names them (`genre_models.evidence.writing`).
    """
    series = [_series("as they are", reliability(predictions.y_true, predictions.p, predictions.groups))]
    scaled = (calibration or {}).get("reliability_scaled")
    if scaled is not None:
        series.append(_series(f"at temperature {calibration['temperature']:.3g}", scaled))
    perfect = {"name": "as sure as right", "style": "line", "x": [0, 1], "y": [0, 1]}
    return {"x": "probability given to the answer", "y": "answers that are right", "range": [0, 1], "series": [perfect, *series]}


def _series(name: str, bins: Sequence[Mapping[str, Any]]) -> dict:
    intervals = [each["accuracy_ci95"] or [each["accuracy"]] * 2 for each in bins]
    return {
        "name": name,
        "style": "points",
        "x": [round(each["confidence"], 4) for each in bins],
        "y": [round(each["accuracy"], 4) for each in bins],
        "low": [round(low, 4) for low, _ in intervals],
        "high": [round(high, 4) for _, high in intervals],
        "text": [counted(each["n"], "track") for each in bins],
    }


def reliability_caption(predictions: Predictions) -> str:
    """What the curve shows and what to conclude."""
    sure, right = predictions.p.max(axis=1).mean(), (predictions.said == predictions.y_true).mean()
    gap = sure - right
    verdict = "too sure of itself" if gap > 0.03 else "less sure than it could be" if gap < -0.03 else "about as sure as it is right"
    error = expected_calibration_error(predictions.y_true, predictions.p)
    return (
        f"Points below the line: surer than right; above it: more often right than said. On average it gives its answers {100 * sure:.0f} % and {100 * right:.0f} % are right, "
        f"so it is {verdict} (calibration error {error:.3f})."
    )
