"""The best of each family side by side: scores with intervals, how they stand to the winner, and what they cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.leaderboard import best_of_each, ranked, standings, varied_parameters
from search.pareto import COSTS
from search.report.scores import Scale
from search.selection import Selection, Statistics, contenders
from search.study_view import StudyView
from search.trial import Trial

#: Costs that have a column where any of the trials knows them, in this order.
_COSTS = ("seconds", "cpu_seconds", "energy", "memory", "parameters", "gflops", "latency")
_KILO, _SMALLER = 1000, {"energy": "Wh", "gflops": "MFLOP"}
_STANDINGS = {"winner": "the winner", "tie": "a tie", "worse": "worse", "better": "better", "": "not comparable"}


@dataclass(frozen=True)
class FamilyRow:
    """A row of the table; texts, empty where nothing is known."""

    family: str
    trial: int
    trials: str
    score: str
    interval: str
    expected: str
    held_out: str
    held_out_interval: str
    standing: str
    costs: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]


def best_trials(view: StudyView, selection: Selection | None) -> list[Trial]:
    """The winner and the best full trial of each other family, the best family first; where no trial is full, none."""
    full = [trial for trial in ranked(view.trials, view.maximize) if trial.is_full]
    best = best_of_each(full)
    if selection is not None:
        best[selection.winner.trial.family] = selection.winner.trial
    return list(best.values())


def family_rows(view: StudyView, selection: Selection | None, statistics: Statistics | None, looks: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[FamilyRow]]:
    """Heads of the columns of costs, and the rows."""
    best, standing, scale = best_trials(view, selection), standings(selection), Scale(view.metric or "score")
    known = [name for name in _COSTS if any(COSTS[name].of(trial) is not None for trial in best)]
    heads = [COSTS[name].label for name in known]
    shown, rows = varied_parameters(view.trials), []
    for trial in best:
        expected = _expected(view, selection, trial, statistics)
        held_out, between = _held_out(looks, trial)
        is_winner = selection is not None and trial is selection.winner.trial
        costs = tuple(_cost(name, COSTS[name].of(trial)) for name in known)
        rows.append(
            FamilyRow(
                trial.family, trial.number, _counts(view, trial.family), scale.text(trial.value), scale.interval(trial.outcome.get("interval")), scale.text(expected), held_out, between,
                _STANDINGS["winner" if is_winner else standing.get(trial.number, "")], costs, settings_of(trial, shown),
            )
        )  # fmt: skip
    return heads, rows


def settings_of(trial: Trial, shown: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Names and values of a trial's searched parameters, of those that differ between trials."""
    return tuple((name.rpartition("/")[2], short(trial.params[name])) for name in shown if name in trial.params)


def short(value: Any) -> str:
    """A value of a parameter, to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _counts(view: StudyView, family: str) -> str:
    own = [trial for trial in view.trials if trial.family == family and trial.confirms is None]
    return f"{sum(trial.counts for trial in own)} tried, {sum(trial.is_full for trial in own)} to the end"


def _expected(view: StudyView, selection: Selection | None, trial: Trial, statistics: Statistics | None) -> float | None:
    """What the best of a family is worth among its own."""
    if selection is not None and trial is selection.winner.trial:
        found = selection.expected
    else:
        own = contenders([each for each in view.trials if each.family == trial.family], view.maximize)
        found = Selection(own, view.maximize, statistics).expected if statistics is not None and own else None
    return None if found is None or found.states == 1 else found.expected


def _held_out(looks: Sequence[Mapping[str, Any]], trial: Trial) -> tuple[str, str]:
    for look in reversed(looks):
        score = look["scores"][0]
        scale = Scale(score["name"])
        seen = [(look["trial"], score["value"], score["interval"]), *((each["trial"], each["value"], each["interval"]) for each in look["others"])]
        for number, value, interval in seen:
            if number == trial.number:
                return scale.text(value), scale.interval(interval)
    return "", ""


def _cost(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in _SMALLER and value < 0.1:
        return f"{_KILO * value:.3g} {_SMALLER[name]}"
    return COSTS[name].text(value)
