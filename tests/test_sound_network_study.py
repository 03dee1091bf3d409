"""A network of sound from a file, through a whole study: what can't be had is said first; search, look and prediction; the model's folder is whole without the file."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from genre_models.durable import sha256_file
from genre_models.prepare import open_task
from genre_models.settings import DataSettings, FeatureSettings
from search.study_view import read_study
from tests.genre_models.test_sound_networks import keras_network
from tests.test_end_to_end import command
from tests.test_shipped_spaces import make_sounds
from tests.tiny_study import make_corpus


def space(music: Path, network: Path | None) -> dict[str, Any]:
    return {
        "study": "heard",
        "data": {"source": str(music), "test_fraction": 0.2, "validation": {"holdout": 0.3}},
        "features": {"clip_seconds": 2.0} | ({} if network is None else {"weights": {"vggish": str(network)}}),
        "budget": {"max_epochs": 2, "trials": 2},
        "scheduler": "none",
        "sampler": "grid",
        "engine": "inline",
        "precision": "float32",
        "families": {"classical": {"input": "vggish", "model": "logistic"}, "feedforward": {"input": "vggish", "units": 16}},
    }


@pytest.mark.parametrize(
    ("weights", "source", "reason"),
    [
        ({}, "sounds", r"families.classical.input: vggish is a network in a file that Keras does not download: set features.weights: {vggish: FILE}, a file ending"),
        ({"vggish": "absent.keras"}, "sounds", r"families.classical: features.weights: /.*/absent.keras: there is no file with vggish that can be read; correct"),
        ({"vggish": "absent.keras"}, "pictures", r"families.classical.input: vggish hears sound, but this corpus is of kind image"),
    ],
)
def test_what_can_not_be_had_is_said_before_anything_is_computed(weights: dict[str, str], source: str, reason: str, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    make_sounds(folder) if source == "sounds" else make_corpus(folder)
    features = {"classical": FeatureSettings.model_validate({"weights": {name: str(tmp_path / file) for name, file in weights.items()}})}
    values = {"classical": {"input": ["vggish"]}}
    data = open_task(DataSettings(source=str(folder)), features, 0, tmp_path / "cache", values=values, workers=1)
    if not weights or source == "pictures":
        assert re.match(reason, data.unavailable["classical"])
    else:  # a plan does without the file, a search does not
        assert data.unavailable == {} and data.describe_items("classical", data.task({"metric": "val_accuracy", "direction": "maximize"}, {})) == "vggish: 128 numbers a track"
        assert data.prepare_features(workers=1) == (0, 0, {})
        assert re.match(reason, data.unavailable["classical"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_study_of_embeddings_from_the_search_to_a_prediction(tmp_path: Path) -> None:
    music, network, studies = make_sounds(tmp_path / "music"), keras_network(tmp_path / "vggish.keras", 128), tmp_path / "studies"
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space(music, network)))
    search = ("-m", "search.run", "--space", tmp_path / "space.yaml", "--studies-dir", studies)
    done = command(*search, seconds=200)
    assert done.returncode == 0, done.stdout + done.stderr
    trials = read_study(studies, "heard").trials
    assert {t.family for t in trials if t.is_full} == {"classical", "feedforward"}, [(t.state, t.reason) for t in trials]
    assert "features: 24 files decoded, 0 taken from the cache" in done.stdout

    # Moved, the file is the same network; another one is not.
    network = network.rename(tmp_path / "elsewhere.keras")
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space(music, network)))
    again = command(*search, seconds=100)
    assert again.returncode == 0 and "0 files decoded, 24 taken from the cache" in again.stdout, again.stdout + again.stderr
    other = keras_network(tmp_path / "other.keras", 128, seed=1)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space(music, other)))
    refused = command(*search, seconds=100)
    assert refused.returncode == 2 and "families.classical.features" in refused.stderr and "Traceback" not in refused.stderr

    look = command("scripts/final_eval.py", "--study", "heard", "--studies-dir", studies, seconds=200)
    assert look.returncode == 0, look.stdout + look.stderr
    model = studies / "heard" / "final" / "model"
    assert sha256_file(model / "vggish.keras") == sha256_file(network)
    network.unlink()
    with (studies / "heard" / "final" / "predictions.csv").open() as file:
        said = list(csv.DictReader(file))
    held_out = [next(music.glob(f"{row['track']}.wav")) for row in said]
    predicted = command("scripts/predict.py", "--model", model, *held_out, "--json", tmp_path / "out.json", seconds=100)
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    found = json.loads((tmp_path / "out.json").read_text())["predictions"]
    for row, track in zip(said, found, strict=True):
        assert {f"p_{label}": p for label, p in track["p"].items()} == pytest.approx({key: float(value) for key, value in row.items() if key.startswith("p_")}, abs=1e-5)


@pytest.mark.slow
def test_a_file_that_is_no_network_is_found_out_before_any_track_is_decoded(tmp_path: Path) -> None:
    network = tmp_path / "vggish.keras"
    network.write_bytes(b"no zip")
    features = {"classical": FeatureSettings(weights={"vggish": str(network)})}
    values = {"classical": {"input": ["vggish"]}}
    data = open_task(DataSettings(source=str(make_sounds(tmp_path / "music"))), features, 0, tmp_path / "cache", values=values, workers=1)
    assert data.prepare_features(workers=1) == (0, 0, {})
    assert data.unavailable["classical"].startswith(f"families.classical: features.weights: {network}: can't be loaded as a Keras model in safe mode")
