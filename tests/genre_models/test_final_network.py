"""The retrain and the evaluation with a real network: what is saved loads in plain Keras, and says what was evaluated."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from genre_models import final, retrain
from genre_models.errors import CorpusError
from genre_models.families import FAMILIES
from genre_models.prepare import open_task
from genre_models.settings import DataSettings, FeatureSettings
from tests import tiny_study

GOAL = {"metric": "val_accuracy", "direction": "maximize"}
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

    from genre_models.batch_norm import Settler, settle

    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {})
    tracks = retrain.every_track(tiny_study.make_spec("cnn"), task)
    inputs = keras.Input(tracks.input_shape)
    layers = [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.Dropout(0.5), keras.layers.BatchNormalization(momentum=0.9, name="norm")]
    settler = Settler.of(inputs, inputs, layers)
    settle(settler, tracks, batch_size=len(tracks.train_ids), seed=0, epoch=1)
    x = tracks.features(tracks.train_ids).astype("float32")
    y, norm = np.asarray(layers[0](x)), layers[-1]
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


def test_a_network_within_a_network_computes_in_float32_too():
    import keras

    from genre_models.keras_model import in_float32

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((4,))
        inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.BatchNormalization(trainable=False)])
        model = keras.Model(inputs, keras.layers.Dense(2)(inner(keras.layers.Dense(8)(inputs))))
    finally:
        keras.config.set_dtype_policy("float32")
    plain, x = in_float32(model), np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    found = plain.predict_on_batch(x)
    assert found.dtype == np.float32
    assert found == pytest.approx(np.asarray(model(x), "float32"), abs=0.05)
    w = [weight.astype("float64") for weight in plain.get_weights()]  # three layers of weights and biases, a fresh batch norm between
    by_hand = ((x @ w[0] + w[1]) @ w[2] + w[3]) / np.sqrt(1 + 1e-3) @ w[8] + w[9]
    assert found == pytest.approx(by_hand, abs=1e-5)


def test_an_adapted_normalisation_keeps_its_statistics_in_float32():
    import keras

    from genre_models.keras_model import in_float32

    def made(policy):
        norm = keras.layers.Normalization(dtype="float32")
        first = keras.Sequential([keras.Input((4,)), norm])
        norm.set_weights([np.array([1.0, 2, 3, 4]), np.array([0.1, 0.2, 0.3, 0.4]), np.array(9)])
        norm.finalize_state()
        kernel = keras.initializers.RandomNormal(seed=1)
        return keras.Sequential([keras.Input((4,)), first, keras.layers.Dense(2, dtype=policy, kernel_initializer=kernel)])

    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    expected = made("float32").predict_on_batch(x)
    assert in_float32(made("mixed_bfloat16")).predict_on_batch(x) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with two rows of each of 30 tracks; the genre is in the first number, more or less."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("table") / "features_3_sec.csv"
    lines = ["filename,first,second,third,label"]
    for number, label in enumerate(tiny_study.LABELS):
        for i in range(10):
            for segment in range(2):
                numbers = rng.normal([number, 0, 0], 0.5)
                lines.append(f"{label}.{i:05d}.{segment}.wav,{','.join(f'{value:.6f}' for value in numbers)},{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def retrained(data, task, spec, folder):
    winner = retrain.Winner("s", 0, spec, 1 if spec["family"] == "classical" else 3, (1e-3,) * 3, (), 0.5)
    retrain.retrain(winner, task, folder, lambda epoch, metrics: None)
    return final.evaluate(folder, data.split.test, lambda *given: None)


@pytest.mark.parametrize(
    ("family", "params"), [("classical", {"model": "logistic"}), ("feedforward", {"units": "8", "optimizer": "adamw", "batch_size": 8})]
)
def test_rows_of_a_table_are_averaged_by_track(family, params, table, tmp_path):
    from genre_models.features.table_read import read_table

    params = FAMILIES[family].defaults() | params | {"input": "table"}
    values = {family: {name: [value] for name, value in params.items()}}
    data = open_task(DataSettings(source=f"table:{table}"), {family: FeatureSettings()}, 0, tmp_path / "cache", values=values, workers=1)
    data.prepare_features(workers=1)
    spec = tiny_study.make_spec(family, params) | {"features": data.features[family]}
    found = retrained(data, data.task(GOAL, {}), spec, tmp_path / "model")
    assert len(found.p) == 6 and (found.p.argmax(axis=1) == found.y_true).mean() > 0.5
    pipeline = json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert pipeline["input"]["table"] == {"path": str(table), "sha256": read_table(table).sha256, "columns": ["first", "second", "third"]}
    assert pipeline["epochs"] == (None if family == "classical" else 3)

    predict, read = final.load_predictor(tmp_path / "model"), read_table(table)
    for track, p in zip(found.track_ids, found.p, strict=True):
        assert predict(read.X[read.rows_of()[track]]).mean(axis=0) == pytest.approx(p, abs=1e-6)

    final.verify_files(data.split.test, "table")
    final.verify_table(str(table), data.split.test)
    changed = tmp_path / table.name
    changed.write_text(table.read_text().replace(f"{data.split.test[0].id.split('/')[1]}.0.wav,", "x.0.wav,"))
    with pytest.raises(CorpusError, match=data.split.test[0].id):
        final.verify_files([replace(row, path=changed) for row in data.split.test], "table")
    with pytest.raises(CorpusError, match="is not the table that was trained on"):
        list(final.heldout_features("table", {}, data.split.test, pipeline["input"]["table"] | {"path": str(changed)}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "params"),
    [("mobilenet", {"head_units": "8", "cut": "conv_pw_3_relu"}), ("classical", {"model": "logistic", "input": "mobilenet/conv_pw_3_relu"})],
)
def test_what_came_through_a_pretrained_network_is_a_pipeline_from_pixels(family, params, data, tmp_path):
    params = FAMILIES[family].defaults() | params
    values = {family: {name: [value] for name, value in params.items()}}
    features = FeatureSettings(image_size=tiny_study.SIZE, weights="random", trunk_side=32)
    source = DataSettings(source=data.corpus.source)
    data = open_task(source, {family: features}, 0, tmp_path / "cache", values=values, workers=1)
    data.prepare_features(workers=1)
    task = data.task(GOAL, {})
    data.prepare_networks(task)
    spec = tiny_study.make_spec(family, params) | {"features": data.features[family]}
    found = retrained(data, task, spec, tmp_path / "model")
    assert found.p.shape == (6, 3)
    files = {path.name for path in (tmp_path / "model").iterdir()} - {"pipeline.json"}
    assert files == ({"model.skops", "model.json", "trunk.keras"} if family == "classical" else {"model.keras"})
    pipeline = json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert (pipeline["input"]["kind"], pipeline["input"]["trunk"]["trunk"]) == ("image", "mobilenet")
    x = np.stack(list(final.heldout_features("image", data.features[family], data.split.test)))
    assert final.load_predictor(tmp_path / "model")(x) == pytest.approx(found.p, abs=1e-5)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Ten sounds of each of three genres, a second long: tones in noise, whose pitch says the genre, more or less."""
    import soundfile

    rng, folder, time = np.random.default_rng(0), tmp_path_factory.mktemp("sounds") / "corpus", np.arange(22_050) / 22_050
    for number, label in enumerate(tiny_study.LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            hertz = 250 * 2 ** (number + rng.normal(0, 0.2))
            y = 0.3 * np.sin(2 * np.pi * hertz * time) * np.sin(2 * np.pi * 3 * time) + rng.normal(0, 0.02, len(time))
            soundfile.write(folder / label / f"{label}.{i:05d}.wav", y, 22_050)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "params"),
    [
        ("classical", {"model": "logistic", "input": "handcrafted"}),
        ("feedforward", {"units": "8", "batch_size": 8, "input": "handcrafted"}),
        ("mobilenet", {"head_units": "8", "cut": "conv_pw_3_relu"}),
        ("classical", {"model": "rbf_svm", "input": "mobilenet/conv_pw_3_relu", "pooling": "flat"}),
    ],
    ids=["classical-handcrafted", "feedforward-handcrafted", "mobilenet", "classical-mobilenet"],
)
def test_what_is_made_of_sound_is_a_pipeline_from_the_file(family, params, sounds, tmp_path):
    """From WAV files to held-out probabilities, through the retrain; the model's input by hand, from the samples in the file."""
    import soundfile

    from genre_models.features.handcrafted import handcrafted_features
    from genre_models.features.mel import log_mel

    params = FAMILIES[family].defaults() | params
    values = {family: {name: [value] for name, value in params.items()}}
    features = {family: FeatureSettings(clip_seconds="auto", n_mels=32, weights="random", trunk_side=32)}
    data = open_task(DataSettings(source=str(sounds)), features, 0, tmp_path / "cache", values=values, workers=1)
    decoded, cached, failed = data.prepare_features(workers=1)
    assert (data.corpus.kind, decoded, cached, failed) == ("audio", 24, 0, {})
    task = data.task(GOAL, {})
    data.prepare_networks(task)
    found = retrained(data, task, tiny_study.make_spec(family, params) | {"features": data.features[family]}, tmp_path / "model")
    is_handcrafted = params.get("input") == "handcrafted"
    assert found.p.shape == (6, 3)
    assert (family, is_handcrafted) != ("classical", True) or (found.p.argmax(axis=1) == found.y_true).mean() > 0.5

    pipeline = json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert pipeline["input"]["kind"] == ("handcrafted" if is_handcrafted else "audio") and pipeline["kind"] == "audio"
    settings = pipeline["input"]["features"]
    assert settings["clip_seconds"] == 1.0, "resolved: whoever has the model needs no corpus"
    how = {name: settings[name] for name in ("sr", "n_fft", "hop_length")}
    made, more = (handcrafted_features, {}) if is_handcrafted else (log_mel, {"n_mels": 32, "normalise": settings["normalise"]})
    x = np.stack([made(soundfile.read(row.path, dtype="float32")[0], **how, **more) for row in data.split.test])
    assert final.load_predictor(tmp_path / "model")(x) == pytest.approx(found.p, abs=2e-3)
