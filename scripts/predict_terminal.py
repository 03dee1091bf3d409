"""How predictions look in a terminal: the model in words, a line for each track as soon as it is known, speed meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from genre_models.doctor.findings import shown
from genre_models.metrics import interval_text
from genre_models.predict import Prediction, Unread
from genre_models.predict.writing import segment_seconds
from genre_models.sound_networks import NETWORKS

if TYPE_CHECKING:
    from rich.console import Console

    from genre_models.saved_model import SavedModel

_TAKES = {"audio": "sound", "image": "images", "handcrafted": "sound", **dict.fromkeys(NETWORKS, "sound"), "table": "rows of a table"}


def model_in_words(model: SavedModel, temperature: float | None) -> list[str]:
    """Which model speaks, how good it was on held-out tracks, and what its probabilities are."""
    metrics = model.metrics
    scored = ""
    if metrics is not None and isinstance(metrics.get("accuracy"), float):
        scored = f"; held-out accuracy {metrics['accuracy']:.3f} ({interval_text(metrics.get('accuracy_ci95'))})"
    demo = " (demo: synthesised music; it says nothing about real genres)" if model.pipeline.get("demo") else ""
    opening = ""
    if _TAKES[model.kind] == "sound":
        opening = f", the first {model.input['features']['clip_seconds']:g} s of a track"
    windows = f" in {model.segments} windows" if model.segments > 1 else ""
    lines = [f"model: {shown(model.name)}{demo}; takes {_TAKES[model.kind]}{opening}{windows}; {len(model.labels)} classes{scored}"]
    if model.unchecked is not None:
        lines.append(f"note: {model.unchecked}: that this is the model that was evaluated is not checked")
    if temperature is not None:
        lines.append(f"probabilities are scaled by temperature {temperature:.3g}, from the trial's validation tracks")
    return lines


class TerminalSink:
    """A line for each track: class, probability, the next classes, votes, name."""

    def __init__(self, console: Console, model: SavedModel, top: int, segments: bool, silent: bool) -> None:
        self._console, self._model, self._top, self._segments, self._silent = console, model, top, segments, silent
        self._width = max(len("predicted"), *map(len, model.labels))
        self._next = max(len("next"), (min(top, len(model.labels)) - 1) * (self._width + 7) - 2)
        self._has_header = False

    def take(self, found: Prediction | Unread) -> None:
        if isinstance(found, Unread):
            self._console.print(Text.assemble((f"{'unreadable':{self._width}}", "red"), f"  {shown(found.name)}: {shown(found.reason)}"))
            return
        if self._silent:
            return
        self._header()
        (label, p), *others = ((shown(label), p) for label, p in found.best(self._top))
        behind = ", ".join(f"{other} {value:.2f}" for other, value in others)
        votes = f"  {_votes(found):24}" if self._model.segments > 1 else ""
        self._console.print(Text.assemble((f"{label:{self._width}}", "bold"), f"  {p:.3f}  {behind:{self._next}}{votes}  {shown(found.name)}"))
        for number, part in enumerate(found.parts if self._segments else ()):
            self._console.print(Text(f"  {self._span(number):16}  {shown(found.labels[part.argmax()]):{self._width}}  {part.max():.3f}", "dim"))

    def end(self, totals: dict[str, Any]) -> None:
        """The totals are told by the command."""

    def _header(self) -> None:
        if not self._has_header:
            votes = f"  {'windows':24}" if self._model.segments > 1 else ""
            self._console.print(Text(f"{'predicted':{self._width}}  p      {'next':{self._next}}{votes}  file", "underline"))
            self._has_header = True

    def _span(self, number: int) -> str:
        spans = segment_seconds(self._model)
        return "{:.1f}–{:.1f} s".format(*spans[number]) if number < len(spans) else f"part {number + 1}"


def _votes(found: Prediction) -> str:
    return ", ".join(f"{shown(label)} {n}" for label, n in found.votes().items())


class Speed:
    """Progress with clips per second: a bar in a terminal, elsewhere a line every ten seconds."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._started = console, total, time.monotonic()
        self._told_at = self._started
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("tracks", total=total, rate="")

    def __enter__(self) -> Speed:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def take(self, done: int) -> None:
        """Take in that `done` tracks are done."""
        now = time.monotonic()
        rate = f"{done / max(now - self._started, 1e-9):.1f} clips/s"
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, rate=rate)
        elif now - self._told_at > 10:
            self._told_at = now
            self._console.print(f"{done} of {self._total} tracks, {rate}", markup=False, highlight=False)
