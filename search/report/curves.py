"""Trials as the page's plots take them: one short record each, so that a thousand of them stay small. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from search.leaderboard import varied_parameters
from search.levelling import levelled
from search.pareto import COSTS, front
from search.report.families import settings_of
from search.schedule import brackets, rungs
from search.study_view import StudyView
from search.trial import Trial

_DIGITS = 4
_SETTINGS = 12  # parameters that are named when a trial is pointed at
#: What a trial came to, in a letter: trained to the end, stopped, failed, under way.
_STATES = {"COMPLETE": "f", "PRUNED": "s", "FAIL": "x"}


def shown_trials(view: StudyView) -> list[Trial]:
    """Trials that a plot shows: with reports, no confirmations, and of a line of retries the one that went on."""
    return [trial for trial in view.trials if trial.reports and trial.confirms is None and not trial.is_lost]


def trial_records(view: StudyView) -> list[dict[str, Any]]:
    """One record a trial: ``n`` its number, ``f`` its family, ``s`` its state, ``e`` and ``y`` epochs and scores of the first training, ``b`` its best, ``l`` its score levelled to
    the full budget, ``t`` its settings in words, ``c`` its costs by name."""
    trials = shown_trials(view)
    ended = [trial for trial in trials if trial.state in ("COMPLETE", "PRUNED")]
    level, varied = levelled(ended, view.maximize), varied_parameters(view.trials)
    return [_record(trial, view.maximize, level.get(trial.number), varied) for trial in trials]


def _record(trial: Trial, maximize: bool, level: float | None, varied: Sequence[str]) -> dict[str, Any]:
    epochs = [epoch for epoch in sorted(trial.reports) if epoch <= trial.spec.get("epochs", epoch)]
    best = trial.value if trial.is_full else trial.best(maximize)
    costs = {name: price for name, cost in COSTS.items() if (price := cost.of(trial)) is not None and math.isfinite(price)}
    text = ", ".join(f"{name} {value}" for name, value in settings_of(trial, varied)[:_SETTINGS])
    return {
        "n": trial.number, "f": trial.family, "s": _STATES.get(trial.state, "r"), "e": epochs, "y": [_rounded(trial.reports[epoch]) for epoch in epochs],
        "b": _rounded(best), "l": _rounded(level), "t": text, "c": {name: float(f"{price:.4g}") for name, price in costs.items()},
    }  # fmt: skip


def fronts(view: StudyView) -> dict[str, Any]:
    """Costs that are known of two full trials or more: name to label, unit and the numbers of the trials on the Pareto front, the cheapest first. Energy comes first, where it is known."""
    full, found = [trial for trial in view.trials if trial.is_full], {}
    for name, cost in sorted(COSTS.items(), key=lambda each: each[0] != "energy"):
        if sum(cost.of(trial) is not None for trial in full) > 1:
            found[name] = {"label": cost.label, "unit": cost.unit, "front": [trial.number for trial in front(full, cost.of, view.maximize)]}
    return found


def survival(view: StudyView) -> dict[str, Any]:
    """How many trials of each family reached each rung: ``levels`` in epochs, and a list of counts by family.

    A family that reports at the full budget alone is compared nowhere before, and left out.
    """
    levels = _levels(view)
    trials = [trial for trial in shown_trials(view) if not trial.is_at_once]
    counts: dict[str, list[int]] = {}
    for trial in trials:
        reached = max((epoch for epoch in trial.reports if epoch <= trial.spec.get("epochs", epoch)), default=0)
        # An early stop of the family's own had its whole budget.
        counts.setdefault(trial.family, [0] * len(levels))
        counts[trial.family] = [n + (reached >= level or trial.is_full) for n, level in zip(counts[trial.family], levels, strict=True)]
    return {"levels": levels, "counts": counts} if levels and counts else {"levels": [], "counts": {}}


def _levels(view: StudyView) -> list[int]:
    budget, scheduler = view.fingerprint.get("budget"), view.fingerprint.get("scheduler")
    if not isinstance(budget, dict) or scheduler in (None, "none") or budget.get("resource") == "seconds":
        return []
    low, high, factor = (budget[key] for key in ("min_epochs", "max_epochs", "reduction_factor"))
    if scheduler == "hyperband":
        return sorted({level for plan in brackets(low, high, factor) for level in plan.levels})
    return [*rungs(low, high, factor), high]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), _DIGITS)
