"""Pretrained networks: sizes, weights from files, what leads to them, and their parts."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import ConfigurationRefused, SettingsError, TrunkUnavailable
from genre_models.trunks.facts import blocks_before, boundary, cut_shape, facts_of, trunk_key
from genre_models.trunks.handle import TrunkHandle
from genre_models.trunks.registry import TRUNKS, Trunk

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
    import librosa

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


# Weights


def load(weights: str | Path, cut: str = "conv_pw_5_relu", name: str = "mobilenet", side: int = SIDE, **more):
    from genre_models.trunks.network import load_trunk

    return load_trunk(name, str(weights), side, cut, **more)


def network(name: str = "mobilenet", side: int = SIDE, top: bool = False):
    from genre_models.trunks.network import build_network

    return build_network(TRUNKS[name], side, top)


def assert_same(one, other) -> None:
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def up_to(model, cut: str):
    import keras

    return keras.Model(model.input, model.get_layer(cut).output)


def test_random_weights_are_the_same_each_time_and_leave_no_trace() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist()
    first, second = load("random"), load("random", side=64)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert_same(first, second)
    assert_same(first, up_to(load("random", "conv_pw_6_relu"), "conv_pw_5_relu"))
    assert not first.trainable_weights
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype("float32")
    assert 1e-2 < np.asarray(first(pixels)).std() < 1e3


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    source = load("random", "conv_pw_13_relu")
    if suffix == ".h5":
        write_as_keras_2(tmp_path / "w.h5", source)
    else:
        (source.save if suffix == ".keras" else source.save_weights)(tmp_path / f"w{suffix}")
    assert_same(load(tmp_path / f"w{suffix}"), up_to(source, "conv_pw_5_relu"))


def write_as_keras_2(path: Path, model) -> None:
    """As keras.applications' files are: by layer name, with the names of the arrays as attributes."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=array)


@pytest.mark.slow
def test_a_file_may_end_in_the_middle_of_a_branch(tmp_path: Path) -> None:
    from genre_models.trunks.network import load_network

    cut_off = up_to(network("resnet50"), "conv2_block2_2_relu")  # in the middle of a block, with branches
    path = tmp_path / "cut_off.weights.h5"
    cut_off.save_weights(path)
    loaded, covers = load_network("resnet50", str(path), SIDE, ["conv2_block1_out"])
    assert covers == "conv2_block2_2_relu"
    assert_same(up_to(loaded, "conv2_block2_2_relu"), cut_off)
    with pytest.raises(TrunkUnavailable, match=r"cut_off.weights.h5: resnet50 .* cut at conv2_block3_out, .* up to conv2_block2_2_relu"):
        load(path, "conv2_block3_out", "resnet50")


def test_a_file_may_end_at_a_layer(tmp_path: Path) -> None:
    cut_off = up_to(network(), "conv_pw_2_relu")
    cut_off.save_weights(tmp_path / "cut_off.weights.h5")
    assert_same(load(tmp_path / "cut_off.weights.h5", "conv_pw_2_relu"), cut_off)
    with pytest.raises(TrunkUnavailable, match="mobilenet is to be cut at conv_pw_5_relu, .* covers it up to conv_pw_2_relu only"):
        load(tmp_path / "cut_off.weights.h5")


def test_facts_end_where_the_weights_do() -> None:
    found = facts_of(network(), TRUNKS["mobilenet"].blocks, "conv_pw_2_relu")
    assert (list(found["layers"])[-1], found["blocks"], found["covers"]) == (
        "conv_pw_2_relu", ["conv1_relu", "conv_pw_1_relu", "conv_pw_2_relu"], "conv_pw_2_relu")  # fmt: skip


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    network("mobilenet").save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(TrunkUnavailable, match=r"w.weights.h5: layer block1_conv1 has arrays of shapes .* of another network"):
        load(tmp_path / "w.weights.h5", "block5_pool", "vgg16")


def test_a_dense_layers_size_goes_with_the_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from genre_models.trunks import network as of_network

    def small(include_top, weights, input_shape, pooling):
        inputs = keras.Input(input_shape or (SIDE, SIDE, 3))
        x = keras.layers.Conv2D(2, 3, name="conv")(inputs)
        return keras.Model(inputs, keras.layers.Dense(4, name="fc1")(keras.layers.Flatten()(x)) if include_top else x)

    monkeypatch.setattr(keras.applications, "Small", small, raising=False)
    monkeypatch.setitem(TRUNKS, "small", Trunk("small", "Small", "none", ("conv",), "conv", ""))
    of_network.build_network(TRUNKS["small"], SIDE, True).save_weights(tmp_path / "w.weights.h5")
    assert load(tmp_path / "w.weights.h5", "fc1", "small").output_shape == (None, 4)
    with pytest.raises(TrunkUnavailable, match=r"layer fc1 .* of another features.trunk_side"):
        load(tmp_path / "w.weights.h5", "fc1", "small", 40)
    with pytest.raises(SettingsError, match=r"features.trunk_side: 40, but fc1 of small with ImageNet weights takes 32"):
        load("imagenet", "fc1", "small", 40)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.h5", None, "gone.h5: there is no such file"),
        ("w.npz", b"", "must end in one of .weights.h5, .h5, .keras"),
        ("torn.weights.h5", b"no HDF5", "torn.weights.h5: is no HDF5 file"),
        ("torn.keras", b"no zip", "torn.keras: can't be loaded as a Keras model in safe mode"),
    ],
)
def test_files_that_hold_no_weights(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrunkUnavailable, match=message):
        load(tmp_path / name)


def test_a_file_that_was_exchanged_is_refused(tmp_path: Path) -> None:
    network().save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(TrunkUnavailable, match="has SHA-256 .* but the study began with 0000"):
        load(tmp_path / "w.weights.h5", sha256="0" * 64)


def test_an_unknown_cut_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="cut: vgg16 has no layer 'block5_pol': did you mean block5_pool or .* cuts are block5_pool"):
        load("random", "block5_pol", "vgg16")


def test_without_a_network_the_wanted_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    def offline(**_):
        raise Exception("URL fetch failure on https://host/vgg16_notop.h5: None -- [Errno -2] Name or service not known")  # noqa: TRY002

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    wanted = r"get vgg16_notop.h5 from https://host/vgg16_notop.h5 .*/models, .*features.weights: FILE .*\{vgg16: FILE\}"
    with pytest.raises(TrunkUnavailable, match=rf"vgg16: .*could not be downloaded \(\[Errno -2\] Name or service not known\): {wanted}"):
        load("imagenet", "block5_pool", "vgg16")


@pytest.mark.slow
def test_efficientnet_from_a_file_is_scaled_as_kerass_own(tmp_path: Path) -> None:
    from genre_models.trunks.weights import saved_names

    source = network("efficientnet_b0")
    place = saved_names(source).index("normalization")
    source.layers[place].set_weights([np.full(3, 0.5, "float32"), np.full(3, 0.04, "float32"), np.int32(0)])
    source.save_weights(tmp_path / "w.weights.h5")
    pixels = items(1, (SIDE, SIDE, 3), "uint8").astype("float32")
    found = np.asarray(load(tmp_path / "w.weights.h5", "stem_conv_pad", "efficientnet_b0")(pixels))[:, :SIDE, :SIDE]  # what it padded is 0
    np.testing.assert_allclose(found, (pixels / 255 - 0.5) / 0.2 / np.sqrt([0.229, 0.224, 0.225]), rtol=1e-4, atol=1e-5)


def test_real_mobilenet_weights(real_data: Path) -> None:
    path = real_data / "trunks" / "mobilenet_1_0_224_to_conv_pw_12_relu.weights.h5"
    model = load(path, "conv_pw_12_relu", side=224)
    assert model.count_params() == 2_162_880
    with pytest.raises(TrunkUnavailable, match="cut at conv_pw_13_relu, but the file covers it up to conv_pw_12_relu only"):
        load(path, "conv_pw_13_relu")


def test_another_network_is_one_line(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "vgg19", Trunk("vgg19", "VGG19", "caffe", ("block3_pool",), r"block\d_pool", "VGG19"))
    path = real_data / "trunks" / "vgg19_to_block3_pool.weights.h5"
    assert load(path, "block3_pool", "vgg19").count_params() == 2_325_568
    with pytest.raises(TrunkUnavailable, match="layer block4_conv1 has arrays"):
        load(path, "block3_pool", "vgg16")


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
