"""Where a study is kept: its folder, and the database of its trials.

By default that is SQLite in the folder. ``env:NAME`` is a PostgreSQL database whose URL is in the environment variable NAME. A URL holds a password,
so that no file, message, log or worker ever gets one: what is kept and shown is the variable's name. The folder remembers it (``storage.json``),
so whoever reads the study need not say it again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from search.durable import fsync_path
from search.errors import StudyError

URL_FORM = "postgresql+psycopg://user:password@host/database"
#: What `storage` may be in a space file or on the command line.
STORAGE_PATTERN = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
STORAGE_REMEDY = "put the URL into an environment variable (export NAME='…') and write env:NAME"


@dataclass(frozen=True)
class Location:
    """One study's place. It holds the URL, so it stays in its process: it can't be pickled.

    Attributes
    ----------
    studies_dir : Path
    name : str
        Of the study.
    variable : str or None
        The environment variable that holds the database's URL; None where the trials are in SQLite in the study's folder.
    url : str or None
        What was in it.
    """

    studies_dir: Path
    name: str
    variable: str | None = None
    url: str | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        """The study's folder, which holds everything but what PostgreSQL holds."""
        return self.studies_dir / self.name

    @property
    def database_file(self) -> Path:
        """The SQLite file, there or not."""
        return self.folder / "study.db"

    @property
    def memory_file(self) -> Path:
        """What remembers that a study is kept elsewhere."""
        return self.folder / "storage.json"

    def remembered(self) -> dict[str, str] | None:
        """``{"storage": "env:NAME", "study": identity}`` of a study that was begun on PostgreSQL from this folder, or None."""
        return remembered(self.memory_file)

    def remember(self, identity: str) -> None:
        """Keep, in the folder, the variable's name and which study was found in the database."""
        memory = {"storage": f"env:{self.variable}", "study": identity}
        if self.remembered() != memory:
            temporary = self.folder / ".storage.json.tmp"
            temporary.write_text(json.dumps(memory) + "\n", encoding="utf-8")
            fsync_path(temporary)
            temporary.replace(self.memory_file)
            fsync_path(self.folder)

    @contextmanager
    def kept_from_children(self) -> Iterator[None]:
        """Inside, processes that are started (Ray's, helpers') do not inherit the variable: the driver alone needs the database."""
        kept = None if self.variable is None else os.environ.pop(self.variable, None)
        try:
            yield
        finally:
            if kept is not None:
                os.environ[self.variable] = kept

    def __reduce__(self) -> NoReturn:
        raise TypeError("a study's location may hold a password and must not leave its process")


def require_name(studies_dir: Path, name: str) -> None:
    """Refuse what is a path: names of studies are folders, whoever gave them."""
    if not 0 < len(os.fsencode(name)) < 256 or name == ".." or any(sign in name for sign in "/\\\0"):
        raise StudyError(f"study {name[:80]!r}: a study is named by its folder in {studies_dir}, without a path")


def locate(studies_dir: Path, name: str, storage: str | None = None) -> Location:
    """Find a study's place.

    Parameters
    ----------
    studies_dir : Path
    name : str
    storage : str, optional
        ``"env:NAME"``, as asked for; None takes what the study's folder remembers, or SQLite in it.

    Raises
    ------
    StudyError
        If `storage` is something else, its variable is not set, or the study is in SQLite already; or if the name is a path.
    """
    require_name(studies_dir, name)
    place = Location(studies_dir, name)
    if storage is not None and place.database_file.is_file():
        raise StudyError(
            f"study '{name}' is kept in {place.database_file}, not on PostgreSQL: leave storage out to go on with it, "
            "or start another study with --study NAME"
        )
    memory = place.remembered()
    asked = storage or (memory and memory["storage"])
    if asked is None:
        return place
    match = STORAGE_PATTERN.fullmatch(asked)
    if match is None:
        raise StudyError(f"storage must be env:NAME: {STORAGE_REMEDY}")  # what was found may hold a password
    variable = match[1]
    url = os.environ.get(variable, "").strip()
    if not url:
        where = f"study '{name}' is kept in the database of {asked}" if storage is None else f"storage: {asked}"
        raise StudyError(
            f"{where}, but the environment variable {variable} is not set; set it with export {variable}='{URL_FORM}'"
        )
    return Location(studies_dir, name, variable, url)


def remembered(file: Path) -> dict[str, Any] | None:
    """What a ``storage.json`` says; None if there is none.

    Raises
    ------
    StudyError
        If it can't be understood.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        memory = json.loads(text)
    except (ValueError, RecursionError):
        memory = None
    sound = isinstance(memory, dict) and all(isinstance(memory.get(key), str) for key in ("storage", "study"))
    if not sound or STORAGE_PATTERN.fullmatch(memory["storage"]) is None:
        raise StudyError(f"{file}: this is not what a search writes there; remove the file and say where the study is with --storage env:NAME")
    return memory
