"""Files that are no study, or another's: each reader names the file and the reason, in one line."""

from __future__ import annotations

import io
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from scripts import report
from scripts.final_request import choose_study
from search.errors import StudyError
from search.study_view import damaged_studies, list_studies, read_study
from tests.search.dashboard_requests import make_study


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    make_study(tmp_path, "good")
    make_study(tmp_path, "s")
    return tmp_path


def garbage(file: Path) -> None:
    file.write_bytes(random.Random(0).randbytes(9000))


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def spoil_values(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '{'")
        connection.commit()


WRONG = [
    (garbage, "study.db is not a database: put a copy of it in its place"),
    (halve, "study.db is damaged (database disk image is malformed)"),
    (lambda file: file.write_bytes(b""), "study.db is empty"),
    (lambda file: shutil.copy(file.parents[1] / "good" / "study.db", file), "study.db holds study 'good': a study's folder can't be renamed"),
]


@pytest.mark.parametrize(("spoil", "why"), WRONG)
def test_a_file_that_is_not_the_studys_is_named_with_the_reason(studies: Path, spoil: Callable[[Path], object], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(studies / "s" / "study.db")
    assert report.main(["--studies-dir", str(studies), "--study", "s"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: study 's': {studies / 's'}/") and why in said and len(said.splitlines()) == 1
    assert list_studies(studies) == ["good"] and list(damaged_studies(studies)) == ["s"]


def test_best_leaves_out_what_is_damaged_and_says_so(studies: Path) -> None:
    garbage(studies / "s" / "study.db")
    console = Console(file=io.StringIO(), soft_wrap=True)
    assert choose_study(studies, "best", console) == "good"
    assert console.file.getvalue().startswith(f"left out: study 's': {studies}/s/study.db is not a database")
    shutil.rmtree(studies / "good")
    with pytest.raises(StudyError, match=r"--study best: no study in .* can be taken: study 's': .*study\.db is not a database"):
        choose_study(studies, "best", console)


def test_damage_among_the_values_is_named_too(studies: Path) -> None:
    spoil_values(studies / "s" / "study.db")
    with pytest.raises(StudyError, match=r"study 's': .*study\.db is damaged \(JSONDecodeError"):
        read_study(studies, "s")
    console = Console(file=io.StringIO(), soft_wrap=True)
    assert choose_study(studies, "best", console) == "good" and "left out: study 's'" in console.file.getvalue()
