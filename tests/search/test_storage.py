"""What we write with our own statements, read by Optuna itself: on SQLite and on PostgreSQL."""

from __future__ import annotations

import io
import json
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sqlalchemy import Connection, Engine, event

from search import sqlite_file
from search.dashboard.study_reader import StudyReader
from search.errors import LeaseLost, StudyError
from search.location import Location, locate
from search.storage import StudyStorage
from search.study_view import read_study
from tests.postgres import VARIABLE

PARAMS = {
    "family": ("cnn", CategoricalDistribution(("cnn", "svm"))),
    "cnn/rate": (0.01, FloatDistribution(1e-5, 1.0, log=True)),
    "cnn/depth": (3, IntDistribution(2, 5)),
    "cnn/augment": (True, CategoricalDistribution((True, False))),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    (tmp_path / "s").mkdir()
    if request.param == "postgresql":
        monkeypatch.setenv(VARIABLE, request.getfixturevalue("postgres").new_database())
        return locate(tmp_path, "s", f"env:{VARIABLE}")
    return locate(tmp_path, "s")


@pytest.fixture
def opened(location: Location) -> tuple[StudyStorage, int, str]:
    storage = StudyStorage(location)
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    return storage, study._study_id, location.url or f"sqlite:///{location.database_file}"


def read(url: str) -> list[optuna.trial.FrozenTrial]:
    """The trials as stock Optuna finds them."""
    return optuna.load_study(study_name="s", storage=url.replace("{", "{{").replace("}", "}}")).trials


def test_a_whole_trial_reads_back_through_stock_optuna(opened: tuple[StudyStorage, int, str]) -> None:
    storage, study_id, url = opened
    trial_id, number = storage.insert_trial(study_id, TrialState.RUNNING, PARAMS, {"spec": {"seed": 3}}, number=0)
    storage.write_trial(trial_id, {1: 0.2, 2: 0.4})
    storage.write_trial(trial_id, {3: 0.3}, {"end": "full", "spec": {"seed": 4}}, TrialState.COMPLETE, 0.4)
    (trial,) = read(url)
    assert (trial.number, trial.state, trial.value) == (number, TrialState.COMPLETE, 0.4)
    assert trial.params == {name: value for name, (value, _) in PARAMS.items()}
    assert trial.distributions == {name: distribution for name, (_, distribution) in PARAMS.items()}
    assert trial.intermediate_values == {1: 0.2, 2: 0.4, 3: 0.3}
    assert trial.user_attrs == {"spec": {"seed": 4}, "end": "full"}
    assert 0 <= trial.duration.total_seconds() < 60


def test_every_write_may_be_made_twice(opened: tuple[StudyStorage, int, str]) -> None:
    """After a lost connection nobody knows whether the first was committed."""
    storage, study_id, url = opened
    trial_id, _ = storage.insert_trial(study_id, TrialState.WAITING, {}, {"spec": {}}, number=0)
    for _ in range(2):
        storage.start_waiting(trial_id, PARAMS, {"paused": None})
    for _ in range(2):
        storage.write_reports(study_id, {trial_id: {1: 0.2, 2: 0.4}}, {"elapsed_seconds": 3.0})
    for _ in range(2):
        storage.write_trial(trial_id, {2: 0.4, 3: 0.5}, {"end": "full"}, TrialState.COMPLETE, 0.5)
    (trial,) = read(url)
    assert trial.state is TrialState.COMPLETE and trial.value == 0.5 and trial.intermediate_values == {1: 0.2, 2: 0.4, 3: 0.5}
    assert trial.params["cnn/depth"] == 3 and trial.user_attrs == {"spec": {}, "paused": None, "end": "full"}
    assert storage.get_study_user_attrs(study_id)["elapsed_seconds"] == 3.0


def test_a_waiting_trial_starts_with_its_parameters(opened: tuple[StudyStorage, int, str]) -> None:
    storage, study_id, url = opened
    trial_id, _ = storage.insert_trial(study_id, TrialState.WAITING, {}, {"spec": {}}, {"fixed_params": {"cnn/depth": 3}}, reports={1: 0.1})
    (waiting,) = read(url)
    assert waiting.state is TrialState.WAITING and waiting.datetime_start is None and waiting.intermediate_values == {1: 0.1}
    storage.start_waiting(trial_id, PARAMS)
    (trial,) = read(url)
    assert trial.state is TrialState.RUNNING and trial.params["cnn/depth"] == 3 and trial.datetime_start is not None


@pytest.mark.parametrize("reader", ["view", "dashboard"])
def test_a_trial_that_ends_while_it_is_read_is_seen_before_or_after(opened: tuple[StudyStorage, int, str], location: Location, reader: str) -> None:
    """Optuna reads its state in one SELECT, its attributes and scores in others."""
    storage, study_id, _ = opened
    trial_id, _ = storage.insert_trial(study_id, TrialState.RUNNING, PARAMS, {"spec": {"seed": 3, "family": "cnn"}}, number=0)
    storage.write_trial(trial_id, {1: 0.2})
    named = None if location.url is None else f"env:{VARIABLE}"
    written: list[str] = []

    def end_it(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        if connection.engine is not storage.engine and "FROM trials" in statement and not written:
            written.append(statement)
            storage.write_trial(trial_id, {2: 0.4}, {"end": "full"}, TrialState.COMPLETE, 0.4)

    event.listen(Engine, "after_cursor_execute", end_it)
    try:
        if reader == "view":
            (trial,) = read_study(location.studies_dir, "s", named).trials
            seen = (trial.state, trial.end, trial.value, trial.reports)
        else:
            (frozen,) = StudyReader(location).trials()
            seen = (frozen.state.name, frozen.user_attrs.get("end"), frozen.value, frozen.intermediate_values)
    finally:
        event.remove(Engine, "after_cursor_execute", end_it)
    assert written and seen == ("RUNNING", None, None, {1: 0.2})
    assert read_study(location.studies_dir, "s", named).trials[0].end == "full"


def test_a_number_that_another_writer_took_is_noticed(opened: tuple[StudyStorage, int, str]) -> None:
    storage, study_id, _ = opened
    storage.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}}, number=0)
    with pytest.raises(StudyError, match="trial 0 should be next but 1 is"):
        storage.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}}, number=0)


def test_an_earlier_driver_writes_nothing_after_a_later_one_has_begun(location: Location) -> None:
    earlier, later = StudyStorage(location), StudyStorage(location)
    study_id = optuna.create_study(storage=earlier, study_name="s")._study_id
    assert (earlier.take_over(study_id), later.take_over(study_id)) == (1, 2)
    trial_id, _ = later.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}})
    attempts = {
        "study attribute": lambda: earlier.set_study_user_attr(study_id, "metric", "stolen"),
        "system attribute": lambda: earlier.set_study_system_attr(study_id, "metric", "stolen"),
        "trial": lambda: earlier.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}}),
        "start": lambda: earlier.start_waiting(trial_id, PARAMS),
        "end": lambda: earlier.write_trial(trial_id, {1: 0.5}, {"end": "full"}, TrialState.COMPLETE, 0.5),
        "reports": lambda: earlier.write_reports(study_id, {trial_id: {1: 0.5}}, {}),
    }
    for what, attempt in attempts.items():
        earlier.given_up = None  # each write by itself must be refused, not only what follows a refused one
        with pytest.raises(LeaseLost, match=r"another driver \(pid \d+ on .*run the same command again"):
            attempt()
        assert later.get_all_trials(study_id)[0].state is TrialState.RUNNING, what
    attrs, system_attrs = later.get_study_user_attrs(study_id), later.get_study_system_attrs(study_id)
    assert len(later.get_all_trials(study_id)) == 1 and "metric" not in attrs | system_attrs and attrs["generation"] == 2
    later.write_trial(trial_id, {1: 0.5}, state=TrialState.COMPLETE, value=0.5)


@pytest.mark.slow
def test_no_two_drivers_are_of_one_generation(location: Location) -> None:
    study_id = optuna.create_study(storage=StudyStorage(location), study_name="s")._study_id

    def take_over(storage: StudyStorage) -> list[int]:
        taken = []
        for _ in range(20):
            storage._fence = None  # as a driver that begins
            taken.append(storage.take_over(study_id))
        return taken

    with ThreadPoolExecutor(2) as pool:
        taken = [generation for some in pool.map(take_over, (StudyStorage(location), StudyStorage(location))) for generation in some]
    assert sorted(taken) == list(range(1, 41))


def test_a_take_over_waits_for_a_write_that_is_under_way(location: Location) -> None:
    """The look at the fence and the write are one: no take-over comes between them."""
    earlier, later = StudyStorage(location), StudyStorage(location)
    study_id = optuna.create_study(storage=earlier, study_name="s")._study_id
    earlier.take_over(study_id)
    order: list[str] = []
    inside = threading.Event()

    def slowly(connection: object) -> None:
        inside.set()
        time.sleep(0.5)
        order.append("written")

    writer = threading.Thread(target=earlier._write, args=(slowly,))
    writer.start()
    assert inside.wait(10)
    later.take_over(study_id)
    order.append("taken over")
    writer.join(10)
    assert order == ["written", "taken over"]


def test_a_driver_whose_study_was_removed_stops(location: Location) -> None:
    storage = StudyStorage(location)
    study_id = optuna.create_study(storage=storage, study_name="s")._study_id
    storage.take_over(study_id)
    optuna.delete_study(study_name="s", storage=StudyStorage(location))
    with pytest.raises(LeaseLost, match="was removed"):
        storage.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}})


@pytest.mark.slow
def test_the_dashboard_opens_what_we_write(opened: tuple[StudyStorage, int, str]) -> None:
    from optuna_dashboard import wsgi

    storage, study_id, url = opened
    trial_id, _ = storage.insert_trial(study_id, TrialState.RUNNING, PARAMS, {"spec": {}}, number=0)
    storage.write_trial(trial_id, {1: 0.2}, {"end": "full"}, TrialState.COMPLETE, 0.2)
    app = wsgi(optuna.storages.RDBStorage(url.replace("{", "{{").replace("}", "}}")))
    told: list[str] = []
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/api/studies/{study_id}", "QUERY_STRING": "after=0", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()}
    request |= {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    answer = json.loads(b"".join(app(request, lambda status, headers, *_: told.append(status))))
    assert told == ["200 OK"] and [(t["state"], t["values"]) for t in answer["trials"]] == [("Complete", [0.2])]


def test_a_storage_stays_in_its_process(opened: tuple[StudyStorage, int, str]) -> None:
    for secret in (opened[0], opened[0].location):
        with pytest.raises(TypeError, match="must not leave its process"):
            pickle.dumps(secret)


def test_every_connection_is_durable(opened: tuple[StudyStorage, int, str]) -> None:
    storage, _, url = opened
    with storage.engine.connect() as connection:
        if url.startswith("sqlite"):
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


@pytest.mark.slow
def test_a_database_that_would_not_wait_for_its_disk_is_told_to(postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres.new_database()
    postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    monkeypatch.setenv(VARIABLE, url)
    with StudyStorage(locate(tmp_path, "s", f"env:{VARIABLE}")).engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "file_system_of", lambda folder: "nfs4")
    with pytest.raises(StudyError, match=r"network file system \(nfs4\).*--studies-dir DIR.*--storage env:NAME"):
        StudyStorage(Location(tmp_path, "s"))
