"""Declarations, and the CNN: its cost by arithmetic against what Keras counts."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models.errors import ConfigurationRefused
from genre_models.families import FAMILIES, cnn
from genre_models.families.declaration import parse_widths

DEFAULTS = FAMILIES["cnn"].defaults()
DECLARED = {parameter.name: parameter for parameter in FAMILIES["cnn"].parameters}
KOSTRZEWA = DEFAULTS | {
    "filters_per_layer": "64-64-128-128", "kernel": 5, "pool": "2-5", "head": "flatten", "dropout": 0.2, "batch_norm_place": "before_pool",
}


def draw(rng: random.Random) -> dict:
    """A random legal configuration, small enough for a test."""
    params = {}
    for name, parameter in DECLARED.items():
        low, high = parameter.low, min(parameter.high or 0, 24)
        kinds = {
            "int": lambda: rng.randint(int(low), int(high)),
            "float": lambda: rng.uniform(low, parameter.high),
            "bool": lambda: rng.random() < 0.5,
            "choice": lambda: rng.choice(parameter.choices),
        }
        params[name] = kinds[parameter.kind]() if parameter.kind in kinds else parameter.default
    return params | {"filters_per_layer": rng.choice(["", "", "5-9-4"]), "pool": rng.choice(["1-1", "2-2", "1-2", "2-3"])}


def network(params, shape=(32, 40, 1), n_classes=5, **kwargs):
    from genre_models.families.cnn_network import build

    return build(params, shape, n_classes, **({"input_dtype": "uint8", "seed": 0} | kwargs))


def trainable(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize("parameter", DECLARED.values(), ids=DECLARED)
def test_every_default_is_legal(parameter):
    if parameter.kind in ("int", "float"):
        assert parameter.low <= parameter.default <= parameter.high
        assert isinstance(parameter.default, int if parameter.kind == "int" else float)
    elif parameter.kind == "widths":
        assert all(parameter.low <= width <= parameter.high for width in parse_widths(parameter.default))
    else:
        assert parameter.default in (parameter.choices or (True, False))
    assert parameter.meaning and not parameter.meaning.endswith(".")


def test_conditions_name_declared_parameters_and_legal_values():
    for parameter in DECLARED.values():
        for name, values in parameter.when.items():
            other = DECLARED[name]
            if other.kind == "int":
                assert set(values) <= set(range(int(other.low), int(other.high) + 1)), parameter.name
            else:
                assert other.kind in ("bool", "choice") or values == (other.default,), parameter.name
                assert set(values) <= set(other.choices or (True, False, other.default))


def test_the_registry_and_the_estimate_import_nothing_heavy():
    code = (
        "import sys; from genre_models.families import FAMILIES, cnn; import genre_models.objective as o; "
        "cnn.estimate(FAMILIES['cnn'].defaults(), (64, 64, 1), 10); o.resolve_precision('auto'); "
        "print(sorted({'numpy', 'keras', 'tensorflow', 'librosa', 'sklearn', 'ray', 'optuna'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "keras" not in run.stdout and "tensorflow" not in run.stdout and "librosa" not in run.stdout and "sklearn" not in run.stdout


@pytest.mark.parametrize("seed", range(14))
def test_parameters_are_exactly_what_keras_counts(seed):
    params = draw(random.Random(seed))
    try:
        cost = cnn.estimate(params, (32, 40, 1), 5)
    except ConfigurationRefused:
        params |= {"pool": "1-1"}
        cost = cnn.estimate(params, (32, 40, 1), 5)
    built = network(params)
    assert cost.parameters == trainable(built.core) == trainable(built.trainer)


@pytest.mark.parametrize(
    ("change", "parameters"),
    [
        ({}, 735_944),
        ({"filters_per_layer": "32-128-192-98", "kernel": 6}, 1_724_622),
        ({"filters_per_layer": "64-64-64-96", "kernel": 4}, 243_560),
    ],
)
def test_published_networks_have_their_published_size(change, parameters):
    params = KOSTRZEWA | change
    assert cnn.estimate(params, (128, 1280, 1), 8).parameters == parameters


def test_the_kostrzewa_network_is_built_layer_by_layer():
    core = network(KOSTRZEWA, (128, 1280, 1), 8).core
    assert trainable(core) == 735_944
    assert core.count_params() == 736_712
    kinds = [type(layer).__name__ for layer in core.layers]
    block = ["Conv2D", "Activation", "BatchNormalization", "MaxPooling2D", "Dropout"]
    assert kinds == ["InputLayer", "Rescaling", *(4 * block), "Flatten", "Dense", "Softmax"]
    assert core.get_layer("flatten").output.shape == (None, 2048)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(4, 256), st.floats(1.0, 2.0))
def test_filters_grow_and_are_capped(depth, filters, growth):
    widths = cnn.block_filters(DEFAULTS | {"depth": depth, "filters": filters, "filter_growth": growth})
    assert len(widths) == depth and widths[0] == filters and max(widths) <= 512
    assert list(widths) == sorted(widths)


def test_cost_by_hand_and_monotone():
    params = DEFAULTS | {"filters_per_layer": "4", "kernel": 3, "pool": "2-2"}
    cost = cnn.estimate(params, (8, 10, 1), 3)
    assert cost.gflops == pytest.approx(2 * (9 * 4 * 80 + 4 * 3) / 1e9)
    assert cost.parameters == 9 * 4 + 4 + 8 + 4 * 3 + 3
    larger = cnn.estimate(params | {"batch_size": 64}, (8, 10, 1), 3)
    assert larger.memory_mib > cost.memory_mib and larger.parameters == cost.parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 5}, "block 5 of 5: pool 2x2 .* 16x24 input, 1x1: take fewer blocks"),
        ({"depth": 2, "pool": "2-5"}, "block 2 of 2: pool 2x5 .* 8x4"),
        ({"pool": "2"}, "pool: '2' must be \"height-width\""),
        ({"filters_per_layer": "4-4-4-4-4-4-4"}, "has 7 blocks"),
    ],
)
def test_what_can_not_be_built_is_refused_by_name(change, message):
    with pytest.raises(ConfigurationRefused, match=message) as refused:
        cnn.estimate(DEFAULTS | change, (16, 24, 1), 3)
    assert refused.value.reason_code == "refused"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_output_is_float32_probabilities_in_every_precision(precision):
    core = network(DEFAULTS | {"filters": 4, "depth": 2, "dense_units": 8}, precision=precision).core
    p = core.predict_on_batch(np.random.default_rng(0).integers(0, 256, (3, 32, 40, 1), dtype=np.uint8))
    assert p.dtype == np.float32
    assert p.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert all(variable.dtype == "float32" for variable in core.trainable_variables)


def test_the_core_is_without_augmentation_and_loads_in_plain_keras(tmp_path):
    import keras

    params = DEFAULTS | {"filters": 4, "depth": 2, "spec_augment": True, "time_shift": 0.5, "gain": 0.5, "noise": 0.2}
    built = network(params, input_dtype="float16")
    assert {"spec_augment", "time_shift", "gain", "noise"} <= {layer.name for layer in built.trainer.layers}
    assert all(type(layer).__module__.startswith("keras.") for layer in built.core.layers)
    built.core.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((2, 32, 40, 1)).astype(np.float16)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict_on_batch(x), built.core.predict_on_batch(x))
