"""A study on torch, from a killed search to a prediction: real commands, Ray's workers, tiny pictures, a pretrained network with random weights."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from genre_models.framework import BACKENDS
from search.errors import StudyError
from search.study_view import StudyView, read_study
from tests.test_end_to_end import ROOT, command
from tests.tiny_study import make_corpus

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason=f"torch is not installed: {BACKENDS['torch']}")

SPACE = {
    "study": "torched",
    "backend": "torch",
    "features": {"image_size": [16, 24]},
    "budget": {"min_epochs": 1, "max_epochs": 16, "reduction_factor": 4, "trials": 4},
    "precision": "float32",
    "workers": 1,
    "families": {
        "cnn": {"min_trials": 1, "depth": 1, "filters": 4, "learning_rate": {"float": [1e-3, 1e-2], "log": True}, "mixup": 0.2, "spec_augment": True},
        "mobilenet": {
            "features": {"image_size": [32, 32], "colour": "rgb", "weights": "random", "trunk_side": 32},
            "min_trials": 1, "cut": "conv_pw_3_relu", "head_units": "8", "learning_rate": {"float": [1e-3, 1e-2], "log": True}, "copies": 1,
            "fine_tune_blocks": 1, "fine_tune_after": 2,
        },
    },
}  # fmt: skip


def kill_in_an_epoch(words: list[str | Path], studies: Path) -> StudyView:
    """Start a search and kill it once a trial is past a checkpoint; what the study holds then."""
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        while process.poll() is None:
            time.sleep(0.05)
            try:
                view = read_study(studies, "torched")
            except StudyError:
                continue  # not made yet
            if any(t.state == "RUNNING" and t.checkpoint is not None and len(t.reports) >= 2 for t in view.trials):
                break
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    told = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, told
    return read_study(studies, "torched")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_on_torch_is_killed_goes_on_is_looked_at_and_predicts(tmp_path: Path) -> None:
    music, studies, space = make_corpus(tmp_path / "music"), tmp_path / "studies", tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(SPACE | {"data": {"source": str(music), "validation": {"holdout": 0.3}}}))
    search = ["-m", "search.run", "--space", space, "--studies-dir", studies]
    killed = kill_in_an_epoch([*search, "--engine", "inline"], studies)

    done = command(*search, seconds=400)  # on Ray's workers
    assert done.returncode == 0, done.stdout + done.stderr
    assert "going on with study 'torched'" in done.stdout
    view = read_study(studies, "torched")
    full = [trial for trial in view.trials if trial.is_full]
    assert {trial.family for trial in full} <= set(SPACE["families"]) and full, [(t.number, t.state, t.reason) for t in view.trials]
    assert not [t.reason for t in view.trials if t.state == "FAIL" and t.end != "orphan"]
    lost = [t for t in view.trials if t.end == "orphan"]
    assert len(lost) == 1 and sum(t.counts for t in killed.trials) < SPACE["budget"]["trials"]
    (successor,) = (t for t in view.trials if t.retry_of == lost[0].number)
    assert {epoch: value for epoch, value in lost[0].reports.items() if successor.reports[epoch] != value} == {}, "it went on as if it had not been killed"
    assert {trial.spec["backend"] for trial in view.trials} == {"torch"} == {view.run["backend"], view.fingerprint["backend"]}

    number = str(full[0].number)
    replayed = command(*search, "--engine", "inline", "--replay", number, seconds=200)
    assert replayed.returncode == 0 and "the same: all" in replayed.stdout, replayed.stdout + replayed.stderr
    space.write_text(space.read_text().replace("backend: torch\n", ""))
    refused = command(*search, seconds=200)
    assert refused.returncode == 2 and "backend: study has torch, file has tensorflow" in refused.stderr, refused.stderr

    look = command("scripts/final_eval.py", "--study", "torched", "--studies-dir", studies, seconds=300)
    assert look.returncode == 0, look.stdout + look.stderr
    final = studies / "torched" / "final"
    assert json.loads((final / "metrics.json").read_text())["backend"] == "torch"
    assert json.loads((final / "model" / "pipeline.json").read_text())["backend"] == "torch"
    with (final / "predictions.csv").open() as file:
        said = list(csv.DictReader(file))
    held_out = [next(music.glob(f"{row['track']}.png")) for row in said]
    predicted = command("scripts/predict.py", "--model", final, *held_out, "--json", tmp_path / "out.json", seconds=200)  # on TensorFlow
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    for row, track in zip(said, json.loads((tmp_path / "out.json").read_text())["predictions"], strict=True):
        assert {f"p_{label}": p for label, p in track["p"].items()} == pytest.approx({key: float(p) for key, p in row.items() if key.startswith("p_")}, abs=1e-4)


def test_a_backend_that_is_missing_ends_a_search_and_is_noted_in_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from search.run import main

    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE | {"data": {"source": str(tmp_path / "absent")}}))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else found(name, *more))
    words = ["--space", str(tmp_path / "space.yaml"), "--studies-dir", str(tmp_path / "studies")]
    assert main(words) == 2
    assert capsys.readouterr().err == "error: backend: torch is not installed here: pip install -c constraints.txt -e '.[torch]'\n"
    assert not (tmp_path / "studies").exists()
    assert main([*words, "--dry-run"]) == 0
    assert "note: backend: torch is not installed here: pip install -c constraints.txt -e '.[torch]', before this space can be searched" in capsys.readouterr().out
