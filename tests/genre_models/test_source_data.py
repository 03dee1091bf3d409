"""Items that come through a pretrained network, as families get them: the same numbers as the saved model makes, whole, and mended where broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from genre_models.errors import TrunkUnavailable
from genre_models.families import FAMILIES
from genre_models.features import trunk_store
from genre_models.prepare import open_task
from genre_models.task_data import TaskData
from genre_models.retrain import recorded_rates
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.sources import development_data, trial_input
from genre_models.trunks import prepare as trunks_prepare
from genre_models.trunks.facts import facts_of, trunk_key
from genre_models.trunks.registry import TRUNKS
from tests.tiny_study import make_corpus

PARAMS = {"cut": "conv_pw_2_relu", "pooling": "average", "fine_tune_blocks": 1, "fine_tune_after": 1}


def make_sound(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("low", "high"):
        (folder / label).mkdir(parents=True)
        for i in range(6):
            soundfile.write(folder / label / f"{i}.wav", rng.normal(0, 0.1 * (i + 1), 8000), 8000)
    return folder


def opened(tmp_path: Path, corpus: Path, **features: Any) -> tuple[TaskData, dict[str, Any], dict[str, Any]]:
    from genre_models.trunks.network import symbolic_network

    params = FAMILIES["mobilenet"].defaults() | PARAMS
    settings = FeatureSettings(weights="random", trunk_side=32, **features)
    values = {"mobilenet": {name: [value] for name, value in params.items()}}
    data = open_task(DataSettings(source=str(corpus)), {"mobilenet": settings}, 0, tmp_path / "cache", values=values, workers=1)
    data.prepare_features(workers=1)
    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {})
    trunk = TRUNKS["mobilenet"]
    task["trunks"] = {"mobilenet|random|32": facts_of(symbolic_network(trunk, 32, False), trunk.blocks) | {"sha256": None}}
    return data, task, {"family": "mobilenet", "params": params, "features": data.features["mobilenet"]}


@pytest.mark.parametrize("normalise", [pytest.param("unit", marks=pytest.mark.slow), "item"])
def test_the_saved_network_makes_the_numbers_that_were_trained_on(tmp_path: Path, normalise: str) -> None:
    sound = {"sr": 8000, "n_fft": 512, "hop_length": 256, "n_mels": 24, "clip_seconds": 1.0, "normalise": normalise}
    _, task, spec = opened(tmp_path, make_sound(tmp_path / "music"), **sound)
    data = development_data(spec, task, task["tracks"])
    from genre_models.features.store import FeatureStore

    base = FeatureStore(task["cache_dir"], "audio", spec["features"], task["tracks"]).features(data.train_ids)
    kept, whole = data.features(data.train_ids).astype(np.float32), np.asarray(data.trunk.whole()(base))
    assert kept == pytest.approx(whole, rel=0.01, abs=0.01 * float(np.abs(whole).max()))
    assert whole.std(axis=0).max() > 0.01, "tracks differ"


def test_rows_that_a_disk_broke_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, task, spec = opened(tmp_path, make_corpus(tmp_path / "music"), image_size=(32, 32))

    def boundary_rows() -> np.ndarray:
        monkeypatch.setattr(trunk_store, "_VERIFIED", {})  # as another process would have it
        data = development_data(spec, task, task["tracks"])
        return data.at(data.trunk.boundary(1)).features(data.train_ids)

    sound = boundary_rows()
    rows = next(path for path in (tmp_path / "cache").glob("trunk-*-map/rows.bin"))
    whole = rows.read_bytes()
    for broken in (whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2), whole[: len(whole) // 3]):
        rows.write_bytes(broken)
        assert np.array_equal(boundary_rows(), sound)


def test_what_is_missing_is_known_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = {name: FAMILIES[name].defaults() for name in ("vgg16", "mobilenet", "classical")}
    params["classical"] |= {"input": "mobilenet/conv_pw_1_relu"}
    values = {family: {name: [value] for name, value in of.items()} for family, of in params.items()}
    features = {"vgg16": FeatureSettings(weights="imagenet"), "mobilenet": FeatureSettings(), "classical": FeatureSettings()}
    data = open_task(DataSettings(source=str(make_corpus(tmp_path / "music"))), features, 0, tmp_path / "c", values=values, workers=1)
    task, passed = data.task({"metric": "val_accuracy", "direction": "maximize"}, {}), []

    def prepare(jobs, given, progress):
        for job in jobs:
            if job["trunk"] == "vgg16":
                error = TrunkUnavailable("no such file")
                error.trunk = trunk_key(job)
                raise error
        passed.append(len(given["tracks"]))
        return {trunk_key(job): {"cuts": sorted(other["cut"] for other in jobs)} for job in jobs}

    monkeypatch.setattr(trunks_prepare, "prepare_trunks", prepare)
    data.prepare_networks(task)
    assert data.unavailable == {"vgg16": "no such file"} and passed == [0]
    data.prepare_networks(task)
    assert passed == [0, 24] and len(task["trunks"]["mobilenet|imagenet|224"]["cuts"]) == 2, "what both families ask for"


def test_files_are_where_the_task_says_and_not_where_they_were(tmp_path: Path) -> None:
    spec = {"family": "vgg16", "params": FAMILIES["vgg16"].defaults(), "features": FeatureSettings(weights="/old.h5").model_dump(mode="json")}
    task = {"kind": "image", "files": {"vgg16": {"weights": "/new.h5", "table": None}}, "trunks": {"vgg16|/new.h5|224": {"sha256": "12"}}}
    found = trial_input(spec, task)
    assert (found.trunk["weights"], found.trunk["sha256"]) == ("/new.h5", "12")


def test_rates_that_go_on_past_the_beginning_of_fine_tuning_have_its_factor() -> None:
    history = [{"epoch": epoch, "learning_rate": 0.01} for epoch in (1, 2, 3)]
    params = {"fine_tune_blocks": 1, "fine_tune_after": 4, "fine_tune_factor": 0.1}
    assert recorded_rates(history, 6, params) == pytest.approx((0.01, 0.01, 0.01, 0.01, 0.001, 0.001))
    assert recorded_rates(history, 6, params | {"fine_tune_blocks": 0}) == (0.01,) * 6
    assert recorded_rates(history, 2, params) == (0.01, 0.01)
