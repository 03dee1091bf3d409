"""A naive study and the measure of what it gains, with real training: marked in all that it writes, refused where a result is asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from PIL import Image

from tests.test_end_to_end import command

SPACE = """
study: tuned
data: {{source: {corpus}, validation: {{holdout: 0.3}}}}
features: {{image_size: [16, 48], segments: 4}}
budget: {{min_epochs: 8, max_epochs: 8, trials: 1}}
engine: inline
scheduler: none
precision: float32
families:
  cnn: {{depth: 1, filters: 16, kernel: 3, head: flatten, learning_rate: 0.01, dropout: 0.0, batch_size: 8, time_shift: 0.0, spec_augment: false}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks whose rows are a pattern of their own, the same in all segments, and nothing of their class: what is known of a track is only the track."""
    folder, rng = tmp_path_factory.mktemp("naive"), np.random.default_rng(0)
    for label in ("folk", "polka"):
        (folder / "music" / label).mkdir(parents=True)
        for i in range(16):
            pixels = np.repeat(rng.integers(0, 256, (16, 1)), 48, axis=1) + rng.integers(-9, 10, (16, 48))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "music" / label / f"{i:02d}.png")
    (folder / "tuned.yaml").write_text(SPACE.format(corpus=folder / "music"))
    return folder


def run(folder: Path, *words: object) -> str:
    done = command(*words, "--studies-dir", folder / "studies")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_naive_study_is_marked_everywhere_and_its_advantage_is_measured(folder: Path) -> None:
    search = ("-m", "search.run", "--space", folder / "tuned.yaml")
    told = run(folder, *search, "--split", "naive")
    assert "study tuned-naive: trials with the full budget; NAIVE SPLIT" in " ".join(told.split())
    assert "next:" not in told and "never:       a look at held-out tracks with this study. NAIVE SPLIT" in told
    naive = folder / "studies" / "tuned-naive"
    assert json.loads((naive / "run.json").read_text())["caveat"].startswith("NAIVE SPLIT")
    assert all("NAIVE SPLIT" in row["corpus"] for row in csv.DictReader((naive / "leaderboard.csv").open()))
    study = optuna.load_study(study_name="tuned-naive", storage=f"sqlite:///{naive}/study.db")
    assert study.user_attrs["caveat"].startswith("NAIVE SPLIT") and "NAIVE SPLIT" in study.user_attrs["corpus"]
    refused = command("scripts/final_eval.py", "--study", "tuned-naive", "--studies-dir", folder / "studies")
    assert refused.returncode == 2 and refused.stderr.startswith("error: study 'tuned-naive': NAIVE SPLIT")
    assert not (folder / "studies" / ".seals").exists()
    mixed = command(*search, "--study", "tuned-naive", "--studies-dir", folder / "studies")
    assert mixed.returncode == 2 and "data.split" in mixed.stderr

    warm = command(*search, "--study", "warm", "--warm-start", "tuned-naive", "--studies-dir", folder / "studies")
    assert warm.returncode == 2 and "warm_start: study 'tuned-naive': NAIVE SPLIT" in warm.stderr

    assert "NAIVE" not in run(folder, *search)
    refused = command("scripts/inflation.py", "--study", "tuned-naive", "--studies-dir", folder / "studies")
    assert refused.returncode == 2 and "name an honest one" in refused.stderr
    told = run(folder, "scripts/inflation.py", "--study", "tuned", "--folds", "2", "--workers", "1", "--json", folder / "i.json")
    found = json.loads((folder / "i.json").read_text())
    assert "| by segment | " in told and (found["segments"], found["tracks"], found["folds"]) == (4 * 26, 26, 2)
    by_segment = found["by segment"]
    assert by_segment["segments apart"] > 0.8, "a segment is told by the rest of its track"
    assert by_segment["tracks whole"] < 0.7, "and there is nothing else to tell it by"
    assert by_segment["interval"][0] > 0.1 and found["by track"]["interval"][0] > 0
