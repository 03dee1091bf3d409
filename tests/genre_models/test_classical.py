"""The classical family: one report, probabilities by track, nothing learned from validation tracks, models that are files and not code."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from genre_models.errors import ConfigurationRefused, GenreModelsError, TrainingDiverged
from genre_models.families import classical
from genre_models.families.classical_declaration import CLASSICAL
from genre_models.families.declaration import parse_widths
from genre_models.families.feedforward_declaration import FEEDFORWARD
from genre_models.sklearn_model import load_vectors_predictor
from genre_models.temperature import best_temperature, softmax
from tests.genre_models.vectors_data import Clouds, PixelTrunk, go

DEFAULTS = CLASSICAL.defaults() | {"forest_trees": 20, "boosting_iterations": 8, "mlp_units": "16"}
MODELS = next(parameter for parameter in CLASSICAL.parameters if parameter.name == "model").choices


def run(data, epochs=9, seed=1, report=go, **params):
    return classical.fit(DEFAULTS | params, data, epochs=epochs, seed=seed, report=report)


@pytest.mark.parametrize("family", [CLASSICAL, FEEDFORWARD], ids=lambda family: family.name)
def test_declared_values_are_legal_and_conditions_name_them(family):
    declared = {parameter.name: parameter for parameter in family.parameters}
    for parameter in family.parameters:
        if parameter.kind in ("int", "float"):
            assert parameter.low <= parameter.default <= parameter.high
            assert isinstance(parameter.default, int if parameter.kind == "int" else float)
        elif parameter.kind == "widths":
            assert all(parameter.low <= width <= parameter.high for width in parse_widths(parameter.default))
        else:
            assert parameter.default in (parameter.choices or (True, False))
        for name, values in parameter.when.items():
            assert set(values) <= set(declared[name].choices or (True, False))
    assert family.inputs == "vectors"


def test_estimates_import_nothing_heavy():
    code = (
        "import sys; from genre_models.families import classical, feedforward, classical_declaration as c, feedforward_declaration as f; "
        "classical.estimate(c.CLASSICAL.defaults(), (518,), 8); feedforward.estimate(f.FEEDFORWARD.defaults(), (518,), 8); "
        "print(sorted({'numpy', 'keras', 'tensorflow', 'sklearn', 'skops', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() in ("[]", "['numpy']")


@pytest.mark.parametrize("pca", [0.0, 0.9])
@pytest.mark.parametrize("rows", [1, 3], ids=["one row a track", "three rows a track"])
@pytest.mark.parametrize("model", MODELS)
def test_every_classifier_learns_and_its_file_predicts_the_same(tmp_path, model, rows, pca):
    data = Clouds(tmp_path, rows=rows, apart=0.8)
    fitted = run(data, model=model, pca=pca)
    p = fitted.predict(data.validation_ids)
    assert p.shape == (30, 3) and p.dtype == np.float32 and p.sum(axis=1) == pytest.approx(1, abs=1e-5)
    score = (p.argmax(axis=1) == data.targets(data.validation_ids)).mean()
    assert score == pytest.approx(fitted.history[0]["val_accuracy"]) and score > 0.7
    assert fitted.parameters > 0
    fitted.save(tmp_path)
    items, owners = data.items_of(data.validation_ids)
    loaded = load_vectors_predictor(tmp_path)(data.features(items))
    assert np.allclose(loaded.reshape(30, rows, 3).mean(axis=1), p, atol=1e-6)
    assert json.loads((tmp_path / "model.json").read_text())["n_features"] == 12


def test_it_reports_once_at_the_full_budget(tmp_path):
    reports = []
    fitted = run(Clouds(tmp_path), report=lambda *report: reports.append(report) or "stop")
    ((epoch, metrics, snapshot),) = reports
    snapshot(str(tmp_path / "snapshot"))
    assert epoch == fitted.epochs == fitted.history[0]["epoch"] == 9 and fitted.best_epoch == 1 and not fitted.stopped_early
    assert metrics.keys() == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    assert fitted.phases.keys() == {"build", "train", "validate", "report"}
    assert not hasattr(fitted, "save_weights")


def test_without_validation_tracks_it_only_fits(tmp_path):
    data = Clouds(tmp_path, train=90, validation=0)
    fitted = classical.fit(DEFAULTS, data, epochs=1, seed=1, report=go, learning_rates=[0.0], resume="no such folder", precision="bfloat16")
    assert "val_loss" not in fitted.history[0] and fitted.predict(data.train_ids[:2]).shape == (2, 3)
    assert fitted.predict([]).shape == (0, 3)


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_fits_the_same_and_validation_tracks_leave_no_trace(tmp_path, model):
    data, other = Clouds(tmp_path / "a", apart=0.5), Clouds(tmp_path / "b", apart=0.5)
    other._x[60:] += 50
    first, second = (run(one, model=model, pca=0.95) for one in (data, other))
    assert first.history[0]["loss"] == second.history[0]["loss"]
    assert np.array_equal(first.predict(data.train_ids), second.predict(data.train_ids))


def test_temperature_leaves_the_order_of_classes_and_suits_the_errors():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 4))
    y = np.array([rng.choice(4, p=p) for p in softmax(truth, 1.0)])
    assert best_temperature(3 * truth, y) == pytest.approx(3, rel=0.1)
    assert best_temperature(np.eye(3)[[0, 1, 2] * 5] * 9.0, np.array([0, 1, 2] * 5)) > 0.5  # all right, and still not certain
    assert best_temperature(np.zeros((6, 3)), np.arange(6) % 3) == 1
    assert (softmax(truth, 0.2).argmax(axis=1) == truth.argmax(axis=1)).all()


@pytest.mark.parametrize("model", ["linear_svm", "rbf_svm"])
def test_svms_with_overlapping_classes_are_not_overconfident(tmp_path, model):
    data = Clouds(tmp_path, train=150, validation=150, apart=0.15)
    fitted = run(data, model=model)
    assert 0.4 < fitted.history[0]["val_accuracy"] < 0.95
    assert fitted.history[0]["val_loss"] < np.log(3)


@pytest.mark.parametrize("model", MODELS)
def test_two_classes_and_a_class_without_training_tracks(tmp_path, model):
    data = Clouds(tmp_path)
    data.train_ids = tuple(id for id in data.train_ids if data.targets([id])[0] != 1)
    fitted = run(data, model=model)
    p = fitted.predict(data.validation_ids)
    assert (p[:, 1] == 0).all() and p.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (p.argmax(axis=1) == data.targets(data.validation_ids))[data.targets(data.validation_ids) != 1].mean() > 0.8


@pytest.mark.parametrize("model", MODELS)
def test_a_few_tracks_will_do(tmp_path, model):
    fitted = run(Clouds(tmp_path, train=4, validation=3), model=model)
    assert np.isfinite(fitted.history[0]["val_loss"])


@pytest.mark.parametrize(("model", "outputs"), [("linear_svm", 3), ("logistic", 3), ("mlp", None)])
def test_estimates_of_linear_models_and_mlps_are_exact(tmp_path, model, outputs):
    expected = 13 * outputs if outputs else 13 * 16 + 17 * 3
    assert classical.estimate(DEFAULTS | {"model": model}, (12,), 3).parameters == expected == run(Clouds(tmp_path), model=model).parameters


@pytest.mark.parametrize(
    ("model", "at_least"),
    [
        ("linear_svm", 28 * 8000 * 500),
        ("rbf_svm", 20 * 8000 * 500 + 4 * 8000**2),
        ("forest", 20 * 8000 * 64),
        ("boosting", 13 * 8000 * 500 + 20 * 256 * 500 * 6),
    ],
)
def test_the_memory_estimate_counts_scikit_learns_copies_of_all_items(model, at_least):
    few, many = (classical.estimate(DEFAULTS | {"model": model}, (500,), 10, n_items=n).memory_mib for n in (1000, 8000))
    assert at_least < many * 2**20 < 3 * at_least + 2**28
    assert few < many / 3


@pytest.mark.parametrize("model", ["linear_svm", "rbf_svm"])
def test_svms_of_whole_maps_of_8000_tracks_fit_a_worker_of_4_gib(model):
    # 6,400 of them for training, at vgg16's block5_pool; what a worker holds without a trial is 0.3 GiB (scripts/bench_worker_memory.py).
    whole = classical.estimate(DEFAULTS | {"model": model}, (25_088,), 10, n_items=6_400).memory_mib
    assert 12 * 6_400 * 25_088 / 2**20 * (model == "rbf_svm") < whole < 3 * 1024


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize(
    "params", [{"model": "linear_svm"}, {"model": "rbf_svm"}, {"model": "rbf_svm", "gamma": 1e-3, "class_weight": "balanced"}]
)
def test_svms_on_more_numbers_than_items_are_scikit_learns(tmp_path, monkeypatch, params, standardise, classes):
    from genre_models.families.classical_models import classifier

    monkeypatch.setattr("genre_models.vectors.BLOCK_BYTES", 4 * 200 * 14)  # blocks of 14 vectors, 7 in float64
    data = Clouds(tmp_path, d=200, apart=0.2)
    data._x[6] = data._x[3]  # alike, and in other classes or not
    data._x[:, 7] = 5  # the same in all
    data._targets %= classes
    fitted = run(data, **params, standardise=standardise)
    x = data.features(data.train_ids)
    scaled = fitted.model.pipeline[:-1].transform(x) if standardise else x
    plain = classifier(DEFAULTS | params, 1, len(x)).fit(scaled, data.targets(data.train_ids))
    steps = [*fitted.model.pipeline.steps[:-1], ("classifier", plain)]
    expected = replace(fitted.model, pipeline=Pipeline(steps))(data.features(data.validation_ids))
    assert fitted.predict(data.validation_ids) == pytest.approx(expected, abs=1e-5)
    assert vars(fitted.model.pipeline[-1]).keys() == vars(plain).keys() and fitted.model.pipeline[-1].get_params() == plain.get_params()
    fitted.save(tmp_path)
    assert load_vectors_predictor(tmp_path)(data.features(data.validation_ids)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_decisions_by_matrix_products_are_libsvms(tmp_path, monkeypatch, classes):
    data = Clouds(tmp_path, d=40, apart=0.1)
    data.labels, data._targets = tuple("abcde"), np.arange(90) % classes
    fitted = run(data, model="rbf_svm")
    with_libsvm = fitted.predict(data.validation_ids)
    monkeypatch.setattr("genre_models.kernel_svm.MANY", 0)
    monkeypatch.setattr("genre_models.vectors.BLOCK_BYTES", 4 * 40 * 14)
    assert fitted.predict(data.validation_ids) == pytest.approx(with_libsvm, abs=1e-6)


def test_early_stopping_is_told_by_tracks_that_were_not_trained_on(tmp_path):
    data = Clouds(tmp_path, rows=8)
    data._x = np.random.default_rng(0).normal(size=(90, 12)).astype(np.float32).repeat(8, axis=0)  # of no class
    learned = [run(data, model="mlp", mlp_early_stopping=early, mlp_units="64").history[0]["accuracy"] for early in (True, False)]
    assert learned[0] < 0.7 and learned[1] == 1


def test_inner_folds_keep_together_what_goes_together(tmp_path, monkeypatch):
    """Copies of a track, or an artist's tracks, on both sides would make an SVM look surer than it is."""
    from genre_models.families import classical_models

    seen = []
    fit = classical_models.fit_classifier
    monkeypatch.setattr(classical_models, "fit_classifier", lambda params, x, y, groups, *rest: (seen.append(groups), fit(params, x, y, groups, *rest))[1])
    data = Clouds(tmp_path, rows=2)
    alone = run(data, model="linear_svm").model.temperature
    data.groups_of = lambda ids: np.arange(len(ids)) // 6
    together = run(data, model="linear_svm").model.temperature
    assert seen[0].tolist() == [n // 2 for n in range(120)] and seen[1].tolist() == [n // 12 for n in range(120)]
    assert alone != together


def test_each_pass_of_an_mlp_that_may_stop_early_deals_its_batches_anew(monkeypatch):
    from sklearn.neural_network import MLPClassifier

    from genre_models.families.classical_models import fit_stopping_early

    seen: list[bytes] = []
    backprop = MLPClassifier._backprop
    monkeypatch.setattr(MLPClassifier, "_backprop", lambda self, x, *others: (seen.append(np.asarray(x)[:, 0].tobytes()), backprop(self, x, *others))[1])
    x, y = np.arange(120, dtype=np.float32).reshape(60, 2) / 120, np.arange(60) % 2
    mlp = MLPClassifier((4,), batch_size=9, max_iter=3, n_iter_no_change=9, random_state=5)
    fit_stopping_early(mlp, x, y, np.arange(60), seed=5)
    per_pass = len(seen) // 3
    assert per_pass > 3 and len({tuple(seen[k * per_pass : (k + 1) * per_pass]) for k in range(3)}) == 3
    assert mlp.random_state == 5


@pytest.mark.parametrize("apart", [0.0, 0.1])
def test_the_class_is_the_svms_own(tmp_path, apart):
    data = Clouds(tmp_path, train=60, validation=3000, apart=apart)
    data.labels, data._targets = tuple("abcdefgh"), np.arange(3060) % 8
    fitted = run(data, model="rbf_svm", standardise=False)
    own = fitted.model.pipeline.predict(data.features(data.validation_ids))
    assert np.array_equal(fitted.predict(data.validation_ids).argmax(axis=1), own)


@pytest.mark.parametrize("model", MODELS)
def test_tracks_of_one_class_are_refused(tmp_path, model):
    data = Clouds(tmp_path)
    data.train_ids = tuple(id for id in data.train_ids if data.targets([id])[0] == 1)
    with pytest.raises(ConfigurationRefused, match=f"{model}: all 20 training tracks are of the class 'b'"):
        run(data, model=model)


def test_refusals_and_what_is_not_finite(tmp_path):
    with pytest.raises(ConfigurationRefused, match="pca: found 0.3; it must be 0"):
        run(Clouds(tmp_path), pca=0.3)
    with pytest.raises(TrainingDiverged, match="finite"):
        run(Clouds(tmp_path), model="mlp", mlp_learning_rate=1e30, standardise=False)
    data = Clouds(tmp_path)
    data._x[2, 2] = np.nan
    with pytest.raises(TrainingDiverged, match="features of t2 are not all finite"):
        run(data)


def test_vectors_of_another_length_are_refused(tmp_path):
    run(Clouds(tmp_path), model="logistic").save(tmp_path)
    with pytest.raises(GenreModelsError, match="vectors of 12 numbers"):
        load_vectors_predictor(tmp_path)(np.zeros((2, 11), np.float32))


def test_the_saved_model_has_the_network_that_vectors_come_from(tmp_path):
    import keras

    data = PixelTrunk(tmp_path)
    fitted = run(data, model="logistic")
    fitted.save(tmp_path)
    trunk = keras.saving.load_model(tmp_path / "trunk.keras", compile=False, safe_mode=True)
    p = load_vectors_predictor(tmp_path)(trunk.predict_on_batch(data.images(data.validation_ids)))
    assert np.allclose(p, fitted.predict(data.validation_ids), atol=1e-5)


class TableRows(Clouds):
    """The 710 rows of a real table, 142 of them for validation."""

    def __init__(self, cache_dir, path):
        super().__init__(cache_dir)
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        order = np.random.default_rng(0).permutation(len(rows))
        self.labels = tuple(sorted({row[-1] for row in rows}))
        self._x = np.array([row[2:-1] for row in rows], dtype=np.float32)[order]  # without the file's name, its length and the label
        self._targets = np.array([self.labels.index(row[-1]) for row in rows])[order]
        self.input_shape = self._x.shape[1:]
        ids = [f"t{number}" for number in range(len(rows))]
        self.train_ids, self.validation_ids = ids[142:], ids[:142]


@pytest.mark.parametrize("model", ["linear_svm", "rbf_svm", "logistic"])
def test_defaults_are_good_on_real_features(tmp_path, real_data, model):
    row = run(TableRows(tmp_path, real_data / "gtzan" / "features_30_sec.csv"), model=model).history[0]
    assert row["val_accuracy"] > 0.62 and row["val_loss"] < 1.2  # about 0.70 to 0.76, of ten classes


# Files that others made


def test_missing_torn_and_strange_files_are_refused(tmp_path):
    with pytest.raises(GenreModelsError, match="can't be read"):
        load_vectors_predictor(tmp_path)
    run(Clouds(tmp_path), model="logistic").save(tmp_path)
    whole = (tmp_path / "model.skops").read_bytes()
    (tmp_path / "model.skops").write_bytes(whole[:-200])
    with pytest.raises(GenreModelsError, match="can't be read"):
        load_vectors_predictor(tmp_path)
    (tmp_path / "model.skops").write_bytes(whole)
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(facts | {"format": 9}))
    with pytest.raises(GenreModelsError, match="found format 9"):
        load_vectors_predictor(tmp_path)


def test_types_that_run_code_are_not_loaded(tmp_path):
    import skops.io
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    run(Clouds(tmp_path), model="logistic").save(tmp_path)
    skops.io.dump(Pipeline([("run", FunctionTransformer(subprocess.check_output))]), tmp_path / "model.skops")
    with pytest.raises(GenreModelsError, match="subprocess.check_output"):
        load_vectors_predictor(tmp_path)
    skops.io.dump(Pipeline([("fine", FunctionTransformer())]), tmp_path / "model.skops")
    with pytest.raises(GenreModelsError, match="steps FunctionTransformer"):
        load_vectors_predictor(tmp_path)


@pytest.mark.parametrize(("model", "field"), [("forest", "left_child"), ("boosting", "left"), ("boosting", "is_categorical")])
def test_trees_that_point_outside_themselves_are_not_loaded(tmp_path, model, field):
    run(Clouds(tmp_path, apart=0.5), model=model).save(tmp_path)
    load_vectors_predictor(tmp_path)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    spoiled = {name: _spoil(content, field) if name.endswith(".npy") else content for name, content in files.items()}
    assert spoiled != files
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in spoiled.items():
            archive.writestr(name, content)
    with pytest.raises(GenreModelsError, match="point outside themselves|can't be read"):
        load_vectors_predictor(tmp_path)


def _spoil(content, field):
    """An array's file with a field of its first node changed so that it leads outside, if it is a table of nodes."""
    import io

    array = np.load(io.BytesIO(content), allow_pickle=False)
    if field not in (array.dtype.names or ()):
        return content
    array = array.copy()
    array[field][0] = 1 if field == "is_categorical" else 10**6
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
