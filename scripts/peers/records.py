"""The lines that measurements leave: one JSON object each, appended whole or not at all, so that the runs of several days add up in one file.

A line is known by what was measured (:data:`KEY`); of several with the same key the last one counts. Pure but for the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import SearchError

#: What tells one measurement from another.
KEY = ("engine", "seed", "minutes", "space", "corpus", "cores", "killed")
#: What a line has besides, whatever the engine.
REQUIRED = ("maximize", "curve", "wall_seconds", "epochs")

Line = dict[str, Any]


def key_of(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a line measured."""
    return tuple(line[name] for name in KEY)


def read_lines(path: Path) -> list[Line]:
    """The lines of a file, the newest of each key, in the order in which the keys first came; none where there is no file.

    Raises
    ------
    SearchError
        A line is no JSON object or lacks a key; the message names file, line and key.
    """
    if not path.exists():
        return []
    found: dict[tuple[Any, ...], Line] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if text.strip():
            line = _parsed(text, f"{path}:{number}")
            found[key_of(line)] = line
    return list(found.values())


def _parsed(text: str, where: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise SearchError(f"{where}: is no JSON ({error}): remove that line, and its run is measured again") from error
    if not isinstance(line, dict):
        raise SearchError(f"{where}: must be a JSON object, but is {type(line).__name__}: remove that line")
    missing = [name for name in (*KEY, *REQUIRED) if name not in line]
    if missing:
        raise SearchError(f"{where}: has no {', '.join(missing)}: remove that line, and its run is measured again")
    return line


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line and see it onto the disk. One that a kill cut short before is ended first, so that it spoils no other."""
    _parsed(text := json.dumps(line, allow_nan=False), "the new line")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else f"\n{text}"
        file.write(f"{text}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def missing_runs(wanted: Iterable[Mapping[str, Any]], lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the measurements that are wanted those that no line has, in the order given."""
    there = {key_of(line) for line in lines}
    return [run for run in wanted if key_of(run) not in there]


def round_robin(engines: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """(engine, seed) so that all engines have a seed before any has the next, and none is always first: each seed begins with the next engine."""
    order = []
    for place, seed in enumerate(seeds):
        shift = place % len(engines)
        order += [(engine, seed) for engine in (*engines[shift:], *engines[:shift])]
    return order
