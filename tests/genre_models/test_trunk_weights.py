"""Weights of pretrained networks: random, from files of any kind, and files that are refused."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import SettingsError, TrunkUnavailable
from genre_models.trunks.facts import facts_of
from genre_models.trunks.registry import TRUNKS, Trunk
from tests.genre_models.test_trunks import SIDE, items, keras  # noqa: F401 (fixtures)


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
