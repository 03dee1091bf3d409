"""Evidence as it lies in a folder, made into parts of the page; what it shows is not known here.

Whatever the index names must be a plain file in its own folder, of a kind that shows itself by its first bytes, and not large: the page holds all of it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LARGEST, _LARGEST_IN_ALL = 2 << 20, 8 << 20  # bytes, of a file and of an index with its files
_MOST_CELLS, _MOST_POINTS, _MOST_ITEMS = 5_000, 5_000, 200
_MAGIC = {"image": {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}, "audio": {b"ID3": "audio/mpeg", b"\xff\xfb": "audio/mpeg", b"\xff\xf3": "audio/mpeg", b"OggS": "audio/ogg"}}


class BrokenEvidence(Exception):
    """The index, or a file that it names, can't be shown; the message says why."""


#: What reading something may end with that is not as `genre_models` writes it: other types, endless nesting, numbers without end.
_WRONG = (BrokenEvidence, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass
class Piece:
    """Items that belong together: a picture with its sound, or one table or curve alone."""

    title: str
    caption: str
    group: str = ""
    image: str = ""  # data URIs
    audio: str = ""
    alt: str = ""
    table: dict[str, Any] | None = None
    curve: dict[str, Any] | None = None


@dataclass
class Evidence:
    """One folder of evidence.

    Attributes
    ----------
    about : str
        Whose answers to what.
    pieces : list of Piece
        In the order of the index; those of one group stand together.
    troubles : list of str
        What could not be shown, and why.
    """

    about: str
    pieces: list[Piece] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def groups(self) -> Iterator[tuple[str, list[Piece]]]:
        """Pieces by group, in order; of those without a group each alone, under an empty name."""
        waiting: list[Piece] = []
        for piece in self.pieces:
            if waiting and (not piece.group or piece.group != waiting[0].group):
                yield waiting[0].group, waiting
                waiting = []
            waiting.append(piece)
        if waiting:
            yield waiting[0].group, waiting


def read_evidence(folder: Path) -> Evidence | None:
    """Read a folder of evidence; None where there is none.

    What is wrong with an item is told in `Evidence.troubles`, and the others are shown.
    """
    path = folder / "index.json"
    if not path.is_file():
        return None
    try:
        index = json.loads(_bytes(path, folder).decode("utf-8"))
        about, items = str(index["about"]), list(index["items"])[:_MOST_ITEMS]
    except _WRONG as error:
        return Evidence("", troubles=[f"{path}: {error}"])
    evidence, room = Evidence(about), _LARGEST_IN_ALL
    for item in items:
        try:
            room -= _take(evidence, item, folder, room)
        except _WRONG as error:
            evidence.troubles.append(f"{folder.name}: {item.get('path') if isinstance(item, dict) else item}: {error}")
    return evidence


def _take(evidence: Evidence, item: Mapping[str, Any], folder: Path, room: int) -> int:
    """Add an item; returns its bytes."""
    title, kind, name = str(item["title"]), str(item["kind"]), str(item["path"])
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise BrokenEvidence("is no plain file name")
    content = _bytes(folder / name, folder)
    if len(content) > room:
        raise BrokenEvidence(f"there is more than {_LARGEST_IN_ALL >> 20} MiB of evidence")
    piece = Piece(title, str(item.get("caption", "")), str(item.get("group", "")), alt=str(item.get("alt", "")))
    if kind in _MAGIC:
        setattr(piece, kind, _uri(kind, content))
    elif kind == "table":
        piece.table = _table(json.loads(content))
    elif kind == "curve":
        piece.curve = _curve(json.loads(content))
    else:
        raise BrokenEvidence(f"kind {kind!r} is none of table, image, audio, curve")
    last = evidence.pieces[-1] if evidence.pieces else None
    if last is not None and piece.group and (last.group, last.title) == (piece.group, piece.title) and not getattr(last, kind, "x"):
        setattr(last, kind, getattr(piece, kind))
    else:
        evidence.pieces.append(piece)
    return len(content)


def _bytes(path: Path, folder: Path) -> bytes:
    if path.resolve().parent != folder.resolve() or not path.is_file():
        raise BrokenEvidence("is not in its folder")
    if path.stat().st_size > _LARGEST:
        raise BrokenEvidence(f"is larger than {_LARGEST >> 20} MiB")
    return path.read_bytes()


def _uri(kind: str, content: bytes) -> str:
    for magic, mime in _MAGIC[kind].items():
        if content.startswith(magic):
            return f"data:{mime};base64,{base64.b64encode(content).decode()}"
    raise BrokenEvidence(f"is no {kind} of a kind that is shown")


def _table(told: Mapping[str, Any]) -> dict[str, Any]:
    columns, rows = [str(name) for name in told["columns"]], []
    if len(columns) * len(told["rows"]) > _MOST_CELLS:
        raise BrokenEvidence(f"has more than {_MOST_CELLS} cells")
    for row in told["rows"]:
        cells = [{"text": str(cell["text"]), "shade": _shade(cell.get("shade")), "tone": "good" if cell.get("tone") == "good" else "bad"} for cell in row["cells"]]
        if len(cells) != len(columns):
            raise BrokenEvidence("has rows that are longer or shorter than its head")
        rows.append({"name": str(row["name"]), "note": str(row.get("note", "")), "cells": cells})
    return {"corner": str(told.get("corner", "")), "columns": columns, "rows": rows, "square": bool(told.get("square"))}


def _shade(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else min(1.0, max(0.0, float(value)))


def _curve(told: Mapping[str, Any]) -> dict[str, Any]:
    series = []
    for each in list(told["series"])[:10]:
        points = {name: [float(value) for value in each[name]] for name in ("x", "y", "low", "high") if name in each}
        if not all(math.isfinite(value) for values in points.values() for value in values):
            raise BrokenEvidence("has values that are not finite")
        if len({len(values) for values in points.values()}) != 1 or len(points["x"]) > _MOST_POINTS or not {"x", "y"} <= points.keys():
            raise BrokenEvidence("has series whose lists differ in length, or are too long")
        text = [str(value) for value in each.get("text", ())][: len(points["x"])]
        series.append({"name": str(each["name"]), "style": "line" if each.get("style") == "line" else "points", "text": text, **points})
    ends = told.get("range")
    return {"x": str(told["x"]), "y": str(told["y"]), "range": None if ends is None else [float(ends[0]), float(ends[1])], "series": series}
