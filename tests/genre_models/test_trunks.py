"""Pretrained networks: sizes, what leads to them, and their parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import ConfigurationRefused
from genre_models.features.compiling import librosa_loaded
from genre_models.trunks.facts import blocks_before, boundary, cut_shape, facts_of, trunk_key
from genre_models.trunks.handle import TrunkHandle
from genre_models.trunks.registry import TRUNKS

SIDE = 32
SETTINGS = {"trunk": "mobilenet", "weights": "random", "sha256": None, "side": SIDE, "cut": "conv_pw_5_relu", "channels": "repeat",
            "pooling": "average"}  # fmt: skip
BASE = (20, 70, 1)


@pytest.fixture(scope="module", autouse=True)
def keras():
    from genre_models.framework import import_keras

    import_keras()
    import keras

    return keras


def facts(name: str, side: int = 224, top: bool = False) -> dict:
    from genre_models.trunks.network import symbolic_network

    return facts_of(symbolic_network(TRUNKS[name], side, top), TRUNKS[name].blocks)


def items(n: int = 3, shape: tuple[int, ...] = BASE, dtype: str = "float16") -> np.ndarray:
    drawn = np.random.default_rng(0).random((n, *shape))
    return (255 * drawn).astype(dtype) if dtype == "uint8" else drawn.astype(dtype)


# Sizes


@pytest.mark.parametrize(
    ("name", "layer", "parameters", "shape"),
    [
        ("vgg16", "block5_pool", 14_714_688, [7, 7, 512]),
        ("resnet50", "conv5_block1_2_relu", 11_477_888, [7, 7, 512]),
        ("resnet50", "conv5_block3_out", 23_587_712, [7, 7, 2048]),
        ("mobilenet", "conv_pw_13_relu", 3_228_864, [7, 7, 1024]),
        ("efficientnet_b0", "avg_pool", 4_049_571, [1280]),
    ],
)
def test_sizes_are_exact(name: str, layer: str, parameters: int, shape: list[int]) -> None:
    of_layer = facts(name)["layers"][layer]
    assert (of_layer["parameters"], of_layer["shape"]) == (parameters, shape)


def test_operations_are_those_of_the_papers() -> None:
    assert facts("vgg16")["layers"]["block1_conv1"]["gflops"] == pytest.approx(2 * 224 * 224 * 27 * 64 / 1e9)
    assert facts("vgg16", top=True)["layers"]["predictions"]["gflops"] == pytest.approx(2 * 15.47, rel=0.01)
    assert facts("mobilenet")["layers"]["conv_pw_13_relu"]["gflops"] == pytest.approx(2 * 0.568, rel=0.01)  # 569 million with the top


def test_the_parts_of_a_branch_are_not_counted() -> None:
    layers = facts("resnet50")["layers"]
    assert layers["conv5_block1_0_conv"]["parameters"] == layers["conv4_block6_out"]["parameters"] + 1024 * 2048 + 2048


def test_blocks_end_where_everything_flows_through() -> None:
    assert facts("vgg16")["blocks"] == [f"block{k}_pool" for k in range(1, 6)]
    of_efficientnet = facts("efficientnet_b0")["blocks"]
    assert "block2a_project_bn" in of_efficientnet  # without a shortcut
    assert "block2b_project_bn" not in of_efficientnet  # a shortcut goes past it
    assert len(of_efficientnet) == 18
    assert len(facts("resnet50")["blocks"]) == 17


def test_boundaries_lie_before_the_cut() -> None:
    of_resnet = facts("resnet50")
    assert boundary(of_resnet, "conv5_block1_2_relu", 1) == "conv4_block6_out"
    assert boundary(of_resnet, "conv4_block6_out", 1) == "conv4_block5_out"
    assert blocks_before(facts("vgg16"), "block3_pool") == ["block1_pool", "block2_pool"]
    with pytest.raises(ConfigurationRefused, match="fine_tune_blocks: 3 blocks before block3_pool .* only 2 can"):
        boundary(facts("vgg16"), "block3_pool", 3)
    with pytest.raises(ConfigurationRefused, match="none can be trained"):
        boundary(facts("vgg16"), "block1_pool", 1)


def test_facts_of_the_largest_network_take_no_memory() -> None:
    from genre_models.trunks.network import symbolic_network

    network = symbolic_network(TRUNKS["vgg16"], 224, True)
    assert network.count_params() == 138_357_544
    assert all(weight._value is None for weight in network.weights)


def test_registry_and_facts_load_nothing_heavy() -> None:
    code = "import sys, genre_models.trunks.prepare, genre_models.trunks.registry, genre_models.trunks.handle; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"'keras'", "'tensorflow'", "'numpy'", "'h5py'"} & set(done.stdout.strip("[]\n").split(", "))


# Preprocessing and channels


@pytest.mark.parametrize("name", TRUNKS)
def test_preprocessing_is_kerass(keras, name: str) -> None:
    from genre_models.trunks.front import add_front

    module = {"vgg16": "vgg16", "resnet50": "resnet50", "mobilenet": "mobilenet", "efficientnet_b0": "efficientnet"}[name]
    pixels = items(2, (SIDE, SIDE, 3), "uint8")
    inputs = keras.Input(pixels.shape[1:], dtype="uint8")
    ours = keras.Model(inputs, add_front(inputs, "colour", "unit", SIDE, TRUNKS[name].preprocessing))(pixels)
    theirs = getattr(keras.applications, module).preprocess_input(pixels.astype("float32"))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_torch_preprocessing_is_kerass(keras) -> None:
    from genre_models.trunks.front import add_front

    pixels = items(2, (SIDE, SIDE, 3), "uint8")
    inputs = keras.Input(pixels.shape[1:], dtype="uint8")
    ours = keras.Model(inputs, add_front(inputs, "colour", "unit", SIDE, "torch"))(pixels)
    np.testing.assert_allclose(ours, keras.applications.densenet.preprocess_input(pixels.astype("float32")), atol=1e-4)


def front(keras, given: np.ndarray, channels: str, side: int, normalise: str = "unit") -> np.ndarray:
    from genre_models.trunks.front import add_front

    inputs = keras.Input(given.shape[1:], dtype=given.dtype.name)
    return np.asarray(keras.Model(inputs, add_front(inputs, channels, normalise, side, "none"))(given))


def test_a_spectrogram_is_repeated(keras) -> None:
    given = items(2, (SIDE, SIDE, 1))
    np.testing.assert_allclose(front(keras, given, "repeat", SIDE), np.repeat(255 * given.astype("float32"), 3, axis=-1), rtol=1e-5)


def test_colours_become_their_luma(keras) -> None:
    from PIL import Image

    given = items(1, (SIDE, SIDE, 3), "uint8")
    grey = np.asarray(Image.fromarray(given[0]).convert("L"), np.float32)
    found = front(keras, given, "repeat", SIDE)
    np.testing.assert_allclose(found[0], np.repeat(grey[..., None], 3, axis=-1), atol=0.51)
    np.testing.assert_array_equal(front(keras, given, "colour", SIDE), given)


def test_a_spectrogram_is_coloured_in_magma(keras) -> None:
    import matplotlib

    given = np.arange(256, dtype=np.uint8).repeat(4).reshape(1, SIDE, SIDE, 1)
    expected = 255 * matplotlib.colormaps["magma"](given[..., 0])[..., :3]
    np.testing.assert_allclose(front(keras, given, "colour", SIDE), expected, atol=1e-3)
    np.testing.assert_allclose(front(keras, (given / 255).astype("float16"), "colour", SIDE), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_deltas_are_librosas(keras, dtype: str) -> None:
    librosa = librosa_loaded()
    from genre_models.trunks.front import DELTA_GAINS

    given = items(1, (SIDE, SIDE, 1), dtype)
    found, pixels = front(keras, given, "delta", SIDE)[0], given[0, ..., 0].astype("float32") * (1 if dtype == "uint8" else 255)
    np.testing.assert_allclose(found[..., 0], pixels, rtol=1e-5)
    for order, gain in enumerate(DELTA_GAINS, 1):
        delta = librosa.feature.delta(pixels, width=9, order=order, mode="nearest")
        np.testing.assert_allclose(found[..., order], np.clip(127.5 + gain * delta, 0, 255), atol=1e-2)


def test_item_normalised_features_are_cut_off_at_two(keras) -> None:
    given = np.array([-3, -2, 0, 1, 2, 5], np.float16).reshape(1, 1, 6, 1).repeat(6, axis=1)
    np.testing.assert_allclose(front(keras, given, "repeat", 6, "item")[0, 0, :, 0], [0, 0, 127.5, 191.25, 255, 255])


def test_large_items_are_averaged_before_they_are_resized(keras) -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (1, SIDE, 5 * SIDE // 2)).reshape(1, SIDE, 5 * SIDE, 1)
    found = front(keras, stripes, "repeat", SIDE)
    assert found.shape == (1, SIDE, SIDE, 3)
    assert np.abs(found - 127.5).max() < 30  # without it: black or white throughout


# In a family's hands


def handle(shape: tuple[int, ...] = BASE, dtype: str = "float16", **settings) -> TrunkHandle:
    settings = {**SETTINGS, **settings}
    return TrunkHandle(settings, facts(settings["trunk"], settings["side"]), shape, dtype)


@pytest.mark.parametrize(
    ("trunk", "cut"),
    [
        ("vgg16", "block3_pool"),
        ("mobilenet", "conv_pw_2_relu"),
        pytest.param("resnet50", "conv3_block1_2_relu", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", "block2b_add", marks=pytest.mark.slow),
    ],
)
def test_the_parts_are_the_whole(trunk: str, cut: str) -> None:
    of_trunk = handle(trunk=trunk, cut=cut)
    whole, begin = of_trunk.whole(), of_trunk.boundary(1)
    x = tail = of_trunk.tail(begin)(of_trunk.whole_to(begin)(items()))
    for layer in of_trunk.pool():
        x = layer(x)
    assert len(tail.shape) == 4
    assert whole.output_shape[1:] == cut_shape(of_trunk.facts, of_trunk.settings)
    np.testing.assert_allclose(x, whole(items()), rtol=1e-5, atol=1e-6)


def test_a_tail_can_be_trained_but_its_batch_norm_stays(keras) -> None:
    of_trunk = handle()
    tail = of_trunk.tail(of_trunk.boundary(1))
    maps = items(4, tail.input_shape[1:], "float32")
    assert {weight.name for weight in tail.trainable_weights} == {"kernel"}
    model = keras.Sequential([tail, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=False)
    before = [(weight.path, weight.numpy()) for weight in tail.weights]
    model.train_on_batch(maps, np.ones((4, 2)))
    changed = {path for (path, value), weight in zip(before, tail.weights, strict=True) if not np.array_equal(value, weight.numpy())}
    assert changed == {weight.path for weight in tail.trainable_weights}
    assert not of_trunk.whole().trainable_weights


@pytest.mark.slow
def test_a_whole_network_is_a_file(keras, tmp_path: Path) -> None:
    for number, (shape, dtype, channels, pooling) in enumerate(
        [(BASE, "float16", "delta", "average"), ((40, 40, 3), "uint8", "repeat", "max"), (BASE, "float16", "colour", "flat")]
    ):
        whole = handle(shape, dtype, channels=channels, pooling=pooling, cut="conv_pw_2_relu").whole()
        whole.save(tmp_path / f"{number}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{number}.keras", compile=False, safe_mode=True)
        given = items(2, shape, dtype)
        np.testing.assert_array_equal(loaded(given), whole(given))


def test_names_of_facts() -> None:
    assert trunk_key(SETTINGS) == "mobilenet|random|32"
    of_vgg = facts("vgg16")
    assert cut_shape(of_vgg, {"cut": "block5_pool", "pooling": "max"}) == (512,)
    assert cut_shape(of_vgg, {"cut": "block5_pool", "pooling": "flat"}) == (7, 7, 512)
    assert cut_shape(facts("resnet50"), {"cut": "avg_pool", "pooling": "flat"}) == (2048,)
