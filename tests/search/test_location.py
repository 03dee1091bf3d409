"""Where a study is kept, and that its database's password is never told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from search.config import load_space
from search.database import described, parse_url
from search.errors import SpaceFileError, StudyError
from search.location import Location, locate
from search.run import main
from search.study import StudyOwner
from search.study_view import list_studies, read_study
from tests.search.scripted_driver import FAMILIES, space_text

URL = "postgresql+psycopg://me:geheim%2F@db.example:5433/studies"


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DB", URL)
    return "env:DB"


def write(folder: Path, **memory: str) -> None:
    (folder / "s").mkdir()
    (folder / "s" / "storage.json").write_text(json.dumps(memory))


def test_without_a_word_it_is_sqlite_in_the_folder(tmp_path: Path) -> None:
    place = locate(tmp_path, "s")
    assert place.variable is None and described(place) == str(tmp_path / "s" / "study.db")


def test_a_variable_is_read_and_only_its_name_is_shown(tmp_path: Path, database: str) -> None:
    place = locate(tmp_path, "s", database)
    assert parse_url(place).password == "geheim/"
    assert described(place) == "database studies on db.example:5433 (env:DB)"
    assert "geheim" not in repr(place) + described(place)


def test_the_folder_remembers_the_variable(tmp_path: Path, database: str) -> None:
    (tmp_path / "s").mkdir()
    locate(tmp_path, "s", database).remember("0815")
    assert json.loads((tmp_path / "s" / "storage.json").read_text()) == {"storage": "env:DB", "study": "0815"}
    assert locate(tmp_path, "s").variable == "DB" and list_studies(tmp_path) == ["s"]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB", raising=False)
    with pytest.raises(StudyError, match="environment variable DB is not set; set it with export DB="):
        locate(tmp_path, "s", "env:DB")
    write(tmp_path, storage="env:DB", study="0815")
    with pytest.raises(StudyError, match="study 's' is kept in the database of env:DB.*DB is not set"):
        read_study(tmp_path, "s")


def test_a_study_in_sqlite_stays_there(tmp_path: Path, database: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.db").touch()
    with pytest.raises(StudyError, match=r"kept in .*study\.db, not on PostgreSQL: leave storage out"):
        locate(tmp_path, "s", database)


@pytest.mark.parametrize("text", ["[]", "{", '{"storage": "postgresql://me:geheim@h/d", "study": "1"}', '{"storage": "env:DB"}'])
def test_a_memory_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "storage.json").write_text(text)
    with pytest.raises(StudyError, match=r"storage\.json: this is not what a search writes there") as error:
        locate(tmp_path, "s")
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("geheim", "is no database URL"),
        ("postgresql://me:x@host:geheim/db", "is no database URL"),
        ("mysql://me:geheim@host/db", "is no URL of a PostgreSQL database"),
        ("sqlite:///geheim.db", "is no URL of a PostgreSQL database"),
        ("postgresql+psycopg2://me:geheim@host/db", "another driver than psycopg"),
        ("postgresql://me:x@geheim@host/db", "%40"),
        ("postgresql://me:x@y/geheim@host/db", "%40"),
        ("postgresql://me:x@y?geheim@host/db", "%40"),
        ("postgresql://me:geheim@host", "must have the form"),
        ("postgresql://me/geheim:x@host/db", "must have the form"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_unseen(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(StudyError, match=said) as error:
        parse_url(Location(tmp_path, "s", "DB", url))
    assert "geheim" not in str(error.value) and error.value.__cause__ is None and "env:DB" in str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_urls_as_hosts_of_databases_give_them(tmp_path: Path, scheme: str) -> None:
    url = parse_url(Location(tmp_path, "s", "DB", f"{scheme}://me:p%40w@host/db?sslmode=require"))
    assert (url.drivername, url.password, url.query["sslmode"]) == ("postgresql+psycopg", "p@w", "require")


def test_children_do_not_inherit_the_variable(tmp_path: Path, database: str) -> None:
    with locate(tmp_path, "s", database).kept_from_children():
        assert "DB" not in os.environ
    assert os.environ["DB"] == URL


def test_a_space_file_names_a_variable(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(space_text(storage="env:DB"))
    config = load_space(tmp_path / "s.yaml", FAMILIES, {})
    assert config.storage == "env:DB" and "storage" not in config.fingerprint_parts()


@pytest.mark.parametrize("line", ["storage: postgresql://me:geheim@host/db", "# storage: postgresql+psycopg://me:geheim@host/db", "budget: {storage: postgres://me:geheim@h/d", "study: PostgreSQL://me:geheim@h/d"])
def test_a_url_in_a_space_file_is_refused_unseen(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("families: {cnn: {}}\n" + line + "\n")
    assert main(["--space", str(tmp_path / "s.yaml"), "--studies-dir", str(tmp_path / "studies")]) == 2
    said = capsys.readouterr()
    assert "line 2" in said.err and "env:NAME" in said.err and "geheim" not in said.err + said.out and not (tmp_path / "studies").exists()


@pytest.mark.parametrize("value", ["postgresql://me:geheim@host/db", "me:geheim@host/db", "env:geh eim", "geheim"])
def test_a_url_on_the_command_line_is_refused_unseen(tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("families: {cnn: {}}\n")
    assert main(["--space", str(tmp_path / "s.yaml"), "--storage", value, "--studies-dir", str(tmp_path / "studies")]) == 2
    said = capsys.readouterr()
    assert "command line: storage" in said.err and "env:NAME" in said.err and "geheim" not in said.err + said.out and "geh eim" not in said.err


@pytest.mark.parametrize("storage", ["3", "[env:DB]", "env:9"])
def test_a_storage_of_another_kind_is_refused(tmp_path: Path, storage: str) -> None:
    (tmp_path / "s.yaml").write_text(space_text(storage=storage))
    with pytest.raises(SpaceFileError, match=r"storage: found something else .*must be env:NAME"):
        load_space(tmp_path / "s.yaml", FAMILIES, {})


def test_nothing_listens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("DB", "postgresql://me:geheim@127.0.0.1:1/db")
    (tmp_path / "s.yaml").write_text("families: {cnn: {}}\n")
    assert main(["--space", str(tmp_path / "s.yaml"), "--storage", "env:DB", "--studies-dir", str(tmp_path / "studies")]) == 2
    said = capsys.readouterr()
    assert "database db on 127.0.0.1:1 (env:DB) can't be reached: connection" in said.err and "geheim" not in said.err and "Traceback" not in said.err


def test_a_folder_may_have_any_name_that_a_file_can_have_but_for_a_question_mark(tmp_path: Path) -> None:
    for name in ("{gtzan}", "50 % {x", "a#b&c=d", "My%20Müsic +"):
        (tmp_path / name / "s").mkdir(parents=True)
        owner = StudyOwner(locate(tmp_path / name, "s"), maximize=True, fingerprint={})
        owner.close()
        assert (tmp_path / name / "s" / "study.db").is_file() and read_study(tmp_path / name, "s").trials == []
    (tmp_path / "what?" / "s").mkdir(parents=True)
    with pytest.raises(StudyError, match=r"a path with a question mark can't hold a study in SQLite: take another folder with --studies-dir"):
        StudyOwner(locate(tmp_path / "what?", "s"), maximize=True, fingerprint={})
    assert not list(tmp_path.glob("what*/**/*.db")) and not (tmp_path / "what").exists()
