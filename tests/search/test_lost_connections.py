"""Writes to PostgreSQL over a wire that is cut at the worst moment: each is there once, or its caller is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from search import advisory_lock
from search.errors import LeaseHeld, LeaseLost, StudyError
from search.lease import hold_lease
from search.location import Location, locate
from search.storage import StudyStorage
from tests.postgres import VARIABLE, Server
from tests.search.conftest import until
from tests.wire import Wire


@pytest.fixture
def wire(postgres: Server) -> Iterator[Wire]:
    wire = Wire(postgres.address)
    yield wire
    wire.close()


@pytest.fixture
def location(postgres: Server, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    database = postgres.new_database().rpartition("/")[2]
    monkeypatch.setenv(VARIABLE, postgres.url(database, address=wire.address))
    return locate(tmp_path, "s", f"env:{VARIABLE}")


def lose(wire: Wire, verdict: str) -> list[bytes]:
    """The next COMMIT does not arrive ("drop"), or does but its answer does not ("mute"); returns a list of what was hit."""
    hit: list[bytes] = []

    def judge(data: bytes) -> str:
        if b"COMMIT" not in data or hit:
            return "pass"
        hit.append(data)
        return verdict

    wire.judge = judge
    return hit


@pytest.mark.parametrize("verdict", ["drop", "mute"])
def test_a_commit_that_is_lost_or_whose_answer_is_lost_counts_once(location: Location, wire: Wire, verdict: str) -> None:
    storage = StudyStorage(location)
    study_id = optuna.create_study(storage=storage, study_name="s")._study_id
    generation = storage.take_over(study_id)
    params = {"x": (0.5, FloatDistribution(0, 1))}
    told: list[str] = []
    storage.note = told.append

    hits = [lose(wire, verdict)]
    ids = [storage.insert_trial(study_id, TrialState.RUNNING, params, {"spec": {"seed": 1}}, {"a": 1}, number=0, reports={1: 0.1})]
    hits.append(lose(wire, verdict))
    storage.write_trial(ids[0][0], {1: 0.1, 2: 0.2}, {"end": "full"}, TrialState.COMPLETE, 0.2)
    hits.append(lose(wire, verdict))
    ids.append(storage.insert_trial(study_id, TrialState.WAITING, {}, {"spec": {"seed": 1}}))
    hits.append(lose(wire, verdict))
    storage.start_waiting(ids[1][0], params)
    hits.append(lose(wire, verdict))
    storage.set_study_user_attr(study_id, "elapsed_seconds", 4.5)

    assert [len(hit) for hit in hits] == [1] * 5 and len(told) == 5 and "trying again" in told[0]
    assert [number for _, number in ids] == [0, 1]
    first, second = storage.get_all_trials(study_id)
    assert (first.state, first.value, first.params, first.intermediate_values) == (TrialState.COMPLETE, 0.2, {"x": 0.5}, {1: 0.1, 2: 0.2})
    assert first.user_attrs == {"spec": {"seed": 1}, "end": "full"} and first.system_attrs == {"a": 1}
    assert (second.state, second.params) == (TrialState.RUNNING, {"x": 0.5})
    attrs = storage.get_study_user_attrs(study_id)
    assert attrs["elapsed_seconds"] == 4.5 and attrs["generation"] == generation


@pytest.mark.slow
def test_a_take_over_whose_answer_was_lost_is_still_ours(location: Location, wire: Wire) -> None:
    storage = StudyStorage(location)
    study_id = optuna.create_study(storage=storage, study_name="s")._study_id
    lose(wire, "mute")
    generation = storage.take_over(study_id)
    assert generation == storage.get_study_user_attrs(study_id)["generation"]
    storage.set_study_user_attr(study_id, "a", 1)


@pytest.mark.slow
def test_a_wire_that_stays_cut_is_one_clear_error_and_the_last_attempt(location: Location, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.storage.PATIENCE_SECONDS", 0.5)
    storage = StudyStorage(location)
    study_id = optuna.create_study(storage=storage, study_name="s")._study_id
    wire.is_down = True
    wire.cut()
    with pytest.raises(StudyError, match=rf"study 's': its database .* on 127\.0\.0\.1:\d+ \(env:{VARIABLE}\) can't be written: .*run the same command again"):
        storage.set_study_user_attr(study_id, "a", 1)
    wire.is_down = False
    with pytest.raises(StudyError, match="can't be written"):  # at once: what follows must not be written where what came before was not
        storage.set_study_user_attr(study_id, "b", 1)
    assert StudyStorage(location).get_study_user_attrs(study_id) == {}


@pytest.mark.slow
def test_a_lease_whose_session_was_cut_is_taken_again(location: Location, wire: Wire, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory_lock, "_CHECK_SECONDS", 0.0)
    with hold_lease(location) as lease:
        wire.cut()
        until(lambda: not holders(postgres, location), 10)
        lease.keep()
        (pid,) = holders(postgres, location)
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        until(lambda: not holders(postgres, location), 10)
        lease.keep()
        assert len(holders(postgres, location)) == 1
    until(lambda: not holders(postgres, location), 10)


def test_a_lease_that_another_has_taken_is_lost(location: Location, wire: Wire, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory_lock, "_CHECK_SECONDS", 0.0)
    with hold_lease(location) as lease:
        (pid,) = holders(postgres, location)
        other = advisory_lock.AdvisoryLock(location)
        monkeypatch.setattr(advisory_lock, "ME", "study-driver 0123abcd 77 elsewhere")  # what asks now is somebody else
        with pytest.raises(LeaseHeld, match=r"another process \(pid \d+ on "):
            other.take(wait_seconds=0.0)
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        other.take()  # waits for the end of that session
        with pytest.raises(LeaseLost, match=r"another driver \(pid \d+ on "):
            lease.keep()
        other.release()


def holders(postgres: Server, location: Location) -> list[int]:
    """Backends that hold the study's lock."""
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    return [pid for (pid,) in postgres.execute(query, location.url.rpartition("/")[2])]
