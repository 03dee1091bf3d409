"""Statements that write Optuna's tables, the same on SQLite and PostgreSQL; each may be made twice.

With `search.storage` the only place that touches Optuna's private table models.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Insert, Integer, Select, Table, Text, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

TRIALS = models.TrialModel.__table__
USER_ATTRS = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__
STUDY_USER_ATTRS = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRS = models.StudySystemAttributeModel.__table__
_PARAMS = models.TrialParamModel.__table__
_VALUES = models.TrialValueModel.__table__
_REPORTS = models.TrialIntermediateValueModel.__table__
_INSERT = {"sqlite": sqlite_insert, "postgresql": postgresql_insert}


def utc_now() -> datetime.datetime:
    """Now, as Optuna stores times."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _upsert(connection: Connection, table: Table, keys: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Insert rows; those whose `keys` are there already take the new values."""
    if rows:
        connection.execute(_upserting(connection.dialect.name, table, keys, tuple(rows[0])), rows)


@lru_cache
def _upserting(dialect: str, table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> Insert:
    """The statement; to put it together takes longer than to run it."""
    statement = _INSERT[dialect](table)
    return statement.on_conflict_do_update(index_elements=keys, set_={name: statement.excluded[name] for name in columns if name not in keys})


def set_params(connection: Connection, trial_id: int, params: Mapping[str, tuple[Any, BaseDistribution]]) -> None:
    """Write a trial's parameters: name to (value, distribution)."""
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in params.items()
    ]
    _upsert(connection, _PARAMS, ("trial_id", "param_name"), rows)


def set_reports(connection: Connection, reports: Mapping[int, Mapping[int, float]]) -> None:
    """Write reports of trials: trial id to epoch to value."""
    finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    rows = [
        {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": finite}
        for trial_id, values in reports.items()
        for step, value in values.items()
    ]
    _upsert(connection, _REPORTS, ("trial_id", "step"), rows)


def set_value(connection: Connection, trial_id: int, value: float) -> None:
    """Write a trial's value."""
    row = {"trial_id": trial_id, "objective": 0, "value": value, "value_type": models.TrialValueModel.TrialValueType.FINITE}
    _upsert(connection, _VALUES, ("trial_id", "objective"), [row])


def set_attrs(connection: Connection, table: Table, owner_id: int, attrs: Mapping[str, Any]) -> None:
    """Write attributes, JSON-able, of a trial or a study: whose, the table says."""
    owner = "study_id" if "study_id" in table.c else "trial_id"
    rows = [{owner: owner_id, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]
    _upsert(connection, table, (owner, "key"), rows)


def set_state(connection: Connection, trial_id: int, state: TrialState) -> None:
    """Write a trial's state, and when it began or ended."""
    ended = utc_now() if state.is_finished() else None
    times = {"datetime_start": func.coalesce(TRIALS.c.datetime_start, utc_now())} if state is TrialState.RUNNING else {"datetime_complete": ended}
    connection.execute(update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(state=state, **times))


def count_up(connection: Connection, study_id: int, key: str) -> int:
    """Add one, in one statement, to an attribute of a study that is a whole number, from 0; the new number."""
    statement = _INSERT[connection.dialect.name](STUDY_USER_ATTRS).values(study_id=study_id, key=key, value_json="1")
    more = cast(cast(STUDY_USER_ATTRS.c.value_json, Integer) + 1, Text)
    connection.execute(statement.on_conflict_do_update(index_elements=("study_id", "key"), set_={"value_json": more}))
    return int(connection.execute(study_attr(study_id, key)).scalar_one())


def study_attr(study_id: int, key: str) -> Select[tuple[str]]:
    """The query for an attribute of a study, as JSON text."""
    return select(STUDY_USER_ATTRS.c.value_json).where(STUDY_USER_ATTRS.c.study_id == study_id, STUDY_USER_ATTRS.c.key == key)


def last_trial(connection: Connection, study_id: int) -> tuple[int, int] | None:
    """(trial id, number) of a study's newest trial: found through the index however many there are."""
    query = select(TRIALS.c.trial_id, TRIALS.c.number).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.trial_id.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (row.trial_id, row.number)


def has_attrs(connection: Connection, trial_id: int, attrs: Mapping[str, Any]) -> bool:
    """Whether a trial's user attributes are exactly these."""
    rows = connection.execute(select(USER_ATTRS.c.key, USER_ATTRS.c.value_json).where(USER_ATTRS.c.trial_id == trial_id))
    return {row.key: row.value_json for row in rows} == {key: json.dumps(value) for key, value in attrs.items()}
