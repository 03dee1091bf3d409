"""Optuna's relational storage, opened for one careful writer, in SQLite or PostgreSQL.

Optuna writes one value a transaction; a search that reports every epoch then spends its time in commits. This module
adds writes of whole trials, each one transaction: a kill leaves a trial as it was before or after, never between.
Each first looks, in the same transaction, whether the study is still this driver's (the fence). Each may be made twice, since after a
lost connection nobody knows whether it was made once. It is tested against Optuna's own reading.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL, Connection, event, insert

from search import trial_rows as rows
from search.database import PATIENCE_SECONDS, described, engine_options, in_words, parse_url, patiently, prepare_session, require_driver, without_password
from search.errors import LeaseLost, StudyError
from search.location import Location
from search.sqlite_file import make_durable, require_local

if TYPE_CHECKING:
    from search.lease import Lease

T = TypeVar("T")


class StudyStorage(RDBStorage):
    """The database of a study: SQLite in WAL mode with full synchronisation, or PostgreSQL; and writes of whole trials.

    Parameters
    ----------
    location : Location
        For SQLite its folder exists.
    lease : Lease, optional
        Of who writes; asked before each write.

    Attributes
    ----------
    note : callable or None
        Told, in words, that a write has to wait for the database.
    given_up : StudyError or None
        Why nothing can be written any more.

    Raises
    ------
    StudyError
        If the file lies on a network file system, where SQLite's WAL loses data, or the database can't be had.
    """

    def __init__(self, location: Location, lease: Lease | None = None) -> None:
        self.location, self._lease = location, lease
        self._fence: tuple[int, int] | None = None  # study id, generation
        self.given_up: StudyError | None = None
        self.note: Callable[[str], None] | None = None
        try:
            with in_words(location, "opened"):
                self._open_sqlite() if location.variable is None else self._open_postgresql()
        except RuntimeError as error:  # Optuna's word on tables of another version
            raise StudyError(f"{described(location)}: {error}") from error

    def _open_sqlite(self) -> None:
        path = self.location.database_file
        require_local(path)
        if "?" in str(path):  # what follows it would be taken for options, and the database made elsewhere
            raise StudyError(f"{path}: a path with a question mark can't hold a study in SQLite: take another folder with --studies-dir")
        # A dashboard or a backup may hold the lock for a while, and a study must outlast it.
        try:
            url = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)  # %20 in a path is no space
        except UnicodeEncodeError as error:
            raise StudyError(f"{str(path)!r}: a path that is not UTF-8 can't hold a study in SQLite: take another folder with --studies-dir") from error
        super().__init__(_template(url), engine_kwargs={"connect_args": {"timeout": PATIENCE_SECONDS}})
        event.listen(self.engine, "connect", make_durable)
        self.engine.dispose()  # connections opened before the listener are not durable

    def _open_postgresql(self) -> None:
        from search.advisory_lock import one_at_a_time

        require_driver(self.location)
        url = parse_url(self.location).render_as_string(hide_password=False)
        with one_at_a_time(self.location, "tables"):  # drivers of two studies may both find an empty database
            super().__init__(_template(url), engine_kwargs=engine_options())
        self.url = described(self.location)
        event.listen(self.engine, "connect", prepare_session)
        self.engine.dispose()

    def __getstate__(self) -> NoReturn:
        raise TypeError("a study's storage may hold a password and must not leave its process")

    # -- who may write ---------------------------------------------------------------------------------------------

    def take_over(self, study_id: int) -> int:
        """Begin a new generation of the study: from now on no earlier driver can write, and this one can for as long as none follows.

        Returns
        -------
        int
            The generation, from 1.
        """

        def write(connection: Connection) -> int:
            generation = rows.count_up(connection, study_id, "generation")
            rows.set_attrs(connection, rows.STUDY_USER_ATTRS, study_id, {"driver": {"pid": os.getpid(), "host": socket.gethostname()}})
            return generation

        generation = self._write(write)
        self._fence = (study_id, generation)
        return generation

    def _check_fence(self, connection: Connection) -> None:
        """Raise a LeaseLost where another driver has taken the study over.

        The row stays locked to the end of the transaction. So a take-over comes before it or after it; and so does, when a connection was lost, the
        transaction that may still be under way on the server, before its repetition.
        """
        if self._fence is None:
            return
        study_id, generation = self._fence
        found = connection.execute(rows.study_attr(study_id, "generation").with_for_update(key_share=True)).scalar()
        if found == str(generation):
            return
        name = self.location.name
        if found is None:
            raise LeaseLost(f"study '{name}' was removed from {described(self.location)} while it ran; nothing was written since; run the same command again to begin anew")
        driver = json.loads(connection.execute(rows.study_attr(study_id, "driver")).scalar() or "{}")
        raise LeaseLost.of(name, f"pid {driver.get('pid', 'unknown')} on {driver.get('host', 'unknown')}")

    def _write(self, write: Callable[[Connection], T]) -> T:
        """Run `write` in a transaction behind the fence; again, where the connection is lost. What fails for good is the last that was tried."""
        if self.given_up is not None:
            raise self.given_up

        def attempt() -> T:
            if self._lease is not None:
                self._lease.keep()
            with self.engine.begin() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 itself would begin with the first write, after the look at the fence
                self._check_fence(connection)
                return write(connection)

        try:
            with in_words(self.location, "written"):
                return patiently(attempt, self._tell_wait, PATIENCE_SECONDS)
        except StudyError as error:
            self.given_up = error
            raise

    def _tell_wait(self, text: str) -> None:
        if self.note is not None:
            self.note(without_password(text, self.location))

    # -- writes ----------------------------------------------------------------------------------------------------

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """As Optuna's, behind the fence."""
        self._write(lambda connection: rows.set_attrs(connection, rows.STUDY_USER_ATTRS, study_id, {key: value}))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """As Optuna's, behind the fence."""
        self._write(lambda connection: rows.set_attrs(connection, rows.STUDY_SYSTEM_ATTRS, study_id, {key: value}))

    def insert_trial(
        self,
        study_id: int,
        state: TrialState,
        params: Mapping[str, tuple[Any, BaseDistribution]],
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any] | None = None,
        number: int | None = None,
        reports: Mapping[int, float] | None = None,
    ) -> tuple[int, int]:
        """Write a new trial whole.

        Parameters
        ----------
        params : mapping of name to (value, distribution)
        user_attrs, system_attrs : mappings of JSON-able values
        reports : mapping of epoch to value, optional
            What it takes over from the lost trial it goes on with.
        number : int, optional
            The number the caller counts on (its specification may hold the seed drawn from it).

        Returns
        -------
        (trial_id, number)

        Raises
        ------
        StudyError
            If another writer took that number.
        """
        wanted, attempts = number, 0

        def write(connection: Connection) -> tuple[int, int]:
            nonlocal wanted, attempts
            attempts += 1
            last = rows.last_trial(connection, study_id)
            free = 0 if last is None else last[1] + 1
            if attempts > 1 and last is not None and last[1] == wanted and rows.has_attrs(connection, last[0], user_attrs):
                return last  # an earlier attempt was committed; only the answer was lost
            if wanted is None:
                wanted = free
            if wanted != free:
                raise StudyError(f"{self.url}: trial {wanted} should be next but {free} is: another process writes this study")
            started = rows.utc_now() if state is not TrialState.WAITING else None
            row = {"number": free, "study_id": study_id, "state": state, "datetime_start": started}
            trial_id = connection.execute(insert(rows.TRIALS).values(**row)).inserted_primary_key[0]
            rows.set_params(connection, trial_id, params)
            rows.set_attrs(connection, rows.USER_ATTRS, trial_id, user_attrs)
            rows.set_attrs(connection, rows.SYSTEM_ATTRS, trial_id, system_attrs or {})
            rows.set_reports(connection, {trial_id: reports or {}})
            return trial_id, free

        return self._write(write)

    def start_waiting(
        self, trial_id: int, params: Mapping[str, tuple[Any, BaseDistribution]], user_attrs: Mapping[str, Any] | None = None
    ) -> None:
        """Turn a WAITING trial into a RUNNING one; `params` where it has none yet."""

        def write(connection: Connection) -> None:
            rows.set_state(connection, trial_id, TrialState.RUNNING)
            rows.set_params(connection, trial_id, params)
            rows.set_attrs(connection, rows.USER_ATTRS, trial_id, user_attrs or {})

        self._write(write)

    def write_trial(
        self,
        trial_id: int,
        reports: Mapping[int, float],
        user_attrs: Mapping[str, Any] | None = None,
        state: TrialState | None = None,
        value: float | None = None,
    ) -> None:
        """Add reports (epoch to value) to a trial and, with `state`, end it or (WAITING) let it wait; one transaction."""

        def write(connection: Connection) -> None:
            rows.set_reports(connection, {trial_id: reports})
            rows.set_attrs(connection, rows.USER_ATTRS, trial_id, user_attrs or {})
            if value is not None:
                rows.set_value(connection, trial_id, value)
            if state is not None:
                rows.set_state(connection, trial_id, state)

        self._write(write)

    def write_reports(self, study_id: int, reports: Mapping[int, Mapping[int, float]], study_attrs: Mapping[str, Any]) -> None:
        """Add reports (trial id to epoch to value) of running trials, and set attributes of the study; one transaction."""

        def write(connection: Connection) -> None:
            rows.set_reports(connection, reports)
            rows.set_attrs(connection, rows.STUDY_USER_ATTRS, study_id, study_attrs)

        self._write(write)


def _template(url: str) -> str:
    """A URL as Optuna takes it, which fills in what is in braces."""
    return url.replace("{", "{{").replace("}", "}}")
