"""Saved models from elsewhere: they run no code of their own, and what they declare does not fill the memory."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from genre_models.durable import sha256_file
from genre_models.errors import GenreModelsError
from genre_models.saved_model import load_saved, open_saved
from genre_models.settings import FeatureSettings
from tests.hostile.limited import run_limited
from tests.hostile.mutation import EDITS, many, spoiled, try_many

PIPELINE = {
    **{"schema": 1, "labels": ["blues", "pop"], "spec": {"family": "svm"}, "study": "s", "trial": 0, "kind": "image"},
    "features": FeatureSettings(image_size=(16, 24), clip_seconds=1.0).model_dump(mode="json"),
}


def ask(path: str) -> str:
    """What becomes of a model (called in a process of its own): ``predicted``, or what is said of it."""
    try:
        model = open_saved(path)
        height, width = model.input["features"]["image_size"]
        load_saved(model)(np.zeros((2, height, width, 1), np.uint8))
    except GenreModelsError as error:
        return str(error)
    return "predicted"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound model file."""
    import keras

    layers = [keras.Input((16, 24, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2, activation="softmax")]
    path = tmp_path_factory.mktemp("network") / "model.keras"
    keras.Sequential(layers).save(path)
    return path.read_bytes()


def rewritten(whole: bytes, change: Any) -> bytes:
    """The archive with another configuration."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            after.writestr(name, content)
    return out.getvalue()


def layer(config: dict, name: str) -> dict:
    return next(each["config"] for each in config["config"]["layers"] if each["config"]["name"] == name)


def place(folder: Path, content: bytes, name: str = "model.keras", pipeline: dict | None = None) -> Path:
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "pipeline.json").write_text(json.dumps(pipeline or PIPELINE))
    return folder


def packed_weights(whole: bytes) -> bytes:
    """The archive with weights that unpack to 256 MiB of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as after:
        for name in before.namelist():
            after.writestr(name, before.read(name) + (bytes(256 << 20) if name == "model.weights.h5" else b""))
    return out.getvalue()


@pytest.mark.slow
def test_networks_that_run_code_or_fill_the_memory(tmp_path: Path, network: bytes) -> None:
    mark = tmp_path / "ran"

    def with_code(config: dict) -> None:
        run = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
        config["config"]["layers"].append({"module": "keras.layers", "class_name": "Lambda", "config": {"name": "x", "function": run, "arguments": {"source": f"open({str(mark)!r}, 'w')"}}})

    def with_module(config: dict) -> None:
        config["config"]["layers"].append({"module": "os", "class_name": "system", "config": {"command": f"touch {mark}"}, "registered_name": "system"})

    def with_activation(config: dict) -> None:
        layer(config, "hidden")["activation"] = {"module": "subprocess", "class_name": "function", "config": "getoutput", "registered_name": "getoutput"}

    cases = {
        "sound": network,
        "lambda": rewritten(network, with_code),
        "module": rewritten(network, with_module),
        "activation": rewritten(network, with_activation),
        "terabytes": rewritten(network, lambda config: layer(config, "hidden").update(units=1 << 40)),
        "gigabytes": rewritten(network, lambda config: layer(config, "hidden").update(units=3_000_000)),
        "packed": packed_weights(network),
        "empty": b"",
        "text": b"PK",
    }
    folders = [place(tmp_path / name, content) for name, content in cases.items()]
    told = dict(zip(cases, run_limited("tests.hostile.test_models:ask", folders, seconds=20), strict=True))
    assert told["sound"]["result"] == "predicted" and told["sound"]["error"] is None, told["sound"]
    for name in set(cases) - {"sound"}:
        assert told[name]["error"] is None and "model.keras" in told[name]["result"], (name, told[name])
    assert "is said to unpack" in told["packed"]["result"]
    assert not mark.exists()


@pytest.mark.slow
@many(1, 40)
def test_spoiled_networks(tmp_path: Path, network: bytes, examples: int) -> None:
    folder = place(tmp_path / "model", network)

    def check(edits: list[Any]) -> None:
        (folder / "model.keras").write_bytes(spoiled(network, edits, head=4000))
        assert isinstance(ask(str(folder)), str)

    try_many(examples, check, EDITS)


# -- networks of sound ----------------------------------------------------------------------------------------------


def hear(path: str) -> str | None:
    """What is said of a network of sound (called in a process of its own); None where it is one."""
    from genre_models.sound_networks.embedding import check_network

    return check_network("vggish", path, sha256_file(Path(path)))


@pytest.mark.slow
def test_networks_of_sound_that_fill_the_memory(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((96, 64))
    x = keras.layers.Dense(8, name="hidden")(keras.layers.GlobalAveragePooling1D()(inputs))
    keras.Model(inputs, keras.layers.Dense(128, name="embedding")(x)).save(tmp_path / "sound.keras")
    whole = (tmp_path / "sound.keras").read_bytes()
    cases = {
        "sound": whole,
        "terabytes": rewritten(whole, lambda config: layer(config, "hidden").update(units=1 << 40)),
        "gigabytes": rewritten(whole, lambda config: layer(config, "hidden").update(units=8_000_000)),
        "packed": packed_weights(whole),
    }
    files = [tmp_path / f"{name}.keras" for name in cases]
    for path, content in zip(files, cases.values(), strict=True):
        path.write_bytes(content)
    told = dict(zip(cases, run_limited("tests.hostile.test_models:hear", files, seconds=20), strict=True))
    assert told["sound"]["result"] is None and told["sound"]["error"] is None, told["sound"]
    for name in set(cases) - {"sound"}:
        assert told[name]["error"] is None and f"{name}.keras: can't be loaded" in told[name]["result"], (name, told[name])
    assert "is said to unpack" in told["packed"]["result"]


# -- weights of pretrained networks --------------------------------------------------------------------------------


def shapes_of(path: str) -> dict[str, list[tuple[int, ...]]]:
    """What a file of weights holds (called in a process of its own)."""
    from genre_models.trunks.weights import open_arrays

    with open_arrays(Path(path)) as (arrays, _):
        return {name: [array[()].shape for array in of_layer] for name, of_layer in arrays.items()}


def weights_files(folder: Path) -> list[Path]:
    """Sound ones as Keras 2 and Keras 3 write them."""
    import h5py

    old, new = folder / "old.h5", folder / "new.weights.h5"
    with h5py.File(old, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        layer = file.create_group("conv")
        layer.attrs["weight_names"] = [b"kernel", b"bias"]
        layer["kernel"], layer["bias"] = np.ones((3, 3, 1, 4), np.float32), np.zeros(4, np.float32)
    with h5py.File(new, "w") as file:
        variables = file.create_group("layers/conv2d/vars")
        variables["0"], variables["1"] = np.ones((3, 3, 1, 4), np.float32), np.zeros(4, np.float32)
    return [old, new]


@pytest.mark.slow
def test_spoiled_weights(tmp_path: Path) -> None:
    sound, chance, files = weights_files(tmp_path), random.Random(0), []
    for number in range(150):
        content = bytearray(sound[number % 2].read_bytes())
        for _ in range(chance.randint(1, 12)):
            content[chance.randrange(len(content))] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        files.append(tmp_path / f"{number}{'.h5' if number % 2 == 0 else '.weights.h5'}")
        files[-1].write_bytes(content)
    told = run_limited("tests.hostile.test_models:shapes_of", [*sound, *files])
    assert all(each["error"] is None for each in told[:2])
    read = (each["error"] or "" for each in told)
    assert all(not error or error.startswith(("TrunkUnavailable: ", "OSError: ")) for error in read), told


# -- classifiers ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound model of scikit-learn in a folder."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from genre_models.sklearn_model import VectorModel, save_vector_model

    folder = tmp_path_factory.mktemp("classifier")
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    save_vector_model(VectorModel(make_pipeline(StandardScaler(), RandomForestClassifier(3)).fit(x, y), None, 3, 2), folder)
    features = {"kind": "table", "features": PIPELINE["features"], "table": {"columns": ["a", "b", "c"]}, "trunk": None}
    (folder / "pipeline.json").write_text(json.dumps(PIPELINE | {"input": features}))
    return folder


def ask_rows(folder: Path) -> str:
    try:
        load_saved(open_saved(folder))(np.zeros((2, 3), np.float32))
    except GenreModelsError as error:
        return str(error)
    return "predicted"


@many(8, 150)
def test_spoiled_classifiers(tmp_path: Path, classifier: Path, examples: int) -> None:
    assert ask_rows(classifier) == "predicted"
    files = {name: (classifier / name).read_bytes() for name in ("model.skops", "model.json", "pipeline.json")}

    def check(name: str, edits: list[Any]) -> None:
        for each, content in files.items():
            (tmp_path / each).write_bytes(spoiled(content, edits, head=3000) if each == name else content)
        ask_rows(tmp_path)

    try_many(examples, check, st.sampled_from(list(files)), EDITS)


def test_a_classifier_that_would_run_code(tmp_path: Path, classifier: Path) -> None:
    mark = tmp_path / "ran"
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "pipeline.json"):
        (folder / name).write_bytes((classifier / name).read_bytes())
    for schema in (
        {"__class__": "system", "__module__": "os", "__loader__": "TypeNode"},
        {"__class__": "getoutput", "__module__": "subprocess", "__loader__": "FunctionNode", "content": f"touch {mark}"},
        {"__class__": "system", "__module__": "os", "__loader__": "ReduceNode", "__reduce__": {"args": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [f"touch {mark}"]}}},
        {"__class__": "x", "__module__": "builtins", "__loader__": "JsonNode", "content": "[" * 100_000},
    ):
        with zipfile.ZipFile(folder / "model.skops", "w") as archive:
            archive.writestr("schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.14"}))
        assert "model.skops" in ask_rows(folder)
    (folder / "model.skops").write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(mark) + b"'\ntR.")  # a pickle
    assert "model.skops" in ask_rows(folder)
    assert not mark.exists()


_ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**12), st.floats(), st.text(max_size=5)), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=6
)


@many(15, 600)
def test_pipelines_that_are_nonsense(tmp_path: Path, examples: int) -> None:
    (tmp_path / "model.skops").write_bytes(b"PK")

    def check(changes: dict[str, Any], features: dict[str, Any]) -> None:
        pipeline = PIPELINE | changes
        if isinstance(pipeline["features"], dict):
            pipeline["features"] = pipeline["features"] | features
        (tmp_path / "pipeline.json").write_text(json.dumps(pipeline))
        try:
            model = open_saved(tmp_path)
            assert model.kind and model.name and model.segments <= 60 and len(model.labels) > 1
        except GenreModelsError as error:
            assert "pipeline.json" in str(error)

    try_many(examples, check, st.dictionaries(st.sampled_from([*PIPELINE, "input", "segments", "temperature"]), _ANY, max_size=2), st.dictionaries(st.sampled_from(list(PIPELINE["features"])), _ANY, max_size=2))
