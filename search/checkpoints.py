"""Where paused trials keep their state, and how much of the disk that may take.

``checkpoints/ROOT/EPOCH/`` is written by a worker under another name, and has its own once it is whole. It belongs to a trial from the moment the
study says so; those before it are removed only then. Anything the study does not speak of is removed at start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from search.trial import Trial
from search.durable import is_leftover


class Checkpoints:
    """The checkpoints of a study.

    Parameters
    ----------
    folder : Path
        Made when the first one is written.
    limit_bytes : int
        The most they may take. Beyond it those of the trials least likely to go on are dropped: such a trial, should it go on after all,
        trains its first epochs again, to the same values.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes

    def where(self, trial: Trial) -> str:
        """Folder under which the worker makes one folder for each epoch it saves."""
        return str(self._folder / f"{trial.root:04d}")

    def to_resume(self, trial: Trial) -> str | None:
        """Folder of the trial's newest whole checkpoint, or None to start afresh."""
        if trial.checkpoint is None:
            return None
        path = self._folder / trial.checkpoint["folder"]
        return str(path) if path.is_dir() else None

    def keep_newest(self, trial: Trial) -> None:
        """Remove checkpoints before the one that the study knows of; its worker may have written another since, or be at it."""
        if trial.checkpoint is None:
            self.remove(trial)
            return
        newest = self._folder / trial.checkpoint["folder"]
        for each in _folders(newest.parent):
            if not is_leftover(each) and _place_of(each) < _place_of(newest):
                shutil.rmtree(each, ignore_errors=True)

    def remove(self, trial: Trial) -> None:
        """The trial has ended for good."""
        shutil.rmtree(self._folder / f"{trial.root:04d}", ignore_errors=True)

    def clean(self, trials: Iterable[Trial]) -> None:
        """At start, while no worker writes: remove what no trial that may go on speaks of, and what a kill left half-written."""
        spoken_of = {t.checkpoint["folder"] for t in trials if t.end is None and t.checkpoint is not None}
        for folder in _folders(self._folder):
            for each in _folders(folder):
                if f"{folder.name}/{each.name}" not in spoken_of:
                    shutil.rmtree(each, ignore_errors=True)
            if not _folders(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def over_limit(self, waiting: Iterable[Trial], maximize: bool) -> list[Trial]:
        """Trials whose checkpoints must go, least advanced first and of those the worst first, until the rest fits."""
        sign = 1 if maximize else -1
        held = [t for t in waiting if t.checkpoint is not None]
        held.sort(key=lambda t: (t.checkpoint["epoch"], sign * (t.best(maximize) or 0.0)))
        total, dropped = sum(t.checkpoint["bytes"] for t in held), []
        for trial in held:
            if total <= self._limit:
                break
            total -= trial.checkpoint["bytes"]
            dropped.append(trial)
        return dropped


def _folders(place: Path) -> list[Path]:
    return [each for each in place.iterdir() if each.is_dir()] if place.is_dir() else []


def _place_of(folder: Path) -> tuple[int, ...]:
    """Where a checkpoint stands among those of its trial, from its name: ``EPOCH``, or ``EPOCH-BEAT`` within a further part."""
    return tuple(int(number) for number in folder.name.split("-") if number.isdigit())
