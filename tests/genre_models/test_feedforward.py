"""The feed-forward family: its nine published sizes, scaling by training items, tracks of several rows, resuming, the saved model."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models.errors import ConfigurationRefused, TrainingDiverged
from genre_models.families import feedforward
from genre_models.families.feedforward_declaration import FEEDFORWARD
from tests.genre_models.vectors_data import Clouds, PixelTrunk, go

DEFAULTS = FEEDFORWARD.defaults()
SMALL = DEFAULTS | {"units": "16-8", "batch_size": 16, "learning_rate": 1e-2}
# Units and trainable parameters on 518 features and 8 classes, as a report on FMA-small prints them.
PUBLISHED = {
    "512-512": 532_488, "512-256": 399_112, "256-256": 200_712, "256-64": 149_832, "128-64": 75_208,
    "64": 33_736, "128": 67_464, "256": 134_920, "512": 269_832,
}


def run(data, params=SMALL, **kwargs):
    return feedforward.fit(params, data, **({"epochs": 4, "seed": 5, "report": go} | kwargs))


def curve(fitted):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in fitted.history]


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(("units", "parameters"), PUBLISHED.items(), ids=PUBLISHED)
def test_the_published_sizes_are_exact(units, parameters):
    from genre_models.families.feedforward_network import build

    params = DEFAULTS | {"units": units}
    scale = np.zeros(518, np.float32), np.ones(518, np.float32)
    network = build(params, (518,), 8, input_dtype="float32", seed=0, scale=scale)
    assert feedforward.estimate(params, (518,), 8).parameters == parameters == trainable(network.core) == trainable(network.trainer)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_estimate_is_what_keras_counts(batch_norm):
    from genre_models.families.feedforward_network import build

    params = SMALL | {"batch_norm": batch_norm, "dropout": 0.3, "input_dropout": 0.1}
    network = build(params, (20,), 2, input_dtype="float16", seed=0)
    cost = feedforward.estimate(params, (20,), 2)
    assert cost.parameters == trainable(network.core)
    assert cost.gflops == pytest.approx(2 * (20 * 16 + 16 * 8 + 8 * 2) / 1e9)
    assert 0 < cost.memory_mib < feedforward.estimate(params | {"batch_size": 256}, (20,), 2).memory_mib


def test_too_many_layers_are_refused():
    with pytest.raises(ConfigurationRefused, match="13 layers; 1 to 12"):
        feedforward.estimate(DEFAULTS | {"units": "-".join(["8"] * 13)}, (20,), 2)


def test_it_learns_from_tracks_with_several_rows(tmp_path):
    data = Clouds(tmp_path, rows=3)
    fitted = run(data, SMALL | {"batch_norm": True, "dropout": 0.1}, epochs=12)
    assert fitted.history[-1]["val_accuracy"] > 0.8
    p = fitted.predict(data.validation_ids)
    assert p.shape == (30, 3) and p.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_features_of_any_scale_are_learned_once_standardised(tmp_path):
    data = Clouds(tmp_path)
    plain = run(data).history
    data._x = data._x * np.geomspace(1e-3, 1e4, 12, dtype=np.float32) + 100
    data._x[:, 3] = 7  # and one that never changes
    assert run(data).history[-1]["val_accuracy"] >= plain[-1]["val_accuracy"] - 0.15


@pytest.mark.slow
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path):
    data, params = Clouds(tmp_path, rows=2), SMALL | {"batch_norm": True, "dropout": 0.2}
    whole = run(data, params)

    def pause(epoch, metrics, snapshot):
        if epoch < 2:
            return "continue"
        snapshot(str(tmp_path / "snapshot"))
        return "pause"

    run(data, params, report=pause)
    resumed = run(data, params, resume=str(tmp_path / "snapshot"))
    assert curve(resumed) == curve(whole)
    assert np.array_equal(resumed.predict(data.validation_ids), whole.predict(data.validation_ids))


def test_no_number_is_taken_from_validation_tracks_but_their_scores(tmp_path):
    data, other = Clouds(tmp_path), Clouds(tmp_path)
    other._x[60:] *= 3
    assert [row["loss"] for row in run(data).history] == [row["loss"] for row in run(other).history]


def test_features_that_are_not_finite_are_told_by_item(tmp_path):
    data = Clouds(tmp_path)
    data._x[4, 2] = np.nan
    with pytest.raises(TrainingDiverged, match="features of t4 are not all finite"):
        run(data)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_saved_model_loads_in_safe_mode_and_predicts_the_same(tmp_path, precision):
    import keras

    from genre_models.keras_model import in_float32

    data = Clouds(tmp_path, dtype="float16")
    fitted = run(data, epochs=2, precision=precision)
    fitted.save(tmp_path)
    loaded = in_float32(keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True))
    assert loaded.input_shape == (None, 12)
    p = keras.ops.convert_to_numpy(loaded(data.features(data.validation_ids)))
    assert np.allclose(p, fitted.predict(data.validation_ids), atol=1e-6 if precision == "float32" else 0.03)


def test_the_saved_model_begins_with_the_network_that_vectors_come_from(tmp_path):
    import keras

    data = PixelTrunk(tmp_path)
    fitted = run(data, epochs=2)
    fitted.save(tmp_path)
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert np.allclose(keras.ops.convert_to_numpy(loaded(data.images(data.validation_ids))), fitted.predict(data.validation_ids), atol=1e-5)
