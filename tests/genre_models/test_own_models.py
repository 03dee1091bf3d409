"""A user's own family that trains, saves and loads in its own way, without any framework: looked at, asked, and refused where its file is another."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import GenreModelsError, TrainingDiverged
from genre_models.families import FAMILIES, own
from genre_models.objective import Objective
from genre_models.own_loop import OwnLoop, training_batches
from scripts import export, predict
from search.report.repeating import commands, facts
from tests.saved_looks import Looked, ask, read_csv, take_look
from tests.search.report.views import full, view_of
from tests.tiny_study import make_corpus

FAMILY = '''
import json
import numpy as np
from genre_models.families import Cost, Declared, Family
from genre_models.own_loop import OwnLoop, training_batches

FAMILY = Family("bright", "Softmax regression on the mean of pixels", (Declared("rate", "float", 2.0, "Of descent", 0.01, 100.0),), __name__)

def estimate(params, input_shape, n_classes):
    return Cost(3 * n_classes, 1e-6, 0.1)

def powers(features):
    mean = features.reshape(len(features), -1).mean(axis=1, keepdims=True) / 255
    return np.hstack([mean**0, mean, mean**2])

def predictor(weights):
    def predict(features):
        scores = np.exp(powers(features) @ weights)
        return scores / scores.sum(axis=1, keepdims=True)
    return predict

def fit(params, data, *, epochs, seed, report, resume=None, **_):
    loop, weights = OwnLoop(data, epochs, report), np.random.default_rng(seed).normal(size=(3, len(data.labels)))
    if resume:
        weights, best = np.load(f"{resume}/weights.npy")
        with open(f"{resume}/loop.json") as file:
            loop.load_state_dict(json.load(file) | {"best": best})
    def snapshot(folder):
        np.save(f"{folder}/weights.npy", [weights, loop.best])
        with open(f"{folder}/loop.json", "w") as file:
            json.dump(loop.state_dict() | {"best": None}, file)
    for epoch in loop:
        for features, targets in training_batches(data, 8, seed, epoch):
            p = predictor(weights)(features)
            weights = weights + params["rate"] * powers(features).T @ (np.eye(len(data.labels))[targets] - p) / len(p)
        loop.score(predictor(weights), lambda: weights, loss=float(-np.log(p[range(len(p)), targets]).mean()))
        loop.report(snapshot)
    best = loop.best
    return loop.fitted(predictor(best), lambda folder: np.save(folder / "weights.npy", best), best.size)

def load(folder):
    return predictor(np.load(folder / "weights.npy"))
'''

VECTORS = """
from genre_models.families import FAMILIES
VECTORS = [each for each in FAMILIES["feedforward"].parameters if each.name in ("input", "channels", "pooling")]
"""


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory):
    """The family's file, which the environment names while the tests of this file run."""
    with pytest.MonkeyPatch.context() as patch:
        file = tmp_path_factory.mktemp("own") / "bright.py"
        file.write_text(FAMILY)
        patch.setattr(own, "_ADDED", {})
        patch.setattr(own, "_NAMES", {})
        patch.setenv(own.VARIABLE, str(file))
        own.add_own_families()
        yield file
        FAMILIES.pop("bright")
        del sys.modules["own_family_bright"]


@pytest.fixture(scope="module")
def looked(named: Path, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    folder = tmp_path_factory.mktemp("looked")
    return take_look(folder, make_corpus(folder / "corpus"), "bright", {}, {"image_size": [16, 24], "segments": 3})


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch, looked: Looked):
    """As in a process that has not loaded the family: what the environment names is read anew. What that adds is gone after the test."""
    known = sys.modules.pop("own_family_bright")
    family = FAMILIES.pop("bright")
    monkeypatch.setattr(own, "_ADDED", {})
    monkeypatch.setattr(own, "_NAMES", {})
    yield monkeypatch
    FAMILIES["bright"], sys.modules["own_family_bright"] = family, known


def test_its_model_is_looked_at_and_says_the_same_when_asked(looked: Looked, named: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in (looked.final / "model").iterdir()) == ["pipeline.json", "weights.npy"]
    metrics, pipeline = (json.loads((looked.final / name).read_text()) for name in ("metrics.json", "model/pipeline.json"))
    assert pipeline["code"] == {"file": "bright.py", "sha256": own.own_code("bright"), "model": {"weights.npy": metrics["files"]["weights.npy"]}}
    assert (metrics["model"], metrics["model_sha256"], metrics["parameters"]) == ("weights.npy", metrics["files"]["weights.npy"], 9)
    assert metrics["accuracy"] > 0.5 and metrics["latency"]["network_ms"]["median"] > 0
    card = (looked.final / "card.md").read_text()
    assert f"`bright.py`, and only where that has SHA-256 `{own.own_code('bright')}`" in card and "scripts/export.py" not in card
    assert ask(looked, *looked.paths, "--csv", tmp_path / "p.csv") == 0
    assert [row[1:-1] for row in read_csv(tmp_path / "p.csv")[1:]] == looked.said(), "to the last digit that is written"


@pytest.mark.slow
def test_vectors_of_a_pretrained_network_come_with_that_network(others, tmp_path: Path) -> None:
    text = FAMILY.replace("n_classes):\n    return Cost", "n_classes, trunk=None):\n    return Cost")
    text = text.replace('0.01, 100.0),), __name__)', '0.01, 100.0), *VECTORS), __name__, "vectors")').replace("FAMILY =", f"{VECTORS}\nFAMILY =")
    (tmp_path / "bright.py").write_text(text)
    others.setenv(own.VARIABLE, str(tmp_path / "bright.py"))
    own.add_own_families()
    settings = {"image_size": [16, 24], "weights": "random", "trunk_side": 32}
    looked = take_look(tmp_path, make_corpus(tmp_path / "corpus"), "bright", {"input": "mobilenet/conv_pw_3_relu"}, settings)
    assert sorted(path.name for path in (looked.final / "model").iterdir()) == ["pipeline.json", "trunk.keras", "weights.npy"]
    metrics = json.loads((looked.final / "metrics.json").read_text())
    assert metrics["model"] == "weights.npy" and set(metrics["files"]) == {"pipeline.json", "trunk.keras", "weights.npy"}
    assert ask(looked, *looked.paths, "--csv", tmp_path / "p.csv") == 0
    assert [row[1:-1] for row in read_csv(tmp_path / "p.csv")[1:]] == looked.said()


def error_of(capsys: pytest.CaptureFixture[str], code: int) -> str:
    said = capsys.readouterr().err
    assert code == 2 and said.startswith("error: ") and said.count("\n") == 1, said
    return said


def test_it_has_no_form_for_other_runtimes(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    code = export.main(["--model", str(looked.final), "--to", "onnx"])
    assert "is loaded by its family's own file, bright.py, and has no form for other runtimes" in error_of(capsys, code)


def test_without_its_file_or_with_another_it_is_not_loaded(looked: Looked, named: Path, others, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others.delenv(own.VARIABLE)
    assert "bright.py with SHA-256 " in (said := error_of(capsys, ask(looked, looked.paths[0]))) and "GENRE_FAMILIES is not set" in said
    assert ask(looked, tmp_path / "absent.png") == 2
    assert "no such file" in capsys.readouterr().out, "nothing is loaded to say so"
    (tmp_path / "bright.py").write_text(FAMILY + "\n# changed\n")
    others.setenv(own.VARIABLE, str(tmp_path / "bright.py"))
    assert "so it was changed since" in error_of(capsys, ask(looked, looked.paths[0]))


def test_what_lies_in_its_folder_is_never_run_and_files_that_changed_are_refused(looked: Looked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(looked.final, tmp_path / "final")
    model, command = tmp_path / "final" / "model", ["--model", str(tmp_path / "final"), looked.paths[0]]
    weights = (model / "weights.npy").read_bytes()
    (model / "weights.npy").write_bytes(weights[:-8] + b"\0" * 8)
    assert "weights.npy: has SHA-256 " in error_of(capsys, predict.main(command))
    (tmp_path / "final" / "metrics.json").unlink()
    assert "weights.npy: has changed since the model was saved" in error_of(capsys, predict.main(command))
    (model / "weights.npy").unlink()
    assert "none of weights.npy; bring the model's file back" in error_of(capsys, predict.main(command))
    (model / "weights.npy").write_bytes(weights)
    (model / "bright.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    pipeline = json.loads((model / "pipeline.json").read_text())
    for change, told in (
        ({"model": {"../weights.npy": "0"}}, "code.model: must have the hash of each of the model's files"),
        ({"model": {}}, "code.model"),
        ({"sha256": 7}, "code: must have file and sha256"),
        ({"file": str(model / "bright.py"), "sha256": "0" * 64}, "only the file that made a model of family 'bright' loads it"),
    ):
        (model / "pipeline.json").write_text(json.dumps(pipeline | {"code": pipeline["code"] | change}))
        assert told in error_of(capsys, predict.main(command))
    assert not (tmp_path / "mark").exists()


def trial_of(looked: Looked, **changes) -> tuple[Objective, dict]:
    """A worker's objective on the same tracks, some of them for validation, and a specification."""
    tracks = [track | {"part": "validation" if place % 3 == 0 else "train"} for place, track in enumerate(looked.task["tracks"])]
    return Objective(looked.task | {"tracks": tracks}), looked.spec | {"epochs": 4} | changes


def curve(outcome: dict) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in outcome["history"]]


def test_a_trial_that_is_resumed_has_the_curve_of_one_that_was_not(looked: Looked, tmp_path: Path) -> None:
    objective, spec = trial_of(looked)

    def pause(epoch: int, metrics: dict, snapshot) -> str:
        if epoch == 2:
            snapshot(str(tmp_path / "state"))
        return "pause" if epoch == 2 else "continue"

    whole, paused = objective.run(spec, lambda *told: "continue"), objective.run(spec, pause)
    resumed = objective.run(spec, lambda *told: "continue", resume=str(tmp_path / "state"))
    assert (paused["epochs"], resumed["epochs"]) == (2, 4) and curve(paused) == curve(whole)[:2] and curve(resumed) == curve(whole)
    assert {name: resumed[name] for name in ("value", "best_epoch", "items", "macro_f1")} == {name: whole[name] for name in ("value", "best_epoch", "items", "macro_f1")}
    assert list(whole["history"][0]) == ["epoch", "loss", "val_loss", "val_accuracy", "seconds"]
    assert sum(whole["phases"].values()) <= whole["seconds"] and whole["fit_seconds"] > 0
    (tmp_path / "state" / "part-0001" / "loop.json").write_text("{}")
    with pytest.raises(GenreModelsError, match="start the trial afresh") as refused:
        objective.run(spec, lambda *told: "continue", resume=str(tmp_path / "state"))
    assert refused.value.reason_code == "snapshot"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("return predictor(np.load", "return predictor(1 + 0 * np.load", "says something else than the trained model"),
        ('folder / "weights.npy", best', 'open(folder / "model.skops", "wb"), best', "save wrote model.skops"),
        ('np.save(folder / "weights.npy", best)', "None", "save wrote no file"),
        ('np.load(folder / "weights.npy")', 'np.load(folder / "other.npy")', "load of family 'bright' fails .FileNotFoundError"),
        ("return scores / scores.sum(axis=1, keepdims=True)", "return scores", "adding up to 1"),
        ("loop.score(", "len(", "call score|len.. takes"),
    ],
)
def test_a_family_that_could_not_be_looked_at_is_told_by_the_first_trial(old: str, new: str, told: str, looked: Looked, others, tmp_path: Path) -> None:
    assert FAMILY.count(old) == 1
    (tmp_path / "bright.py").write_text(FAMILY.replace(old, new))
    others.setenv(own.VARIABLE, str(tmp_path / "bright.py"))
    own.add_own_families()
    objective, spec = trial_of(looked)
    with pytest.raises(Exception, match=told):
        objective.run(spec, lambda *told: "continue")


@pytest.mark.parametrize(
    ("more", "told"), [("load = 3", "load is no function"), ('FAMILY = Family("bright", "", (), __name__, inputs="trunk")', 'found inputs="trunk" beside load')]
)
def test_a_file_whose_load_will_not_do_is_refused(more: str, told: str, others, tmp_path: Path) -> None:
    (tmp_path / "bright.py").write_text(f"{FAMILY}\n{more}\n")
    others.setenv(own.VARIABLE, str(tmp_path / "bright.py"))
    with pytest.raises(GenreModelsError, match=told):
        own.add_own_families()


class Tracks:
    """Six tracks of two rows each, which are their number; two of them for validation."""

    labels, input_shape, metric = ("a", "b"), (1,), "val_loss"
    train_ids, validation_ids = ("0", "1", "2", "3"), ("4", "5")

    def items_of(self, ids):
        return [f"{id}.{row}" for id in ids for row in (0, 1)], np.repeat(np.arange(len(ids)), 2)

    def features(self, items):
        return np.array([[float(item)] for item in items])

    def targets(self, ids):
        return np.array([int(id) % 2 for id in ids])


def sure_of(p: float):
    return lambda features: np.stack([np.where(features[:, 0].astype(int) % 2 == 0, p, 1 - p)] * 2, axis=1) * [1, -1] + [0, 1]


def test_batches_have_each_row_with_its_tracks_class_and_differ_by_epoch() -> None:
    first, second = (list(training_batches(Tracks(), 4, 7, epoch)) for epoch in (1, 2))
    x, y = np.concatenate([features for features, _ in first]), np.concatenate([targets for _, targets in first])
    assert sorted(x[:, 0]) == [0.0, 0.1, 1.0, 1.1, 2.0, 2.1, 3.0, 3.1] and (y == x[:, 0].astype(int) % 2).all()
    assert not np.array_equal(x, np.concatenate([features for features, _ in second]))
    assert np.array_equal(first[0][0], next(training_batches(Tracks(), 4, 7, 1))[0])


def test_the_best_epoch_is_that_of_the_objectives_metric_and_its_weights_are_a_copy() -> None:
    told, weights = [], [0]
    loop = OwnLoop(Tracks(), 5, lambda epoch, metrics, snapshot: told.append((epoch, metrics["val_loss"])) or ("stop" if epoch == 4 else "continue"))
    for epoch, p in zip(loop, (0.6, 0.9, 0.8, 0.7)):
        weights[0] = epoch
        loop.score(sure_of(p), lambda: weights, loss=1.0, learning_rate=0.1)
        loop.report(lambda folder: None)
    fitted = loop.fitted(sure_of(0.9), lambda folder: None, 1)
    assert loop.best == [2] and (fitted.best_epoch, fitted.epochs, fitted.stopped_early) == (2, 4, False)
    assert told == [(epoch, pytest.approx(-np.log(p))) for epoch, p in enumerate((0.6, 0.9, 0.8, 0.7), 1)]
    assert fitted.predict(["5", "4"]) == pytest.approx(np.array([[0.1, 0.9], [0.9, 0.1]])) and fitted.hits.all() and fitted.hits.shape == (4, 2)


def test_a_loop_stops_early_where_the_family_says_so_and_refuses_what_is_not_finite() -> None:
    loop = OwnLoop(Tracks(), 5, lambda *told: "continue")
    for _ in loop:
        loop.score(sure_of(0.9), lambda: None, loss=1.0)
        loop.stopped_early = True
        loop.report(lambda folder: None)
    assert loop.fitted(sure_of(0.9), lambda folder: None, 1).stopped_early and len(loop.history) == 1
    with pytest.raises(TrainingDiverged, match="loss is nan at epoch 2"):
        loop.score(sure_of(0.9), lambda: None, loss=float("nan"))
    with pytest.raises(TrainingDiverged, match="a probability is not finite at epoch 2"):
        loop.score(sure_of(float("nan")), lambda: None, loss=1.0)
    with pytest.raises(GenreModelsError, match="call score.. once in each epoch"):
        list(OwnLoop(Tracks(), 2, lambda *told: "continue"))


def test_a_report_says_what_the_environment_must_have() -> None:
    run = {"environment": own.environment_of([]) | {own.VARIABLE: "/my files/bright.py"}, "data": {"source": "music"}, "seed": 3}
    view = view_of([trial := full(0, 0.7)], run)
    told = commands(view, Path("studies/s"), trial)
    assert {name for name, line in told.items() if line.startswith("GENRE_FAMILIES='/my files/bright.py' python ")} == {"search", "look", "replay"}
    view = view_of([trial], run)
    view.fingerprint["families"] = {"bright": {"code": "c" * 64}, "cnn": {}}
    assert ("code of one's own", f"bright SHA-256 {'c' * 64}") in facts(view)
    del view.fingerprint["families"]
    assert not any(line.startswith("GENRE") for line in commands(view_of([trial]), Path("studies/s"), trial).values())
