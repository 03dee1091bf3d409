"""Predictions as lines of a terminal, as CSV and as JSON; each is written track by track, so that memory does not grow with their number."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from genre_models.durable import fsync_path
from genre_models.features import feature_shape
from genre_models.predict.classes import Prediction, Unread
from genre_models.saved_model import SavedModel

SCHEMA = 1


class Sink(Protocol):
    """What takes predictions."""

    def take(self, found: Prediction | Unread) -> None: ...
    def end(self, totals: dict[str, Any]) -> None: ...


@contextmanager
def open_whole(path: Path) -> Iterator[IO[str]]:
    """A file that gets its name once all is written, and is not there at all otherwise; ``-`` is the standard output."""
    if str(path) == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    path = path.expanduser().absolute()
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        fsync_path(partial)
        partial.replace(path)
        fsync_path(path.parent)
    finally:
        partial.unlink(missing_ok=True)


class CsvSink:
    """A row for each track: ``file``, ``predicted``, ``p_LABEL`` of each class to six digits, as ``predictions.csv`` of a look has them, and ``problem``.

    With `segments` a row for each part of each track after it, numbered in a column of that name, which is empty in the track's own row.
    """

    def __init__(self, stream: IO[str], model: SavedModel, segments: bool) -> None:
        self._rows, self._segments, self._n = csv.writer(stream, lineterminator="\n"), segments, len(model.labels)
        self._rows.writerow(["file", *(["segment"] if segments else []), "predicted", *(f"p_{label}" for label in model.labels), "problem"])

    def take(self, found: Prediction | Unread) -> None:
        if isinstance(found, Unread):
            self._rows.writerow([found.name, *([""] if self._segments else []), "", *[""] * self._n, found.reason])
            return
        self._row(found.name, "", found.predicted, found.p)
        for number, p in enumerate(found.parts if self._segments else (), 1):
            self._row(found.name, str(number), found.labels[p.argmax()], p)

    def _row(self, name: str, segment: str, predicted: str, p: Sequence[float]) -> None:
        self._rows.writerow([name, *([segment] if self._segments else []), predicted, *(f"{value:.6g}" for value in p), ""])

    def end(self, totals: dict[str, Any]) -> None:
        """Nothing more to say."""


class JsonSink:
    """One object: ``model``, ``predictions`` (a list), ``unread`` (a list) and what `end` is given."""

    def __init__(self, stream: IO[str], model: SavedModel, segments: bool, top: int, temperature: float | None) -> None:
        self._stream, self._model, self._segments, self._top = stream, model, segments, top
        self._unread: list[dict[str, str]] = []
        self._separator = ""
        about = {
            "study": model.pipeline["study"], "trial": model.pipeline["trial"], "family": model.family, "demo": model.pipeline.get("demo", False),
            "labels": list(model.labels), "kind": model.kind, "segments": model.segments, "temperature": temperature,
        }  # fmt: skip
        stream.write(f'{{"schema": {SCHEMA}, "model": {json.dumps(about)}, "predictions": [')

    def take(self, found: Prediction | Unread) -> None:
        if isinstance(found, Unread):
            self._unread.append({"file": found.name, "reason": found.reason})
            return
        said: dict[str, Any] = {"file": found.name, "predicted": found.predicted, "top": [{"label": label, "p": _six(p)} for label, p in found.best(self._top)]}
        said["p"] = {label: _six(p) for label, p in zip(found.labels, found.p, strict=True)}
        if len(found.parts) > 1:
            said["votes"] = found.votes()
        if self._segments:
            spans = segment_seconds(self._model)
            said["segments"] = [
                {"segment": number, "seconds": spans[number - 1] if number <= len(spans) else None, "predicted": found.labels[p.argmax()], "p": list(map(_six, p))}
                for number, p in enumerate(found.parts, 1)
            ]
        self._stream.write(f"{self._separator}\n {json.dumps(said)}")
        self._separator = ","

    def end(self, totals: dict[str, Any]) -> None:
        rest = json.dumps({"unread": self._unread, **totals})
        self._stream.write(f"\n], {rest[1:]}\n")


def segment_seconds(model: SavedModel) -> list[tuple[float, float]]:
    """Beginning and end of each window of a track of sound, in seconds; empty where windows are not of time, as those of images."""
    if model.kind != "audio":
        return []
    settings = model.input["features"]
    columns = feature_shape("audio", settings)[1] // model.segments
    seconds = columns * settings["hop_length"] / settings["sr"]
    return [(round(number * seconds, 2), round((number + 1) * seconds, 2)) for number in range(model.segments)]


def _six(value: float) -> float:
    return float(f"{value:.6g}")
