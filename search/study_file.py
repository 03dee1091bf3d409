"""The SQLite file of a study as found in a folder: whether the study is in it, and if not, why. Nothing is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_COPY = "put a copy of it in its place, or remove the folder"


def trouble_of(path: Path) -> str | None:
    """Why a study's ``study.db`` can't be read as that of the study its folder is named after; None where it can, or where there is no such file.

    Damage that lies deeper in the file shows when it is read.
    """
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            names = [str(name) for (name,) in connection.execute("SELECT study_name FROM studies ORDER BY study_id")]
    except sqlite3.Error as error:
        return _in_words(path, error)
    if path.parent.name in names:
        return None
    if not names:
        return f"{path} holds no study yet: its search is just beginning, or was stopped then; run the search command again, it begins anew"
    known = ", ".join(f"'{name}'" for name in names)
    return f"{path} holds study {known}: a study's folder can't be renamed, nor a copy have another name; name the folder {names[0]} (a copy needs another --studies-dir)"


def _in_words(path: Path, error: sqlite3.Error) -> str:
    """What SQLite said, and what to do about it."""
    if "no such table" in str(error):
        if path.stat().st_size == 0:
            return f"{path} is empty: its search is just beginning, or the file was lost; {_COPY}"
        return f"{path} holds no study (yet): its search is just beginning, or something else made the file; {_COPY}"
    code = getattr(error, "sqlite_errorname", None) or ""
    if code.startswith("SQLITE_NOTADB"):
        return f"{path} is not a database: {_COPY}"
    if code.startswith("SQLITE_CORRUPT"):
        return f"{path} is damaged ({error}): {_COPY}"
    return f"{path} can't be read ({error}); put that right, then run the same command again"
