"""The worker's objective, from a spec to an outcome, and what the driver asks beforehand."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from genre_models import objective
from genre_models.errors import ConfigurationRefused, GenreModelsError
from genre_models.families import FAMILIES
from genre_models.metrics import wilson_interval
from genre_models.training_data import DevelopmentData, MemoryStore

FEATURES = {"image_size": [16, 24], "colour": "grey"}
PARAMS = FAMILIES["cnn"].defaults() | {"depth": 2, "filters": 4, "batch_size": 8, "learning_rate": 1e-2}
SPEC = {"family": "cnn", "params": PARAMS, "features": FEATURES, "epochs": 2, "seed": 5, "precision": "float32", "retry_of": None}


class FakeStore:
    """Random items in place of the cache; counts how it is used."""

    shape, dtype = (16, 24, 1), np.dtype("uint8")
    opened = read = 0

    def __init__(self, cache_dir, kind, settings, tracks):
        type(self).opened += 1
        self._row = {track["id"]: row for row, track in enumerate(tracks)}
        self._x = np.random.default_rng(0).integers(0, 256, (len(tracks), *self.shape), dtype=np.uint8)

    def features(self, ids):
        type(self).read += 1
        return self._x[[self._row[id] for id in ids]]


@pytest.fixture
def task(tmp_path, monkeypatch):
    tracks = [
        {"id": f"{label}/{n}", "label": label, "path": "", "content": "", "part": "validation" if n > 4 else "train"}
        for label in ("a", "b") for n in range(8)
    ]
    monkeypatch.setattr("genre_models.features.store.FeatureStore", FakeStore)
    monkeypatch.setattr(FakeStore, "opened", 0)
    monkeypatch.setattr(FakeStore, "read", 0)
    return {
        "labels": ["a", "b"], "kind": "image", "demo": False, "cache_dir": str(tmp_path), "tracks": tracks,
        "objective": {"metric": "val_accuracy", "direction": "maximize"}, "limits": {"gflops": None, "memory_mib": 500.0},
    }


def go(epoch, metrics, snapshot):
    return "continue"


def test_an_outcome_has_all_that_the_contract_names(task):
    seen = []

    def note(epoch, metrics, snapshot):
        seen.append((epoch, metrics))
        return "continue"

    outcome = objective.build(task).run(SPEC, note)
    assert json.loads(json.dumps(outcome)) == outcome
    assert set(outcome) >= {
        "value", "best_epoch", "epochs", "stopped_early", "interval", "parameters", "gflops", "fit_seconds", "n_validation", "history",
        "seconds", "phases", "val_accuracy", "parts", "parts_wanted", "scores",
    }
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert set(seen[0][1]) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    assert outcome["value"] == outcome["history"][outcome["best_epoch"] - 1]["val_accuracy"]
    assert outcome["interval"] == pytest.approx(list(wilson_interval(round(outcome["value"] * 6), 6)))
    assert outcome["n_validation"] == 6 and 0 < outcome["fit_seconds"] < outcome["seconds"]
    assert sum(outcome["phases"].values()) <= outcome["seconds"]


def test_artifacts_hold_the_best_weights_the_curve_and_the_predictions(task, tmp_path):
    outcome = objective.build(task).run(SPEC | {"params": PARAMS | {"segments": 2}}, go, workdir=str(tmp_path / "t"))
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["curve.csv", "validation.csv", "weights.weights.h5"]
    with (tmp_path / "t" / "validation.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 and list(rows[0]) == ["track", "label", "predicted", "p_a", "p_b"]
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == pytest.approx(outcome["value"])
    assert all(float(row["p_a"]) + float(row["p_b"]) == pytest.approx(1, abs=1e-5) for row in rows)
    with (tmp_path / "t" / "curve.csv").open(newline="") as stream:
        assert [float(row["val_loss"]) for row in csv.DictReader(stream)] == [epoch["val_loss"] for epoch in outcome["history"]]


def test_features_are_opened_and_read_once_for_all_trials(task):
    worker = objective.build(task)
    for seed in (1, 2):
        worker.run(SPEC | {"seed": seed, "epochs": 1}, go)
    assert (FakeStore.opened, FakeStore.read) == (1, 1)


def test_segments_are_cut_from_features_that_are_read_once(task):
    worker, shapes = objective.Objective(task), []
    for features, param in (({"segments": 3}, 0), ({"segments": 3}, 2), ({}, 5), ({}, 0)):
        data = worker.data(SPEC | {"features": FEATURES | features, "params": PARAMS | {"segments": param}})
        assert data.features(data.train_ids[:1]).shape == (1, 16, 24, 1)
        assert data.windows(data.train_ids[:2], [0, 24 - data.input_shape[1]]).shape == (2, *data.input_shape)
        shapes.append((data.segments, data.input_shape))
    assert shapes == [(3, (16, 8, 1)), (2, (16, 12, 1)), (5, (16, 4, 1)), (1, (16, 24, 1))]
    assert (FakeStore.opened, FakeStore.read) == (1, 1)


def test_a_large_corpus_is_read_batch_by_batch(task, monkeypatch):
    monkeypatch.setattr("genre_models.training_data.HELD_BYTES", 100)
    large = MemoryStore(FakeStore("", "image", {}, task["tracks"]), [track["id"] for track in task["tracks"]])
    monkeypatch.undo()
    small = MemoryStore(FakeStore("", "image", {}, task["tracks"]), [track["id"] for track in task["tracks"]])
    data, held = (DevelopmentData(store, ("a", "b"), task["tracks"], segments=3) for store in (large, small))
    ids, starts = (*data.validation_ids, data.validation_ids[0]), [0, 5, 16, 1, 2, 3, 4]
    np.testing.assert_array_equal(data.features(ids), held.features(ids))
    np.testing.assert_array_equal(data.windows(ids, starts), held.windows(ids, starts))
    assert large._held is None and small._held is not None
    ids = data.validation_ids
    assert data.targets(ids).tolist() == [0, 0, 0, 1, 1, 1] and set(data.train_ids).isdisjoint(ids)


def test_a_snapshot_is_resumed_with_the_same_outcome(task, tmp_path):
    worker = objective.build(task)
    whole = worker.run(SPEC, go)
    worker.run(SPEC, lambda epoch, metrics, snapshot: snapshot(str(tmp_path / "s")) or "pause")
    resumed = worker.run(SPEC, go, resume=str(tmp_path / "s"))
    assert (resumed["value"], resumed["best_epoch"], resumed["epochs"]) == (whole["value"], whole["best_epoch"], 2)


def test_an_interval_is_of_the_objective_and_of_the_accuracy_alone(task):
    outcome = objective.build(task).run(SPEC, go)
    assert outcome["interval"][0] <= outcome["value"] <= outcome["interval"][1]
    task["objective"] = {"metric": "val_loss", "direction": "minimize"}
    outcome = objective.build(task).run(SPEC, go)
    best = outcome["history"][outcome["best_epoch"] - 1]
    assert outcome["value"] == best["val_loss"]
    assert outcome["interval"] is None


def test_an_unknown_metric_is_refused_at_once(task):
    task["objective"]["metric"] = "val_f1"
    with pytest.raises(GenreModelsError, match="'val_f1' is not reported .* val_accuracy, val_loss"):
        objective.build(task)


def test_screen_gives_the_cost_or_the_reason(task):
    cost = objective.screen(SPEC, task)
    assert set(cost) == {"parameters", "gflops", "memory_mib", "epoch_gflops"} and all(value > 0 for value in cost.values())
    with pytest.raises(ConfigurationRefused, match="block 5 of 5"):
        objective.screen(SPEC | {"params": PARAMS | {"depth": 5}}, task)
    half = objective.screen(SPEC | {"params": PARAMS | {"segments": 2, "head": "flatten"}}, task)
    assert half["gflops"] < 0.6 * objective.screen(SPEC | {"params": PARAMS | {"head": "flatten"}}, task)["gflops"]  # of a window
    with pytest.raises(ConfigurationRefused, match="block 2 of 2: .* 16x2 input, .* fewer segments: each of 12 .* 2 columns"):
        objective.screen(SPEC | {"params": PARAMS | {"segments": 12}}, task)
    with pytest.raises(ConfigurationRefused, match="25 windows can't be cut from 24 columns"):
        objective.screen(SPEC | {"features": FEATURES | {"segments": 25}}, task)
    over = (({"memory_mib": 0.01}, "MiB to train, the limit is 0.01: a smaller batch"), ({"gflops": 1e-9}, "GFLOP for one item"))
    for limits, message in over:
        with pytest.raises(ConfigurationRefused, match=message):
            objective.screen(SPEC, task | {"limits": limits})


class ResourceExhaustedError(Exception):
    """Named as TensorFlow names it."""


@pytest.mark.parametrize("error", [ResourceExhaustedError("OOM when allocating"), MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: …")])
def test_running_out_of_memory_has_a_reason_code(task, monkeypatch, error):
    def fit(*args, **kwargs):
        raise error

    monkeypatch.setattr("genre_models.families.cnn.fit", fit)
    with pytest.raises(type(error)) as raised:
        objective.build(task).run(SPEC, go)
    assert raised.value.reason_code == "memory"


def test_precision_auto_follows_the_machine(tmp_path):
    cpuinfo, devices = tmp_path / "cpuinfo", tmp_path / "dev"
    devices.mkdir()
    for flags, expected in (("sse avx2", "float32"), ("avx512_bf16 avx2", "bfloat16"), ("amx_bf16", "bfloat16")):
        cpuinfo.write_text(f"model name\t: x\nflags\t\t: fpu {flags}\n")
        assert objective.resolve_precision("auto", cpuinfo, devices) == expected
    assert objective.resolve_precision("auto", tmp_path / "absent", devices) == "float32"
    (devices / "nvidiactl").touch()
    assert objective.resolve_precision("auto", cpuinfo, devices) == "bfloat16"  # a driver without a device
    (devices / "nvidia0").touch()
    assert objective.resolve_precision("auto", cpuinfo, devices) == "float16"
    assert objective.resolve_precision("auto", cpuinfo, devices, gpus=False) == "bfloat16", "nobody uses it"
    assert objective.resolve_precision("float32", cpuinfo, devices) == "float32"
