"""Who may import whom: `search` knows no genre, `genre_models` knows no search, only composition roots join them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = {"search", "ray", "optuna", "optuna_dashboard", "codecarbon", "keras_tuner"}
ROOTS = {ROOT / "search" / "run.py"}
#: One owner for each outside library (docs/design.md): package -> files of search/ that may import it.
OWNERS = {
    "ray": {f"engines/ray_{part}.py" for part in ("capacity", "connect", "meter", "pool", "shipping", "token", "tune_engine", "tune_trainable", "worker")},
    "keras_tuner": {f"engines/keras_tuner_{part}.py" for part in ("hyperband", "space")},
    "optuna": {f"dashboard/{part}.py" for part in ("evidence", "folder_storage", "shown_study", "study_reader")} | {"storage.py", "trial_rows.py", "study.py", "study_view.py", "sampling.py", "drawing.py", "mirror.py", "report/importance.py"},
    "plotly": {"report/page.py"},
    "optuna_dashboard": {"dashboard/app.py", "dashboard/shown_study.py"},
    "waitress": {"dashboard/command.py"},
    "codecarbon": {"energy.py"},
    "cmaes": {"cma_es.py"},
    "sqlalchemy": {"dashboard/study_reader.py", "storage.py", "trial_rows.py", "database.py", "advisory_lock.py"},
    "psycopg": {"database.py"},
    "yaml": {"space_file.py"},
    "fsspec": {"remote_depot.py"},
}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def test_search_knows_no_genre() -> None:
    for path in set(files("search")) - ROOTS:
        assert not imported(path) & {"genre_models", "tensorflow", "keras", "librosa", "sklearn"}, path


def test_genre_models_knows_no_search() -> None:
    for path in files("genre_models"):
        assert not imported(path) & ENGINE, path


@pytest.mark.parametrize("library", OWNERS)
def test_each_library_has_its_owner(library: str) -> None:
    users = {str(p.relative_to(ROOT / "search")) for p in files("search") if library in imported(p)}
    assert users <= OWNERS[library]


@pytest.mark.parametrize("module", ["search.config", "search.run", "genre_models.families", "genre_models.settings"])
def test_nothing_heavy_is_loaded_before_a_file_is_valid(module: str) -> None:
    heavy = "{'tensorflow', 'keras', 'ray', 'optuna', 'librosa', 'sklearn', 'scipy', 'pandas', 'numba', 'torch', 'cmaes', 'codecarbon', 'keras_tuner'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
