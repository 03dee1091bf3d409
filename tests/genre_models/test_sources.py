"""What trials train on follows from family, parameters and settings; what can't be had is said before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genre_models.availability import settings_of_family
from genre_models.errors import ConfigurationRefused, SettingsError
from genre_models.families import FAMILIES
from genre_models.prepare import open_task
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.sources import input_of, item_shape, possible_inputs, source_key
from tests.tiny_study import make_corpus

FEATURES = FeatureSettings().model_dump(mode="json")


def params(family: str, **changes: Any) -> dict[str, Any]:
    return FAMILIES[family].defaults() | changes


def test_each_family_names_its_items() -> None:
    assert input_of("cnn", params("cnn"), FEATURES, "audio").kind == "audio"
    of_trunk = input_of("vgg16", params("vgg16", cut="block4_pool", channels="delta"), FEATURES, "image")
    assert (of_trunk.kind, of_trunk.trunk["cut"], of_trunk.trunk["channels"], of_trunk.as_vector) == ("image", "block4_pool", "delta", False)
    vectors = input_of("classical", params("classical", input="resnet50/avg_pool", pooling="flat"), FEATURES, "audio")
    assert (vectors.trunk["trunk"], vectors.trunk["cut"], vectors.as_vector) == ("resnet50", "avg_pool", True)
    assert input_of("feedforward", params("feedforward", input="handcrafted"), FEATURES, "audio").kind == "handcrafted"
    with pytest.raises(ConfigurationRefused, match=r"families.classical.input: found 'vgg17/x'; it must be .*vgg16/block5_pool"):
        input_of("classical", params("classical", input="vgg17/x"), FEATURES, "audio")


def test_shapes_of_items() -> None:
    facts = {"layers": {"block5_pool": {"shape": [7, 7, 512]}, "fc1": {"shape": [4096]}}}
    task = {"trunks": {"vgg16|imagenet|224": facts}, "tables": {"/t.csv": {"n_features": 57}}}

    def shape(family: str, features: dict[str, Any] = FEATURES, **changes: Any) -> tuple[int, ...]:
        return item_shape(input_of(family, params(family, **changes), features, "image"), task)

    assert shape("vgg16") == (512,)
    assert shape("vgg16", pooling="flat") == (7, 7, 512)
    assert shape("classical", input="vgg16/block5_pool", pooling="flat") == (25_088,), "as one vector"
    assert shape("vgg16", cut="fc1", pooling="flat") == (4096,)
    assert shape("classical", input="handcrafted") == (518,)
    assert shape("feedforward", FEATURES | {"table": "/t.csv"}, input="table") == (57,)
    with pytest.raises(ConfigurationRefused, match="no layer 'block6' within its weights"):
        shape("vgg16", cut="block6")


def test_all_that_a_space_may_ask_for_is_known_beforehand() -> None:
    values = {name: [value] for name, value in params("vgg16").items()} | {"cut": ["block4_pool", "block5_pool"], "copies": [0, 3]}
    wanted = list(possible_inputs("vgg16", values, FEATURES, "image"))
    assert [(found.trunk["cut"], copies) for found, copies in wanted] == [("block4_pool", 3), ("block5_pool", 3)]


def test_items_are_named_by_the_weights_content_and_not_by_where_they_lie() -> None:
    def key(weights: str, sha256: str | None) -> str:
        found = input_of("vgg16", params("vgg16"), FEATURES | {"weights": weights}, "image")
        found.trunk["sha256"] = sha256
        return source_key(found, {})

    assert key("/a.h5", "12") == key("/b.h5", "12") != key("/a.h5", "34")
    assert key("imagenet", None) != key("random", None)


@pytest.mark.parametrize(
    ("family", "change", "features", "reason"),
    [
        ("classical", {"input": "handcrafted"}, {}, "made from sound, but this corpus is of kind image"),
        ("classical", {"input": "table"}, {}, "set features.table: FILE"),
        ("mobilenet", {}, {"weights": "nowhere.h5"}, "nowhere.h5: no such file of weights"),
    ],
)
def test_what_a_corpus_has_not_makes_a_family_unavailable(tmp_path: Path, family: str, change: dict, features: dict, reason: str) -> None:
    import re

    settings = FeatureSettings(image_size=(16, 24), **features)
    values = {family: {name: [value] for name, value in params(family, **change).items()}}
    data = open_task(DataSettings(source=str(make_corpus(tmp_path / "music"))), {family: settings, "cnn": settings}, 0, tmp_path / "c", values=values, workers=1)
    assert list(data.unavailable) == [family]
    assert re.search(reason, data.unavailable[family])
    assert data.prepare_features(workers=1)[0] == 24, "the other family's features are made all the same"


def test_an_input_that_is_none_is_an_error_of_the_file(tmp_path: Path) -> None:
    values = {"classical": {name: [value] for name, value in params("classical", input="vgg16").items()}}
    with pytest.raises(SettingsError, match="families.classical.input: found 'vgg16'"):
        open_task(DataSettings(source=str(make_corpus(tmp_path / "music"))), {"classical": FeatureSettings()}, 0, tmp_path / "c", values=values, workers=1)


def test_what_a_family_never_does_is_an_error_of_the_file_too(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"this family takes whole tracks: give it features: \{segments: 1\}"):
        open_task(DataSettings(source=str(make_corpus(tmp_path / "music"))), {"mobilenet": FeatureSettings(segments=3)}, 0, tmp_path / "c", workers=1)


def test_a_table_must_have_the_held_out_tracks_too_and_that_is_known_before_a_search(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "music")
    values = {"classical": {name: [value] for name, value in params("classical", input="table").items()}}
    table = tmp_path / "t.csv"

    def opened():
        return open_task(DataSettings(source=str(corpus)), {"classical": FeatureSettings(table=str(table))}, 0, tmp_path / "c", values=values, workers=1)

    table.write_text("track,a,b\n" + "".join(f"{track.id},{n},{n * 7 % 5}\n" for n, track in enumerate(opened().split.train)))
    data = opened()
    data.prepare_features(workers=1)
    assert "families.classical: features.table" in data.unavailable["classical"] and "has no rows of" in data.unavailable["classical"]
    everyone = [track.id for part in (data.split.train, data.split.validation, data.split.test) for track in part]
    held_out = data.split.test[0].id
    table.write_text("track,a,b\n" + "".join(f"{id},{n},{n * 7 % 5}\n" for n, id in enumerate(everyone) if id != held_out))
    data = opened()
    data.prepare_features(workers=1)
    assert held_out in data.unavailable["classical"]


def test_settings_that_a_family_does_not_look_at_are_no_part_of_its_study(tmp_path: Path) -> None:
    given = FeatureSettings(weights={"vgg16": "w.h5"}, table="t.csv", trunk_side=64).model_dump(mode="json")
    corpus = type("Corpus", (), {"kind": "image"})
    assert settings_of_family("cnn", given, corpus) == FEATURES
    assert settings_of_family("vgg16", given, corpus)["weights"] == str(Path("w.h5").resolve())
    assert settings_of_family("mobilenet", given, corpus)["weights"] == "imagenet"
    assert settings_of_family("classical", given, corpus)["table"] == str(Path("t.csv").resolve())
