"""The epochs of a study as they come into its database, seen from outside: one clock for all engines, whatever they keep of times themselves.

The file is read only, with SQL of Optuna's tables and none of Optuna's objects, so a look takes milliseconds.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_REPORTS = """SELECT trial_intermediate_value_id, trials.number, step, intermediate_value FROM trial_intermediate_values JOIN trials USING (trial_id)
WHERE trial_intermediate_value_id > ? AND intermediate_value_type = 'FINITE' ORDER BY trial_intermediate_value_id"""
_STATES = "SELECT number, state FROM trials"
_ATTRIBUTE = "SELECT value_json FROM study_user_attributes WHERE key = ?"
_SPECS = "SELECT trials.number, value_json FROM trial_user_attributes JOIN trials USING (trial_id) WHERE key = 'spec'"


@dataclass(frozen=True)
class Seen:
    """A report, and when it was first seen.

    Attributes
    ----------
    seconds : float
        Since the watch began.
    number, step : int
        Trial and epoch.
    value : float
    came_with_trial : bool
        It was there as soon as its trial: of one that goes on for another, taken over from that rather than trained.
    """

    seconds: float
    number: int
    step: int
    value: float
    came_with_trial: bool = False


@dataclass
class StudyWatch:
    """Looks at a database that may not be there yet.

    Attributes
    ----------
    database : Path
    began : float
        `time.monotonic()` at second 0.
    seen : list of Seen
    """

    database: Path
    began: float
    seen: list[Seen] = field(default_factory=list)
    _last: int = 0
    _trials: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Take in what has come; nothing where the database can't be read now, as while a killed writer's log is taken in."""
        rows, states = self._read((_REPORTS, (self._last,)), (_STATES, ())) or ([], [])
        seconds = time.monotonic() - self.began
        for identity, number, step, value in rows:
            self.seen.append(Seen(seconds, number, step, value, number not in self._trials))
            self._last = max(self._last, identity)
        self._trials |= {number for number, _ in states}

    def states(self) -> dict[int, str]:
        """State of each trial by its number, in Optuna's words."""
        return dict(self._rows(_STATES))

    def specs(self) -> dict[int, dict[str, Any]]:
        """What each trial tried, by its number."""
        return {number: json.loads(text) for number, text in self._rows(_SPECS)}

    def attribute(self, key: str) -> Any:
        """An attribute of the study; None where it has none of that name."""
        found = self._rows(_ATTRIBUTE, key)
        return json.loads(found[0][0]) if found else None

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        found = self._read((query, values))
        return found[0] if found else []

    def _read(self, *queries: tuple[str, Sequence[Any]]) -> list[list[tuple[Any, ...]]] | None:
        """What several queries find at one and the same moment."""
        if not self.database.is_file():
            return None
        try:
            with closing(sqlite3.connect(f"{self.database.resolve().as_uri()}?mode=ro", uri=True, timeout=2, isolation_level=None)) as connection:
                connection.execute("BEGIN")
                return [connection.execute(query, values).fetchall() for query, values in queries]
        except sqlite3.Error:
            return None
