"""The dashboard over a folder of studies: what it shows, that it follows them, and that it harms none."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from search.dashboard.folder_storage import FolderStorage
from search.location import locate
from search.study import StudyOwner
from search.study_view import read_study
from search.trial import End
from tests.search.dashboard_requests import ask, dashboard, detail, make_study, studies

OWN = {"ORIGIN": "http://localhost:8080"}


def test_studies_of_a_folder_in_one_dashboard(tmp_path: Path) -> None:
    make_study(tmp_path, "first", (0.4, 0.7, 0.6))
    make_study(tmp_path, "second", (0.2,), family="svm")
    app = dashboard(tmp_path)
    assert set(studies(app)) == {"first", "second"}
    first, second = detail(app, "first"), detail(app, "second")
    assert [t["values"] for t in first["trials"]] == [[0.4], [0.7], [0.6]] and [t["values"] for t in second["trials"]] == [[0.2]]
    assert [t["number"] for t in first["best_trials"]] == [1]
    assert {p["name"] for t in first["trials"] for p in t["params"]} == {"cnn/rate"}
    facts = {each["key"]: each["value"] for each in first["trials"][1]["user_attrs"]}
    assert (facts["family"], facts["interval"], facts["seconds"]) == ("cnn", "0.600–0.800", "2.5")
    ids = {t["trial_id"] for study in (first, second) for t in study["trials"]}
    assert len(ids) == 4 and max(ids) < 2**53  # what a browser can count to
    assert ask(app, "/study/second").headers["location"] == f"/dashboard/studies/{studies(app)['second']}"
    assert b"0.700 (95 % 0.600" in ask(app, "/").body
    assert json.loads(ask(app, f"/api/studies/{studies(app)['first']}/param_importances").body)["param_importances"]
    assert studies(dashboard(tmp_path)) == studies(app)  # a restart keeps the numbers


def test_it_follows_studies_that_come_change_and_go(tmp_path: Path, at_once: None) -> None:
    make_study(tmp_path, "first", (0.4,))
    app = dashboard(tmp_path)
    assert list(studies(app)) == ["first"]
    make_study(tmp_path, "later", (0.5,))
    make_study(tmp_path, "first", (0.9,))  # another run of it
    assert set(studies(app)) == {"first", "later"}
    assert [t["values"] for t in detail(app, "first")["trials"]] == [[0.4], [0.9]]
    owner = StudyOwner(locate(tmp_path, "later"), maximize=True, fingerprint={"objective": {"metric": "val_accuracy"}})
    trial = owner.start({"family": "cnn", "epochs": 3, "seed": 1, "params": {}}, {})
    owner.report(trial.number, 1, 0.25)
    owner.flush()
    running = detail(app, "later")["trials"][1]
    assert running["state"] == "Running" and running["intermediate_values"] == [{"step": 1, "value": 0.25}]
    owner.finish(trial.number, End.FULL, value=0.75, outcome={"value": 0.75})
    assert detail(app, "later")["trials"][1]["values"] == [0.75]
    owner.close()
    for file in (tmp_path / "first").iterdir():
        file.unlink()
    assert list(studies(app)) == ["later"]
    make_study(tmp_path, "first", (0.1,))  # another study of the name in its place
    assert [t["values"] for t in detail(app, "first")["trials"]] == [[0.1]]


def test_broken_and_locked_studies_do_not_take_the_others_down(tmp_path: Path, at_once: None) -> None:
    make_study(tmp_path, "good")
    for name, content in (("bad", b"no database" * 999), ("empty", b""), ("other", None), ("torn", None)):
        (tmp_path / name).mkdir()
        if content is not None:
            (tmp_path / name / "study.db").write_bytes(content)
    with sqlite3.connect(tmp_path / "other" / "study.db") as connection:
        connection.execute("CREATE TABLE studies (a)")
    whole = (tmp_path / "good" / "study.db").read_bytes()
    (tmp_path / "torn" / "study.db").write_bytes(whole[:20000] + bytes(3000) + whole[23000:])
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "storage.json").write_text("{")
    make_study(tmp_path, "locked")
    holder = sqlite3.connect(tmp_path / "locked" / "study.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    app = dashboard(tmp_path)
    assert set(studies(app)) - {"torn"} == {"good"}
    page = ask(app, "/")
    assert page.status == 200
    for name in ("bad", "empty", "other", "lost", "locked"):
        assert f"<td>{name}</td>".encode() in page.body
    assert b"Traceback" not in page.body and b"is locked" in page.body
    holder.execute("ROLLBACK")
    holder.close()
    assert set(studies(app)) - {"torn"} == {"good", "locked"}


def test_nothing_is_written_to_a_study(tmp_path: Path) -> None:
    make_study(tmp_path, "s")
    file = tmp_path / "s" / "study.db"
    before, app = hashlib.sha256(file.read_bytes()).hexdigest(), dashboard(tmp_path)
    number = studies(app)["s"]
    for path in ("/", f"/api/studies/{number}", f"/csv/{number}", f"/api/studies/{number}/param_importances"):
        assert ask(app, path).status == 200
    trial = detail(app, "s")["trials"][0]["trial_id"]
    for method, path in [
        ("DELETE", f"/api/studies/{number}"), ("PUT", f"/api/studies/{number}/note"), ("POST", f"/api/studies/{number}/rename"),
        ("POST", f"/api/trials/{trial}/tell"), ("DELETE", f"/api/artifacts/{number}/00"), ("POST", "/api/studies"),
    ]:  # fmt: skip
        assert ask(app, path, method, body=b"{}", CONTENT_TYPE="application/json", **OWN).status == 405
    storage = FolderStorage(tmp_path)
    with pytest.raises(PermissionError):
        storage.set_study_system_attr(number, "dashboard:note_ver", 1)
    with pytest.raises(Exception, match="readonly"), storage.shown(number).reader._opened()._backend.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trials")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_with_write_a_note_is_kept_and_nothing_else(tmp_path: Path, at_once: None) -> None:
    make_study(tmp_path, "s")
    app = dashboard(tmp_path, write=True)
    number, trial = studies(app)["s"], detail(app, "s")["trials"][1]["trial_id"]
    note = json.dumps({"version": detail(app, "s")["note"]["version"] + 1, "body": "mine " * 900}).encode()
    assert ask(app, f"/api/studies/{number}/note", "PUT", body=note, CONTENT_TYPE="application/json", **OWN).status == 204
    assert detail(app, "s")["note"]["body"] == "mine " * 900
    about = json.dumps({"version": 1, "body": "about this trial"}).encode()
    assert ask(app, f"/api/studies/{number}/{trial}/note", "PUT", body=about, CONTENT_TYPE="application/json", **OWN).status == 204
    assert [t["note"]["body"] for t in detail(app, "s")["trials"]] == ["", "about this trial", ""]
    assert "mine mine" in detail(dashboard(tmp_path), "s")["note"]["body"] and "wins in validation" in detail(dashboard(tmp_path), "s")["note"]["body"]
    assert ask(app, f"/api/studies/{number}", "DELETE", body=b"{}", **OWN).status == 405
    storage = FolderStorage(tmp_path, write=True)
    for key in ("fingerprint", "dashboard:preference_history:x", "artifacts:0"):
        with pytest.raises(PermissionError):
            storage.set_study_system_attr(number, key, "x")
    assert len(read_study(tmp_path, "s").trials) == 3


def test_the_note_names_the_winner_its_ties_and_the_look(tmp_path: Path, at_once: None) -> None:
    make_study(tmp_path, "s")
    app = dashboard(tmp_path)
    body = detail(app, "s")["note"]["body"]
    assert "Trial 1 (cnn) wins" in body and "0.700 (95 % 0.600–0.800)" in body and "final_eval.py --study s" in body
    (tmp_path / "s" / "leaderboard.csv").write_text("rank,trial,against_winner\n1,1,winner\n2,2,tie\n3,0,worse\n")
    (tmp_path / "s" / "report.html").write_text("<script>1</script>")
    (tmp_path / "s" / "final").mkdir()
    metrics = {"trial": 1, "family": "cnn", "accuracy": 0.61, "accuracy_ci95": [0.5, 0.7], "macro_f1": 0.6, "macro_f1_ci95": None, "n_tracks": 143, "demo": False}
    (tmp_path / "s" / "final" / "metrics.json").write_text(json.dumps(metrics))
    body = detail(app, "s")["note"]["body"]
    assert "trial 2\n" in body and "On 143 held-out tracks" in body and "0.610 (95 % 0.500–0.700)" in body and "(/report/s)" in body and "final_eval" not in body
    index = ask(app, "/").body.decode()
    assert "0.610 (95 % 0.500–0.700)<small>accuracy, 143 tracks</small>" in index
    (tmp_path / "s" / "final" / "metrics.json").write_text(json.dumps(metrics | {"trial": 2}))
    assert "<small>accuracy, 143 tracks, of trial 2, not of trial 1</small>" in ask(app, "/").body.decode()
    (tmp_path / "s" / "final" / "look-3").mkdir()
    (tmp_path / "s" / "final" / "look-3" / "metrics.json").write_text(json.dumps(metrics | {"accuracy": 0.59}))
    assert "0.590 (95 % 0.500–0.700)" in detail(app, "s")["note"]["body"], "the newest look"
    shutil.rmtree(tmp_path / "s" / "final" / "look-3")
    report = ask(app, "/report/s")
    assert report.body == b"<script>1</script>" and report.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in report.headers["content-security-policy"]
    (tmp_path / "s" / "final" / "metrics.json").write_text('{"accuracy": "<script>"}')
    assert ask(app, "/").status == 200 and "can't be understood" in detail(app, "s")["note"]["body"]


def test_a_confirmation_is_not_the_best_trial(tmp_path: Path) -> None:
    make_study(tmp_path, "s", (0.4, 0.7))
    owner = StudyOwner(locate(tmp_path, "s"), maximize=True, fingerprint={"objective": {"metric": "val_accuracy"}})
    trial = owner.start({"family": "cnn", "epochs": 3, "seed": 1, "params": {}, "confirms": 1, "folds": 5}, {})
    owner.finish(trial.number, End.FULL, value=0.99, outcome={"value": 0.99})
    owner.close()
    assert [t["number"] for t in detail(dashboard(tmp_path), "s")["best_trials"]] == [1]


@pytest.mark.slow
def test_studies_on_postgresql(tmp_path: Path, postgres, monkeypatch: pytest.MonkeyPatch, at_once: None) -> None:
    monkeypatch.setenv("STUDIES_OF_TEST", postgres.new_database())
    (tmp_path / "pg").mkdir()
    owner = StudyOwner(locate(tmp_path, "pg", "env:STUDIES_OF_TEST"), maximize=True, fingerprint={"objective": {"metric": "val_accuracy"}})
    trial = owner.start({"family": "cnn", "epochs": 3, "seed": 1, "params": {}}, {})
    owner.finish(trial.number, End.FULL, value=0.5, outcome={"value": 0.5})
    owner.close()
    make_study(tmp_path, "lite")
    app = dashboard(tmp_path)
    assert set(studies(app)) == {"pg", "lite"} and detail(app, "pg")["trials"][0]["values"] == [0.5]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "pg" in studies(dashboard(elsewhere, storage="env:STUDIES_OF_TEST"))
    reader = FolderStorage(tmp_path).shown(studies(app)["pg"]).reader
    reader.study()
    with pytest.raises(Exception, match="read-only transaction"), reader._opened()._backend.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trials")
    monkeypatch.delenv("STUDIES_OF_TEST")
    broken = dashboard(tmp_path)
    assert set(studies(broken)) == {"lite"} and b"is not set" in ask(broken, "/").body
