"""Trials of several parts: what is trained, what is reported, what it adds up to, and that no interruption changes it."""

from __future__ import annotations

import base64
import csv
import gc
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from genre_models import objective
from genre_models.errors import GenreModelsError
from genre_models.parts import describe_parts, part_seed
from genre_models.resampling.intervals import wilson
from tests import parts_family
from tests.genre_models.test_objective import FakeStore

TIMES = {"seconds", "fit_seconds", "phases"}
SPEC = {
    "family": "parts", "params": {"stop_after": 0, "stop_later": 0}, "features": {"image_size": [16, 24], "colour": "grey"}, "epochs": 3,
    "seed": 5, "precision": "float32", "retry_of": None,
}  # fmt: skip
FOLDS = SPEC | {"folds": 3}
REPEATED = SPEC | {"folds": 3, "repeats": 2}


@pytest.fixture
def task(tmp_path, monkeypatch):
    parts_family.install(monkeypatch)
    monkeypatch.setattr("genre_models.features.store.FeatureStore", FakeStore)
    monkeypatch.setattr(FakeStore, "opened", 0)
    monkeypatch.setattr(FakeStore, "read", 0)
    tracks = [
        {
            "id": f"{label}/{n}", "label": label, "path": "", "content": "", "part": "train" if n % 3 else "validation",
            "folds": {"2": n % 2, "3": n % 3},
        }
        for label in ("a", "b") for n in range(8)
    ]  # fmt: skip
    return {
        "labels": ["a", "b"], "kind": "image", "demo": False, "cache_dir": str(tmp_path), "tracks": tracks,
        "objective": {"metric": "val_accuracy", "direction": "maximize"}, "limits": {},
    }  # fmt: skip


class Listener:
    """Takes down reports; answers what it is told to at one of them."""

    def __init__(self, answer_at: int = -1, answer: str = "continue", folder: Path | None = None) -> None:
        self.seen: list[tuple[int, dict]] = []
        self._at, self._answer, self._folder = answer_at, answer, folder

    def __call__(self, epoch, metrics, snapshot) -> str:
        self.seen.append((epoch, metrics))
        if self._folder is not None:
            snapshot(str(self._folder / f"{len(self.seen):02d}"))
        return self._answer if len(self.seen) - 1 == self._at else "continue"


def run(task, spec, listener=None, **options):
    parts_family.calls.clear()
    return objective.build(task).run(spec, listener or Listener(), **options)


def without_times(outcome):
    return {key: value for key, value in outcome.items() if key not in TIMES}


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_fold_validates_once_and_each_repeat_has_a_seed_of_its_own(task):
    run(task, REPEATED)
    everything = {track["id"] for track in task["tracks"]}
    dealt = [{track["id"] for track in task["tracks"] if track["folds"]["3"] == fold} for fold in (0, 1, 2)]
    assert [set(validation) for _, validation, *_ in parts_family.calls] == dealt * 2
    assert all(set(train) == everything - set(validation) for train, validation, *_ in parts_family.calls)
    seeds = [seed for *_, seed, _ in parts_family.calls]
    assert seeds[:3] == [5, 5, 5]
    assert seeds[3:] == [part_seed(5, number, 3) for number in (4, 5, 6)]
    assert len({5, *seeds[3:]}) == 4
    assert (FakeStore.opened, FakeStore.read) in ((1, 0), (1, 1)), "folds share one store"


def test_the_first_part_reports_its_epochs_the_others_beat_and_tell_the_running_mean(task):
    listener = Listener()
    outcome = run(task, REPEATED, listener)
    steps = [(epoch, bool(metrics)) for epoch, metrics in listener.seen]
    beats = [(1, False), (2, False), (3, False)]
    assert steps == [(1, True), (2, True), (3, True)] + [step for part in (4, 5, 6, 7, 8) for step in (*beats, (part, True))]
    scores = outcome["scores"]
    assert len(scores) == len(set(scores)) > 1 or len(scores) == 6
    told = {epoch: metrics for epoch, metrics in listener.seen if metrics and epoch > 3}
    assert told == {3 + n: {"val_accuracy": pytest.approx(np.mean(scores[: n + 1]))} for n in range(1, 6)}
    assert scores[0] == max(metrics["val_accuracy"] for epoch, metrics in listener.seen[:3])
    assert outcome["value"] == pytest.approx(np.mean(scores)) == outcome["val_accuracy"]


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_an_outcome_and_its_interval_are_of_all_parts(task, tmp_path, metric):
    task["objective"] = {"metric": metric, "direction": objective.METRICS[metric]}
    outcome = run(task, REPEATED, workdir=str(tmp_path / "t"))
    assert json.loads(json.dumps(outcome)) == outcome
    assert (outcome["parts"], outcome["parts_wanted"], outcome["n_validation"], outcome["epochs"]) == (6, 6, 16, 3)
    with (tmp_path / "t" / "validation.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["track"] for row in rows] == [track["id"] for track in task["tracks"]]
    sizes = [sum(track["folds"]["3"] == fold for track in task["tracks"]) for fold in range(3)]
    hits = sum(score * sizes[part % 3] for part, score in enumerate(outcome["scores"]))  # of each of the 16 tracks twice
    expected = list(wilson(hits / 32, 16)) if metric == "val_accuracy" else None
    assert outcome["interval"] == (expected if expected is None else pytest.approx(expected)), "of the objective, or none"
    assert len(outcome["history"]) == 3
    assert outcome["history"][0].keys() >= {"epoch", "val_loss", "learning_rate"}
    best = (max if metric == "val_accuracy" else min)(epoch[metric] for epoch in outcome["history"])
    assert outcome["scores"][0] == best
    assert 1 <= outcome["best_epoch"] <= 3
    assert outcome["fit_seconds"] == 9.0
    assert sorted(files(tmp_path / "t")) == ["curve.csv", "validation.csv", "weights.weights.h5"]


def unpacked(items, part):
    """Scores of one training [n_states, n], as docs/design.md says they are packed."""
    raw = zlib.decompress(base64.b64decode(items["parts"][part]))
    n = items["folds"][part % len(items["folds"])]
    if items["kind"] == "losses":
        return np.frombuffer(raw, "<f2").reshape(-1, n)
    return np.unpackbits(np.frombuffer(raw, np.uint8).reshape(-1, (n + 7) // 8), axis=1, count=n)


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_an_outcome_tells_what_was_scored_on_each_track(task, tmp_path, metric):
    task["objective"] = {"metric": metric, "direction": objective.METRICS[metric]}
    outcome = run(task, REPEATED, workdir=str(tmp_path / "t"))
    items = outcome["items"]
    assert items["folds"] == [6, 6, 4] and len(items["parts"]) == 6 and items["groups"] is None
    assert [unpacked(items, part).mean() for part in range(6)] == pytest.approx(outcome["scores"], rel=1e-3)
    assert run(task, REPEATED)["items"] == items, "with and without a folder"
    assert run(task, REPEATED | {"seed": 6})["items"]["order"] == items["order"]
    assert run(task, SPEC)["items"]["order"] != items["order"]


def test_tracks_of_one_group_make_intervals_wider(task):
    alone = run(task, FOLDS)
    for number, track in enumerate(task["tracks"]):
        track["group"] = number // 4
    together = run(task, FOLDS)
    groups = np.frombuffer(zlib.decompress(base64.b64decode(together["items"]["groups"])), "<i4")
    ordered = [number // 4 for fold in (0, 1, 2) for number, track in enumerate(task["tracks"]) if track["folds"]["3"] == fold]
    assert [[a == b for a in groups] for b in groups] == [[a == b for a in ordered] for b in ordered]
    for key in ("interval", "macro_f1_interval"):
        assert together[key] != alone[key]
    assert {key for key in alone if alone[key] != together[key]} - TIMES == {"interval", "macro_f1_interval", "items"}


def test_a_trial_that_was_stopped_tells_nothing_of_tracks(task):
    assert "items" not in run(task, SPEC, Listener(0, "stop"))
    assert "items" not in run(task, REPEATED, Listener(8, "stop"))


def test_the_best_epoch_is_the_rounded_mean_of_all_parts(task):
    single, several = [], []
    for seed in range(12):
        several.append(run(task, FOLDS | {"seed": seed})["best_epoch"])
        bests = []
        for fold in (0, 1, 2):
            for track in task["tracks"]:
                track["part"] = "validation" if track["folds"]["3"] == fold else "train"
            bests.append(run(task, SPEC | {"seed": seed})["best_epoch"])
        single.append(math.floor(np.mean(bests) + 0.5))
    assert several == single
    assert len(set(single)) > 1


def test_a_trial_without_folds_is_one_part_as_ever(task, tmp_path):
    for track in task["tracks"]:
        del track["folds"]
    listener = Listener()
    outcome = run(task, SPEC, listener, workdir=str(tmp_path / "t"))
    assert [epoch for epoch, _ in listener.seen] == [1, 2, 3]
    assert (outcome["parts"], outcome["parts_wanted"], outcome["scores"]) == (1, 1, [outcome["value"]])
    assert outcome["n_validation"] == 6
    assert len(parts_family.calls) == 1
    with pytest.raises(GenreModelsError, match="not dealt into 3 folds"):
        run(task, FOLDS)


def test_a_hold_out_can_be_repeated(task, tmp_path):
    outcome = run(task, SPEC | {"repeats": 3}, workdir=str(tmp_path / "t"))
    assert (outcome["parts"], outcome["n_validation"], len(set(outcome["scores"])) > 1) == (3, 6, True)
    assert len({seed for *_, seed, _ in parts_family.calls}) == 3
    assert len((tmp_path / "t" / "validation.csv").read_text().splitlines()) == 7
    alone = run(task, SPEC, workdir=str(tmp_path / "alone"))
    assert outcome["scores"][0] == alone["value"]
    assert outcome["interval"] == pytest.approx(list(wilson(outcome["value"], 6))), "of the mean over the repeats, as the value is; not of the first alone"
    assert alone["interval"] == pytest.approx(list(wilson(alone["value"], 6)))
    assert files(tmp_path / "t") == files(tmp_path / "alone")


@pytest.mark.parametrize("spec", [SPEC, FOLDS])
def test_artifacts_that_can_not_be_written_cost_no_trial(task, tmp_path, spec):
    whole = run(task, spec, workdir=str(tmp_path / "t"))
    assert "artifacts_error" not in whole
    (tmp_path / "file").touch()
    without = run(task, spec, workdir=str(tmp_path / "file" / "t"))
    assert "Not a directory" in without.pop("artifacts_error")
    assert without_times(without) == without_times(whole)


def test_a_first_part_that_stops_early_reports_the_full_budgets_step(task):
    listener = Listener()
    outcome = run(task, FOLDS | {"params": {"stop_after": 2, "stop_later": 0}}, listener)
    assert [epoch for epoch, metrics in listener.seen if metrics] == [1, 2, 3, 4, 5]
    best = max(listener.seen[:2], key=lambda report: report[1]["val_accuracy"])[1]
    assert listener.seen[2] == (3, best)
    assert (outcome["epochs"], outcome["stopped_early"], outcome["parts"]) == (2, True, 3)
    listener = Listener()
    outcome = run(task, FOLDS | {"params": {"stop_after": 0, "stop_later": 1}}, listener)
    assert [epoch for epoch, metrics in listener.seen] == [1, 2, 3, 1, 4, 1, 5]
    assert (outcome["epochs"], outcome["stopped_early"], outcome["parts"]) == (3, False, 3)
    one = Listener()
    run(task, SPEC | {"params": {"stop_after": 2, "stop_later": 0}}, one)
    assert [epoch for epoch, _ in one.seen] == [1, 2], "with one part nothing is added"


@pytest.mark.parametrize(
    ("at", "parts"),
    [(0, 1), (1, 1), (2, 1), (3, 1), (5, 2), (6, 2), (7, 2), (10, 3)],
    ids=["epoch 1", "epoch 2", "epoch 3", "beat 1 of part 2", "beat 3 of part 2", "after part 2", "beat 1 of part 3", "after part 3"],
)
@pytest.mark.parametrize("answer", ["stop", "pause"])
def test_an_answer_ends_the_trial_with_what_there_is(task, tmp_path, at, parts, answer):
    listener = Listener(at, answer)
    outcome = run(task, REPEATED, listener, workdir=str(tmp_path))
    assert len(listener.seen) == at + 1
    assert (outcome["parts"], outcome["parts_wanted"], len(outcome["scores"])) == (parts, 6, parts)
    assert outcome["value"] == pytest.approx(np.mean(outcome["scores"]))
    assert outcome["epochs"] == min(at + 1, 3)
    assert outcome["n_validation"] == [6, 12, 16][parts - 1] == len((tmp_path / "validation.csv").read_text().splitlines()) - 1


def test_the_network_of_a_part_is_gone_before_the_next_is_built(task, tmp_path, monkeypatch):
    alive, original, kept = [], parts_family.Network.__init__, []

    def init(self, *given):
        gc.collect()
        alive.append(sum(network() is not None for network in parts_family.networks))
        original(self, *given)

    monkeypatch.setattr(parts_family.Network, "__init__", init)

    def report(epoch, metrics, snapshot):
        kept.append(snapshot)  # as an engine may
        return "continue"

    run(task, REPEATED, report, workdir=str(tmp_path))
    assert alive == [0] * 6


def test_parts_are_described():
    assert describe_parts(SPEC) is None
    assert describe_parts(FOLDS) == "3 folds"
    assert describe_parts(REPEATED) == "3 folds, each trained 2 times"
    assert describe_parts(SPEC | {"repeats": 4}) == "4 trainings"
