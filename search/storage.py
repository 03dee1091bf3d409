"""Optuna's relational storage, opened for one careful writer.

Optuna writes one value a transaction; a search that reports every epoch then spends its time in commits. This module
adds three writes of whole trials, each one transaction: a kill leaves a trial as it was before or after, never between.
It is the only place that touches Optuna's private table models, and is tested against Optuna's own reading of them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, event, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from search.errors import StudyError

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p"}
_TRIALS = models.TrialModel.__table__
_PARAMS = models.TrialParamModel.__table__
_USER_ATTRS = models.TrialUserAttributeModel.__table__
_SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__
_VALUES = models.TrialValueModel.__table__
_REPORTS = models.TrialIntermediateValueModel.__table__


class StudyStorage(RDBStorage):
    """SQLite in WAL mode with full synchronisation, and writes of whole trials.

    Parameters
    ----------
    path : Path
        The database file; its folder exists.

    Raises
    ------
    StudyError
        If the file lies on a network file system, where SQLite's WAL loses data.
    """

    def __init__(self, path: Path) -> None:
        kind = file_system_of(path.parent)
        if kind in _NETWORK_FILE_SYSTEMS:
            raise StudyError(
                f"{path}: SQLite's write-ahead log is not safe on a network file system ({kind}); "
                "put the studies on a local disk with --studies-dir DIR"
            )
        # 90 s: a dashboard or a backup may hold the lock for a while, and a study must outlast it.
        super().__init__(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 90}})
        event.listen(self.engine, "connect", _durable)
        self.engine.dispose()  # connections opened before the listener are not durable

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

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
        with self._transaction() as connection:
            highest = connection.execute(select(func.max(_TRIALS.c.number)).where(_TRIALS.c.study_id == study_id)).scalar()
            free = 0 if highest is None else highest + 1
            if number is not None and number != free:
                raise StudyError(f"{self.url}: trial {number} should be next but {free} is: another process writes this study")
            started = _utc_now() if state is not TrialState.WAITING else None
            row = {"number": free, "study_id": study_id, "state": state, "datetime_start": started}
            trial_id = connection.execute(insert(_TRIALS).values(**row)).inserted_primary_key[0]
            _insert_params(connection, trial_id, params)
            _set_attrs(connection, _USER_ATTRS, trial_id, user_attrs)
            _set_attrs(connection, _SYSTEM_ATTRS, trial_id, system_attrs or {})
            _insert_reports(connection, trial_id, reports or {})
        return trial_id, free

    def start_waiting(
        self,
        trial_id: int,
        params: Mapping[str, tuple[Any, BaseDistribution]],
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Turn a WAITING trial into a RUNNING one; `params` where it has none yet."""
        with self._transaction() as connection:
            connection.execute(
                update(_TRIALS)
                .where(_TRIALS.c.trial_id == trial_id)
                .values(state=TrialState.RUNNING, datetime_start=func.coalesce(_TRIALS.c.datetime_start, _utc_now()))
            )
            _insert_params(connection, trial_id, params)
            _set_attrs(connection, _USER_ATTRS, trial_id, user_attrs or {})

    def write_trial(
        self,
        trial_id: int,
        reports: Mapping[int, float],
        user_attrs: Mapping[str, Any] | None = None,
        state: TrialState | None = None,
        value: float | None = None,
    ) -> None:
        """Add reports (epoch to value) to a trial and, with `state`, end it or (WAITING) let it wait; one transaction."""
        with self._transaction() as connection:
            _insert_reports(connection, trial_id, reports)
            _set_attrs(connection, _USER_ATTRS, trial_id, user_attrs or {})
            if value is not None:
                kind = models.TrialValueModel.TrialValueType.FINITE
                connection.execute(
                    insert(_VALUES).values(trial_id=trial_id, objective=0, value=value, value_type=kind)
                )
            if state is not None:
                ended = _utc_now() if state.is_finished() else None
                connection.execute(
                    update(_TRIALS).where(_TRIALS.c.trial_id == trial_id).values(state=state, datetime_complete=ended)
                )


def _durable(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _insert_params(connection: Connection, trial_id: int, params: Mapping[str, tuple[Any, BaseDistribution]]) -> None:
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in params.items()
    ]
    if rows:
        connection.execute(insert(_PARAMS), rows)


def _insert_reports(connection: Connection, trial_id: int, reports: Mapping[int, float]) -> None:
    finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    rows = [
        {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": finite}
        for step, value in reports.items()
    ]
    if rows:
        connection.execute(insert(_REPORTS), rows)


def _set_attrs(connection: Connection, table: Any, trial_id: int, attrs: Mapping[str, Any]) -> None:
    for key, value in attrs.items():
        text = json.dumps(value)
        statement = sqlite_insert(table).values(trial_id=trial_id, key=key, value_json=text)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[table.c.trial_id, table.c.key], set_={"value_json": text})
        )


def file_system_of(folder: Path) -> str:
    """Type of the file system that holds `folder`, as the system names it ("ext4", "nfs4", "" if unknown)."""
    path = folder.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    return next((mounts[parent] for parent in (path, *path.parents) if parent in mounts), "")
