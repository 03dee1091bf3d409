"""Where paused trials keep their state, and how much of the disk that may take.

``checkpoints/ROOT/EPOCH/`` is written by a worker (the objective makes each file whole before it has its name) and belongs to a trial from the
moment the study says so; the one before it is removed only then. Anything the study does not speak of is removed at start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from search.trial import Trial


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
        """Remove all but the checkpoint that the study knows of."""
        newest = None if trial.checkpoint is None else self._folder / trial.checkpoint["folder"]
        self._remove_others(self._folder / f"{trial.root:04d}", newest)

    def remove(self, trial: Trial) -> None:
        """The trial has ended for good."""
        shutil.rmtree(self._folder / f"{trial.root:04d}", ignore_errors=True)

    def clean(self, trials: Iterable[Trial]) -> None:
        """At start: remove what no trial that may go on speaks of."""
        owners = {f"{t.root:04d}": t for t in trials if t.end is None}
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            owner = owners.get(folder.name)
            if owner is None or owner.checkpoint is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self.keep_newest(owner)

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

    @staticmethod
    def _remove_others(folder: Path, kept: Path | None) -> None:
        if folder.is_dir():
            for each in folder.iterdir():
                if each != kept:
                    shutil.rmtree(each, ignore_errors=True)
