"""Where paused trials keep their state, and how much of the disk that may take.

``checkpoints/ROOT/EPOCH/`` is written by a worker under another name, and has its own once it is whole. It belongs to a trial from the moment the
study says so; those before it are removed only then. Anything the study does not speak of is removed at start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from search.depot import Depot
from search.durable import is_leftover
from search.trial import Trial

_FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of a study.

    Parameters
    ----------
    depot : Depot
        The study's; they lie in its folder ``checkpoints``.
    limit_bytes : int
        The most they may take. Beyond it those of the trials least likely to go on are dropped: such a trial, should it go on after all,
        trains its first epochs again, to the same values.
    """

    def __init__(self, depot: Depot, limit_bytes: int) -> None:
        self._depot, self._limit = depot, limit_bytes

    @property
    def place(self) -> str:
        """Path or URL of the folder that they lie in."""
        return f"{self._depot.root}/{_FOLDER}"

    def where(self, trial: Trial) -> str:
        """Path or URL of the folder in which the worker makes one for each epoch it saves."""
        return f"{self._depot.root}/{self._of(trial)}"

    def to_resume(self, trial: Trial) -> str | None:
        """Path or URL of the trial's newest whole checkpoint, or None to start afresh."""
        if trial.checkpoint is None or not self._depot.may_hold(name := f"{_FOLDER}/{trial.checkpoint['folder']}"):
            return None
        return f"{self._depot.root}/{name}"

    def keep_newest(self, trial: Trial) -> None:
        """Remove checkpoints before the one that the study knows of; its worker may have written another since, or be at it."""
        if trial.checkpoint is None:
            self.remove(trial)
            return
        newest = _place_of(trial.checkpoint["folder"].partition("/")[2])
        self._depot.remove(self._of(trial), lambda name: not is_leftover(name) and _place_of(name) < newest)

    def remove(self, trial: Trial) -> None:
        """The trial has ended for good."""
        self._depot.remove(self._of(trial))

    def clean(self, trials: Collection[Trial]) -> list[Trial]:
        """At start, while no worker writes: remove what no trial that may go on speaks of, and what a kill left half-written.

        Returns
        -------
        list of Trial
            Those that may go on and have no checkpoint here, though the study speaks of one: it was kept elsewhere, or removed.
        """
        going_on = {t.number: t.checkpoint["folder"] for t in trials if t.end is None and t.checkpoint is not None}
        spoken_of, found = set(going_on.values()), self._depot.folders(_FOLDER)
        roots = {folder.partition("/")[0] for folder in spoken_of}
        for root in found:
            if root in roots:
                self._depot.remove(f"{_FOLDER}/{root}", lambda name, root=root: f"{root}/{name}" not in spoken_of)
            else:
                self._depot.remove(f"{_FOLDER}/{root}")
        self._depot.settle()
        return [t for t in trials if t.number in going_on and going_on[t.number].partition("/")[0] not in found]

    @staticmethod
    def _of(trial: Trial) -> str:
        return f"{_FOLDER}/{trial.root:04d}"

    def over_limit(self, waiting: Iterable[Trial], maximize: bool) -> list[Trial]:
        """Trials whose checkpoints must go, least advanced first and of those the worst first, until the rest fits."""
        sign = 1 if maximize else -1
        held = [t for t in waiting if t.checkpoint is not None]
        total, dropped = sum(t.checkpoint["bytes"] for t in held), []
        if total <= self._limit:
            return []  # nearly always: thousands may wait, and to put them in order takes longer than all else
        for trial in sorted(held, key=lambda t: (t.checkpoint["epoch"], sign * (t.best(maximize) or 0.0))):
            if total <= self._limit:
                break
            total -= trial.checkpoint["bytes"]
            dropped.append(trial)
        return dropped


def _place_of(name: str) -> tuple[int, ...]:
    """Where a checkpoint stands among those of its trial, by its name: ``EPOCH``, or ``EPOCH-BEAT`` within a further part."""
    return tuple(int(number) for number in name.split("-") if number.isdigit())
