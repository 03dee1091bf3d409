"""Studies as a report reads them: scripted trials whose items are known, with the real statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution

from genre_models.item_scores import describe_items, scores_of
from search.study_view import StudyView
from search.trial import Trial

N = 120
R = 27
BUDGET = {"budget": {"min_epochs": 3, "max_epochs": R, "reduction_factor": 3}, "scheduler": "asha"}
DISTRIBUTIONS = {
    "family": CategoricalDistribution(("cnn", "svm")),
    "cnn/rate": FloatDistribution(1e-4, 1e-1, log=True),
    "cnn/width": FloatDistribution(0, 1),
    "cnn/pool": CategoricalDistribution(("max", "mean")),
    "svm/width": FloatDistribution(0, 1),
}


def full(number: int, value: float, family: str = "cnn", right: list[bool] | None = None, params: dict[str, Any] | None = None, **outcome: Any) -> Trial:
    """A trial trained to the end, whose score rises by steps; `right` says of each item whether it was told right, in every epoch."""
    reports = {epoch: round(value * (0.5 + 0.5 * epoch / R), 6) for epoch in range(1, R + 1)} if family != "svm" else {R: value}
    told = {"value": value, "interval": [value - 0.05, value + 0.05], "best_epoch": R, "epochs": R, "fit_seconds": 10.0 + number, "seconds": 12.0 + number, "parameters": 1000 + number}
    if right is not None:
        table = np.array([right] * 3)
        p = np.stack([~table[0], table[0]], axis=1).astype(float)
        told["items"] = describe_items([[f"t{i}" for i in range(N)]], [scores_of("val_accuracy", np.ones(N, int), p, table)], "val_accuracy", {})
    spec = {"family": family, "epochs": R, "params": {}}
    return Trial(number, "COMPLETE", spec, {"family": family, **(params or {})}, reports, "full", None, value, told | outcome)


def stopped(number: int, value: float, epochs: int = 3, family: str = "cnn", params: dict[str, Any] | None = None) -> Trial:
    """A trial stopped at a rung."""
    reports = {epoch: value * epoch / epochs for epoch in range(1, epochs + 1)}
    return Trial(number, "PRUNED", {"family": family, "epochs": R, "params": {}}, {"family": family, **(params or {})}, reports, "pruned", None, None, {"fit_seconds": 1.0})


def first(n: int) -> list[bool]:
    """Items of which the first `n` are told right."""
    return [i < n for i in range(N)]


def view_of(trials: list[Trial], run: dict[str, Any] | None = None, **more: Any) -> StudyView:
    """A study of these trials."""
    run = {"split_id": "0123456789abcdef", "source": "music", "data": {"source": "music", "validation": {"holdout": 0.2}}, "seed": 3} if run is None else run
    return StudyView("s", True, "val_accuracy", run, trials, 600.0, fingerprint=BUDGET, distributions=DISTRIBUTIONS, **more)


def look(trial: int = 0, number: int = 1, value: float = 0.7, others: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What a look came to, as the composition root tells it."""
    scores = [{"name": "accuracy", "value": value, "interval": (value - 0.1, value + 0.1)}, {"name": "macro F1", "value": value - 0.01, "interval": None}]
    return {"look": number, "folder": "nowhere", "reason": None, "trial": trial, "family": "cnn", "n": 141, "scores": scores, "others": others or []}
