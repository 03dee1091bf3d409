"""What must be the same for the trials of a study to be comparable, and how two such descriptions differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from search.domains import plain
from search.space import FamilySpace

#: Stands for what a run can't know, such as the content of a file that is not there; matches anything.
UNKNOWN = "?"


def family_part(space: FamilySpace) -> dict[str, str]:
    """Each declared parameter in one line: its domain or value, its condition, and the default where the condition can fail."""
    given = {parameter.name: parameter for parameter in space.parameters}
    lines = {}
    for name, default in space.defaults.items():
        parameter = given.get(name)
        if parameter is None:
            lines[name] = plain(default)
        elif parameter.when:
            lines[name] = f"{parameter.domain} when {parameter.condition}, else {plain(default)}"
        else:
            lines[name] = str(parameter.domain)
    return lines


def grown(study: Mapping[str, Any], file: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A study's fingerprint with the keys that have come into the program since it was made.

    Parameters
    ----------
    study, file : mapping
    defaults : mapping
        Of the same shape as far as it goes: what a study without the key did. Only keys that the file has are taken from it.
    """
    whole = dict(study)
    for key in file:
        if key not in study and key in defaults:
            whole[key] = defaults[key]
        elif all(isinstance(each.get(key), Mapping) for each in (study, file, defaults)):
            whole[key] = grown(study[key], file[key], defaults[key])
    return whole


def completed(study: Any, file: Any) -> Any:
    """A study's fingerprint with what the run that made it could not know (`UNKNOWN`), where this one does."""
    if isinstance(study, Mapping) and isinstance(file, Mapping):
        return {key: completed(value, file[key]) if key in file else value for key, value in study.items()}
    return file if study == UNKNOWN else study


def diff_fingerprints(study: Mapping[str, Any], file: Mapping[str, Any]) -> list[str]:
    """What differs between a study's fingerprint and a file's.

    Returns
    -------
    list of str
        One line a key, such as ``families.cnn.kernel: study has int 3..7, file has int 3..5``.
    """
    return _differences("", json.loads(json.dumps(study)), json.loads(json.dumps(file)))


def _differences(where: str, study: Any, file: Any) -> list[str]:
    if UNKNOWN in (study, file):
        return []
    if not isinstance(study, dict) or not isinstance(file, dict):
        return [] if study == file else [f"{where}: study has {_shown(study)}, file has {_shown(file)}"]
    lines = []
    for key in dict.fromkeys((*study, *file)):
        inner = f"{where}.{key}" if where else key
        if key in study and key in file:
            lines += _differences(inner, study[key], file[key])
        else:
            lines.append(f"{inner}: only the {'study' if key in study else 'file'} has it")
    return lines


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
