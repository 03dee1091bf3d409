"""One driver a study; a driver whose study's folder goes away stops; readers find a study wherever it is."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import portalocker
import pytest
from rich.console import Console

from scripts.final_request import choose_study, read_request
from search.errors import LeaseHeld, LeaseLost, StudyError
from search.lease import hold_lease
from search.location import Location, locate
from search.study import StudyOwner
from search.study_view import list_studies, read_study, require_match
from search.trial import End
from tests.postgres import VARIABLE, Server
from tests.search.conftest import Studies, until

SPEC = {"family": "f", "params": {}, "epochs": 1, "seed": 1, "features": {}}
FINGERPRINT = {"objective": {"metric": "val_accuracy"}}


def begin(location: Location, lease=None) -> StudyOwner:
    return StudyOwner(location, maximize=True, fingerprint=FINGERPRINT, lease=lease)


def test_a_held_lease_is_refused_and_free_again(tmp_path: Path) -> None:
    place = locate(tmp_path, "s")
    with hold_lease(place), pytest.raises(LeaseHeld, match=r"another process \(pid \d+ on .*--study NAME"), hold_lease(place):
        pass
    with hold_lease(place):
        pass


@pytest.mark.parametrize("remade", [False, True])
def test_a_folder_that_was_moved_away_ends_its_driver(tmp_path: Path, remade: bool) -> None:
    place = locate(tmp_path, "s")
    with hold_lease(place) as lease:
        owner = begin(place, lease)
        owner.start(SPEC, {})
        shutil.move(place.folder, tmp_path / "elsewhere")
        if remade:
            with hold_lease(place) as other_lease:
                other = begin(place, other_lease)  # of generation 1 as well
                other.start(SPEC, {})
                other.close()
        with pytest.raises(LeaseLost, match=r"its folder .* was removed, moved or replaced while it ran"):
            owner.start(SPEC, {})
        owner.close()
    assert len(read_study(tmp_path, "s").trials) == 1 if remade else not place.folder.exists()


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise portalocker.exceptions.LockException("[Errno 37] No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(StudyError, match=r"has no locks .*No locks available.*--studies-dir DIR.*--storage env:NAME"), hold_lease(locate(tmp_path, "s")):
        pass


def test_readers_find_a_study_on_postgresql_by_its_folder(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, postgres.new_database())
    place = locate(tmp_path, "s", f"env:{VARIABLE}")
    with hold_lease(place) as lease:
        owner = begin(place, lease)
        trial = owner.start(SPEC, {})
        outcome = {"value": 0.7, "best_epoch": 1, "epochs": 1, "stopped_early": False, "history": [{"epoch": 1, "val_accuracy": 0.7, "learning_rate": 0.1}]}
        owner.report(trial.number, 1, 0.7)
        owner.finish(trial.number, End.FULL, value=0.7, outcome=outcome)
        owner.close()
    (place.folder / "run.json").write_text('{"split_id": "abc"}')
    assert not place.database_file.exists() and list_studies(tmp_path) == ["s"]
    console = Console(file=io.StringIO())
    assert choose_study(tmp_path, "best", console) == "s"
    view, request = read_request(tmp_path, "s", None)
    assert (view.trials[0].value, view.trials[0].reports, request.winner.trial) == (0.7, {1: 0.7}, 0)
    require_match(locate(tmp_path, "s"), FINGERPRINT, {})
    with pytest.raises(StudyError, match="made with other settings"):
        require_match(locate(tmp_path, "s"), {"objective": {"metric": "val_loss"}}, {})
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(StudyError, match=f"kept in the database of env:{VARIABLE}.*not set"):
        choose_study(tmp_path, "best", console)


@pytest.mark.slow
def test_a_running_driver_whose_folder_is_removed_stops(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    driver = studies.start({"epoch_seconds": 0.1, "log": str(log)}, engine="inline")
    until(lambda: log.exists() and len(log.read_text().splitlines()) >= 5)
    shutil.move(tmp_path / "s", tmp_path / "moved")
    assert driver.wait() == 2
    assert "was removed, moved or replaced" in driver.text and "Traceback" not in driver.text
    shutil.rmtree(tmp_path / "s", ignore_errors=True)  # what a trial under way wrote for itself
    shutil.move(tmp_path / "moved", tmp_path / "s")
    again = studies.start({"log": str(log)}, engine="inline")
    assert again.wait() == 0, again.text
