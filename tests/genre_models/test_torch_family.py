"""A user's own family with a loop of its own: the example of docs/torch-family.md, as it stands there, searched, stopped, resumed, looked at and asked."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genre_models.errors import GenreModelsError, SnapshotError
from genre_models.families import FAMILIES, own
from genre_models.objective import Objective
from search.study_view import read_study
from tests import tiny_study
from tests.doc_pages import fenced

ROOT = Path(__file__).parents[2]
EXAMPLE = fenced(ROOT / "docs" / "torch-family.md", "python")[0].text
SPACE = """
study: strips
data: {validation: {holdout: 0.3}}
features: {sr: 11025, n_fft: 512, hop_length: 512, n_mels: 16, clip_seconds: auto, segments: 2}
budget: {min_epochs: 2, max_epochs: 4, reduction_factor: 2, trials: 2}
scheduler: asha_promotion
workers: 1
families:
  strips: {filters: {int: [8, 32]}, batch_size: 16, learning_rate: 0.01}
"""
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install -c constraints.txt -e '.[torch]'")


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) < 60


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that makes a text the family of this process; what it adds is gone after the test."""
    monkeypatch.setattr(own, "_ADDED", {})
    monkeypatch.setattr(own, "_NAMES", {})
    known = set(FAMILIES)

    def make(text: str = EXAMPLE) -> Path:
        (tmp_path / "strips.py").write_text(text)
        monkeypatch.setenv(own.VARIABLE, str(tmp_path / "strips.py"))
        own.add_own_families()
        return tmp_path / "strips.py"

    yield make
    for name in set(FAMILIES) - known:
        del FAMILIES[name]
    for name in [name for name in sys.modules if name.startswith("own_family_")]:
        del sys.modules[name]


@pytest.fixture
def objective(tmp_path: Path):
    """A worker's, on a small corpus of pictures; and a specification of the family."""
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    spec = tiny_study.make_spec("strips", {"filters": 8, "learning_rate": 0.01, "batch_size": 8}, epochs=4)
    spec["features"]["segments"] = 2
    source = str(tiny_study.make_corpus(tmp_path / "music"))
    data = open_task(DataSettings(source=source), {"strips": FeatureSettings.model_validate(spec["features"])}, 0, tmp_path / "cache", workers=1)
    data.prepare_features(workers=1)
    return Objective(data.task({"metric": "val_accuracy", "direction": "maximize"}, {})), spec


def curve(outcome: dict) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in outcome["history"]]


@pytest.mark.slow
@needs_torch
def test_a_trial_that_is_resumed_has_the_curve_of_one_that_was_not(family, objective, tmp_path: Path) -> None:
    family()
    runs, spec = objective

    def pause(epoch: int, metrics: dict, snapshot) -> str:
        if epoch < 2:
            return "continue"
        snapshot(str(tmp_path / "state"))
        return "pause"

    whole = runs.run(spec, lambda *told: "continue")
    paused = runs.run(spec, pause)
    resumed = runs.run(spec, lambda *told: "continue", resume=str(tmp_path / "state"))
    assert (paused["epochs"], resumed["epochs"], len(whole["history"])) == (2, 4, 4)
    assert curve(paused) == curve(whole)[:2] and curve(resumed) == curve(whole)
    kept = ("value", "best_epoch", "items", "parameters", "macro_f1", "temperature")
    assert {name: resumed[name] for name in kept} == {name: whole[name] for name in kept}
    height, channels = 16, 1
    assert whole["parameters"] == (5 * height * channels + 1) * 8 + 9 * 3
    assert set(whole["phases"]) == {"build", "train", "validate", "report"}

    (tmp_path / "state" / "part-0001" / "state.pt").write_bytes(b"no state")
    with pytest.raises(SnapshotError, match="can't be gone on from"):
        runs.run(spec, lambda *told: "continue", resume=str(tmp_path / "state"))


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("(facts, loop.best)", "(facts, build(*facts).state_dict())", "says something else than the trained model"),
        ('folder / "weights.pt"', 'folder / "model.keras"', "save wrote model.keras"),
        ("softmax(1)", "sigmoid()", "adding up to 1"),
        ("return predictor(net)", "return net.no_such_thing", "load of family 'strips' fails"),
    ],
)
def test_what_could_not_be_looked_at_is_told_by_the_first_trial(old: str, new: str, told: str, family, objective) -> None:
    assert old in EXAMPLE
    family(EXAMPLE.replace(old, new))
    runs, spec = objective
    with pytest.raises(GenreModelsError, match=told):
        runs.run(spec, lambda *told: "continue")


def command(file: Path | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    mine = {name: value for name, value in os.environ.items() if name != own.VARIABLE} | ({own.VARIABLE: str(file)} if file else {})
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, env=mine, capture_output=True, text=True, timeout=300, check=False)


def refused(done: subprocess.CompletedProcess[str], *told: str) -> None:
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert [each for each in told if each not in done.stderr] == [], done.stderr


@pytest.mark.slow
@needs_torch
@pytest.mark.timeout(900)
def test_it_is_searched_looked_at_and_asked(tmp_path: Path) -> None:
    from genre_models.demo import render_demo

    file, studies, final = tmp_path / "strips.py", ("--study", "strips", "--studies-dir", tmp_path / "studies"), tmp_path / "studies" / "strips" / "final"
    file.write_text(EXAMPLE)
    (tmp_path / "space.yaml").write_text(SPACE)
    music = render_demo(tmp_path / "music", seed=1, tracks_per_style=8, seconds=2.0)
    search = ("-m", "search.run", "--space", tmp_path / "space.yaml", "--data", music, *studies)
    done = command(file, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    view = read_study(tmp_path / "studies", "strips")
    winner = next(trial for trial in view.trials if trial.is_full)
    assert not [trial.reason for trial in view.trials if trial.state == "FAIL"] and sorted(winner.reports) == [1, 2, 3, 4]
    replayed = command(file, *search, "--replay", str(winner.number))
    assert replayed.returncode == 0 and "the same: all 4 epochs" in replayed.stdout, replayed.stdout + replayed.stderr

    for script in ("final_eval", "inflation"):
        refused(command(None, f"scripts/{script}.py", *studies), "GENRE_FAMILIES=FILE.py")
    look = command(file, "scripts/final_eval.py", *studies)
    assert look.returncode == 0, look.stdout + look.stderr
    metrics, pipeline = (json.loads((final / name).read_text()) for name in ("metrics.json", "model/pipeline.json"))
    assert sorted(path.name for path in (final / "model").iterdir()) == ["pipeline.json", "weights.pt"]
    assert metrics["model"] == "weights.pt" and metrics["model_sha256"] == metrics["files"]["weights.pt"] == pipeline["code"]["model"]["weights.pt"]
    assert metrics["latency"]["network_ms"]["median"] > 0
    report, card = (final.parent / "report.html").read_text(), (final / "card.md").read_text()
    assert f"GENRE_FAMILIES={file} python scripts/final_eval.py" in report and pipeline["code"]["sha256"] in report
    assert f"GENRE_FAMILIES={file} python scripts/predict.py" in card and pipeline["code"]["sha256"] in card and "scripts/export.py" not in card

    with (final / "predictions.csv").open(newline="") as lines:
        header, *said = csv.reader(lines)
    held_out = [music / f"{row[0]}.wav" for row in said]
    asked = command(file, "scripts/predict.py", *studies, *held_out, "--csv", tmp_path / "out.csv")
    assert asked.returncode == 0 and "not checked" not in asked.stdout, asked.stdout + asked.stderr
    with (tmp_path / "out.csv").open(newline="") as lines:
        assert [row[1:-1] for row in csv.reader(lines)] == [header[2:], *(row[2:] for row in said)], "to the last digit that is written"

    check_refusals(file, studies, final, held_out[0], tmp_path)


def check_refusals(file: Path, studies: tuple, final: Path, clip: Path, tmp_path: Path) -> None:
    """A model is loaded by the file that made it, unchanged, from the files that were saved; by nothing else."""
    refused(command(None, "scripts/predict.py", *studies, clip), "GENRE_FAMILIES is not set", "strips.py with SHA-256 ")
    refused(command(file, "scripts/export.py", *studies, "--to", "onnx"), "is loaded by its family's own file, strips.py, and has no form for other runtimes")
    missing = command(None, "scripts/predict.py", *studies, tmp_path / "absent.wav")
    assert missing.returncode == 2 and "no such file" in missing.stdout, "nothing is loaded to say so"
    shutil.copytree(final, tmp_path / "copy")
    weights = tmp_path / "copy" / "model" / "weights.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refused(command(file, "scripts/predict.py", "--model", tmp_path / "copy", clip), "weights.pt: has SHA-256 ", "it is another model")
    (tmp_path / "copy" / "metrics.json").unlink()
    refused(command(file, "scripts/predict.py", "--model", tmp_path / "copy", clip), "weights.pt: has changed since the model was saved")
    mark = tmp_path / "mark"
    (tmp_path / "copy" / "model" / "strips.py").write_text(f"open({str(mark)!r}, 'w')\n")
    refused(command(None, "scripts/predict.py", "--model", tmp_path / "copy", clip), "GENRE_FAMILIES is not set")
    assert not mark.exists()
    file.write_text(EXAMPLE + "\n# changed\n")
    refused(command(file, "scripts/predict.py", *studies, clip), "so it was changed since", "GENRE_FAMILIES=FILE.py")
