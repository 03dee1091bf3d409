"""Where each second of the workers went in a search: read off what its study recorded. Pure.

A worker is busy or waits; while it is busy it is inside the objective or speaks with the driver; inside the objective it builds, trains, validates, reports,
saves. What tracing and compiling take is not told apart by Keras: it is what the first epoch took beyond the middle one of the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.trial import Trial

#: Phases that objectives know (docs/design.md, section 4), in the order of a trial; what others they name comes after.
PHASES = ("build", "train", "validate", "report", "checkpoint")


@dataclass(frozen=True)
class Share:
    """A row of the profile.

    Attributes
    ----------
    what : str
    seconds : float
        Of all workers together.
    """

    what: str
    seconds: float


@dataclass(frozen=True)
class Profile:
    """Where the time of the workers went.

    Attributes
    ----------
    shares : tuple of Share
        They add up to `worker_seconds`.
    worker_seconds : float
        Workers times seconds.
    trials, epochs : int
        That told what they took.
    silent : int
        Trials that told nothing, such as those whose worker was killed: their time is in what waited.
    """

    shares: tuple[Share, ...]
    worker_seconds: float
    trials: int
    epochs: int
    silent: int

    @property
    def in_fit(self) -> float:
        """Share of the workers' time inside training and its validation, first epochs included: 0 to 1."""
        return sum(share.seconds for share in self.shares if share.what in ("train", "validate", FIRST_EPOCH)) / self.worker_seconds


FIRST_EPOCH = "first epoch beyond the others: trace, compile"
AROUND = "data, artifacts"
FAILED = "trials that failed"
MESSAGES = "between worker and driver"
IDLE = "between trials, new workers"
START, END = "before the first worker is free", "after the search: leaderboard, report"


def profile(trials: Iterable[Trial], workers: int, searched_seconds: float, before_seconds: float = 0.0, after_seconds: float = 0.0) -> Profile:
    """Add up what the trials of a study recorded.

    Parameters
    ----------
    trials : iterable of Trial
    workers : int
        Trials at a time.
    searched_seconds : float
        From the first free worker to the end of the search.
    before_seconds, after_seconds : float
        From the command to the first free worker, and from the end of the search to that of the command, where that is known.
    """
    trials = list(trials)
    gone_on = {t.retry_of for t in trials}  # their seconds are in the trial that goes on with them
    of_search = [t for t in trials if t.number not in gone_on]
    tells = {t.number for t in of_search if "phases" in t.outcome and "seconds" in t.outcome}
    outcomes, silent = [t.outcome for t in of_search if t.number in tells], [t.outcome for t in of_search if t.number not in tells]
    phases: dict[str, float] = dict.fromkeys(PHASES, 0.0)
    for outcome in outcomes:
        for name, seconds in outcome["phases"].items():
            phases[name] = phases.get(name, 0.0) + seconds
    first = min(sum(first_epoch_beyond(outcome.get("history", ())) for outcome in outcomes), phases["train"])
    inside = sum(outcome["seconds"] for outcome in outcomes)
    busy = sum(max(outcome["seconds"], _wall_seconds(outcome)) for outcome in outcomes)
    failed = sum(map(_wall_seconds, silent))
    shares = [Share(START, workers * before_seconds), Share("build", phases.pop("build")), Share(FIRST_EPOCH, first)]
    shares += [Share("train", phases.pop("train") - first), *(Share(name, seconds) for name, seconds in phases.items())]
    shares += [Share(AROUND, inside - sum(share.seconds for share in shares[1:])), Share(MESSAGES, busy - inside), Share(FAILED, failed)]
    shares += [Share(IDLE, workers * searched_seconds - busy - failed), Share(END, workers * after_seconds)]
    total = workers * (before_seconds + searched_seconds + after_seconds)
    epochs = sum(len(t.reports) for t in of_search if t.number in tells)  # one that waits to go on has no outcome of its own yet, but seconds
    return Profile(tuple(shares), total, len(outcomes), epochs, len(silent))


def first_epoch_beyond(history: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that the first epoch took beyond the middle one of the others; 0 where there are none, or it was no slower."""
    seconds = [row["seconds"] for row in history if "seconds" in row]
    return max(0.0, seconds[0] - statistics.median(seconds[1:])) if len(seconds) > 1 else 0.0


def _wall_seconds(outcome: Mapping[str, Any]) -> float:
    return (outcome.get("cost") or {}).get("wall_seconds") or 0.0


def profile_table(found: Profile) -> str:
    """Markdown: seconds, share, seconds of a trial and of an epoch."""
    rows = ["| | seconds | share of the workers' time | a trial | an epoch |", "|---|---|---|---|---|"]
    for share in found.shares:
        if round(share.seconds, 2):
            of_trial, of_epoch = share.seconds / max(1, found.trials), share.seconds / max(1, found.epochs)
            rows.append(f"| {share.what} | {share.seconds:.1f} | {100 * share.seconds / found.worker_seconds:.1f} % | {of_trial:.2f} | {of_epoch:.3f} |")
    return "\n".join(rows)
