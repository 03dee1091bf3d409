"""The user's whole path on a tiny demo corpus, with real Ray and real TensorFlow: search, go on, look once, look again."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import psutil
import pytest

from genre_models.demo import render_demo

ROOT = Path(__file__).parents[1]
#: In the environment of all that these tests start.
MARK = "END_TO_END_TEST"
SPACE = """
study: tiny
features: {sr: 11025, n_fft: 512, hop_length: 512, n_mels: 16, clip_seconds: auto}
budget: {min_epochs: 1, max_epochs: 4, reduction_factor: 2, trials: 4}
workers: 2
families:
  cnn:
    depth: {int: [1, 2]}
    filters: {choice: [4, 8]}
    learning_rate: {float: [1e-3, 1e-2], log: true}
    spec_augment: {choice: [true, false]}
    frequency_mask: {int: [1, 4], when: {spec_augment: true}}
    batch_size: 16
"""


def command(*words: str | Path, seconds: float = 110) -> subprocess.CompletedProcess[str]:
    mine = os.environ | {MARK: str(os.getpid())}
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, env=mine, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    render_demo(folder / "music", seed=1, tracks_per_style=8, seconds=2.0)
    style = next(p for p in sorted((folder / "music").iterdir()) if p.is_dir())
    (style / "broken.wav").write_bytes(b"RIFF not audio")
    (folder / "tiny.yaml").write_text(SPACE)
    return folder


def search(place: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("--space", place / "tiny.yaml", "--data", place / "music", "--study", "tiny", "--studies-dir", place / "studies")
    return command("-m", "search.run", *words, *more)


def ray_processes() -> set[tuple[int, str]]:
    """Ray's processes that a command of this test started: others may run searches on this machine."""
    found = set()
    for process in psutil.process_iter(["pid", "name", "status"]):
        try:
            is_ray = process.info["name"].startswith("ray::") and process.info["status"] != psutil.STATUS_ZOMBIE
            if is_ray and process.environ().get(MARK) == str(os.getpid()):
                found.add((process.info["pid"], process.info["name"]))
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(400)
def test_search_resume_look_and_seal(place: Path) -> None:
    ray_before = ray_processes()
    first = search(place)
    assert first.returncode == 0, first.stdout + first.stderr
    assert not ray_processes() - ray_before, "no worker is left behind"
    assert "broken.wav" in first.stdout and "1 file can't be decoded" in first.stdout
    assert "demo" in first.stdout and "Traceback" not in first.stdout + first.stderr

    study = place / "studies" / "tiny"
    trials = optuna.load_study(study_name="tiny", storage=f"sqlite:///{study}/study.db").trials
    assert len(trials) == 4 and {t.state.name for t in trials} <= {"COMPLETE", "PRUNED"}
    assert all(sorted(t.intermediate_values) == list(range(1, len(t.intermediate_values) + 1)) for t in trials)
    assert all(len(t.intermediate_values) == 4 for t in trials if t.state.name == "COMPLETE")
    with (study / "leaderboard.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 4 and float(rows[0]["low"]) <= float(rows[0]["val_accuracy"]) <= float(rows[0]["high"])
    winner = int(rows[0]["trial"])
    assert {p.name for p in (study / "trials" / f"{winner:04d}").iterdir()} >= {"weights.weights.h5", "curve.csv", "validation.csv"}

    more = search(place, "--trials", "5", "--engine", "inline")
    assert more.returncode == 0, more.stdout + more.stderr
    assert "features: 0 files decoded" in more.stdout and "going on with study 'tiny'" in more.stdout

    held_out = json.loads((study / "run.json").read_text())["tracks"]["held_out"]
    look = command(ROOT / "scripts" / "final_eval.py", "--study", "best", "--studies-dir", place / "studies")
    assert look.returncode == 0, look.stdout + look.stderr
    metrics = json.loads((study / "final" / "metrics.json").read_text())
    low, high = metrics["accuracy_ci95"]
    assert metrics["demo"] is True and metrics["n_tracks"] == held_out and low <= metrics["accuracy"] <= high
    assert sum(map(sum, metrics["confusion"])) == held_out
    for name in ("predictions.csv", "confusion.png", "curves.png", "card.md", "model/model.keras"):
        assert (study / "final" / name).stat().st_size > 0

    again = command(ROOT / "scripts" / "final_eval.py", "--study", "tiny", "--studies-dir", place / "studies")
    assert again.returncode == 0 and "nothing is evaluated" in again.stdout
    receipts = next((place / "studies" / ".seals").glob("*.jsonl")).read_text().splitlines()
    assert len(receipts) == 2

    # Another study on the same split wants its own look.
    other = search(place, "--study", "other", "--trials", "1", "--engine", "inline", "--seed", "5")
    assert other.returncode == 0, other.stdout + other.stderr
    sealed = command(ROOT / "scripts" / "final_eval.py", "--study", "other", "--studies-dir", place / "studies")
    assert sealed.returncode == 3 and "tiny" in sealed.stderr and "--again" in sealed.stderr


def test_dry_run_needs_no_corpus(place: Path) -> None:
    done = command("-m", "search.run", "--space", place / "tiny.yaml", "--data", place / "nowhere", "--dry-run", "--studies-dir", place / "s2")
    assert done.returncode == 0, done.stderr
    assert "rungs at epochs 1, 2" in done.stdout and "no estimate of time" in done.stdout
    assert not (place / "s2" / "tiny").exists()


def test_a_cache_that_can_not_be_made_is_one_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("a file")
    done = command("-m", "search.run", "--space", place / "tiny.yaml", "--studies-dir", tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr and f"{tmp_path}/.cache" in done.stderr, done.stderr
    assert done.stderr.count("error: ") == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--data", "{place}/nowhere"), "nowhere"),
        (("--trials", "0"), "trials"),
        (("--address", "127.0.0.1:1"), "--address 127.0.0.1:1"),
        (("--study", "best"), "best is reserved"),
    ],
)
def test_bad_input_is_one_clear_error(place: Path, change: tuple[str, ...], told: str) -> None:
    done = search(place, "--study", "bad", *(word.format(place=place) for word in change))
    assert done.returncode == 2
    assert told in done.stderr and "Traceback" not in done.stderr + done.stdout


def test_describe_and_help_teach() -> None:
    described = command("-m", "search.run", "--describe", "cnn")
    assert described.returncode == 0 and "learning_rate" in described.stdout and "SpecAugment" in described.stdout
    assert command("-m", "search.run", "--describe", "cn").returncode == 2
    assert "final_eval.py" in command("-m", "search.run", "--help").stdout
    missing = command("-m", "search.run")
    assert missing.returncode == 2 and "spaces/cnn.yaml" in missing.stderr
