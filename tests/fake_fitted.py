"""A family without epochs and without Keras: thresholds on the mean brightness, in a file called ``model.skops``."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from genre_models.families import Family

FITTED = Family("fitted", "nearest mean brightness, for tests", (), "tests.fake_fitted", has_epochs=False)


def fit(params, data, *, epochs, seed, report, resume=None, precision="float32", learning_rates=None):
    """Mean brightness of each class; one report, at the full budget."""
    x, y = data.features(data.train_ids).mean(axis=(1, 2, 3)), np.asarray(data.targets(data.train_ids))
    means = [float(x[y == c].mean()) for c in range(len(data.labels))]
    history = [{"epoch": epochs, "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.0}]
    report(epochs, history[0], lambda folder: None)

    def save(folder):
        (Path(folder) / "model.skops").write_text(json.dumps(means))

    return SimpleNamespace(best_epoch=1, epochs=epochs, stopped_early=False, history=history, parameters=len(means), save=save)


def load_predictor(folder):
    """Probabilities from the saved means."""
    means = np.array(json.loads((Path(folder) / "model.skops").read_text()))

    def predict(batch):
        scores = -np.abs(np.asarray(batch, np.float64).mean(axis=(1, 2, 3))[:, None] - means) / 10
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    return predict
