"""The space files that are shipped, as they are: a dry run of each, and those of several kinds of models run to the final evaluation, shrunk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from search.study_view import read_study
from tests.test_end_to_end import ROOT, command
from tests.tiny_study import LABELS

SPACES = sorted((ROOT / "spaces").glob("*.yaml"))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: the demo corpus is rendered once."""
    return tmp_path_factory.mktemp("shipped") / "studies"


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_dry_run_of_each_as_shipped(path: Path, studies: Path) -> None:
    """Without weights, which only a search wants, and without the corpora that the files name; the demo is rendered."""
    done = command("-m", "search.run", "--space", path.relative_to(ROOT), "--dry-run", "--studies-dir", studies, seconds=190)
    assert done.returncode == 0, done.stderr
    shipped = yaml.safe_load(path.read_text())
    assert "epochs in all" in done.stdout and "Traceback" not in done.stderr
    if shipped["data"]["source"] == "demo":
        assert "configurations drawn at random" in done.stdout and "time, roughly" in done.stdout
        assert all(f"\n{family}: " in done.stdout for family in shipped["families"]), "what each family is given"
    else:
        assert "no estimate of time, the corpus can't be read" in done.stdout


def make_sounds(folder: Path) -> Path:
    """Ten sounds of each of three genres, two seconds long."""
    rng, time = np.random.default_rng(0), np.arange(44_100) / 22_050
    for number, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            y = 0.3 * np.sin(2 * np.pi * 250 * 2 ** (number + rng.normal(0, 0.2)) * time) + rng.normal(0, 0.02, len(time))
            soundfile.write(folder / label / f"{i}.wav", y, 22_050)
    return folder


def shrunk(space: dict[str, Any], music: Path) -> dict[str, Any]:
    """Everything that is searched stays; corpus, networks' input, epochs and trials are small, and weights are none that must be had."""
    families = space["families"]
    small = {"weights": "random", "trunk_side": 32}
    for family in families.values():
        family["min_trials"] = 1
        if "fine_tune_after" in family:
            family["fine_tune_blocks"], family["fine_tune_after"] = 1, 1
    folds = space["data"]["validation"].get("folds")
    return space | {
        "data": space["data"] | {"source": str(music), "validation": {"folds": 2} if folds else {"holdout": 0.3}},
        "features": space["features"] | small,
        "budget": {"min_epochs": 1, "max_epochs": 2, "reduction_factor": 2, "trials": len(families) + 1},
        "engine": "inline",
        "precision": "float32",
    }


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["all", "transfer", "classical"])
def test_a_shipped_space_runs_to_the_final_evaluation(name: str, tmp_path: Path) -> None:
    space = shrunk(yaml.safe_load((ROOT / "spaces" / f"{name}.yaml").read_text()), make_sounds(tmp_path / "music"))
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    studies = tmp_path / "studies"
    done = command("-m", "search.run", "--space", tmp_path / "space.yaml", "--studies-dir", studies, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out" not in done.stdout
    trials = read_study(studies, name).trials
    assert not [t.reason for t in trials if t.state == "FAIL"]
    full = {t.family for t in trials if t.is_full}
    assert full == set(space["families"]), [(t.number, t.family, t.state, t.reason) for t in trials]
    tuned = {t.family for t in trials if t.is_full and t.spec["params"].get("fine_tune_blocks")}
    assert tuned == {family for family, given in space["families"].items() if "fine_tune_after" in given}

    also = ("--also", "families") if name == "all" else ()
    look = command("scripts/final_eval.py", "--study", name, "--studies-dir", studies, *also, seconds=200)
    assert look.returncode == 0, look.stdout + look.stderr
    metrics = json.loads((studies / name / "final" / "metrics.json").read_text())
    assert metrics["n_tracks"] == 6 and sum(map(sum, metrics["confusion"])) == 6
    assert {metrics["family"], *(other["family"] for other in metrics["also"])} == (full if also else {metrics["family"]})
