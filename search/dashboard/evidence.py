"""Evidence files of a study, as the dashboard's artifacts: found in the study's folder, served from there, never copied or written.

A file is known to the browser by a hash only. What an index names must lie inside the study's folder, links followed; what does not is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from optuna.artifacts.exceptions import ArtifactNotFound as NotListed

#: What is served, and as what. Anything else, a page above all, is not evidence.
KINDS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml", ".webp": "image/webp",
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg",
    ".csv": "text/csv; charset=utf-8", ".json": "application/json", ".md": "text/plain; charset=utf-8", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
#: Of a look's own files, in the order in which they are shown.
FINAL_FILES = ("card.md", "confusion.png", "curves.png", "reliability.png", "families.png", "metrics.json", "predictions.csv")
_LARGEST_BYTES, _INDEX_BYTES, _MOST_ITEMS = 64 << 20, 4 << 20, 200


@dataclass(frozen=True)
class Evidence:
    """A file that can be shown.

    Attributes
    ----------
    artifact_id : str
        32 hexadecimal digits.
    path : Path
        Resolved, inside the study's folder.
    title : str
        With the file's ending, from which the browser takes what to do with it.
    kind : str
        Media type.
    """

    artifact_id: str
    path: Path
    title: str
    kind: str

    def as_attribute(self) -> tuple[str, str]:
        """As Optuna keeps artifacts: (key, JSON)."""
        meta = {"artifact_id": self.artifact_id, "filename": self.title, "mimetype": self.kind, "encoding": None}
        return f"artifacts:{self.artifact_id}", json.dumps(meta)


def final_evidence(folder: Path) -> list[Evidence]:
    """What the look at the held-out tracks left: its own files, then those that its index names."""
    look = look_folder(folder)
    named = [(look / name, name) for name in FINAL_FILES]
    return [*_safe(folder, named), *_safe(folder, _indexed(look))]


def look_folder(folder: Path) -> Path:
    """Where the newest look of a study lies: looks are counted over all studies of a split, and all but number 1 have a folder of their own."""
    numbered = {int(found[1]): look for look in (folder / "final").glob("look-*") if (found := re.fullmatch(r"look-(\d+)", look.name)) and (look / "metrics.json").is_file()}
    return numbered[max(numbered)] if numbered else folder / "final"


def trial_evidence(folder: Path) -> dict[int, list[Evidence]]:
    """What the indices of the kept trials name, by number."""
    found = {}
    for index in sorted((folder / "trials").glob("*/evidence/index.json")):
        number = index.parent.parent.name
        if number.isdigit():
            found[int(number)] = _safe(folder, _indexed(index.parent.parent))
    return found


def _indexed(place: Path) -> Iterator[tuple[Path, str]]:
    """(file, title) of each picture and sound of ``evidence/index.json``, whose tables the report draws; nothing of an index that can't be understood."""
    index = place / "evidence" / "index.json"
    try:
        if index.stat().st_size > _INDEX_BYTES:
            return
        items = json.loads(index.read_bytes())["items"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    for item in items[:_MOST_ITEMS] if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("kind") in ("image", "audio") and isinstance(item.get("path"), str) and "\0" not in item["path"]:
            path = index.parent / item["path"]
            yield path, _title(item, path.suffix)


def _title(item: dict[str, Any], ending: str) -> str:
    words = [str(item[key]) for key in ("group", "title") if item.get(key)]
    text = " · ".join(words)[:120] or Path(item["path"]).stem
    return text if text.lower().endswith(ending.lower()) else text + ending


def _safe(folder: Path, named: Any) -> list[Evidence]:
    """Those of the files that are regular, inside the folder, of a known kind and not too large."""
    root, found = folder.resolve(), {}
    for path, title in named:
        try:
            real = path.resolve(strict=True)
            facts = real.stat()
        except (OSError, RuntimeError, ValueError):
            continue
        if not real.is_relative_to(root) or not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST_BYTES or real.suffix.lower() not in KINDS:
            continue
        digest = hashlib.sha256(f"{folder.name}\0{real.relative_to(root)}\0{facts.st_mtime_ns}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        found.setdefault(digest, Evidence(digest, real, title, KINDS[real.suffix.lower()]))
    return list(found.values())


class EvidenceStore:
    """Optuna's artifact store, for reading: what was listed can be opened, by its hash."""

    def __init__(self) -> None:
        self._listed: dict[str, Path] = {}

    def add(self, items: list[Evidence]) -> None:
        """Let these be opened."""
        self._listed.update({item.artifact_id: item.path for item in items})

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The file's bytes; NotListed where it was not listed, or is no longer what was."""
        path = self._listed.get(artifact_id)
        try:
            if path is None or path.resolve(strict=True) != path:
                raise NotListed(artifact_id)
            return path.open("rb")
        except OSError as error:
            raise NotListed(artifact_id) from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> NoReturn:
        """Evidence is written by those who make it."""
        raise PermissionError("the dashboard writes no artifacts")

    def remove(self, artifact_id: str) -> NoReturn:
        """Evidence is removed by those who make it."""
        raise PermissionError("the dashboard removes no artifacts")
