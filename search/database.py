"""PostgreSQL as the home of studies: its URL, connections that notice a dead peer, errors in words, and patience.

Nothing that leaves this module has the password in it. Times are in seconds.
"""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from search.errors import SearchError, StudyError
from search.location import URL_FORM, Location

T = TypeVar("T")

#: So long a study outlasts a server that restarts, a lock that another process holds on the SQLite file, a network that is away.
PATIENCE_SECONDS = 90.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 3.0
#: A silent peer is given up after 15 + 3 * 5 seconds, by us and (see `_SESSION`) by the server.
_CONNECT = {"connect_timeout": 10, "keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
#: Of each connection. The server must let go of what a dead or stopped driver holds, must not cut one that waits for its next epoch, and must
#: have a commit on disk before it says so, whatever its defaults.
_SESSION = {
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "30s",
    "idle_session_timeout": "0",
    "synchronous_commit": "on",
}
#: SQLSTATE classes of what passes: connection, resources, operator's intervention (restart), rolled back; and a transaction that took too long.
_PASSING_CLASSES, _PASSING_STATES = ("08", "53", "57", "40"), ("25P03", "25P04")
_SQLITE_REMEDIES = {
    "SQLITE_FULL": "free space on the disk that holds {folder}",
    "SQLITE_IOERR": "see whether the disk that holds {folder} is full or broken, free space on it",
    "SQLITE_BUSY": "end the process that holds the file (a shell, a backup)",
    "SQLITE_READONLY": "make {folder} writable",
    "SQLITE_CANTOPEN": "make {folder} writable, see whether its disk is full",
    "SQLITE_CORRUPT": "the file is damaged: put a copy of it in its place",
    "SQLITE_NOTADB": "the file is no database: put a copy of it in its place",
}
#: Names this process to those who ask who holds what; the server keeps 63 bytes.
ME = f"study-driver {uuid.uuid4().hex[:8]} {os.getpid()} {socket.gethostname()}"[:63]


def parse_url(location: Location) -> URL:
    """The URL of a study's database.

    Raises
    ------
    StudyError
        If it is none of PostgreSQL, or can't be understood. The message does not repeat it: which part of it is the password is just what is not clear then.
    """
    told = f"storage: env:{location.variable}: what the variable holds"
    try:
        url = make_url(location.url)
    except (ArgumentError, ValueError, TypeError):
        raise StudyError(f"{told} is no database URL; it must have the form {URL_FORM}") from None
    if url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise StudyError(f"{told} is no URL of a PostgreSQL database; it must have the form {URL_FORM}")
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise StudyError(f"{told} names another driver than psycopg; begin it with postgresql+psycopg://")
    # An @ or / in a password that is not written as %40 or %2F moves the borders of all parts.
    if location.url.count("@") > 1 or ("@" in location.url and url.username is None) or not re.fullmatch(r"[^@:/?#\s]+", url.database or ""):
        raise StudyError(f"{told} must have the form {URL_FORM}, with special characters of the password written as %40 (@), %2F (/), %3A (:), %25 (%)")
    return url.set(drivername="postgresql+psycopg")


def described(location: Location) -> str:
    """The database in words fit for a message: which, where, and the variable."""
    if location.variable is None:
        return str(location.database_file)
    url = parse_url(location)
    host = url.host or url.query.get("host") or "this machine"
    return f"database {url.database} on {host}{f':{url.port}' if url.port else ''} (env:{location.variable})"


def make_engine(location: Location, **options: Any) -> Engine:
    """An engine for a study's PostgreSQL database; nothing is connected yet.

    Raises
    ------
    StudyError
        The URL can't be understood, or the driver package is missing.
    """
    url = parse_url(location)
    require_driver(location)
    engine = create_engine(url, **engine_options(), **options)
    event.listen(engine, "connect", prepare_session)
    return engine


def require_driver(location: Location) -> None:
    """Raise a StudyError where psycopg is not installed, or has no libpq."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StudyError(
            f"storage: env:{location.variable}: PostgreSQL needs the package psycopg ({error}); "
            "install it with pip install -c constraints.txt -e '.[postgresql]'"
        ) from error


def engine_options() -> dict[str, Any]:
    """Options of every engine on PostgreSQL; statements' values stay out of errors, for they may be long."""
    return {"connect_args": {**_CONNECT, "application_name": ME}, "hide_parameters": True}


def prepare_session(connection: Any, record: Any) -> None:
    """Give a new connection its settings; those that an older server does not know are left out."""
    values = ", ".join(f"('{name}', '{value}')" for name, value in _SESSION.items())
    before, connection.autocommit = connection.autocommit, True
    connection.execute(
        f"SELECT set_config(name, wanted, false) FROM (VALUES {values}) AS asked(name, wanted) JOIN pg_settings USING (name) "
        "WHERE name <> 'synchronous_commit' OR setting = 'off'"  # stronger ones than 'on' stay
    )
    connection.autocommit = before


def reads_one_moment(engine: Engine) -> None:
    """Let each transaction of an engine that only reads see its database as of one moment: of a trial that ends between two SELECTs, all or nothing."""
    begin = "BEGIN" if engine.dialect.name == "sqlite" else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))


def passes(error: DBAPIError) -> bool:
    """True for what may be gone a minute later: no connection, a server that starts or stops, a transaction that lost to another."""
    if error.connection_invalidated:
        return True
    if type(error.orig).__module__.partition(".")[0] != "psycopg":
        return False  # SQLite's own busy timeout has waited already
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return type(error.orig).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES


def patiently(attempt: Callable[[], T], note: Callable[[str], None] | None = None, patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Call `attempt` until it does not fail for a reason that passes, with growing pauses; `note` is told once that there is a wait.

    Raises
    ------
    DBAPIError
        The last one, when patience is at its end, or at once one that does not pass.
    """
    end, pause = None, _FIRST_PAUSE_SECONDS
    while True:
        try:
            return attempt()
        except DBAPIError as error:
            now = time.monotonic()
            if not passes(error) or (end is not None and now + pause > end):
                raise
            if end is None:
                end = now + patience_seconds
                if note is not None:
                    note(f"the study's database does not answer ({first_line(error)}); trying again for {patience_seconds:.0f} seconds")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


@contextmanager
def in_words(location: Location, doing: str) -> Iterator[None]:
    """Turn what the database, or Optuna about it, raises inside into one clear :class:`StudyError`; `doing` is "read" or "written"."""
    try:
        yield
    except SearchError:
        raise
    except Exception as error:
        cause = next((e for e in (error, error.__cause__) if isinstance(e, DBAPIError)), None)
        if cause is None:
            raise
        raise StudyError(f"study '{location.name}': its {_place(location)} can't be {doing}: {without_password(first_line(cause), location)}; {_remedy(location, cause)}") from cause


def _place(location: Location) -> str:
    return f"database {location.database_file}" if location.variable is None else described(location)


def _remedy(location: Location, cause: DBAPIError) -> str:
    if location.variable is not None:
        return f"nothing that was recorded is lost: see that the server runs and that {location.variable} holds the right URL, then run the same command again"
    code = getattr(cause.orig, "sqlite_errorname", "")  # of extended ones the beginning says what they are about
    remedy = next((text for start, text in _SQLITE_REMEDIES.items() if code.startswith(start)), "put that right")
    return f"nothing that was recorded is lost: {remedy.format(folder=location.folder)}, then run the same command again"


def first_line(error: DBAPIError) -> str:
    """What the database said, without SQLAlchemy's words about it."""
    lines = [" ".join(line.split()) for line in str(error.orig).splitlines() if line.strip()]
    return lines[0] if lines else type(error.orig).__name__


def without_password(text: str, location: Location) -> str:
    """A text of somebody else's, whatever it repeats."""
    password = None if location.variable is None else parse_url(location).password
    return text.replace(str(password), "***") if password else text
