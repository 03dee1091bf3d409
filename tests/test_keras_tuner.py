"""KerasTuner on a tiny corpus: the command, killed on the way; and a script of the user's own, as the docs show it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from search.study_view import read_study
from tests.doc_pages import fenced
from tests.search.conftest import until
from tests.test_end_to_end import ROOT, command
from tests.tiny_study import make_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SPACE = """
study: tiny
features: {image_size: [16, 24]}
budget: {min_epochs: 1, max_epochs: 4, reduction_factor: 2}
precision: float32
families:
  cnn:
    depth: {int: [1, 5]}
    filters: {choice: [4, 8]}
    optimizer: {choice: [adam, sgd]}
    weight_decay: {float: [1e-6, 1e-2], log: true, when: {optimizer: sgd}}
    schedule: {choice: [constant, cosine, plateau]}
    plateau_patience: {int: [2, 6], when: {schedule: plateau}}
    batch_norm: {choice: [true, false]}
    batch_size: 16
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    make_corpus(folder / "pictures", per_class=12)
    (folder / "tiny.yaml").write_text(SPACE)
    return folder


def words(place: Path, trials: int, engine: str = "keras-tuner", study: str = "tiny") -> list[str]:
    given = ("--space", place / "tiny.yaml", "--data", place / "pictures", "--study", study, "--studies-dir", place / "studies")
    return ["-m", "search.run", *map(str, given), "--engine", engine, "--trials", str(trials)]


def test_killed_and_gone_on_with_the_study_has_what_kerastuner_did(place: Path) -> None:
    log = place / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *words(place, 14)], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    until(lambda: log.read_text().count("cnn: pruned") >= 2 or process.poll() is not None, 400, log.read_text)
    # Not while KerasTuner writes its state, which it does between two trials and not atomically: it can't read half a file.
    ended = len(read_study(place / "studies", "tiny").trials)
    until(lambda: len(read_study(place / "studies", "tiny").trials) > ended or process.poll() is not None, 60, log.read_text)
    time.sleep(0.3)
    process.kill()
    process.wait()
    done = command(*words(place, 14), seconds=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report:" in done.stdout and "keras-tuner" in (place / "studies" / "tiny" / "report.html").read_text()

    view = read_study(place / "studies", "tiny")
    counted = {t.spec["peer"]["trial"]: t for t in view.trials if t.counts}
    assert len(counted) == 14 == sum(t.counts for t in view.trials) and all(t.end is not None for t in view.trials)
    files = [json.loads(file.read_text()) for file in (place / "studies/tiny/keras-tuner/search").glob("trial_*/trial.json")]
    theirs = {each["trial_id"]: each for each in files}
    assert set(theirs) == set(counted)
    for name, trial in counted.items():
        their, about = theirs[name], trial.spec["peer"]
        if trial.state == "FAIL" or trial.end == "refused":
            assert their["status"] == "FAILED" and trial.reason in their["message"]
            continue
        assert their["status"] == "COMPLETED" and their["score"] == pytest.approx(max(trial.reports.values()))
        assert list(trial.reports) == list(range(about["initial_epoch"] + 1, about["epochs"] + 1))
        assert (trial.state == "COMPLETE") == (about["epochs"] == 4)
        assert [row["epoch"] for row in trial.outcome["history"]] == list(range(1, about["epochs"] + 1))
        assert {key for key in their["hyperparameters"]["values"] if not key.startswith("tuner/")} == set(trial.params) | {"cnn/batch_size"}
        if "promoted" in about:
            assert view.trials[about["promoted"]].params == trial.params and max(view.trials[about["promoted"]].reports) == about["initial_epoch"]
    promoted = [t for t in counted.values() if "promoted" in t.spec["peer"]]
    assert promoted and any(t.is_full for t in promoted)
    assert not [params for params, n in Counter(str(t.params) for t in counted.values() if t not in promoted).items() if n > 1]

    other = command(*words(place, 14)[:-4], "--engine", "inline")
    assert other.returncode == 2 and "engine: study has keras-tuner, file has ray or inline" in other.stderr
    look = command("scripts/final_eval.py", "--study", "tiny", "--studies-dir", place / "studies", seconds=200)
    assert look.returncode == 0, look.stdout + look.stderr


def test_the_script_of_the_docs_runs_as_it_stands(tmp_path: Path) -> None:
    text = fenced(ROOT / "docs" / "keras-tuner.md", "python")[0].text
    assert "EPOCHS = 9" in text
    (tmp_path / "tune.py").write_text(text.replace("EPOCHS = 9", "EPOCHS = 3"))
    (tmp_path / "tiny.yaml").write_text(SPACE.replace("[1, 5]", "[1, 2]"))
    rng = np.random.default_rng(0)
    y, y_val = rng.integers(0, 3, 48), rng.integers(0, 3, 24)
    x, x_val = ((60 * each[:, None, None, None] + rng.integers(0, 60, (len(each), 16, 24, 1))).astype(np.uint8) for each in (y, y_val))
    np.savez(tmp_path / "arrays.npz", x=x, y=y, x_val=x_val, y_val=y_val)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv = ['tune.py', 'tiny.yaml', 'arrays.npz']; exec(open('tune.py').read())"
    code += "; print(network.predict(data.features([0]), verbose=0).shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'cnn/depth'" in done.stdout and "(1, 3)" in done.stdout and list((tmp_path / "tuned" / "tiny").glob("trial_*"))


def test_ray_tune_that_trains_by_fit_stands_in_the_study_as_the_others_do(place: Path) -> None:
    done = command(*words(place, 8, "ray-tune-fit", "fitted"), seconds=500)
    assert done.returncode == 0 and "model.fit trains" in done.stdout, done.stdout + done.stderr
    view = read_study(place / "studies", "fitted")
    assert sum(t.counts for t in view.trials) == 8 and all(t.end in ("full", "pruned", "refused") for t in view.trials), [(t.number, t.end, t.reason) for t in view.trials]
    trained = [t for t in view.trials if t.reports]
    assert any(t.is_full for t in trained) and {t.is_full for t in trained} == {True, False}
    for trial in trained:
        rows = trial.outcome["history"]
        assert {row["epoch"]: row["val_accuracy"] for row in rows} == trial.reports and all(row["seconds"] > 0 and row["loss"] > 0 for row in rows)
    again = command(*words(place, 8, "ray-tune-fit", "fitted"), "--replay", str(view.winner().number))
    assert again.returncode == 2 and "Keras' fit trained it, which is not replayed; leave --engine ray-tune-fit out" in again.stderr
