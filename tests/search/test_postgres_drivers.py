"""Real drivers on a real PostgreSQL server: one at a time, whatever is killed, paused or cut; and nobody but them ever has the password."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from search.errors import StudyError
from search.study_view import list_studies, read_study
from tests.postgres import PASSWORD, VARIABLE, Server
from tests.search.conftest import Driver, Studies, until
from tests.search.far_host import FarHost
from tests.search.soundness import assert_sound, finished_trials
from tests.wire import Wire

TRIALS = 12
STORAGE = {"storage": f"env:{VARIABLE}", "engine": "inline"}
pytestmark = pytest.mark.slow


@pytest.fixture
def database(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a new database, whose URL is in the variable."""
    url = postgres.new_database()
    monkeypatch.setenv(VARIABLE, url)
    return url.rpartition("/")[2]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Studies]:
    """The studies folder of another machine: what two machines share is the database."""
    (tmp_path / "elsewhere").mkdir()
    studies = Studies(tmp_path / "elsewhere")
    yield studies
    for driver in studies.drivers:
        driver.clean_up()


def epochs(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def started(studies: Studies, log: Path, n: int = 8, engine: str = "inline", **task: object) -> Driver:
    driver = studies.start({"epoch_seconds": 0.05, "log": str(log), **task}, **{**STORAGE, "engine": engine})
    until(lambda: epochs(log) >= n or driver.process.poll() is not None)
    assert driver.process.poll() is None, driver.text
    driver.family()
    return driver


@pytest.fixture
def far(postgres: Server) -> Iterator[FarHost]:
    """A host of its own that sees the server."""
    host = FarHost()
    postgres.listen(host.near, f"{host.near}/30")
    yield host
    host.close()


def lock_holders(postgres: Server, database: str) -> list[int]:
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    return [pid for (pid,) in postgres.execute(query, database)]


def all_rows(postgres: Server, database: str) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    tables = postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database)
    return {table: sorted(row for (row,) in postgres.execute(f"SELECT t::text FROM {table} t", database)) for (table,) in tables}


def test_two_drivers_on_one_study_the_second_is_refused(studies: Studies, elsewhere: Studies, database: str, tmp_path: Path) -> None:
    first = started(studies, tmp_path / "epochs", epoch_seconds=0.35)
    here, there = studies.start({}, **STORAGE), elsewhere.start({}, **STORAGE)
    for second in (here, there):
        assert second.wait() == 2
        assert f"pid {first.process.pid} on " in second.text and "Traceback" not in second.text
    assert first.wait() == 0, first.text
    assert_sound(studies.read(), TRIALS, tmp_path / "epochs")


@pytest.mark.parametrize("same_folder", [True, False])
def test_a_driver_was_killed_the_same_command_goes_on_at_once(studies: Studies, elsewhere: Studies, database: str, tmp_path: Path, same_folder: bool) -> None:
    log = tmp_path / "epochs"
    first = started(studies, log)
    before = finished_trials(studies.read())
    first.kill(signal.SIGKILL)
    first.wait()
    again = (studies if same_folder else elsewhere).start({"log": str(log)}, **STORAGE)
    assert again.wait() == 0, again.text
    lost = [t.spec["seed"] for t in studies.read().trials if t.end == "orphan"]
    assert len(lost) == 1
    assert_sound(studies.read(), TRIALS, log, before, afresh=() if same_folder else lost)  # its checkpoint is where it ran


@pytest.mark.parametrize("engine", ["inline", "ray"])
def test_a_paused_driver_that_was_replaced_writes_nothing_more(postgres: Server, studies: Studies, elsewhere: Studies, database: str, tmp_path: Path, engine: str) -> None:
    log = tmp_path / "epochs"
    first = started(studies, log, engine=engine)
    before = finished_trials(studies.read())
    first.process.send_signal(signal.SIGSTOP)
    (holder,) = lock_holders(postgres, database)
    postgres.execute(f"SELECT pg_terminate_backend({holder})")
    log = tmp_path / "epochs of the second"
    second = elsewhere.start({"log": str(log)}, **STORAGE)
    assert second.wait(90) == 0, second.text  # what the first had under way when it was stopped, the server ends after half a minute
    there, files = all_rows(postgres, database), {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*") if p.is_file()}

    first.process.send_signal(signal.SIGCONT)
    assert first.wait() == 2
    assert f"another driver (pid {second.process.pid} on " in first.text and "run the same command again" in first.text and "Traceback" not in first.text
    assert all_rows(postgres, database) == there
    changed = {p.name for p, at in files.items() if not p.exists() or p.stat().st_mtime_ns != at}
    assert not changed - {"curve.csv", "epoch"}, "no more than what a trial under way writes for itself"
    first.assert_nothing_left()
    assert_sound(read_study(elsewhere.folder, "s"), TRIALS, log, before)


def test_the_server_restarts_and_crashes_under_a_study(postgres: Server, studies: Studies, database: str, tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    driver = started(studies, log)
    for mode in ("fast", "immediate"):
        postgres.restart(mode)
        reached = epochs(log) + 10
        until(lambda: epochs(log) >= reached or driver.process.poll() is not None)
    assert driver.wait() == 0, driver.text
    assert "trying again" in driver.text
    assert_sound(studies.read(), TRIALS, log)
    assert not [t for t in studies.read().trials if t.is_lost], "no trial noticed"


def test_a_server_that_is_away_for_some_seconds(postgres: Server, studies: Studies, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(postgres.address)
    monkeypatch.setenv(VARIABLE, postgres.url(database, address=wire.address))
    log = tmp_path / "epochs"
    driver = started(studies, log)
    wire.is_down = True
    wire.cut()
    until(lambda: "trying again" in driver.text)
    time.sleep(3)
    wire.is_down = False
    assert driver.wait() == 0, driver.text
    assert_sound(studies.read(), TRIALS, log)
    wire.close()


def test_the_network_is_lost_without_a_word_another_machine_goes_on_and_the_first_writes_nothing_more(
    postgres: Server, studies: Studies, elsewhere: Studies, far: FarHost, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = postgres.address.rpartition(":")[2]
    monkeypatch.setenv(VARIABLE, postgres.url(database, address=f"{far.near}:{port}"))
    studies.prefix = far.prefix
    first = started(studies, tmp_path / "epochs")
    before = finished_trials(studies.read())
    far.pull()
    monkeypatch.setenv(VARIABLE, postgres.url(database))
    log = tmp_path / "epochs of the second"
    until(lambda: not lock_holders(postgres, database), 60)  # keepalives that nobody answers
    second = elsewhere.start({"log": str(log)}, **STORAGE)
    assert second.wait(90) == 0, second.text
    there = all_rows(postgres, database)
    until(lambda: "trying again" in first.text)  # its own packets are not answered either; between two tries of the kernel it may be half a minute
    far.plug()
    assert first.wait(120) == 2
    assert f"another driver (pid {second.process.pid} on " in first.text and "Traceback" not in first.text
    assert all_rows(postgres, database) == there
    assert_sound(read_study(elsewhere.folder, "s"), TRIALS, log, before)


def test_a_server_that_stays_away_ends_the_run_and_the_same_command_goes_on(postgres: Server, studies: Studies, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(postgres.address)
    monkeypatch.setenv(VARIABLE, postgres.url(database, address=wire.address))
    log = tmp_path / "epochs"
    driver = started(studies, log, patience_seconds=2)
    before = finished_trials(studies.read())
    wire.is_down = True
    wire.cut()
    assert driver.wait() == 2
    assert f"(env:{VARIABLE}) can't be written" in driver.text and "Traceback" not in driver.text
    wire.is_down = False
    again = studies.start({"log": str(log)}, **STORAGE)
    assert again.wait() == 0, again.text
    assert_sound(studies.read(), TRIALS, log, before)
    wire.close()


def test_a_variable_that_names_another_database_now(postgres: Server, studies: Studies, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert studies.start({}, **STORAGE).wait() == 0
    here = finished_trials(studies.read())
    other = Studies(studies.folder / "other")
    other.folder.mkdir()
    url = postgres.new_database()
    monkeypatch.setenv(VARIABLE, url)
    refused = studies.start({}, **STORAGE)
    assert refused.wait() == 2 and "has no study of that name" in refused.text and "Traceback" not in refused.text
    assert other.start({}, **STORAGE).wait() == 0  # a study of that name, but another one
    with pytest.raises(StudyError, match="has another study of that name"):
        studies.read()
    monkeypatch.setenv("MOVED", postgres.url(database))
    again = studies.start({}, **{**STORAGE, "storage": "env:MOVED"})  # the same database under another name
    assert again.wait() == 0, again.text
    assert finished_trials(studies.read()) == here
    assert json.loads((studies.folder / "s" / "storage.json").read_text())["storage"] == "env:MOVED"


def test_what_can_go_wrong_at_the_start_is_one_clear_error(postgres: Server, studies: Studies, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PASSWORD + "x"
    postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    faults = {
        postgres.url(database, password=wrong): "password authentication failed",
        postgres.url("nowhere"): 'database "nowhere" does not exist',
        postgres.url(database, address="127.0.0.1:1"): "onnection refused",
        postgres.url(database, address="no-such-host.invalid"): "no-such-host.invalid",
        f"postgresql://guest:guest@{postgres.address}/{database}": "permission denied",
    }
    for url, said in faults.items():
        monkeypatch.setenv(VARIABLE, url)
        driver = studies.start({}, **STORAGE)
        assert driver.wait() == 2
        assert said in driver.text and f"env:{VARIABLE}" in driver.text and "Traceback" not in driver.text, driver.text
        assert_untold(driver.text, wrong)
    assert list_studies(studies.folder) == []


@pytest.mark.parametrize("engine", ["inline", "ray"])
def test_the_password_is_nowhere(postgres: Server, studies: Studies, database: str, tmp_path: Path, engine: str) -> None:
    log = tmp_path / "epochs"
    driver = studies.start({"epoch_seconds": 0.05, "log": str(log)}, storage=f"env:{VARIABLE}", engine=engine)
    until(lambda: epochs(log) >= 12)
    children = [p for p in driver.family() if p.pid != driver.process.pid]
    inherited = {p.pid: " ".join((*environment(p).values(), *words(p))) for p in children}
    assert driver.wait() == 0, driver.text
    assert engine == "inline" or len(inherited) >= 3
    texts = [driver.text, *inherited.values(), json.dumps(all_rows(postgres, database)), repr(studies.read()), json.dumps(studies.read().run)]
    texts += [str(p) + p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file()]
    assert len(texts) > 6 and f"env:{VARIABLE}" in "".join(texts)
    for text in texts:
        assert_untold(text)


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def assert_untold(text: str, password: str = PASSWORD) -> None:
    """No text has the password, nor a piece of it that would do harm, in any spelling."""
    for secret in (password, quote(password, safe=""), quote(password), "Zaunkönig", "Zaunk%C3%B6nig", "Zaunk\\u00f6nig"):
        assert secret not in text, f"the password was told: …{text[max(0, text.find(secret) - 80) : text.find(secret)]}"
