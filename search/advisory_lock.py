"""A study's lock in its PostgreSQL database, held by a session of its own for as long as a driver lives.

The server lets go of it when the session ends: at once where the driver died, within half a minute where its machine or network did
(`search.database` sets the keepalives). The connection must go to the server itself, not through a pooler that shares sessions.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from search.database import ME, described, in_words, make_engine, passes
from search.errors import LeaseHeld, LeaseLost
from search.location import Location

#: A driver that was killed a moment ago may still have its session for that long.
_WAIT_SECONDS = 3.0
_CHECK_SECONDS = 5.0
_HOLDER = text(
    "SELECT l.pid, a.application_name, a.client_addr::text FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = :high AND l.objid = :low "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def key_of(what: str) -> int:
    """A lock's number, 64 bits signed, from what it is for, such as "study NAME", alone."""
    return int.from_bytes(hashlib.blake2b(what.encode(), digest_size=8).digest(), "big", signed=True)


@contextmanager
def one_at_a_time(location: Location, what: str) -> Iterator[None]:
    """Inside, no other process is inside with the same database and `what`; others wait."""
    engine = _engine(location)
    with engine.connect() as connection:  # whose end lets go of the lock
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key_of(what)})
        yield


def _engine(location: Location) -> Engine:
    return make_engine(location, poolclass=NullPool, isolation_level="AUTOCOMMIT")


class AdvisoryLock:
    """PostgreSQL's lock on one study.

    Parameters
    ----------
    location : Location
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._key = key_of(f"study {location.name}")
        self._engine = _engine(location)
        self._connection: Connection | None = None
        self._checked = 0.0

    def take(self, wait_seconds: float = _WAIT_SECONDS) -> None:
        """Take the lock.

        Raises
        ------
        LeaseHeld
            Another driver has it; the message names it.
        StudyError
            The database can't be reached.
        """
        with in_words(self._location, "reached"):
            holder = self._try_for(wait_seconds)
        if holder is not None:
            raise LeaseHeld(
                f"study '{self._location.name}': another process ({holder}) is working on it, in {described(self._location)}; wait for it, stop it, or start "
                "a study of another name with --study NAME; if its machine is gone, the database lets go of it within a minute"
            )

    def keep(self) -> None:
        """See now and then that the lock is still held; where the session was cut, take the lock again in a new one.

        Raises
        ------
        LeaseLost
            Another driver has it now.
        DBAPIError
            The database can't be reached.
        """
        if time.monotonic() - self._checked < _CHECK_SECONDS:
            return
        if not self._is_held():
            self.release()
            holder = self._try_for(0.0)
            if holder is not None:
                self.release()
                raise LeaseLost.of(self._location.name, holder)
        self._checked = time.monotonic()

    def release(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection, self._checked = self._connection, None, 0.0
        if connection is not None:
            connection.invalidate()  # a session that is dead already can't be closed in an orderly way
            connection.close()

    def _is_held(self) -> bool:
        if self._connection is None:
            return False
        try:
            own = self._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            return any(row.pid == own for row in self._holders(self._connection))
        except DBAPIError as error:
            if not passes(error):
                raise
            return False

    def _try_for(self, seconds: float) -> str | None:
        """Take the lock in a new session; after so many seconds without it, who has it."""
        self._connection = self._engine.connect()
        end = time.monotonic() + seconds
        while True:
            if self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar():
                self._checked = time.monotonic()
                return None
            holders = self._holders(self._connection)
            earlier = [row.pid for row in holders if row.application_name == ME]
            for pid in earlier:  # a session of our own that was cut on our side, and that the server has not missed yet
                self._connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            if not earlier and time.monotonic() >= end:
                return _in_words(holders)
            time.sleep(0.1)

    def _holders(self, connection: Connection) -> list[Any]:
        number = self._key % 2**64
        return list(connection.execute(_HOLDER, {"high": number >> 32, "low": number % 2**32}))


def _in_words(holders: list[Any]) -> str:
    """Pid and host of the first holder, as far as the server tells: it hides other roles' names from some."""
    row = holders[0] if holders else None
    words = (row.application_name or "").split(" ") if row is not None else []
    if len(words) == 4 and words[0] == ME.split(" ")[0]:
        return f"pid {words[2]} on {words[3]}"
    address = None if row is None else row.client_addr
    return f"a session from {address}" if address else "unknown"
