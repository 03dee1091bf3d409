"""What another tool does, written into the study as it happens, so that its trials are read like any others.

A trial of the tool is a trial here, known by its name there (``spec["peer"]["trial"]``). What the tool runs again after a kill is a retry; nothing is
put in a queue here, since the tool decides what it takes up again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from search.budget import BudgetWatch
from search.failures import Failures
from search.mirror import Mirror
from search.rules import Limits, Monitor, SpecParts
from search.space import FamilySpace
from search.study import StudyOwner
from search.trial import End, Trial


class PeerOwner(StudyOwner):
    """The owner of a study whose trials another tool begins."""

    def _requeue(self, trial: Trial) -> None:
        """The tool knows what it takes up again."""


class _Totals(BudgetWatch):
    """The study's totals; the tool can't be told whom to finish first."""

    def name_first(self) -> None:
        """Nobody is."""


class PeerStudy:
    """One run of another tool.

    Parameters
    ----------
    owner : PeerOwner
    families : mapping of name to FamilySpace
    parts : SpecParts
    limits : Limits
    metric : str
        Key of the reported metrics that is the objective.
    monitor : Monitor
    tool : str
        Name of the engine.

    Attributes
    ----------
    failing : str or None
        Why the tool gave up by itself.
    """

    def __init__(
        self, owner: PeerOwner, families: Mapping[str, FamilySpace], parts: SpecParts, limits: Limits, metric: str, monitor: Monitor, tool: str
    ) -> None:
        self.owner, self.parts, self.metric, self.failing = owner, parts, metric, None
        self._monitor, self._tool = monitor, tool
        self._distributions = Mirror(families, owner.maximize).distributions
        self._budget = _Totals(limits, owner, monitor, ())
        self._newest = {t.spec["peer"]["trial"]: t for t in owner.trials.values() if "peer" in t.spec}
        self._failures = Failures()
        self._rows: dict[int, list[dict[str, float]]] = {}
        self._began: dict[int, float] = {}

    # -- whether the tool goes on ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """The tool is about to begin: time counts from now on."""
        self.owner.spent.begin()

    @property
    def stop_reason(self) -> str | None:
        """Why nothing more begins and what runs is to end; None where it goes on."""
        self._budget.check()
        return self._budget.stop_reason

    @property
    def has_trials_left(self) -> bool:
        """Whether another trial is within the budget's number."""
        return self._budget.has_trials_left

    @property
    def is_called_off(self) -> bool:
        """Whether the user stopped it."""
        return self._budget.is_called_off

    def stop(self, reason: str) -> None:
        """Let the tool end at the next report."""
        self._budget.call_off(reason)

    def tick(self) -> None:
        """Called now and then while nothing is reported."""
        self.owner.flush_when_due()

    def note(self, text: str) -> None:
        """Tell whoever watches."""
        self._monitor.note(text)

    # -- what the tool does ----------------------------------------------------------------------------------------

    def known(self, name: str) -> Trial | None:
        """The newest trial here of a trial there."""
        return self._newest.get(name)

    def recorded(self, name: str, family: str, sampled: Mapping[str, Any]) -> Trial | None:
        """The trial here of a trial there, with these parameters, where it has ended: a kill came between the study's writing and the tool's."""
        before = self._newest.get(name)
        is_over = before is not None and before.end is not None and not before.is_lost
        return before if is_over and before.params == params_of(family, sampled) else None

    def trained_again(self) -> None:
        """The tool trained an epoch that the study has."""
        self.owner.spent.epochs += 1

    def next_number(self) -> int:
        """Number that the next trial here will have."""
        return self.owner.next_number

    def started(self, name: str, spec: Mapping[str, Any], sampled: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> Trial:
        """The tool begins a trial, or begins one anew that was lost.

        Parameters
        ----------
        name : str
            The tool's.
        spec : mapping
            As `SpecParts.spec` makes it.
        sampled : mapping
            The searched parameters that are active.
        about : mapping, optional
            What else is to be kept of it, such as the trial whose weights it goes on with.
        """
        before = self._newest.get(name)
        spec = {**spec, "peer": {"tool": self._tool, "trial": name, **(about or {})}}
        params = params_of(spec["family"], sampled)
        if before is not None and before.is_lost and before.params == params:
            spec |= {"retry_of": before.number, "first": before.root}
        trial = self.owner.start(spec, {key: (value, self._distributions[key]) for key, value in params.items()})
        self._newest[name] = trial
        self._rows[trial.number], self._began[trial.number] = [], time.monotonic()
        self.owner.spent.accounts.begin(trial.number)
        self._monitor.started(trial)
        return trial

    def reported(self, trial: Trial, row: Mapping[str, float]) -> None:
        """An epoch is done; `row` is as in an outcome's history."""
        epoch = int(row["epoch"])
        self._rows[trial.number].append(dict(row))
        self.owner.spent.epochs += 1
        self.owner.report(trial.number, epoch, float(row[self.metric]))
        self._monitor.reported(trial, epoch, row)

    def ended(
        self, trial: Trial, end: End, *, reason: str | None = None, cost: Mapping[str, Any] | None = None, outcome: Mapping[str, Any] | None = None
    ) -> None:
        """The tool is done with a trial.

        Parameters
        ----------
        trial : Trial
        end : End
        reason : str, optional
        cost : mapping, optional
            What it took, as `search.trial_cost.CostMeter` measured it; None where its process did not live to say.
        outcome : mapping, optional
            What the training itself gave (docs/design.md, section 4); what it does not tell is made of the epochs reported.
        """
        rows = self._rows.pop(trial.number, [])
        seconds = time.monotonic() - self._began.pop(trial.number)
        whole = {**self._made_of(trial, rows), **(outcome or {}), "seconds": seconds}
        whole["cost"] = self.owner.spent.accounts.settle(trial.number, cost)
        self.owner.finish(trial.number, end, value=whole.get("value"), reason=reason, outcome=whole)
        self._monitor.ended(trial)
        if self._failures.observe(trial, end) and not self.is_called_off:
            self.failing = self._failures.reason
            self.stop(self.failing)

    def failed(self, trial: Trial, reason_code: str, error: Exception | str, cost: Mapping[str, Any] | None = None) -> None:
        """A trial raised; `reason_code` is one of ``refused``, ``nan``, ``memory``, ``exception``."""
        known = {str(end) for end in (End.REFUSED, End.NAN, End.MEMORY)}
        said = " ".join(str(error).split())[:400]
        named = said if isinstance(error, str) or hasattr(error, "reason_code") else f"{type(error).__name__}: {said}"
        self.ended(trial, End(reason_code) if reason_code in known else End.EXCEPTION, reason=named, cost=cost)

    def _made_of(self, trial: Trial, rows: list[dict[str, float]]) -> dict[str, Any]:
        """The outcome as far as the reported epochs tell it. The history begins with that of the trial whose weights it went on with, if it did."""
        if not rows:
            return {}
        better = max if self.owner.maximize else min
        best = better(rows, key=lambda row: row[self.metric])
        promoted, first = trial.spec["peer"].get("promoted"), rows[0]["epoch"]
        earlier = [] if promoted is None else [row for row in self.owner.trials[promoted].outcome.get("history", ()) if row["epoch"] < first]
        return {
            "value": best[self.metric],
            "val_accuracy": best.get("val_accuracy"),
            "best_epoch": int(best["epoch"]),
            "epochs": int(rows[-1]["epoch"]),
            "stopped_early": False,
            "interval": None,
            "fit_seconds": sum(row.get("seconds", 0.0) for row in (*earlier, *rows)),  # of all epochs that its weights saw
            "history": [*earlier, *rows],
            **self._size(trial),
        }

    def _size(self, trial: Trial) -> dict[str, Any]:
        """Parameters and cost of an item, by arithmetic."""
        declared = self.parts.screen(trial.spec)
        return {name: declared[name] for name in ("parameters", "gflops") if name in declared}

    def abandon(self, reason: str) -> None:
        """End what still runs, because the tool has ended."""
        for trial in self.owner.roster.running:
            lost = End.INTERRUPTED if self.stop_reason is not None else End.WORKER_LOST
            self.ended(trial, lost, reason=reason)


def params_of(family: str, sampled: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by their names in the study."""
    return {"family": family} | {f"{family}/{name}": value for name, value in sampled.items()}
