"""A study as the dashboard reads it: read-only, and from memory for as long as nothing has changed.

SQLite files are opened with ``mode=ro``: SQLite itself then refuses every write. Of PostgreSQL the session is read-only.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage, get_storage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from search.database import described, engine_options, in_words, parse_url, prepare_session, reads_one_moment, require_driver
from search.errors import StudyError
from search.location import Location

#: A lock that somebody holds is waited for so long; then the study is shown as one that can't be read.
_BUSY_SECONDS = 1.0
#: What could not be read is tried again after so long, as is a database that does not say when it changes.
_AGAIN_SECONDS, _SERVER_SECONDS = 5.0, 2.0
#: Two writes within the resolution of a file's time look like one: younger ones are not relied on.
_RACY_SECONDS = 1.0


class StudyReader:
    """One study; for several threads.

    Parameters
    ----------
    location : Location
        Where the study is, by its name.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._lock = threading.RLock()
        self._storage: Any = None
        self._file_id: object = None
        self._read: dict[str, tuple[object, float, Any]] = {}

    def study(self) -> FrozenStudy:
        """The study's name, direction and attributes.

        Raises
        ------
        StudyError
            If it can't be read, or there is none yet.
        """
        return self._kept("study", self._load_study)

    def trials(self) -> list[FrozenTrial]:
        """All trials in order; not to be changed. Raises as `study`."""
        return self._kept("trials", lambda: self._opened().get_all_trials(self.study()._study_id, deepcopy=False))

    def names(self) -> list[str]:
        """Names of all studies in the database. Raises as `study`."""
        return self._kept("names", lambda: [study.study_name for study in self._opened().get_all_studies()])

    def close(self) -> None:
        """Let the database go."""
        with self._lock:
            if self._storage is not None:
                self._storage._backend.engine.dispose()
            self._storage, self._read = None, {}

    def _load_study(self) -> FrozenStudy:
        found = next((s for s in self._opened().get_all_studies() if s.study_name == self.location.name), None)
        if found is None:
            raise StudyError(f"{described(self.location)}: no study of the name '{self.location.name}' is in it (yet)")
        return found

    def _kept(self, what: str, load: Callable[[], Any]) -> Any:
        with self._lock:
            stamp, now = self._stamp(), time.time()
            before = self._read.get(what)
            if before is not None and before[0] == stamp and now < before[1]:
                value = before[2]
            else:
                value = self._attempt(load)
                self._read[what] = (stamp, now + self._good_for(stamp, value, now), value)
        if isinstance(value, StudyError):
            raise value
        return value

    def _attempt(self, load: Callable[[], Any]) -> Any:
        """What `load` gives, or a StudyError that says why it can't: one broken study must not take the others down."""
        try:
            with in_words(self.location, "read"):
                return load()
        except StudyError as error:
            return error
        except Exception as error:  # whatever Optuna makes of a file that is no study, or a damaged one
            line = (str(error).splitlines() or [""])[0]
            return StudyError(f"{described(self.location)}: can't be read as a study: {type(error).__name__}: {line}")

    def _good_for(self, stamp: tuple[Any, ...] | None, value: Any, now: float) -> float:
        if isinstance(value, StudyError):
            return _AGAIN_SECONDS
        if stamp is None:
            return _SERVER_SECONDS
        return float("inf") if now - max(times for _, times, _ in stamp) / 1e9 > _RACY_SECONDS else 0.0

    def _stamp(self) -> tuple[Any, ...] | None:
        """What changes with the file, and with its write-ahead log; None on PostgreSQL. A file that was put in another's place is opened anew."""
        if self.location.variable is not None:
            return None
        found = [_facts(self.location.database_file), _facts(self.location.database_file.with_name("study.db-wal"))]
        if found[0][0] != self._file_id:
            self.close()
            self._file_id = found[0][0]
        return tuple(found)

    def _opened(self) -> Any:
        """Optuna's storage, which keeps ended trials in memory and reads the others anew."""
        if self._storage is None:
            storage = _open_sqlite(self.location) if self.location.variable is None else _open_postgresql(self.location)
            reads_one_moment(storage.engine)
            self._storage = get_storage(storage)
        return self._storage


def _facts(path: Path) -> tuple[object, int, int]:
    try:
        found = path.stat()
    except OSError:
        return None, 0, 0
    return (found.st_dev, found.st_ino), found.st_mtime_ns, found.st_size


def _open_sqlite(location: Location) -> RDBStorage:
    path = location.database_file
    if not path.is_file():
        raise StudyError(f"{path}: is not there")

    def connect() -> sqlite3.Connection:
        address = path.resolve().as_uri() + "?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            # In a folder where nothing can be written there is no room for the index of a write-ahead log; without a log none is needed.
            connection.close()
            if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or _facts(path.with_name("study.db-wal"))[2]:
                raise
            connection = sqlite3.connect(address + "&immutable=1", uri=True, check_same_thread=False)
        return connection

    return RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool}, skip_table_creation=True)


def _open_postgresql(location: Location) -> RDBStorage:
    require_driver(location)
    url = parse_url(location).render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # Optuna takes it for a template
    options = engine_options()
    options["connect_args"] = options["connect_args"] | {"options": "-c default_transaction_read_only=on"}
    storage = RDBStorage(url, engine_kwargs=options | {"poolclass": NullPool}, skip_table_creation=True)
    event.listen(storage.engine, "connect", prepare_session)
    return storage
