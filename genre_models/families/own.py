"""Families of the user's own, in files that the environment names: nothing of a space file is ever run.

Owns the variable GENRE_FAMILIES (files, separated as in PATH) and what is added to the registry from them. Loads nothing heavy itself.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from genre_models.errors import GenreModelsError
from genre_models.families import FAMILIES, Family

VARIABLE = "GENRE_FAMILIES"
#: Of this process: path of each file to its SHA-256, and to the name of its family.
_ADDED: dict[str, str] = {}
_NAMES: dict[str, str] = {}


def add_own_families(files: Mapping[str, str] | None = None) -> dict[str, str]:
    """Add the families in some files to the registry; files that this process has already are not run again.

    Parameters
    ----------
    files : mapping of path to SHA-256, optional
        As another process got them from this function; without it, the files that GENRE_FAMILIES names.

    Returns
    -------
    dict of str to str
        Absolute path of each file to its SHA-256, in order.

    Raises
    ------
    GenreModelsError
        A file can't be read or run, is not the one that was asked for, or defines no family.
    """
    if files is None:
        named = [Path(part).expanduser().resolve() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part.strip()]
        files = dict.fromkeys(map(str, named), "")
    for path, sha256 in files.items():
        if path not in _ADDED:
            _add(path)
        if sha256 not in ("", _ADDED[path]):
            raise _refused(path, "is not the file that the search began with: put it back, or search under another study's name")
    return {path: _ADDED[path] for path in files}


def own_code(name: str) -> str | None:
    """SHA-256 of the file that a family comes from; None of those that come with the program."""
    return next((_ADDED[path] for path, family in _NAMES.items() if family == name), None)


def own_file(name: str) -> str | None:
    """Path of the file that a family comes from; None of those that come with the program."""
    return next((path for path, family in _NAMES.items() if family == name), None)


def environment_of(families: Iterable[str]) -> dict[str, str]:
    """What the environment must have for some families: GENRE_FAMILIES with the files of those that do not come with the program, or nothing."""
    files = [path for path in map(own_file, families) if path is not None]
    return {VARIABLE: os.pathsep.join(files)} if files else {}


def own_loader(name: str) -> Callable[[Path], Any] | None:
    """The function `load` of a family's file; None of a family whose models the program itself loads."""
    path = own_file(name)
    return None if path is None else getattr(sys.modules[_module_name(path)], "load", None)


def loader_of(name: str, code: Mapping[str, Any]) -> Callable[[Path], Any]:
    """The function `load` of the very file that made a model.

    Parameters
    ----------
    name : str
        The family.
    code : mapping
        What ``pipeline.json`` says of it: ``file``, ``sha256``.

    Raises
    ------
    GenreModelsError
        GENRE_FAMILIES names no file of that content, or one that can't be run.
    """
    there = add_own_families()
    path = next((path for path, sha256 in there.items() if sha256 == code["sha256"]), None)
    load = None if path is None else own_loader(_NAMES[path])
    if load is not None:
        return load
    other = own_file(name)
    found = f"{other} has SHA-256 {_ADDED[other][:12]}…, so it was changed since" if other else f"{VARIABLE} {'names other files' if there else 'is not set'}"
    raise GenreModelsError(
        f"only the file that made a model of family '{name}' loads it, {code['file']} with SHA-256 {code['sha256'][:12]}…, but {found}: name that file, as it was, in the "
        f"environment: {VARIABLE}=FILE.py"
    )


def require_family(name: str, code: str | None) -> None:
    """Check that a family of a study is known, and is the one that the study's trials had.

    Parameters
    ----------
    name : str
    code : str or None
        What `own_code` said when the study was made.

    Raises
    ------
    GenreModelsError
    """
    if name not in FAMILIES:
        raise GenreModelsError(f"family '{name}' does not come with this program: name its file in the environment, {VARIABLE}=FILE.py, as for the search")
    if own_code(name) != code:
        raise GenreModelsError(f"family '{name}': its file is not the one that the study was made with: put that back, or search again under another name")


def _add(path: str) -> None:
    name = _module_name(path)
    if name in sys.modules:
        raise _refused(path, f"another file is called {Path(path).name} too: give it another name")
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise _refused(path, f"can't be read ({error.strerror or error}): correct the path") from error
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = path
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # the very bytes whose hash is kept
        family = _family_of(module, path)
    except GenreModelsError:
        del sys.modules[name]
        raise
    except Exception as error:  # whatever the user's code raises
        del sys.modules[name]
        raise _refused(path, f"can't be run ({type(error).__name__}: {error}): correct it") from error
    FAMILIES[family.name] = family
    _ADDED[path], _NAMES[path] = hashlib.sha256(source).hexdigest(), family.name


def _module_name(path: str) -> str:
    return f"own_family_{Path(path).stem}"


def _family_of(module: Any, path: str) -> Family:
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, Family):
        raise _refused(path, "defines no family: write FAMILY = Family(…), with genre_models.families.Family")
    if family.name in FAMILIES:
        raise _refused(path, f"there is a family '{family.name}' already: take another name")
    if family.module != module.__name__:
        raise _refused(path, f"found module={family.module!r}: write module=__name__")
    missing = [function for function in ("estimate", "fit") if not callable(getattr(module, function, None))]
    if missing:
        raise _refused(path, f"has no function {missing[0]}: it needs estimate and fit (docs/adding-a-family.md)")
    if not callable(getattr(module, "load", _family_of)):
        raise _refused(path, "load is no function: it is to give, for a folder, a function from features to probabilities (docs/torch-family.md)")
    if hasattr(module, "load") and family.inputs == "trunk":
        raise _refused(path, 'found inputs="trunk" beside load: a family that loads its own models takes "spectrogram" or "vectors"')
    return family


def _refused(path: str, why: str) -> GenreModelsError:
    return GenreModelsError(f"{VARIABLE}: {path}: {why}")
