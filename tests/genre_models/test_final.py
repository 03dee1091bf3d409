"""The retrain, the one evaluation and the order of a look, with a family that needs no Keras."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from genre_models import final, look, retrain, verdict
from genre_models.durable import sha256_file, write_whole
from genre_models.errors import CorpusError, GenreModelsError, HeldOutError, SealedError
from genre_models.families import FAMILIES, Declared, Family
from genre_models.prepare import open_task
from genre_models.settings import DataSettings, FeatureSettings
from tests import fake_family, tiny_study

SILENT = look.Said(lambda line: None, lambda epoch, metrics: None, lambda done, total, what: None)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    fake_family.install(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small corpus, scanned, dealt, its development features cached; whoever harms a file mends it."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = tiny_study.make_corpus(folder / "corpus")
    features = {"fake": FeatureSettings(image_size=tiny_study.SIZE)}
    data = open_task(DataSettings(source=str(corpus)), features, 0, folder / "cache", workers=1)
    data.prepare_features(workers=1)
    return data


@pytest.fixture
def task(data):
    return data.task({"metric": "val_accuracy", "direction": "maximize"}, {"gflops": None, "memory_mib": None})


def winner(trial: int = 4, study: str = "s") -> retrain.Winner:
    history = tuple({"epoch": e, "loss": 1 / e, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.6} for e in (1, 2, 3))
    return retrain.Winner(study, trial, tiny_study.make_spec(seed=trial), 2, (1e-3, 5e-4), history, 0.6)


def request_of(tmp_path, data, trial: int = 4, study: str = "s", again: str | None = None) -> look.Request:
    return look.Request(tmp_path / "studies", winner(trial, study), data.split.split_id, again)


def test_the_retrain_takes_every_development_track_and_the_recorded_rates(tmp_path, task, monkeypatch):
    seen = {}
    original = fake_family.fit

    def fit(params, data, **options):
        seen.update(options, train=set(data.train_ids), validation=list(data.validation_ids))
        return original(params, data, **options)

    monkeypatch.setattr(fake_family, "fit", fit)
    told = []
    retrain.retrain(winner(), task, tmp_path / "model", lambda epoch, metrics: told.append(epoch))
    assert seen["train"] == {track["id"] for track in task["tracks"]}
    assert {track["part"] for track in task["tracks"]} == {"train", "validation"}
    assert seen["validation"] == []
    assert (seen["epochs"], seen["learning_rates"], seen["seed"], seen["precision"]) == (2, [1e-3, 5e-4], 4, "float32")
    assert told == [1, 2]


def test_a_parameter_that_came_after_the_study_takes_its_default_and_is_told(tmp_path, data, task, monkeypatch):
    seen, told = {}, []
    original = fake_family.fit
    monkeypatch.setattr(fake_family, "fit", lambda params, *given, **options: (seen.update(params), original(params, *given, **options))[1])
    grown = Family("fake", "", (Declared("old", "int", 1, ""), Declared("new", "int", 5, "")), "tests.fake_family")
    monkeypatch.setitem(FAMILIES, "fake", grown)
    request = request_of(tmp_path, data)
    request.winner.spec["params"] = {"old": 3}
    look.take(request, task, data.split.test, look.Said(told.append, SILENT.epoch, SILENT.progress))
    assert seen == {"old": 3, "new": 5}
    assert any("{'new': 5}" in line for line in told)


def test_the_saved_folder_says_what_it_is(tmp_path, task):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "leftover").write_text("of a retrain that was killed")
    retrain.retrain(winner(), task, tmp_path / "model", SILENT.epoch)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.keras", "pipeline.json"]
    pipeline = fake_family.pipeline_of(tmp_path / "model")
    assert pipeline["labels"] == list(tiny_study.LABELS)
    assert (pipeline["study"], pipeline["trial"], pipeline["epochs"], pipeline["n_tracks"]) == ("s", 4, 2, len(task["tracks"]))
    assert pipeline["features"]["image_size"] == tiny_study.SIZE
    assert pipeline["input_shape"] == [16, 24, 1]
    assert pipeline["versions"]["numpy"] == np.__version__
    assert [path.name for path in tmp_path.glob(".*partial*")] == []


def test_the_evaluation_agrees_with_the_model_and_leaves_the_cache_alone(tmp_path, data, task):
    retrain.retrain(winner(), task, tmp_path / "model", SILENT.epoch)
    before = {path: path.stat().st_mtime_ns for path in data.cache_dir.rglob("*")}
    found = final.evaluate(tmp_path / "model", data.split.test, SILENT.progress)
    assert {path: path.stat().st_mtime_ns for path in data.cache_dir.rglob("*")} == before
    assert found.track_ids == tuple(row.id for row in data.split.test)
    assert found.p.dtype == np.float32
    assert found.p.sum(axis=1) == pytest.approx(np.ones(len(found.p)))
    assert [found.labels[y] for y in found.y_true] == [row.label for row in data.split.test]
    assert found.peak_ram_mib > 10


def test_windows_are_predicted_in_slices_and_averaged_by_track(tmp_path, data, task, monkeypatch):
    """Six tracks of twelve windows, two columns wide: a track's scores must be those of its mean."""
    retrain.retrain(winner(), task, tmp_path / "model", SILENT.epoch)
    pipeline = fake_family.pipeline_of(tmp_path / "model") | {"segments": 12}
    (tmp_path / "model" / "pipeline.json").write_text(json.dumps(pipeline))
    slices = []

    def predict(windows):
        slices.append(windows.shape[:3])
        mean = windows.mean(axis=(1, 2, 3)) / 255
        return np.stack([mean / 2, mean / 2, 1 - mean], axis=1).astype(np.float32)

    monkeypatch.setattr(final, "load_predictor", lambda folder: predict)
    found = final.evaluate(tmp_path / "model", data.split.test, SILENT.progress)
    assert slices == [(32, 16, 2), (32, 16, 2), (8, 16, 2)]
    tracks = np.stack(list(final.heldout_features(data.corpus.kind, data.features["fake"], data.split.test)))
    assert found.p[:, 2] == pytest.approx(1 - tracks.mean(axis=(1, 2, 3)) / 255, abs=1e-5)


def test_development_features_refuse_a_held_out_track(data, task):
    from genre_models.features.store import FeatureStore

    store = FeatureStore(data.cache_dir, data.corpus.kind, data.features["fake"], task["tracks"])
    with pytest.raises(HeldOutError, match=data.split.test[0].id):
        store.features([data.split.test[0].id])


def test_a_changed_or_missing_held_out_file_is_named(data):
    row = data.split.test[1]
    whole = row.path.read_bytes()
    final.verify_files(data.split.test)
    row.path.write_bytes(whole + b"x")
    with pytest.raises(CorpusError, match=rf"held-out track {row.id}: .*has changed since it was scanned"):
        final.verify_files(data.split.test)
    with pytest.raises(CorpusError, match=rf"held-out track {row.id}: .*changed since the scan"):
        list(final.heldout_features(data.corpus.kind, data.features["fake"], data.split.test))
    row.path.unlink()
    with pytest.raises(CorpusError, match=rf"held-out track {row.id}: .*can't be read"):
        final.verify_files(data.split.test)
    row.path.write_bytes(whole)


@pytest.mark.parametrize("said", [np.full((6, 3), np.nan), np.full((6, 3), 0.5), np.full((6, 2), 0.5)])
def test_a_model_that_gives_no_probabilities_is_refused(tmp_path, data, task, monkeypatch, said):
    retrain.retrain(winner(), task, tmp_path / "model", SILENT.epoch)
    monkeypatch.setattr(final, "load_predictor", lambda folder: lambda batch: said)
    with pytest.raises(GenreModelsError, match="one probability for each of 3 labels"):
        final.evaluate(tmp_path / "model", data.split.test, SILENT.progress)


def test_a_look_leaves_everything_it_promises(tmp_path, data, task):
    request = request_of(tmp_path, data)
    taken = look.take(request, task, data.split.test, SILENT)
    folder = tmp_path / "studies" / "s" / "final"
    assert {path.name for path in folder.iterdir()} == {"model", "metrics.json", "predictions.csv", "confusion.png", "curves.png", "reliability.png", "card.md", "evidence"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["model_sha256"] == sha256_file(folder / "model" / "model.keras") == taken.opened["models"]["model.keras"]
    assert (metrics["look"], metrics["split_id"], metrics["study"], metrics["trial"]) == (1, data.split.split_id, "s", 4)
    assert (metrics["energy_kwh"], metrics["emissions_kg"], metrics["validation_accuracy"]) == (None, None, 0.6)
    assert {key: metrics[key] for key in verdict.IN_THE_RECEIPT} == taken.closed["scores"]
    assert taken.opened["tracks"] == {row.id: row.content for row in data.split.test}
    for name in ("confusion.png", "curves.png", "reliability.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    card = (folder / "card.md").read_text()
    assert "95 % interval" in card and "Intervals count each track for itself." in card and "temperature" not in card
    assert metrics["schema"] == 2 and metrics["calibration"]["temperature"] is None and metrics["expected"] is None
    assert "calibration error" in verdict.table(metrics) and "temperature" not in verdict.table(metrics)


def test_a_look_counts_groups_scales_by_the_searchs_temperature_and_tells_what_was_to_be_expected(tmp_path, data, task):
    told = replace(winner(), temperature=2.0, expected=retrain.Expected(0.55, (0.4, 0.7), 12, 36))
    rows = data.split.test
    pairs = [rows[start : start + 2] for start in range(0, len(rows), 2)]
    for name, groups in (("alone", ()), ("pairs", pairs)):
        request = look.Request(tmp_path / name / "studies", told, data.split.split_id, None)
        look.take(request, task, rows, SILENT, groups)
    alone, grouped = (json.loads((tmp_path / name / "studies" / "s" / "final" / "metrics.json").read_text()) for name in ("alone", "pairs"))
    assert (alone["n_groups"], grouped["n_groups"], grouped["accuracy"]) == (6, 3, alone["accuracy"])
    assert grouped["accuracy_ci95"] != alone["accuracy_ci95"]
    folder = tmp_path / "pairs" / "studies" / "s" / "final"
    assert json.loads((folder / "model" / "pipeline.json").read_text())["temperature"] == 2.0
    p = np.array([list(map(float, line.split(",")[3:])) for line in (folder / "predictions.csv").read_text().splitlines()[1:]])
    powers = np.sqrt(p)
    truth = [grouped["labels"].index(row.label) for row in rows]
    by_hand = -np.log((powers / powers.sum(axis=1, keepdims=True))[np.arange(len(p)), truth]).mean()
    assert grouped["calibration"]["log_loss"] == pytest.approx(by_hand, rel=1e-3)
    assert grouped["confusion"] == alone["confusion"]
    card, terminal = (folder / "card.md").read_text(), verdict.table(grouped)
    assert "Intervals count 3 groups of tracks" in card and "| log loss at temperature 2 |" in card and "it was worth 0.550, 0.400 to 0.700" in card
    assert "held-out tracks in 3 groups" in terminal and "(at temperature 2: " in terminal and "it was worth 0.550 (0.400 to 0.700)" in terminal


def test_a_verdict_of_before_groups_and_calibration_is_still_shown(tmp_path, data, task):
    look.take(request_of(tmp_path, data), task, data.split.test, SILENT)
    metrics = json.loads((tmp_path / "studies" / "s" / "final" / "metrics.json").read_text())
    for key in ("n_groups", "log_loss_ci95", "calibration", "expected"):
        del metrics[key]
    for scores in metrics["per_class"].values():
        for name in ("precision", "recall", "f1"):
            del scores[f"{name}_ci95"]
    shown = verdict.table(metrics)
    assert f"accuracy  {metrics['accuracy']:.3f}  95 % interval" in shown and "no interval" in shown


@pytest.mark.parametrize(
    ("validated_by", "shown", "marked"),
    [
        ("hold-out", "search, training", "best epoch"),
        ("5 folds", "search, fold 1, training", "mean best epoch"),
        ("5 folds, each trained 3 times", "search, fold 1, training", "mean best epoch"),
        ("3 trainings", "search, training 1, training", "mean best epoch"),
    ],
)
def test_the_curves_say_what_their_line_is_the_best_epoch_of(monkeypatch, validated_by, shown, marked):
    from genre_models import plots

    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    metrics = {"study": "s", "trial": 1, "look": 1, "demo": False, "epochs": 2, "accuracy": 0.5, "accuracy_ci95": [0.4, 0.6]}
    history = winner().history
    plots.draw_curves("", metrics | {"validated_by": validated_by}, history, history)
    axes = drawn[0].axes[0]
    assert axes.get_legend_handles_labels()[1][0] == shown
    assert [text.get_text() for text in axes.texts] == [marked]


def test_the_predictions_give_the_metrics_back(tmp_path, data, task):
    look.take(request_of(tmp_path, data), task, data.split.test, SILENT)
    folder = tmp_path / "studies" / "s" / "final"
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = list(csv.DictReader((folder / "predictions.csv").open()))
    assert list(rows[0]) == ["track", "label", "predicted", *(f"p_{label}" for label in tiny_study.LABELS)]
    assert [row["track"] for row in rows] == [row.id for row in data.split.test]
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == pytest.approx(metrics["accuracy"])
    for row in rows:
        assert max(tiny_study.LABELS, key=lambda label: float(row[f"p_{label}"])) == row["predicted"]


def test_nothing_is_read_before_the_receipt_and_nothing_closed_before_the_files(tmp_path, data, task, monkeypatch):
    request, order = request_of(tmp_path, data), []
    spied = {(final, "heldout_features"): "read", (look.retrain, "retrain"): "train", (verdict, "write_verdict"): "write"}
    for (owner, name), what in spied.items():
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, original=original, what=what: (order.append((what, state(request))), original(*given))[1])
    look.take(request, task, data.split.test, SILENT)
    assert order == [("train", "unopened"), ("read", "ours-open"), ("write", "ours-open")]
    assert state(request) == "ours-closed"
    order.clear()
    look.take(request, task, data.split.test, SILENT)
    assert order == []


def state(request):
    return request.seal.check(request.candidate)[0]


def test_a_file_that_can_not_be_decoded_closes_nothing(tmp_path, data, task, monkeypatch):
    request, original = request_of(tmp_path, data), final.compute_features

    def decode(kind, settings, path, content):
        if str(path) == str(data.split.test[3].path):
            raise CorpusError(f"{path}: no decoder for this")
        return original(kind, settings, path, content)

    monkeypatch.setattr(final, "compute_features", decode)
    with pytest.raises(CorpusError, match=rf"{data.split.test[3].id}: .*no decoder for this; the look stays open"):
        look.take(request, task, data.split.test, SILENT)
    assert state(request) == "ours-open"
    assert not (request.folder(1) / "metrics.json").exists()
    monkeypatch.undo()
    fake_family.install(monkeypatch)
    assert look.take(request, task, data.split.test, SILENT).number == 1


def test_an_open_look_is_completed_with_its_own_model_only(tmp_path, data, task, monkeypatch):
    request = request_of(tmp_path, data)
    monkeypatch.setattr(final, "evaluate", lambda *given: pytest.fail("stop here"))
    with pytest.raises(pytest.fail.Exception):
        look.take(request, task, data.split.test, SILENT)
    monkeypatch.undo()
    fake_family.install(monkeypatch)
    model = request.folder(1) / "model" / "model.keras"
    whole = model.read_bytes()
    model.write_bytes(whole + b"x")
    with pytest.raises(SealedError, match=r"model\.keras \(changed\).*(?s:.*)--again REASON"):
        look.take(request, task, data.split.test, SILENT)
    model.unlink()
    with pytest.raises(SealedError, match=r"model\.keras \(gone\)"):
        look.take(request, task, data.split.test, SILENT)
    model.write_bytes(whole)
    monkeypatch.setattr(retrain, "retrain", lambda *given: pytest.fail("no second model is made for an open look"))
    assert look.take(request, task, data.split.test, SILENT).number == 1


def test_a_further_look_lies_beside_the_first(tmp_path, data, task):
    look.take(request_of(tmp_path, data), task, data.split.test, SILENT)
    with pytest.raises(SealedError, match="trial 4"):
        look.take(request_of(tmp_path, data, trial=5), task, data.split.test, SILENT)
    again = request_of(tmp_path, data, trial=5, again="trial 4 had leaked")
    assert look.take(again, task, data.split.test, SILENT).number == 2
    metrics = json.loads((again.folder(2) / "metrics.json").read_text())
    assert (metrics["look"], metrics["reason"], metrics["trial"]) == (2, "trial 4 had leaked", 5)
    assert again.folder(2) == tmp_path / "studies" / "s" / "final" / "look-2"
    assert "trial 4 had leaked" in (again.folder(2) / "card.md").read_text()


def test_a_receipt_that_was_removed_is_missed(tmp_path, data, task):
    request = request_of(tmp_path, data)
    look.take(request, task, data.split.test, SILENT)
    request.seal.path.unlink()
    with pytest.raises(SealedError, match=r"metrics\.json holds the scores of look 1 .*has no receipt of it"):
        look.take(request_of(tmp_path, data, study="other"), task, data.split.test, SILENT)
    again = request_of(tmp_path, data, study="other", again="the receipts were lost with a disk")
    assert look.take(again, task, data.split.test, SILENT).number == 2


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.json"

    def fails(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fails)
    assert not path.exists()


@pytest.mark.parametrize("labels", [["$10_$20", "A$AP 100% Ke$ha", r"\$x$"], [f"class {i}" for i in range(90)]])
def test_names_with_dollars_and_dozens_of_classes_are_drawn(labels, tmp_path):
    """A dollar begins no formula; and a picture of many classes fits into memory."""
    from PIL import Image

    from genre_models import plots

    facts = {"study": "a$b_$", "trial": 1, "look": 1, "demo": False, "accuracy": 0.5, "accuracy_ci95": [0.4, 0.6], "n_tracks": 9}
    plots.draw_confusion(tmp_path / "c.png", facts | {"labels": labels, "confusion": np.eye(len(labels), dtype=int).tolist()})
    with Image.open(tmp_path / "c.png") as picture:
        assert max(picture.size) <= 42 * plots.DOTS_PER_INCH
