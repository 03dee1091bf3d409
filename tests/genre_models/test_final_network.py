"""The retrain and the evaluation with a real network: what is saved loads in plain Keras, and says what was evaluated."""

from __future__ import annotations

import json

import numpy as np
import pytest

from genre_models import final, retrain
from genre_models.families import FAMILIES
from genre_models.prepare import open_task
from genre_models.settings import DataSettings, FeatureSettings
from tests import tiny_study

SMALL = {"depth": 2, "filters": 8, "dense_units": 8, "dropout": 0.1, "spec_augment": True, "noise": 0.05, "batch_size": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    corpus = tiny_study.make_corpus(folder / "corpus")
    data = open_task(DataSettings(source=str(corpus)), {"cnn": FeatureSettings(image_size=tiny_study.SIZE)}, 0, folder / "cache", workers=1)
    data.prepare_features(workers=1)
    return data


def test_batch_statistics_are_those_of_the_final_weights(data):
    """By hand: one convolution; what its normalisation must hold are the mean and variance of its outputs over all tracks."""
    import keras

    from genre_models.batch_norm import settle

    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {})
    tracks = retrain.every_track(tiny_study.make_spec("cnn"), task)
    inputs = keras.Input(tracks.input_shape)
    outputs = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9, name="norm")(outputs))
    settle(model, tracks, batch_size=len(tracks.train_ids), seed=0, epoch=1)
    x = tracks.features(tracks.train_ids).astype("float32")
    y = np.asarray(keras.Model(inputs, model.get_layer("conv").output)(x))
    norm = model.get_layer("norm")
    assert np.asarray(norm.moving_mean) == pytest.approx(y.mean(axis=(0, 1, 2)), rel=1e-4)
    assert np.asarray(norm.moving_variance) == pytest.approx(y.var(axis=(0, 1, 2)), rel=1e-3)
    assert norm.momentum == 0.9


@pytest.mark.parametrize(("precision", "windows"), [("float32", {"segments": 3, "random_crop": True, "copies": 1}), ("bfloat16", {})])
def test_a_network_is_retrained_saved_and_evaluated(precision, windows, data, tmp_path):
    import keras

    spec = tiny_study.make_spec("cnn", FAMILIES["cnn"].defaults() | SMALL | windows) | {"precision": precision}
    winner = retrain.Winner("s", 0, spec, 3, (3e-3, 2e-3, 1e-3), (), 0.5)
    task, told = data.task({"metric": "val_accuracy", "direction": "maximize"}, {}), []
    retrain.retrain(winner, task, tmp_path / "model", lambda epoch, metrics: told.append(metrics))
    found = final.evaluate(tmp_path / "model", data.split.test, lambda *given: None)

    assert [metrics["learning_rate"] for metrics in told] == [3e-3, 2e-3, 1e-3]
    assert all("val_loss" not in metrics for metrics in told)
    pipeline = json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert [epoch["loss"] for epoch in pipeline["history"]] == [metrics["loss"] for metrics in told]

    model = keras.saving.load_model(tmp_path / "model" / "model.keras")
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers), "plain Keras, so no augmentation of ours"
    x = np.stack(list(final.heldout_features(data.corpus.kind, data.features["cnn"], data.split.test)))
    n, width = pipeline["segments"], pipeline["input_shape"][1]
    assert (n, width) == ((3, 8) if windows else (1, 24))
    p = np.mean([model.predict_on_batch(x[:, :, width * k : width * (k + 1)]) for k in range(n)], axis=0)
    assert p == pytest.approx(found.p, abs=1e-6)
    assert found.p.shape == (len(data.split.test), 3)
    assert model.input_shape == (None, *pipeline["input_shape"])
