"""Where artifacts and checkpoints lie: folders, and a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search.config import load_space
from search.depot import DepotError, open_depot, place_of, require_depot
from search.errors import SearchError, SpaceFileError
from search.scratch import remove_abandoned, scratch, scratch_folder
from search.trial import Trial
from search.worker import Errand, run_trial
from tests.search.conftest import ROOT, Driver, Studies, until
from tests.search.s3_server import bucket, s3_endpoint  # noqa: F401
from tests.search.scripted import Scripted
from tests.search.scripted_driver import FAMILIES, space_text
from tests.search.test_checkpoints import SPEC
from tests.search.test_checkpoints import Driver as Answers


def a_folder(place: Path, **files: str) -> Path:
    for name, text in files.items():
        path = place / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return place


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A depot of each kind."""
    return str(tmp_path / "depot") if request.param == "local" else f"{request.getfixturevalue('bucket')}/deep/prefix"


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scratch folders of the test alone."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "tmp"


def test_a_folder_goes_there_and_comes_back(root: str, own_scratch: Path) -> None:
    depot = open_depot(root)
    depot.check()
    assert depot.folders() == [] and depot.read_text("nothing") is None
    with depot.writing("checkpoints/0003/0005") as folder:
        a_folder(folder, a="1", sub__b="2" * 100_000)
    with depot.reading("checkpoints/0003/0005") as folder:
        found = texts(folder)
    assert found == {"a": "1", "sub/b": "2" * 100_000}
    assert depot.folders("checkpoints") == ["0003"] and depot.folders("checkpoints/0003") == ["0005"]
    with depot.writing("checkpoints/0003/0005") as folder:
        a_folder(folder, c="3")
    with depot.reading("checkpoints/0003/0005") as folder:
        assert texts(folder)["c"] == "3"
    with depot.writing("checkpoints/0003/0009") as folder:
        a_folder(folder, a="1")
    depot.remove("checkpoints/0003", lambda name: name < "0009")
    assert depot.settle() is None and depot.folders("checkpoints/0003") == ["0009"]
    depot.remove("checkpoints/0003")
    depot.remove("checkpoints/0003")
    assert depot.settle() is None and depot.folders("checkpoints") == []
    depot.write_text("a/b.json", "{}")
    assert depot.read_text("a/b.json") == "{}"
    assert not [path for path in own_scratch.rglob("*") if path.is_file()], "scratch folders are removed"


def test_what_fails_while_it_is_written_is_not_there(root: str) -> None:
    depot = open_depot(root)
    with pytest.raises(OSError, match="No space left"), depot.writing("x") as folder:
        a_folder(folder, a="1")
        raise OSError(28, "No space left on device")
    assert depot.folders() == []
    with pytest.raises(DepotError), depot.reading("x"):
        pass


def test_a_changed_or_cut_off_upload_is_not_taken_for_whole(bucket: str) -> None:  # noqa: F811
    import fsspec

    depot, fs = open_depot(bucket), fsspec.filesystem("s3", use_listings_cache=False)
    for name in ("short", "other", "gone", "open"):
        with depot.writing(name) as folder:
            a_folder(folder, a="12345678", b="1")
    fs.pipe_file(f"{bucket}/short/a", b"1234")
    fs.pipe_file(f"{bucket}/other/a", b"12345679")
    fs.rm_file(f"{bucket}/gone/b")
    fs.rm_file(f"{bucket}/open/whole.json")
    for name, why in {"short": "is not what was written", "other": "is not what was written", "gone": "can't be read", "open": "can't be read"}.items():
        with pytest.raises(DepotError, match=why), depot.reading(name):
            pass
    told = {"files": {"../outside": {"bytes": 1, "sha256": ""}}}
    fs.pipe_file(f"{bucket}/open/whole.json", json.dumps(told).encode())
    with pytest.raises(DepotError, match="outside the folder"), depot.reading("open"):
        pass


UPLOAD = """
import sys
from pathlib import Path
from search.depot import open_depot
open_depot(sys.argv[1]).put(Path(sys.argv[2]), "many")
"""


@pytest.mark.slow
def test_a_worker_killed_while_it_uploads_leaves_nothing_that_is_taken_for_whole(bucket: str, tmp_path: Path) -> None:  # noqa: F811
    a_folder(tmp_path / "many", **{f"file{number:04d}": "x" * 1000 for number in range(2000)})
    child = subprocess.Popen([sys.executable, "-c", UPLOAD, bucket, str(tmp_path / "many")], cwd=ROOT)
    depot = open_depot(bucket)
    until(lambda: depot.folders() == ["many"])
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(DepotError, match="can't be read"), depot.reading("many"):
        pass
    depot.remove("", lambda name: name == "many")
    assert depot.settle() is None and depot.folders() == []


def test_a_trial_pauses_and_goes_on_at_a_url(bucket: str, own_scratch: Path) -> None:  # noqa: F811
    whole, first, second = Answers(), Answers(at2="save", at5="pause"), Answers()
    places = (f"{bucket}/s/trials/0003", f"{bucket}/s/checkpoints/0003")
    undisturbed = run_trial(Scripted({}), Errand(3, dict(SPEC), str(own_scratch / "w"), str(own_scratch / "c")), whole.ask)
    outcome = run_trial(Scripted({}), Errand(3, dict(SPEC), *places), first.ask, first.saved.append)
    assert first.saved[0]["folder"] == "0003/0002" and outcome["checkpoint"]["folder"] == "0003/0005" and outcome["checkpoint"]["bytes"] > 0
    depot = open_depot(f"{bucket}/s")
    assert depot.folders("trials") == [], "of a trial that goes on nothing is kept yet"
    again = run_trial(Scripted({}), Errand(3, dict(SPEC), *places, resume=f"{places[1]}/0005"), second.ask)
    assert {**first.curve, **second.curve} == whole.curve and min(second.curve) == 6 and again["value"] == undisturbed["value"]
    with depot.reading("trials/0003") as folder:
        assert texts(folder) == {"curve.csv": "epoch\n"}
    lost = Answers()
    run_trial(Scripted({}), Errand(3, dict(SPEC), *places, resume=f"{places[1]}/0007"), lost.ask)
    assert min(lost.curve) == 1, "a checkpoint that is not there costs its epochs"


def test_an_upload_that_fails_costs_the_checkpoint_and_not_the_trial(bucket: str) -> None:  # noqa: F811
    answers = Answers(at2="save", at5="save")
    errand = Errand(3, dict(SPEC), "s3://no-such-bucket/s/trials/0003", "s3://no-such-bucket/s/checkpoints/0003")
    outcome = run_trial(Scripted({}), errand, answers.ask, answers.saved.append)
    assert outcome["epochs"] == 9 and "no-such-bucket" in outcome["artifacts_error"]
    assert len(answers.saved) == 2 and all("does not exist" in each["error"] for each in answers.saved)


def test_a_study_without_a_place_of_its_own_is_refused(bucket: str, tmp_path: Path) -> None:  # noqa: F811
    for place in (bucket, str(tmp_path / "shared")):
        mine = require_depot(place, tmp_path / "studies" / "s")
        assert mine.root == f"{place}/s"
        assert require_depot(place, tmp_path / "studies" / "s").root == mine.root
        with pytest.raises(DepotError, match="another study 's'.*remove study.json there"):
            require_depot(place, tmp_path / "elsewhere" / "s")
        require_depot(place, tmp_path / "elsewhere" / "t")
    assert require_depot(None, tmp_path / "elsewhere" / "s").root == str(tmp_path / "elsewhere" / "s")


def test_places_that_cannot_be_written_are_told_before_anything_begins(bucket: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(DepotError, match="artifacts: s3://no-such-bucket/x/s: can't be written .*does not exist"):
        require_depot("s3://no-such-bucket/x", tmp_path / "s")
    with pytest.raises(DepotError, match="artifacts: nosuch://x/s: fsspec knows no nosuch://"):
        require_depot("nosuch://x", tmp_path / "s")
    (tmp_path / "file").write_text("")
    with pytest.raises(DepotError, match=f"artifacts: {tmp_path}/file/s: can't be written .*Not a directory"):
        require_depot(str(tmp_path / "file"), tmp_path / "s")
    space = tmp_path / "space.yaml"
    space.write_text(space_text(engine="inline") + "artifacts: s3://no-such-bucket/x\n")
    driver = Driver(tmp_path, space, {})
    assert driver.wait() == 2 and "Traceback" not in driver.text
    assert "error: artifacts: s3://no-such-bucket/x/s: can't be written" in driver.text


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['s3fs'] = None; from search.depot import open_depot; open_depot('s3://b/x')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "the package for s3:// is not installed; pip install -c constraints.txt -e '.[s3]'" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("''", "must be a folder or a URL"),
        ("s3:/bucket/x", "is no URL: write s3://"),
        ("s3:bucket", "is no URL: write s3://"),
        ("s3://", "names no place"),
        ("memory://x", "no other process sees"),
        ("https://host/x", "https:// can't be written to"),
        ("simplecache::s3://bucket/x", "URLs of several parts"),
        ("s3://AKIA1234:SeCrEt@bucket/x", "must hold no name, password, key or option"),
        ("s3://AKIA1234@bucket/x", "must hold no name, password, key or option"),
        ("s3://bucket/x?secret=SeCrEt", "must hold no name, password, key or option"),
        ("abfs://container:SeCrEt@account.dfs.core.windows.net/x", "must hold no name, password, key or option"),
        ("7", "must be text"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused_and_no_password_shown(tmp_path: Path, place: str, why: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(space_text() + f"artifacts: {place}\n")
    with pytest.raises(SpaceFileError, match="artifacts: ") as told:
        load_space(space, FAMILIES, {})
    assert why in str(told.value) and "SeCrEt" not in str(told.value) and "AKIA" not in str(told.value)


@pytest.mark.parametrize(
    ("place", "root"),
    [
        ("s3://bucket/x/", "s3://bucket/x/s"),
        ("s3://bucket", "s3://bucket/s"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x/s"),
        ("file:///scratch/x", "/scratch/x/s"),
        ("/scratch/x/", "/scratch/x/s"),
        ("~/x", str(Path("~/x/s").expanduser())),
        ("x", str(Path("x/s").resolve())),
    ],
)
def test_a_study_has_a_folder_of_its_own_at_the_place(tmp_path: Path, place: str, root: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(space_text() + f"artifacts: {place}\n")
    config = load_space(space, FAMILIES, {})
    assert place_of(config.artifacts, tmp_path / "s") == root
    assert "artifacts" not in json.dumps(config.fingerprint_parts())


def test_scratch_is_closed_to_others_and_cleared_of_what_the_dead_left(own_scratch: Path) -> None:
    with scratch("trials") as folder:
        assert folder.stat().st_mode & 0o077 == 0 and folder.parent.parent.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    top = scratch_folder("trials")
    for name in ("999999999-dead", f"{os.getpid()}-mine", "999999999-new"):
        (top / name).mkdir()
        if "new" not in name:
            os.utime(top / name, (1, 1))
    remove_abandoned(top)
    assert sorted(path.name for path in top.iterdir()) == sorted(["999999999-new", f"{os.getpid()}-mine"])
    top.parent.chmod(0o755)
    with pytest.raises(SearchError, match="must be a folder of this user alone.*TMPDIR"):
        scratch_folder("trials")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["inline", "ray"])
def test_a_study_at_a_url_is_killed_and_goes_on(
    bucket: str,  # noqa: F811
    studies: Studies,
    tmp_path: Path,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TMPDIR")  # too long for the names of Ray's sockets
    log, space = tmp_path / "log", tmp_path / "space.yaml"
    changes: dict[str, Any] = {"scheduler": "asha_promotion", "engine": engine, "trials": 17}
    space.write_text(space_text(**changes) + f"artifacts: {bucket}/runs\n")
    driver = Driver(tmp_path, space, {"epoch_seconds": 0.03, "log": str(log)})
    studies.drivers.append(driver)
    until(lambda: len(studies.epochs_logged(log)) >= 25 or driver.process.poll() is not None, 90)
    assert driver.process.poll() is None, driver.text
    driver.kill(signal.SIGKILL)
    driver.wait()
    depot = open_depot(f"{bucket}/runs/s")
    held = [f"{root}/{epoch}" for root in depot.folders("checkpoints") for epoch in depot.folders(f"checkpoints/{root}")]
    assert held, "paused trials keep their state there"
    again = Driver(tmp_path, space, {"log": str(log)})
    studies.drivers.append(again)
    assert again.wait(120) == 0, again.text
    trials = studies.read().trials
    assert all(t.end is not None for t in trials) and sum(t.counts for t in trials) == 17
    trained = [(seed, epoch) for _, seed, epoch in studies.epochs_logged(log)]
    assert len(trained) - len(set(trained)) <= 18, "at most what two workers were doing is done again"
    assert depot.folders("checkpoints") == [], "checkpoints go with their trials"
    assert sorted(depot.folders("trials")) == kept_of(trials)
    assert not (tmp_path / "s" / "trials").exists() and not (tmp_path / "s" / "checkpoints").exists()


@pytest.mark.slow
def test_a_bucket_that_goes_away_costs_checkpoints_and_artifacts_and_no_trial(bucket: str, studies: Studies, tmp_path: Path) -> None:  # noqa: F811
    import boto3

    log, space = tmp_path / "log", tmp_path / "space.yaml"
    space.write_text(space_text(scheduler="asha_promotion", engine="inline", trials=12) + f"artifacts: {bucket}/runs\n")
    driver = Driver(tmp_path, space, {"epoch_seconds": 0.05, "log": str(log)})
    studies.drivers.append(driver)
    until(lambda: len(studies.epochs_logged(log)) >= 15, 90)
    gone = boto3.resource("s3").Bucket(bucket.removeprefix("s3://"))
    while True:
        gone.objects.all().delete()
        try:
            gone.delete()
            break
        except gone.meta.client.exceptions.ClientError:  # written to in between
            continue
    assert driver.wait(90) == 0, driver.text
    trials = studies.read().trials
    assert sum(t.counts for t in trials) == 12 and not [t for t in trials if t.state == "FAIL"]
    assert "a checkpoint could not be written" in driver.text and "does not exist" in driver.text and "Traceback" not in driver.text
    assert any("artifacts_error" in t.outcome for t in trials if t.is_full) and "could not be kept: artifacts: s3://" in driver.text


def kept_of(trials: list[Trial]) -> list[str]:
    best = sorted((t for t in trials if t.is_full), key=lambda t: -t.value)[:5]
    return sorted(f"{t.number:04d}" for t in best)
