"""What a trial is: its record, its possible ends, its seed, and what a worker's objective promises.

Pure: no Optuna, no Ray. Epochs run 1..R.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from search.trial_cost import added


class Decision(StrEnum):
    """The answer to a report. Its text is the contract: objectives compare with ``"stop"``.

    SAVE is between driver and worker: the worker writes a checkpoint and tells the objective to go on.
    """

    CONTINUE = "continue"
    SAVE = "save"
    STOP = "stop"
    PAUSE = "pause"


class End(StrEnum):
    """Why a trial ended (user attribute ``end``)."""

    FULL = "full"
    EARLY_STOP = "early-stop"
    PRUNED = "pruned"
    REFUSED = "refused"
    NAN = "nan"
    MEMORY = "memory"
    TIMEOUT = "timeout"
    EXCEPTION = "exception"
    WORKER_LOST = "worker-lost"
    ORPHAN = "orphan"
    INTERRUPTED = "interrupted"

    @property
    def state(self) -> str:
        """The Optuna state this end is stored as. A refusal is PRUNED without values, so that the sampler learns of it."""
        if self in (End.FULL, End.EARLY_STOP):
            return "COMPLETE"
        return "PRUNED" if self in (End.PRUNED, End.REFUSED) else "FAIL"

    @property
    def is_requeued(self) -> bool:
        """True where the trial may say nothing about its configuration and be run again (:attr:`Trial.is_lost`)."""
        return self in (End.WORKER_LOST, End.ORPHAN, End.INTERRUPTED, End.TIMEOUT)


#: A trial whose worker was lost is tried again at most so often; one that kills three is not bad luck.
MAX_RETRIES = 2


@dataclass
class Trial:
    """One trial as the driver knows it; the study holds the same."""

    number: int
    state: str
    spec: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    reports: dict[int, float] = field(default_factory=dict)
    end: str | None = None
    reason: str | None = None
    value: float | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    trial_id: int = -1
    paused: int | None = None  # the epoch after which it waits for the scheduler's word
    checkpoint: dict[str, Any] | None = None  # {"epoch", "folder", "bytes"} of the newest one that is whole
    bracket: int | None = None  # Hyperband's, counted over the study
    reported_at: dict[int, float] = field(default_factory=dict)  # epoch to seconds of search by then, over all runs of the study
    seconds: dict[int, float] = field(default_factory=dict)  # of training up to the end of an epoch, where rungs are in seconds

    @property
    def family(self) -> str:
        """The candidate family this trial belongs to."""
        return self.spec["family"]

    @property
    def retry_of(self) -> int | None:
        """Number of the lost trial this one repeats, if any."""
        return self.spec.get("retry_of")

    @property
    def root(self) -> int:
        """Number of the first trial of this line of retries: itself, if it repeats none."""
        return self.spec.get("first", self.number if self.retry_of is None else self.retry_of)

    @property
    def confirms(self) -> int | None:
        """Number of the finished trial whose configuration this one scores again, if any."""
        return self.spec.get("confirms")

    @property
    def warm_start_of(self) -> str | None:
        """Where its configuration comes from, if the sampler did not propose it: ``STUDY/NUMBER``, a trial of another study, or ``defaults of FAMILY``."""
        return self.spec.get("warm_start_of")

    @property
    def has_defaults(self) -> bool:
        """True if it tries what its family declares as defaults."""
        return self.warm_start_of == defaults_of(self.family)

    @property
    def parts(self) -> int:
        """How often the configuration is trained: folds times repeats."""
        return self.spec.get("folds", 1) * self.spec.get("repeats", 1)

    @property
    def is_at_once(self) -> bool:
        """True if it reported only at the full budget: its family does not train in epochs."""
        return bool(self.reports) and min(self.reports) >= self.spec.get("epochs", 0) > 1

    @property
    def timeouts(self) -> int:
        """How often its line of retries ended in a timeout before it."""
        return self.spec.get("timeouts", 0)

    @property
    def is_lost(self) -> bool:
        """True if it ended without saying anything about its configuration. One timeout may be the machine's fault, a second is not."""
        return self.end is not None and End(self.end).is_requeued and not (self.end == End.TIMEOUT and self.timeouts >= 1)

    @property
    def counts(self) -> bool:
        """True if the trial is one of the budget's ``trials``."""
        return self.end is not None and not self.is_lost and self.confirms is None

    @property
    def is_full(self) -> bool:
        """True if the trial may win: it had the whole budget, or its family stopped it early."""
        return self.state == "COMPLETE" and self.confirms is None

    def best(self, maximize: bool, epoch: int | None = None) -> float | None:
        """Score so far, or up to `epoch`: the best epoch's value; once further folds are in, their running mean. None without reports."""
        seen = {e: value for e, value in list(self.reports.items()) if epoch is None or e <= epoch}  # a copy: who watches does so in another thread
        if not seen:
            return None
        last = max(seen)
        if self.parts > 1 and last > self.spec["epochs"]:
            return seen[last]
        return (max if maximize else min)(seen.values())


def standing(trial: Trial, level: int, maximize: bool) -> float | None:
    """What a trial stands with at a rung that it passed or skipped: its best up to there, or where it reported nothing so early its best."""
    value = trial.best(maximize, level)
    return trial.best(maximize) if value is None else value


def defaults_of(family: str) -> str:
    """What `Trial.warm_start_of` says of a family's declared defaults."""
    return f"defaults of {family}"


def trial_seed(study_seed: int, number: int) -> int:
    """Seed of a trial: a stable hash of the study's seed and the trial's number, 0 <= seed < 2**31."""
    digest = hashlib.blake2b(f"{study_seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


Snapshot = Callable[[str], None]
Report = Callable[[int, Mapping[str, float], Snapshot], str]


class Objective(Protocol):
    """What a worker builds once and then runs trial after trial."""

    def run(
        self, spec: dict[str, Any], report: Report, *, workdir: str | None = None, resume: str | None = None
    ) -> dict[str, Any]:
        """Train one trial and return its outcome (docs/design.md, section 4)."""
        ...


def not_finite(metrics: Mapping[str, float]) -> str | None:
    """Name of the first metric that is NaN or infinite, or None."""
    return next((name for name, value in metrics.items() if not math.isfinite(value)), None)


def end_of(outcome: Mapping[str, Any], stopped_as: End | None, max_epochs: int) -> End:
    """The end of a trial whose objective returned.

    Parameters
    ----------
    outcome : mapping
        With ``epochs`` (last epoch trained, of the first part) and ``stopped_early``; ``parts`` of ``parts_wanted`` where there are several.
    stopped_as : End or None
        What the driver meant when it answered "stop", if it did.
    max_epochs : int

    Returns
    -------
    End
        FULL wins over a stop that came too late to stop anything. An objective that returns before its budget is
        spent, unasked and without an early stop, broke its contract: EXCEPTION.
    """
    if outcome.get("parts", 1) < outcome.get("parts_wanted", 1):
        return stopped_as if stopped_as is not None else End.EXCEPTION
    if outcome["epochs"] >= max_epochs:
        return End.FULL
    if outcome["stopped_early"]:
        return End.EARLY_STOP
    return stopped_as if stopped_as is not None else End.EXCEPTION


#: Of an outcome, what a trial's legs add up to.
SECONDS = ("seconds", "fit_seconds")


def with_earlier_legs(before: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """An outcome whose seconds and cost include those of the trial's earlier legs, if it had any (`before` is what is known of them).

    What is not known of an earlier leg (``untold``) is not told at all: a trial would look cheaper than it was.
    """
    whole = dict(outcome)
    for key in SECONDS:
        if key in outcome and key in before:
            whole[key] = before[key] + outcome[key]
    if "phases" in outcome and "phases" in before:
        whole["phases"] = {name: before["phases"].get(name, 0.0) + seconds for name, seconds in outcome["phases"].items()}
    for key in (untold := before.get("untold", ())):
        whole.pop(key, None)
    if untold:
        whole["untold"] = list(untold)
    if "cost" in outcome or "cost" in before:
        whole["cost"] = added(before.get("cost"), outcome.get("cost"))
    return whole


def until_checkpoint(before: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of a trial that was lost, as far as the state that it goes on from; what of them is not known is named (``untold``).

    Parameters
    ----------
    before : mapping
        The outcome of its earlier legs.
    checkpoint : mapping
        With ``leg`` where it was written in the leg that was lost: its ``seconds`` and ``fit_seconds`` until then. Otherwise it is of an earlier leg, or of a
        version that did not say.
    """
    leg = checkpoint.get("leg")
    if leg is None:
        known = {key: before[key] for key in (*SECONDS, "phases") if key in before}
    else:
        known = {key: before.get(key, 0.0) + leg[key] for key in SECONDS if key not in before.get("untold", ())}
    untold = [key for key in (*SECONDS, "phases") if key not in known]
    return known | ({"untold": untold} if untold else {})
