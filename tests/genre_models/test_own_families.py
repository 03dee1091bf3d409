"""A user's own family: the example of docs/adding-a-family.md, as it stands there."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genre_models.errors import GenreModelsError
from genre_models.families import FAMILIES, own
from search import run
from search.study_view import read_study
from tests.doc_pages import fenced
from tests.tiny_study import make_corpus

ROOT = Path(__file__).parents[2]
EXAMPLE = fenced(ROOT / "docs" / "adding-a-family.md", "python")[0].text
SPACE = """
study: own
data: {validation: {holdout: 0.3}}
features: {image_size: [16, 24]}
budget: {min_epochs: 1, max_epochs: 2, reduction_factor: 2, trials: 2}
workers: 1
families:
  along_time: {depth: {int: [1, 2]}, filters: {int: [4, 8]}, batch_size: 8, learning_rate: 0.01}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example as a file that the environment names; what it adds is gone after the test."""
    path = tmp_path / "along_time.py"
    path.write_text(EXAMPLE)
    monkeypatch.setenv(own.VARIABLE, str(path))
    monkeypatch.setattr(own, "_ADDED", {})
    monkeypatch.setattr(own, "_NAMES", {})
    yield path
    FAMILIES.pop("along_time", None)
    for name in [name for name in sys.modules if name.startswith("own_family_")]:
        del sys.modules[name]


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) < 60


def test_a_named_file_is_a_family(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--describe", "along_time"]) == 0
    assert "Width of a filter, in frames" in capsys.readouterr().out
    assert own.add_own_families() == own.add_own_families() and own.own_code("along_time") and own.own_code("cnn") is None
    (tmp_path / "space.yaml").write_text(SPACE.replace("depth: {int: [1, 2]}", "depth: {int: [1, 9]}"))
    assert run.main(["--space", str(tmp_path / "space.yaml"), "--dry-run"]) == 2
    assert "families.along_time.depth" in capsys.readouterr().err


def test_without_the_variable_it_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--describe", "along_time"]) == 2
    assert "no such family" in capsys.readouterr().err
    with pytest.raises(GenreModelsError, match="GENRE_FAMILIES=FILE.py"):
        own.require_family("along_time", "0" * 64)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name="along_time"', 'name="cnn"', "there is a family 'cnn' already"),
        ("FAMILY =", "OTHER =", "defines no family"),
        ("module=__name__", 'module="along_time"', "write module=__name__"),
        ("def estimate", "def costs", "has no function estimate"),
        ("import Cost", "import Nothing, Cost", r"can't be run \(ImportError"),
        ("def fit", "deff it", r"can't be run \(SyntaxError"),
    ],
)
def test_a_file_that_will_not_do_is_one_line(old: str, new: str, told: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert old in EXAMPLE
    file.write_text(EXAMPLE.replace(old, new))
    with pytest.raises(GenreModelsError, match=told):
        own.add_own_families()
    known = set(FAMILIES)
    assert run.main(["--describe", "cnn"]) == 2 and set(FAMILIES) == known
    assert capsys.readouterr().err.startswith(f"error: GENRE_FAMILIES: {file}: ")


def test_a_missing_file_and_two_of_one_name(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.add_own_families()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / file.name).write_text(EXAMPLE)
    monkeypatch.setenv(own.VARIABLE, f"{file}{os.pathsep}{tmp_path / 'more' / file.name}")
    with pytest.raises(GenreModelsError, match="another file is called along_time.py too"):
        own.add_own_families()
    with pytest.raises(GenreModelsError, match=r"gone\.py: can't be read"):
        own.add_own_families({str(tmp_path / "gone.py"): "0" * 64})


def test_a_worker_refuses_a_file_that_was_changed(file: Path) -> None:
    told = own.add_own_families()
    own.require_family("along_time", told[str(file)])
    with pytest.raises(GenreModelsError, match="not the file that the search began with"):
        own.add_own_families({str(file): "0" * 64})
    with pytest.raises(GenreModelsError, match="not the one that the study was made with"):
        own.require_family("along_time", "0" * 64)


def command(file: Path | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    mine = {name: value for name, value in os.environ.items() if name != own.VARIABLE} | ({own.VARIABLE: str(file)} if file else {})
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, env=mine, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
def test_it_is_searched_looked_at_and_asked(tmp_path: Path) -> None:
    file, studies = tmp_path / "along_time.py", ("--studies-dir", tmp_path / "studies")
    file.write_text(EXAMPLE)
    (tmp_path / "space.yaml").write_text(SPACE)
    music = make_corpus(tmp_path / "music")
    search = ("-m", "search.run", "--space", tmp_path / "space.yaml", "--data", music, "--study", "own", *studies)
    done = command(file, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    view = read_study(tmp_path / "studies", "own")
    full = [trial for trial in view.trials if trial.is_full]
    assert full and {trial.family for trial in view.trials} == {"along_time"} and not [trial.reason for trial in view.trials if trial.state == "FAIL"]
    p = full[0].spec["params"]
    sizes = [16, *[p["filters"]] * p["depth"]]
    convolutions = sum((p["frames"] * before + 1) * after for before, after in zip(sizes, sizes[1:]))
    assert full[0].outcome["parameters"] == convolutions + 3 * (p["filters"] + 1)

    refused = command(None, "scripts/final_eval.py", "--study", "own", *studies)
    assert refused.returncode == 2 and "GENRE_FAMILIES=FILE.py" in refused.stderr and "Traceback" not in refused.stderr
    look = command(file, "scripts/final_eval.py", "--study", "own", *studies)
    assert look.returncode == 0, look.stdout + look.stderr
    assert json.loads((tmp_path / "studies" / "own" / "final" / "metrics.json").read_text())["family"] == "along_time"
    page = command(None, "scripts/report.py", "--study", "own", *studies)
    assert page.returncode == 0 and "Traceback" not in page.stderr, page.stdout + page.stderr
    written = command(None, "scripts/export.py", "--study", "own", *studies, "--to", "tflite")
    assert written.returncode == 0, written.stdout + written.stderr
    asked = command(None, "scripts/predict.py", "--study", "own", *studies, music / "pop", "--csv", tmp_path / "out.csv")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    with (tmp_path / "out.csv").open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == 10

    file.write_text(EXAMPLE + "\n# changed\n")
    again = command(file, *search, "--trials", "3")
    assert again.returncode == 2 and "families.along_time.code" in again.stderr and "Traceback" not in again.stderr
