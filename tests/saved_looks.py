"""Real models as a look leaves them, of the smallest corpora that have all parts: a folder ``final/`` with everything in it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from genre_models import look, retrain
from genre_models.families import FAMILIES
from genre_models.features.store import FeatureStore
from genre_models.final import load_predictor
from genre_models.prepare import open_task
from genre_models.task_data import TaskData
from genre_models.segments import by_track, cut
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.sources import development_data
from scripts import predict
from tests import tiny_study

SILENT = look.Said(lambda line: None, lambda epoch, metrics: None, lambda done, total, what: None)
GOAL = {"metric": "val_accuracy", "direction": "maximize"}
CNN = {"depth": 2, "filters": 8, "dense_units": 8, "batch_size": 8}


@dataclass(frozen=True)
class Looked:
    """A look that was taken: its folder, the data that was dealt, the development task."""

    final: Path
    data: TaskData
    task: dict[str, Any]
    spec: dict[str, Any]

    @property
    def paths(self) -> list[str]:
        """The held-out files, in the order of ``predictions.csv``."""
        return [str(row.path) for row in self.data.split.test]

    def said(self) -> list[list[str]]:
        """Predicted class and probabilities of each held-out track, as the look wrote them."""
        return [row[2:] for row in read_csv(self.final / "predictions.csv")[1:]]


def take_look(
    folder: Path, source: str | Path, family: str, params: dict, settings: dict | None = None, precision: str = "float32", temperature: float | None = 2.0
) -> Looked:
    """Train a configuration on everything but the held-out tracks, and look."""
    params = FAMILIES[family].defaults() | params
    values = {family: {name: [value] for name, value in params.items()}}
    features = {family: FeatureSettings.model_validate(settings or {})}
    studies = folder / "studies"
    data = open_task(DataSettings(source=str(source)), features, 0, studies / ".cache", values=values, workers=1)
    data.prepare_features(workers=1)
    task = data.task(GOAL, {})
    data.prepare_networks(task)
    task["about"] = {"corpus": data.corpus.name, "source": data.corpus.source, "data": DataSettings(source=str(source)).model_dump(mode="json"), "tracks": {}}
    spec = tiny_study.make_spec(family, params) | {"features": data.features[family], "precision": precision}
    epochs = 3 if FAMILIES[family].has_epochs else 1
    history = tuple({"epoch": e, "loss": 1 / e, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.6} for e in range(1, 1 + epochs))
    winner = retrain.Winner("tiny", 4, spec, epochs, (3e-3,) * epochs, history, 0.6, temperature=temperature)
    look.take(look.Request(studies, winner, data.split.split_id), task, data.split.test, SILENT)
    return Looked(studies / "tiny" / "final", data, task, spec)


def make_sounds(folder: Path, seconds: float = 1.0) -> Path:
    """Ten sounds of each of three genres: tones in noise, whose pitch says the genre, more or less."""
    rng, time = np.random.default_rng(0), np.arange(round(22_050 * seconds)) / 22_050
    for number, label in enumerate(tiny_study.LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            hertz = 250 * 2 ** (number + rng.normal(0, 0.2))
            y = 0.3 * np.sin(2 * np.pi * hertz * time) * np.sin(2 * np.pi * 3 * time) + rng.normal(0, 0.02, len(time))
            soundfile.write(folder / label / f"{label}.{i:05d}.wav", y, 22_050)
    return folder


def make_table(path: Path, segments: int = 2, classes: tuple[str, ...] = tiny_study.LABELS) -> Path:
    """Rows of ten tracks a class; the class is in the first number, more or less."""
    rng = np.random.default_rng(0)
    rows = [["filename", "first", "second", "third", "label"]]
    for number, label in enumerate(classes):
        for i in range(10):
            for segment in range(segments):
                rows.append([f"{label}.{i:05d}.{segment}.wav", *(f"{value:.6f}" for value in rng.normal([number, 0, 0], 0.5)), label])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, rows)
    return path


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def ask(looked: Looked, *more: object) -> int:
    """scripts/predict.py in this process."""
    return predict.main(["--model", str(looked.final), *map(str, more)])


def trained_on(looked: Looked) -> np.ndarray:
    """What the saved model says of the development tracks, from the features that it was trained on."""
    model, ids = load_predictor(looked.final / "model"), [track["id"] for track in looked.task["tracks"]]
    data = development_data(looked.spec, looked.task, looked.task["tracks"])
    segments = getattr(data, "segments", 1)
    if hasattr(data, "items_of") and looked.task["kind"] == "table":
        return np.stack([model(data.features(data.items_of([id])[0])).mean(axis=0) for id in ids])
    pipeline = json.loads((looked.final / "model" / "pipeline.json").read_text())
    store = FeatureStore(looked.task["cache_dir"], pipeline["input"]["kind"], pipeline["input"]["features"], looked.task["tracks"])
    return by_track(model(cut(store.features(ids), segments)), segments)


def check_features(looked: Looked, tmp_path: Path) -> None:
    """Development tracks through the command, against what is in the cache that was trained on."""
    paths = dict.fromkeys(track["path"] for track in looked.task["tracks"])
    assert ask(looked, *paths, "--json", tmp_path / "p.json", "--workers", 1) == 0
    said = {one["file"]: list(one["p"].values()) for one in json.loads((tmp_path / "p.json").read_text())["predictions"]}
    expected = trained_on(looked)
    for track, p in zip(looked.task["tracks"], expected, strict=True):
        assert said[track["id"] if track["id"] in said else str(track["path"])] == pytest.approx(p.tolist(), abs=2e-6), track["id"]
    assert looked.task["kind"] == "table" or len(said) == len(expected)
