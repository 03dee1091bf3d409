"""Every family in one study, to the saved pipeline: real commands, tiny pictures, a table, a small network with random weights."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from search.study_view import read_study
from tests.test_end_to_end import command
from tests.tiny_study import LABELS, make_corpus

SPACE = """
study: all
data: {{source: {music}, validation: {{holdout: 0.3}}}}
features: {{image_size: [16, 24]}}
budget: {{min_epochs: 1, max_epochs: 3, reduction_factor: 3, trials: {trials}}}
scheduler: {scheduler}
precision: float32
skip_unavailable: true
families:
  cnn: {{min_trials: 1, depth: 1, filters: 4, learning_rate: {{float: [1e-3, 1e-2], log: true}}}}
  mobilenet:
    features: {{image_size: [32, 32], colour: rgb, weights: random, trunk_side: 32}}
    min_trials: 2
    cut: conv_pw_3_relu
    pooling: {{choice: [average, flat]}}
    head_units: "8"
    learning_rate: {{float: [1e-3, 1e-2], log: true}}
    copies: 1
    fine_tune_blocks: 1
    fine_tune_after: 1
  classical:
    features: {{table: {table}, image_size: [32, 32], colour: rgb, weights: random, trunk_side: 32}}
    min_trials: 4
    input: {{choice: [table, mobilenet/conv_pw_2_relu]}}
    model: {{choice: [rbf_svm, logistic]}}
    pca: {{choice: [0.0, 0.9]}}
  feedforward:
    features: {{table: {table}}}
    min_trials: 1
    input: table
    units: "8"
    learning_rate: {{float: [1e-3, 1e-2], log: true}}
  vgg16: {{features: {{weights: {missing}}}, cut: block3_pool}}
"""


def write_table(folder: Path, segments: int = 2) -> Path:
    """Numbers that tell the classes apart, of some seconds of each track a row."""
    rng = np.random.default_rng(1)
    rows = [["filename", "a", "b", "c", "label"]]
    for number, label in enumerate(LABELS):
        for i in range(10):
            for part in range(segments):
                rows.append([f"{label}.{i:05d}.{part}.wav", *rng.normal(number, 0.8, 3).round(4), label])
    path = folder / "features.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def write_space(folder: Path, **changes: object) -> Path:
    values = {"music": make_corpus(folder / "music"), "table": write_table(folder), "missing": folder / "vgg16.weights.h5"}
    path = folder / "all.yaml"
    path.write_text(SPACE.format(**values | {"trials": 12, "scheduler": "asha"} | changes))
    return path


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_all_families_compete_and_are_looked_at_together(tmp_path: Path, scheduler: str) -> None:
    space, studies = write_space(tmp_path, scheduler=scheduler), tmp_path / "studies"
    done = command("-m", "search.run", "--space", space, "--studies-dir", studies, "--engine", "inline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: families.vgg16" in done.stdout and "vgg16.weights.h5" in " ".join(done.stdout.split())
    view = read_study(studies, "all")
    assert {t.family for t in view.trials} == {"cnn", "mobilenet", "classical", "feedforward"}
    assert not [t.reason for t in view.trials if t.state == "FAIL"]
    assert {t.params.get("classical/input") for t in view.trials if t.family == "classical"} == {"table", "mobilenet/conv_pw_2_relu"}

    final = command("scripts/final_eval.py", "--study", "all", "--studies-dir", studies, "--also", "families")
    assert final.returncode == 0, final.stdout + final.stderr
    folder = studies / "all" / "final"
    metrics = json.loads((folder / "metrics.json").read_text())
    full = {t.family for t in view.trials if t.is_full}
    assert {metrics["family"], *(other["family"] for other in metrics["also"])} == full >= {"classical", "mobilenet"}
    for other in metrics["also"]:
        assert other["n_tracks"] == metrics["n_tracks"] == 6
    models = sorted(path.name for path in folder.rglob("model.*") if path.suffix in (".keras", ".skops"))
    assert len(models) == len(full) and "model.skops" in models
    again = command("scripts/final_eval.py", "--study", "all", "--studies-dir", studies, "--also", "families")
    assert again.returncode == 0 and "nothing is evaluated" in again.stdout


@pytest.mark.timeout(200)
@pytest.mark.slow
def test_a_table_alone_is_a_corpus(tmp_path: Path) -> None:
    table, studies = write_table(tmp_path), tmp_path / "studies"
    space = tmp_path / "table.yaml"
    space.write_text(
        f"data: {{source: 'table:{table}', validation: {{folds: 2}}}}\nbudget: {{min_epochs: 1, max_epochs: 2, trials: 4}}\n"
        "families:\n  classical: {min_trials: 2, input: table, model: {choice: [logistic, rbf_svm]}}\n"
        "  feedforward: {min_trials: 2, input: table, units: '4', learning_rate: {float: [1e-3, 1e-2]}}\n"
    )
    done = command("-m", "search.run", "--space", space, "--studies-dir", studies, "--engine", "inline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 readable table tracks, 3 classes" in done.stdout
    view = read_study(studies, "table")
    assert any(t.is_full and t.family == "classical" and t.outcome["parts"] == 2 for t in view.trials)
    best = max(t.value for t in view.trials if t.is_full)
    assert best > 0.6, "the rows of a track, some seconds each, are averaged"
    final = command("scripts/final_eval.py", "--study", "table", "--studies-dir", studies)
    assert final.returncode == 0, final.stdout + final.stderr
    assert json.loads((studies / "table" / "final" / "metrics.json").read_text())["n_tracks"] == 6


@pytest.mark.timeout(100)
def test_what_cannot_be_had_is_one_error_unless_it_may_be_skipped(tmp_path: Path) -> None:
    space = tmp_path / "s.yaml"
    space.write_text(
        f"data: {{source: {make_corpus(tmp_path / 'music')}}}\nbudget: {{max_epochs: 1, trials: 1}}\nfamilies:\n"
        "  cnn: {learning_rate: {float: [1e-3, 1e-2]}}\n  classical: {input: handcrafted, model: {choice: [logistic, rbf_svm]}}\n"
    )
    done = command("-m", "search.run", "--space", space, "--studies-dir", tmp_path / "studies")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "families.classical.input: handcrafted features are made from sound" in done.stderr and "skip_unavailable: true" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_imagenet_weights_without_a_network_are_one_error_unless_they_may_be_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    space, studies = tmp_path / "s.yaml", tmp_path / "studies"
    text = (
        f"study: offline\ndata: {{source: {make_corpus(tmp_path / 'music')}}}\nbudget: {{min_epochs: 1, max_epochs: 1, trials: 2}}\nengine: inline\n"
        "features: {image_size: [16, 24]}\nfamilies:\n  cnn: {depth: 1, filters: 4, learning_rate: {float: [1e-3, 1e-2]}}\n"
        "  mobilenet: {features: {trunk_side: 32, weights: imagenet}, cut: conv_pw_3_relu, learning_rate: {float: [1e-3, 1e-2]}}\n"
    )
    space.write_text(text)
    refused = command("-m", "search.run", "--space", space, "--studies-dir", studies)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr + refused.stdout
    said = " ".join(refused.stderr.split())
    assert said.count("error: ") == 1 and "mobilenet: its ImageNet weights could not be downloaded" in said
    assert "mobilenet_1_0_224_tf_no_top.h5 from https://storage.googleapis.com/" in said, "which file, and where it is to be had"
    assert f"put it into {tmp_path / 'keras'}/models" in said and "features.weights: {mobilenet: FILE}" in said and "skip_unavailable: true" in said
    assert not (studies / "offline" / "study.db").exists()

    space.write_text(text + "skip_unavailable: true\n")
    done = command("-m", "search.run", "--space", space, "--studies-dir", studies)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: mobilenet: its ImageNet weights could not be downloaded" in " ".join(done.stdout.split())
    assert {(t.family, t.is_full) for t in read_study(studies, "offline").trials} == {("cnn", True)}


def write_weights(path: Path, seed: int) -> Path:
    """Weights of mobilenet as far as conv_pw_2_relu."""
    import keras

    keras.utils.set_random_seed(seed)
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
    keras.Model(network.input, network.get_layer("conv_pw_2_relu").output).save_weights(path)
    return path


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_file_of_weights_is_known_by_its_hash_everywhere(tmp_path: Path) -> None:
    weights, studies, space = tmp_path / "mobilenet.weights.h5", tmp_path / "studies", tmp_path / "s.yaml"
    whole = write_weights(weights, 1).read_bytes()
    sha256 = hashlib.sha256(whole).hexdigest()
    features = f"{{image_size: [32, 32], trunk_side: 32, weights: {{mobilenet: {weights}}}}}"
    space.write_text(
        f"study: hashed\ndata: {{source: {make_corpus(tmp_path / 'music')}}}\nbudget: {{min_epochs: 1, max_epochs: 1, trials: 2}}\nengine: inline\n"
        f"families:\n  mobilenet: {{features: {features}, min_trials: 1, cut: conv_pw_2_relu, learning_rate: {{float: [1e-3, 1e-2]}}}}\n"
        f"  classical: {{features: {features}, min_trials: 1, input: mobilenet/conv_pw_2_relu, model: logistic, linear_C: {{float: [0.1, 1.0]}}}}\n"
    )
    search = ("-m", "search.run", "--space", space, "--studies-dir", studies)
    done = command(*search)
    assert done.returncode == 0, done.stdout + done.stderr
    known = read_study(studies, "hashed").fingerprint["families"]
    assert known["mobilenet"]["features"]["weights"] == sha256 and known["classical"]["features"]["weights"] == {"mobilenet": sha256}

    write_weights(weights, 2)
    refused = command(*search, "--trials", "3")
    now = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert f"families.mobilenet.features.weights: study has {sha256}, file has {now}" in " ".join(refused.stderr.split())
    look = ("scripts/final_eval.py", "--study", "hashed", "--studies-dir", studies, "--also", "families")
    refused = command(*look)
    said = " ".join(refused.stderr.split())
    assert refused.returncode == 2 and f"{sha256[:12]}…, now" in said and f"{now[:12]}…): put that file back" in said

    weights.write_bytes(whole)
    looked = command(*look)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    final = studies / "hashed" / "final"
    models = [json.loads(path.read_text()) for path in final.rglob("pipeline.json")]
    assert {model["spec"]["family"] for model in models} == {"mobilenet", "classical"}
    assert {model["input"]["trunk"]["sha256"] for model in models} == {sha256}
    assert f"through mobilenet up to conv_pw_2_relu (weights of SHA-256 `{sha256}`)" in (final / "card.md").read_text()


@pytest.mark.timeout(100)
def test_a_dry_run_shows_the_exact_size_of_kostrzewas_network(tmp_path: Path) -> None:
    # Four blocks of 5 x 5 convolutions with batch norm, 64-64-128-128 filters, pools of 2 x 5, one dense layer, on 128 x 1280 and 8 classes.
    noise = np.random.default_rng(0).normal(0, 0.1, (8, 12, 4410))
    for label, clips in enumerate(noise):
        (tmp_path / "music" / f"genre{label}").mkdir(parents=True)
        for i, clip in enumerate(clips):
            soundfile.write(tmp_path / "music" / f"genre{label}" / f"{i}.wav", clip, 22_050)
    space = tmp_path / "kostrzewa.yaml"
    space.write_text(
        f"data: {{source: {tmp_path / 'music'}}}\nbudget: {{max_epochs: 1, trials: 1}}\nfamilies:\n"
        "  cnn: {filters_per_layer: 64-64-128-128, kernel: 5, pool: 2-5, head: flatten, dropout: 0.2, learning_rate: 1.0e-3}\n"
    )
    done = command("-m", "search.run", "--space", space, "--studies-dir", tmp_path / "studies", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "735,944 to 735,944 parameters" in done.stdout
