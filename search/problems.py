"""All problems of a space file, collected before anybody is told, each in one line that says where, what and what to do.

A line reads ``file: key.path: what was found; what must hold; remedy``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from search.errors import SpaceFileError

KeyPath = tuple[str | int, ...]

_LONGEST_SHOWN = 60
_AS_SAID_HERE = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be finite",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
}


class Problems:
    """The problems found so far.

    Parameters
    ----------
    path : Path
        The space file.
    overridden : iterable of str
        Dotted keys whose values came from the command line; problems with them are not blamed on the file.
    """

    def __init__(self, path: Path, overridden: Iterable[str] = ()) -> None:
        self._path = path
        self._overridden = tuple(tuple(key.split(".")) for key in overridden)
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, where: KeyPath, *parts: str) -> None:
        """Note a problem: what was found, what must hold, the remedy; empty parts are left out."""
        source = "command line" if any(where[: len(key)] == key for key in self._overridden) else str(self._path)
        key = ".".join(_shown_key(part) for part in where)
        line = ": ".join(text for text in (source, key, "; ".join(part for part in parts if part)) if text)
        if line not in self._lines:
            self._lines.append(line)

    def unknown_keys(self, where: KeyPath, found: Mapping[Any, Any], known: Sequence[str]) -> None:
        """Note each key of `found` that is not known."""
        for key in found:
            if key not in known:
                self.add((*where, key), "unknown key", nearest(key, known))

    def of_model(
        self, where: KeyPath, error: ValidationError, model: type[BaseModel], data: Mapping[str, Any], keys_only: bool = False
    ) -> None:
        """Note what pydantic found wrong with `data`, the mapping at `where`, as a `model`; with `keys_only` not with it as a whole."""
        for item in error.errors(include_url=False):
            location = location_in_file(item["loc"], data)
            if keys_only and not location:
                continue
            known = _known_keys(model, location[:-1])
            if item["type"] == "extra_forbidden":
                self.add((*where, *location), "unknown key", nearest(location[-1], known))
            elif item["type"] == "missing":
                self.add((*where, *location), "missing", "must be given")
            else:
                self.add((*where, *location), *_found_and_must(item, _known_keys(model, location)))

    def raise_if_any(self) -> None:
        """Raise :class:`SpaceFileError` with all of them, if there are any."""
        if self._lines:
            raise SpaceFileError(self._lines)


def nearest(word: object, known: Sequence[str]) -> str:
    """The remedy for a word that is not known: the nearest one that is, and the list."""
    close = difflib.get_close_matches(str(word).lower(), known, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}known: {', '.join(known) or 'none'}"


def shown(value: object) -> str:
    """A found value in one short line, control characters escaped."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def number_remedy(value: object) -> str:
    """What to write instead of a number given as text, such as ``"0.1"``, ``1_000`` or ``010``; else nothing."""
    if not isinstance(value, str) or not re.fullmatch(r"[-+]?[0-9][0-9_]{0,30}(\.[0-9_]{0,30})?([eE][-+]?[0-9]{1,3})?", value):
        return ""
    digits = value.replace("_", "")
    number = float(digits) if re.search(r"[.eE]", digits) else int(digits)
    return f"this is text: write {number} without quotes, underscores or leading zeros"


def _found_and_must(item: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    found, kind = item["input"], item["type"]
    if kind == "literal_error":
        legal = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        return f"found {shown(found)}", nearest(found, legal)
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"found {shown(found)}", "must be a mapping of keys", f"known: {', '.join(known)}" if known else ""
    if kind in _AS_SAID_HERE:
        return f"found {shown(found)}", _AS_SAID_HERE[kind], number_remedy(found)
    said = item["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ")
    return ("" if isinstance(found, Mapping) else f"found {shown(found)}"), said


def location_in_file(loc: KeyPath, data: Any) -> KeyPath:
    """Pydantic's location without the names of union members, which are no keys of the file."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        inside = isinstance(data, Mapping) and part in data or isinstance(data, list) and isinstance(part, int) and part < len(data)
        if inside:
            data = data[part]
            path.append(part)
        elif i == len(loc) - 1 and isinstance(data, Mapping):  # a missing key
            path.append(part)
    return tuple(path)


def _known_keys(model: type[BaseModel], location: KeyPath) -> tuple[str, ...]:
    """Keys that a mapping at `location` inside `model` may have."""
    models = [model]
    for part in location:
        annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [inner for annotation in annotations for inner in _models_in(annotation)]
    return tuple(dict.fromkeys(name for m in models for name in m.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _shown_key(key: object) -> str:
    return str(key) if re.fullmatch(r"[\w.-]+", str(key)) else shown(key)
