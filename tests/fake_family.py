"""A family that learns in no time and without Keras: a nearest-centroid classifier in a file called ``model.keras``.

Its softmax over distances is real enough to be scored, and trains to the same bytes every time.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from genre_models.families import FAMILIES, Family
from tests import fake_fitted

FAKE = Family("fake", "nearest centroid, for tests", (), "tests.fake_family")
OTHER = Family("other", "the same under another name", (), "tests.fake_family")
KNOWN = {family.name: family for family in (FAKE, OTHER, fake_fitted.FITTED)}


def install(monkeypatch=None) -> None:
    """Make the families known, and load their models in place of Keras'; with `monkeypatch`, for one test only."""
    from genre_models import final, plots

    if monkeypatch is None:
        FAMILIES.update(KNOWN)
        final.load_predictor, plots.DOTS_PER_INCH = load_predictor, 40
    else:
        for name, family in KNOWN.items():
            monkeypatch.setitem(FAMILIES, name, family)
        monkeypatch.setattr(final, "load_predictor", load_predictor)
        monkeypatch.setattr(plots, "DOTS_PER_INCH", 40)  # drawing takes longer than all the rest


def fit(params, data, *, epochs, seed, report, resume=None, precision="float32", learning_rates=None):
    """Means of the training tracks; a report an epoch, as a network would give them."""
    assert not len(data.validation_ids), "the final retrain validates nothing"
    assert len(learning_rates) == epochs
    x, y = _scaled(data.features(data.train_ids)), np.asarray(data.targets(data.train_ids))
    centroids = np.stack([x[y == c].mean(axis=0) for c in range(len(data.labels))])
    history = []
    for epoch in range(1, epochs + 1):
        history.append({"epoch": epoch, "loss": 2.0 / epoch, "accuracy": 1 - 0.5 / epoch, "learning_rate": learning_rates[epoch - 1]})
        report(epoch, history[-1], lambda folder: None)

    def save(folder):
        stream = io.BytesIO()
        np.save(stream, centroids, allow_pickle=False)
        (Path(folder) / "model.keras").write_bytes(stream.getvalue())

    return SimpleNamespace(best_epoch=epochs, epochs=epochs, stopped_early=False, history=history, parameters=int(centroids.size), save=save)


def load_predictor(folder):
    """Probabilities from the saved centroids."""
    if not (Path(folder) / "model.keras").exists():
        return fake_fitted.load_predictor(folder)
    centroids = np.load(Path(folder) / "model.keras", allow_pickle=False)

    def predict(batch):
        scores = -np.square(_scaled(batch)[:, None] - centroids).mean(axis=2) * 50
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    return predict


def _scaled(x):
    return np.asarray(x, dtype=np.float64).reshape(len(x), -1) / 255.0


def pipeline_of(folder) -> dict:
    """``pipeline.json`` of a saved model."""
    return json.loads((Path(folder) / "pipeline.json").read_text())
