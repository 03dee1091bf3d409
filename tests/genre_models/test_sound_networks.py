"""Networks of sound from files: their front against TensorFlow's own arithmetic, what a file may be, and what is said of one that is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_models.durable import sha256_file
from genre_models.errors import CorpusError, GenreModelsError, TrunkUnavailable
from genre_models.features import compute_features, feature_key, feature_shape
from genre_models.settings import FeatureSettings
from genre_models.sound_networks import HASHES, NETWORKS, copy_network, embedding, features_with_copy
from genre_models.sound_networks.embedding import check_network, embed
from genre_models.sound_networks.patches import log_mel, mel_weights, patches, windows

SR = 16_000
VGGISH, YAMNET = NETWORKS["vggish"], NETWORKS["yamnet"]


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SR)) / SR)).astype(np.float32)


def keras_network(path: Path, size: int, shape: tuple[int | None, ...] = (96, 64), seed: int = 0) -> Path:
    """A network that takes the mean over frames to `size` numbers, in the way of its input's shape."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    x = keras.layers.Reshape((96, 64))(inputs) if len(shape) == 3 else inputs
    x = keras.layers.GlobalAveragePooling1D()(x) if len(shape) > 1 else x
    keras.Model(inputs, keras.layers.Dense(size, name="embedding")(x)).save(path)
    return path


def embedded(y: np.ndarray, path: Path, name: str = "vggish") -> np.ndarray:
    return embed(y, name, str(path), sha256_file(path))


def settings(path: Path, name: str = "vggish") -> dict:
    plain = FeatureSettings(clip_seconds=5.0, weights={name: str(path)}).model_dump(mode="json")
    return plain | {HASHES: {name: sha256_file(path)}}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize(("seconds", "of_vggish", "of_yamnet"), [(0.5, 1, 1), (0.975, 1, 1), (1.0, 1, 2), (2.0, 2, 4), (30.0, 31, 62)])
def test_patches_are_as_many_as_the_networks_were_trained_on(network, seconds: float, of_vggish: int, of_yamnet: int) -> None:
    found = patches(tone(440, seconds), network)
    assert found.shape == (of_vggish if network is VGGISH else of_yamnet, 96, 64) and found.dtype == np.float32
    assert np.isfinite(found).all()


def test_the_spectrogram_is_what_tensorflow_computes() -> None:
    """As the code with YAMNet does: its short-time transform and its mel matrix."""
    import tensorflow as tf

    y = np.random.default_rng(0).uniform(-1, 1, 3 * SR).astype(np.float32)
    matrix = tf.signal.linear_to_mel_weight_matrix(64, 257, SR, 125.0, 7_500.0).numpy()
    assert np.allclose(mel_weights(), matrix, atol=1e-5)
    magnitude = tf.abs(tf.signal.stft(y, 400, 160, 512)).numpy()
    assert np.allclose(log_mel(y, 0.001), np.log(magnitude @ matrix + 0.001), atol=1e-3)


def test_a_tone_is_loudest_in_its_band_and_silence_is_the_offset() -> None:
    centre = 700 * (np.exp(np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)[33] / 1127) - 1)  # of band 32
    assert patches(tone(centre, 2.0), VGGISH).mean(axis=(0, 1)).argmax() == 32
    for network in NETWORKS.values():
        assert np.allclose(patches(np.zeros(SR, np.float32), network), np.log(network.log_offset))


def test_windows_of_samples_begin_where_patches_do() -> None:
    y = np.arange(40_000, dtype=np.float32)
    found = windows(y, YAMNET, 15_600)
    assert found.shape == (5, 15_600) and found[:, 0].tolist() == [0, 7_680, 15_360, 23_040, 30_720]
    assert found[-1, -1] == 0 and found[-1, 40_000 - 30_720 - 1] == 39_999, "the last is padded with silence"
    assert windows(y[:10], YAMNET, 15_600).shape == (1, 15_600)


@pytest.mark.parametrize("shape", [(96, 64), (96, 64, 1)])
def test_a_keras_file_gives_the_mean_of_its_embeddings(shape: tuple[int, ...], tmp_path: Path) -> None:
    import keras

    path, y = keras_network(tmp_path / "net.keras", 128, shape), tone(440, 3.0)
    dense = keras.saving.load_model(path).get_layer("embedding")
    kernel, bias = (np.asarray(weight) for weight in dense.get_weights())
    found = embedded(y, path)
    assert found.shape == (128,) and found.dtype == np.float32
    assert np.allclose(found, patches(y, VGGISH).mean(axis=(0, 1)) @ kernel + bias, atol=1e-4)


def test_a_keras_file_may_take_windows_of_samples(tmp_path: Path) -> None:
    path = keras_network(tmp_path / "net.keras", 1024, (15_600,))
    assert embedded(tone(440, 3.0), path, "yamnet").shape == (1024,)


def tflite(path: Path, function, signature) -> Path:
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(function, input_signature=[signature])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    path.write_bytes(converter.convert())
    return path


@pytest.mark.slow
def test_a_tflite_file_may_take_a_clip_of_any_length_and_have_several_outputs(tmp_path: Path) -> None:
    """As YAMNet's own export: scores, embeddings, spectrogram."""
    import tensorflow as tf

    kernel = tf.constant(np.random.default_rng(0).normal(size=(1, 1024)).astype(np.float32))

    def run(waveform):
        level = tf.reduce_mean(tf.abs(tf.signal.frame(waveform, 15_600, 7_680)), axis=1, keepdims=True)
        return tf.tile(level, [1, 521]), level @ kernel, level * tf.ones([1, 64])

    path = tflite(tmp_path / "net.tflite", run, tf.TensorSpec([None], tf.float32))
    for seconds in (1.0, 3.0):  # also one after the other, of other lengths
        y = tone(440, seconds)
        level = np.abs(windows(y, YAMNET, 15_600)).mean()
        assert np.allclose(embedded(y, path, "yamnet"), level * kernel.numpy()[0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [None, 1])
def test_a_tflite_file_may_take_patches(batch: int | None, tmp_path: Path) -> None:
    import tensorflow as tf

    path = tflite(tmp_path / "net.tflite", lambda x: tf.reduce_mean(tf.tile(x, [1, 1, 2]), axis=1), tf.TensorSpec([batch, 96, 64], tf.float32))
    y = tone(440, 3.0)
    assert np.allclose(embedded(y, path), np.tile(patches(y, VGGISH).mean(axis=(0, 1)), 2), atol=1e-4)


def lambda_network(path: Path) -> Path:
    import keras

    inputs = keras.Input((96, 64))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x[:, 0, :])(inputs)).save(path)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: written(folder / "net.h5", b"x"), "must end in .keras or .tflite"),
        (lambda folder: written(folder / "net.keras", b"no zip"), "can't be loaded as a Keras model in safe mode"),
        (lambda folder: written(folder / "net.tflite", b"no flatbuffer"), "can't be loaded as a TensorFlow Lite model"),
        (lambda folder: lambda_network(folder / "net.keras"), "can't be loaded as a Keras model in safe mode"),
        (lambda folder: keras_network(folder / "net.keras", 64), r"must have one output of 128 numbers, but its outputs have the shapes \(1, 64\)"),
        (lambda folder: keras_network(folder / "net.keras", 128, (32, 64)), r"takes items of shape any x 32 x 64, but .* must take \(batch, 96, 64\)"),
    ],
    ids=["suffix", "keras", "tflite", "lambda", "size", "shape"],
)
def test_a_file_that_is_no_such_network_is_named_with_the_reason(make, message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(TrunkUnavailable, match=f"^{path}: .*{message}"):
        embedded(tone(440, 1.0), path)
    assert str(path) in check_network("vggish", str(path), sha256_file(path))


@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_what_loading_a_file_takes_is_bounded(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = []

    @contextmanager
    def refuse(mib: float) -> Iterator[None]:
        bounds.append(mib)
        raise MemoryError("what it asks for is refused")
        yield

    monkeypatch.setattr(embedding, "bounded_growth", refuse)
    path = written(tmp_path / f"net{suffix}", bytes(2**20))
    with pytest.raises(TrunkUnavailable, match=f"^{path}: can't be loaded as a .* model.*: what it asks for is refused"):
        embedded(tone(440, 1.0), path)
    assert bounds == [518], "512 MiB and six times the file"


def test_a_network_that_gives_no_numbers_costs_the_track_and_not_the_run(tmp_path: Path) -> None:
    import keras

    path = keras_network(tmp_path / "net.keras", 128)
    model = keras.saving.load_model(path)
    model.get_layer("embedding").bias.assign(np.full(128, np.nan, np.float32))
    model.save(path)
    soundfile.write(tmp_path / "a.wav", tone(440, 1.0), SR)
    with pytest.raises(CorpusError, match="a.wav: is sound of which vggish makes no finite numbers"):
        compute_features("vggish", settings(path), tmp_path / "a.wav")
    assert "of silence is sound of which" in check_network("vggish", str(path), sha256_file(path))


def test_features_are_of_sixteen_kilohertz_whatever_the_file_has_and_go_by_the_networks_content(tmp_path: Path) -> None:
    path = keras_network(tmp_path / "net.keras", 128)
    soundfile.write(tmp_path / "a.wav", tone(440, 3.0), SR, subtype="FLOAT")
    found = compute_features("vggish", settings(path), tmp_path / "a.wav")
    assert found.shape == feature_shape("vggish", settings(path)) == (128,)
    assert np.allclose(found, embedded(tone(440, 3.0), path), atol=1e-4)
    fast = (0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * 44_100) / 44_100)).astype(np.float32)
    soundfile.write(tmp_path / "fast.wav", np.stack([fast, fast], axis=1), 44_100, subtype="FLOAT")
    resampled = compute_features("vggish", settings(path), tmp_path / "fast.wav")
    assert np.corrcoef(found, resampled)[0, 1] > 0.99 > np.corrcoef(found, embedded(tone(1500, 3.0), path))[0, 1]

    moved = path.rename(tmp_path / "moved.keras")
    assert feature_key("vggish", settings(moved)) == feature_key("vggish", settings(moved) | {"weights": {"vggish": str(path)}})
    other = keras_network(tmp_path / "other.keras", 128, seed=1)
    assert feature_key("vggish", settings(other)) != feature_key("vggish", settings(moved))
    changed = settings(moved) | {HASHES: {"vggish": sha256_file(other)}}
    with pytest.raises(TrunkUnavailable, match="moved.keras: has SHA-256 .*, but .* is wanted: put the file of vggish back"):
        compute_features("vggish", changed, tmp_path / "a.wav")


def test_a_models_folder_has_the_network_with_it(tmp_path: Path) -> None:
    path, folder = written(tmp_path / "net.tflite", b"a network"), tmp_path / "model"
    folder.mkdir()
    given = settings(path)
    assert features_with_copy("vggish", given, folder) is given
    copy_network("vggish", given, folder)
    path.write_bytes(b"another")
    assert Path(features_with_copy("vggish", given, folder)["weights"]["vggish"]).read_bytes() == b"a network"
    assert features_with_copy("audio", given, folder) is given
    with pytest.raises(GenreModelsError, match="net.tflite: vggish was another file when the search read it"):
        copy_network("vggish", given, folder)
    copy_network("audio", given, folder)
    assert [each.name for each in folder.iterdir()] == ["vggish.tflite"]
