"""The command that writes models for other runtimes: they say the same there, hold what is needed to use them, and nothing is written where they don't."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from genre_models.export import runtimes
from genre_models.final import load_predictor
from scripts import export
from tests import tiny_study
from tests.saved_looks import Looked, read_csv, write_csv

ROOT = Path(__file__).parents[2]
NAMES = {"onnx": "model.onnx", "tflite": "model.tflite", "saved_model": "saved_model"}


def command(looked: Looked, to: str, *more: object) -> int:
    return export.main(["--model", str(looked.final), "--to", to, *map(str, more)])


def description_of(path: Path, to: str) -> dict:
    if to == "onnx":
        import onnxruntime

        return json.loads(onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map["description"])
    if to == "tflite":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("description.json"))
    return json.loads((path / "assets.extra" / "description.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("to", NAMES)
def test_a_network_says_the_same_in_another_runtime(to, pictures, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    assert command(pictures, to, "--output", tmp_path) == 0
    out, path = capsys.readouterr().out, tmp_path / NAMES[to]
    assert "72 of 72 most probable classes the same; compared on 72 items of development tracks in the cache" in out
    assert f"written: {path} (" in out and "float32" in out
    assert {file.name for file in tmp_path.iterdir()} == {NAMES[to], f"run_{to}.py", "description.json"}

    about = description_of(path, to)
    assert about["labels"] == list(tiny_study.LABELS) and about["segments"] == 3 and about["input"]["shape"] == [None, 16, 8, 1]
    assert about["features"] == {"image_size": [16, 24], "colour": "grey"} and about["source"]["sha256"]

    x = np.random.default_rng(0).integers(0, 256, (5, 16, 8, 1), dtype=np.uint8)  # as many as the file was not compared on
    found = runtimes.open_exported(path, to)(x)
    assert found.dtype == np.float32 and found == pytest.approx(load_predictor(pictures.final / "model")(x), abs=1e-5)

    # The program beside it, in a process that knows nothing of this project.
    done = subprocess.run([sys.executable, str(tmp_path / f"run_{to}.py"), pictures.paths[0]], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    label, p = done.stdout.splitlines()[0].split()
    said = pictures.said()[0]
    assert label == said[0] and float(p) == pytest.approx(float(said[1 + tiny_study.LABELS.index(label)]), abs=2e-4)


@pytest.mark.slow
def test_the_command_itself_writes_beside_the_model(pictures):
    arguments = [sys.executable, "scripts/export.py", "--study", "tiny", "--studies-dir", str(pictures.final.parents[1]), "--to", "tflite"]
    done = subprocess.run([*arguments, "--check", *pictures.paths], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert "compared on 6 tracks that were named" in done.stdout
    folder = pictures.final / "export"
    assert {path.name for path in folder.iterdir()} == {"model.tflite", "run_tflite.py", "description.json"}
    before = (folder / "model.tflite").stat().st_mtime_ns
    assert command(pictures, "tflite") == 0
    assert (folder / "model.tflite").stat().st_mtime_ns > before, "an earlier export is replaced"
    shutil.rmtree(folder)


CLASSIFIERS = ["linear_svm", "rbf_svm", "logistic", "mlp", "forest", "boosting"]


@pytest.mark.slow
@pytest.mark.parametrize("classes", [tiny_study.LABELS, tiny_study.LABELS[:2]], ids=["three", "two"])
@pytest.mark.parametrize("model", CLASSIFIERS)
def test_classifiers_say_the_same_in_onnx(model, classes, tmp_path):
    """Each kind, with and without components, with a class that it has never seen; on rows that are not the training's."""
    pytest.importorskip("skl2onnx")
    from sklearn.pipeline import Pipeline

    from genre_models.export.classifiers import to_onnx
    from genre_models.families.classical_models import fit_classifier
    from genre_models.principal_components import Components
    from genre_models.sklearn_model import VectorModel, reduced, reduction

    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(classes)) + 1, 20)  # class 0 was never seen
    x = (rng.normal(0, 1, (len(y), 6)) + y[:, None]).astype(np.float32) * 3
    variances, directions = np.arange(6, 0, -1).astype(np.float32), np.linalg.qr(rng.normal(size=(6, 6)))[0].astype(np.float32)
    found = Components(x.mean(axis=0), x.std(axis=0), directions, variances, np.cumsum(variances) / variances.sum())
    components = found if model in ("linear_svm", "boosting") else None
    steps = reduction(x.mean(axis=0), x.std(axis=0), components, 0.9)
    params = {"model": model, "class_weight": "balanced", "linear_C": 1.0, "rbf_C": 3.0, "gamma": 0.0, "mlp_units": "8", "mlp_alpha": 1e-4,
              "mlp_learning_rate": 1e-2, "mlp_early_stopping": False, "forest_trees": 20, "forest_depth": 0, "forest_leaf": 1, "forest_features": 0.0,
              "boosting_learning_rate": 0.1, "boosting_iterations": 10, "boosting_leaves": 7, "boosting_features": 1.0, "boosting_l2": 0.0}  # fmt: skip
    fitted, temperature = fit_classifier(params, reduced(steps, x), y, np.arange(len(y)), len(classes) + 1, 0)
    vectors = VectorModel(Pipeline([*steps, ("classifier", fitted)]), temperature, 6, len(classes) + 1)
    made = to_onnx(vectors)
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    new = (rng.normal(1.5, 2, (200, 6)) * 3).astype(np.float32)
    found, expected = runtimes.open_exported(tmp_path / "model.onnx", "onnx")(new), vectors(new)
    assert found.shape == expected.shape == (200, len(classes) + 1) and not found[:, 0].any()
    assert found == pytest.approx(expected, abs=1e-4)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.99


@pytest.mark.slow
def test_a_classifier_of_rows_is_exported_with_the_names_of_its_columns(rows, tmp_path, capsys):
    pytest.importorskip("skl2onnx")
    assert command(rows, "onnx", "--output", tmp_path) == 0
    assert "48 of 48 most probable classes the same; compared on 48 items of development tracks in the cache" in capsys.readouterr().out
    assert description_of(tmp_path / "model.onnx", "onnx")["columns"] == ["first", "second", "third"]
    header, *body = read_csv(rows.data.split.test[0].path)
    table = write_csv(tmp_path / "t.csv", [[header[3], header[0], header[1], header[2]], *([row[3], row[0], row[1], row[2]] for row in body[:2])])
    done = subprocess.run([sys.executable, str(tmp_path / "run_onnx.py"), str(table)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    expected = load_predictor(rows.final / "model")(np.array([row[1:4] for row in body[:2]], np.float32))
    assert [float(line.split()[1]) for line in done.stdout.splitlines()] == pytest.approx(expected.max(axis=1).tolist(), abs=2e-4)


def test_a_model_that_says_something_else_is_not_written(pictures, tmp_path, capsys, monkeypatch):
    from genre_models.export import write

    monkeypatch.setattr(write, "LARGEST_DIFFERENCE", -1.0)  # no model is as near as that
    assert command(pictures, "saved_model", "--output", tmp_path / "out") == 1
    assert "differs from the original by" in capsys.readouterr().err and list((tmp_path / "out").iterdir()) == []


def test_what_can_not_be_had_is_one_line(rows, pictures, tmp_path, capsys, monkeypatch):
    import importlib.util

    assert command(rows, "tflite") == 2
    assert "is a classifier of scikit-learn, which has this form in no runtime: take --to onnx" in capsys.readouterr().err
    (tmp_path / "model.tflite").mkdir()
    assert command(pictures, "tflite", "--output", tmp_path) == 2
    assert "is there already, and is no earlier export" in capsys.readouterr().err
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in ("onnx", "tf2onnx") else real(name, *more))
    assert command(pictures, "onnx") == 2
    said = capsys.readouterr().err
    assert said == "error: --to onnx needs onnx, tf2onnx, not installed here: pip install -c constraints.txt -e '.[export]'\n"
    assert export.main(["--model", str(tmp_path / "nowhere"), "--to", "onnx"]) == 2
    assert export.main(["--model", str(pictures.final), "--to", "tflite", "--output", str(tmp_path / "o"), "--check", str(tmp_path / "absent.png")]) == 2
    assert "none of the files can be read: no such file" in capsys.readouterr().err


def test_the_program_beside_a_model_runs_nothing_that_the_model_says():
    import ast

    from genre_models.export.usage import usage_text

    told = {"family": "cnn", "study": "s\nimport os\rimport this", "trial": 0, "labels": ["a", "b"], "kind": "image"}
    text = usage_text(told | {"input": {"values": "pixels", "shape": [None, 2]}, "output": {"shape": [None, 2]}}, "onnx", "model.onnx")
    imported = [name.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for name in node.names]
    assert sorted(imported) == ["json", "numpy", "onnxruntime", "os", "sys"]
