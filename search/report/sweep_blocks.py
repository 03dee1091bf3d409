"""What the page shows of a sweep: a row of a table for each setting, who can't be told from the best, and the curves of its small plots. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from search.pareto import COSTS
from search.report.scores import Scale
from search.report.setting_scores import SettingScore, score_setting
from search.report.sweeps import Setting, Sweep, sweeps
from search.selection import Paired, Statistics
from search.study_view import StudyView
from search.trial import Trial

_DIGITS, _NAMED, _LONGEST_REASON = 4, 4, 160


@dataclass(frozen=True)
class SweepRow:
    """A row; texts, empty where nothing is known."""

    values: tuple[str, ...]
    trials: str
    score: str
    interval: str
    spread: str
    standing: str
    difference: str
    gap: str
    best_epoch: str
    epochs: str
    stopped: str
    seconds: str


@dataclass(frozen=True)
class SweepBlock:
    """One family's sweep as the page has it; `plot` is None where the family does not train in epochs."""

    family: str
    factors: tuple[str, ...]
    sentence: str
    rows: tuple[SweepRow, ...]
    parts: int
    plot: dict[str, Any] | None


def sweep_blocks(view: StudyView, statistics: Statistics | None) -> list[SweepBlock]:
    """The sweeps of a study, a block each; none where it is no sweep (`search.report.sweeps`)."""
    return [_block(sweep, view, statistics) for sweep in sweeps(view)]


def _block(sweep: Sweep, view: StudyView, statistics: Statistics | None) -> SweepBlock:
    scale, sign = Scale(view.metric or "score"), 1 if view.maximize else -1
    scores = [score_setting(setting.full, statistics, view.maximize, scale.is_share) for setting in sweep.settings]
    best = max((each for each in scores if each is not None), key=lambda each: sign * each.value)
    against = [None if each is None or each is best else each.against(best, statistics, view.maximize) for each in scores]
    rows = [_row(setting, score, score is best, told, view, scale) for setting, score, told in zip(sweep.settings, scores, against, strict=True)]
    trained = [trial for setting in sweep.settings for trial in setting.trials]
    plot = None if all(trial.is_at_once or not trial.reports for trial in trained) else _plot(sweep, scores, view)
    return SweepBlock(sweep.family, sweep.factors, _sentence(sweep, scores, against, best, scale), tuple(rows), max(trial.parts for trial in trained), plot)


def _row(setting: Setting, score: SettingScore | None, is_best: bool, told: Paired | None, view: StudyView, scale: Scale) -> SweepRow:
    full, trials = setting.full, setting.trials
    numbers = f"trial{'s' if len(trials) > 1 else ''} {', '.join(str(trial.number) for trial in trials[:_NAMED])}{' …' if len(trials) > _NAMED else ''}"
    if score is None:
        return SweepRow(setting.texts, numbers, "–", "", "", _failure(trials[-1]), "", "–", "–", _span([max(trial.reports, default=0) for trial in trials]), "", "–")
    spread = f"{len(score.repeats)} trainings: {scale.interval((min(score.repeats), max(score.repeats)))}" if len(score.repeats) > 1 else ""
    standing = "the best" if is_best else "not comparable" if told is None else "a tie" if told.is_tie else "worse" if told.difference < 0 else "better"
    # Of a paired test a positive difference is better; a lower loss is shown as the lower number that it is.
    difference = "" if told is None else _difference(told, scale, view.maximize)
    gaps = [gap for trial in full if (gap := train_gap(trial, view.metric, view.maximize)) is not None]
    gap = scale.difference(fmean(gaps)) if gaps else "–"
    prices = [price for trial in full if (price := COSTS["seconds"].of(trial)) is not None]
    seconds = COSTS["seconds"].text(fmean(prices)) if prices else "–"
    if all(trial.is_at_once for trial in full):
        return SweepRow(setting.texts, numbers, scale.text(score.value), scale.interval(score.interval), spread, standing, difference, gap, "–", "–", "", seconds)
    epochs = _span([trial.outcome.get("epochs", max(trial.reports, default=0)) for trial in full])
    early = sum(bool(trial.outcome.get("stopped_early")) for trial in full)
    stopped = f"of {full[0].spec.get('epochs', '?')}" if not early else "stopped early" if early == len(full) else f"{early} of {len(full)} stopped early"
    best_epoch = _span([trial.outcome.get("best_epoch", 0) for trial in full])
    return SweepRow(setting.texts, numbers, scale.text(score.value), scale.interval(score.interval), spread, standing, difference, gap, best_epoch, epochs, stopped, seconds)


def _difference(told: Paired, scale: Scale, maximize: bool) -> str:
    if maximize:
        return scale.difference(told.difference, told.interval)
    return scale.difference(-told.difference, None if told.interval is None else (-told.interval[1], -told.interval[0]))


def _failure(trial: Trial) -> str:
    """Why a setting has no score."""
    if trial.state == "PRUNED" and trial.reports:
        return f"stopped at epoch {max(trial.reports)}"
    reason = " ".join(str(trial.reason or trial.end or "no reason was told").split())
    return f"failed: {reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 1] + '…'}"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def train_gap(trial: Trial, metric: str | None, maximize: bool) -> float | None:
    """How much better the training score is than validation's at the best epoch, of the first training; None where training has no such score."""
    name, history = train_metric(metric), trial.outcome.get("history") or []
    rows = [row for row in history if name is not None and _number(row.get(name)) is not None and _number(row.get(metric)) is not None]
    if not rows:
        return None
    best = (max if maximize else min)(rows, key=lambda row: row[metric])
    return (1 if maximize else -1) * (best[name] - best[metric])


def train_metric(metric: str | None) -> str | None:
    """The training score that goes with a validation score, by its name."""
    return metric.removeprefix("val_") if metric is not None and metric.startswith("val_") else None


def _sentence(sweep: Sweep, scores: Sequence[SettingScore | None], against: Sequence[Paired | None], best: SettingScore, scale: Scale) -> str:
    """Which setting is best, and which can't be told from it."""
    names = [", ".join(f"{factor} {text}" for factor, text in zip(sweep.factors, setting.texts, strict=True)) for setting in sweep.settings]
    place = next(i for i, each in enumerate(scores) if each is best)
    told = [each for each in against if each is not None]
    lines = [f"The best setting is {names[place]}, with {scale.text(best.value)}."]
    ties = [name for name, each in zip(names, against, strict=True) if each is not None and each.is_tie]
    if ties:
        which = f": {'; '.join(ties)}" if len(ties) <= _NAMED else ""
        lines.append(f"It can't be told apart from {len(ties)} of the other {len(told)} (paired test, 95 %){which}.")
    elif told:
        lines.append(f"The paired test (95 %) tells it from {'the other' if len(told) == 1 else f'each of the other {len(told)}'}; it was chosen by these very scores, so the test is somewhat too sure.")
    lacking = sum(each is None for each in scores)
    return " ".join([*lines, *([f"{lacking} of the settings {'has' if lacking == 1 else 'have'} no score."] if lacking else [])])


def _plot(sweep: Sweep, scores: Sequence[SettingScore | None], view: StudyView) -> dict[str, Any]:
    """What the page draws: a cell for each setting with the curves of its trials, and ``y``, the ends of the axis that all share."""
    cells = [_cell(setting, score, view, sweep.factors) for setting, score in zip(sweep.settings, scores, strict=True)]
    values = sorted(value for cell in cells for line in cell["lines"] for name in "vt" for value in line[name] if value is not None)
    values += [end for cell in cells if cell["mark"] for end in cell["mark"][1:] if end is not None]
    low, high = min(values), max(values)
    if not Scale(view.metric or "score").is_share:
        high = min(high, 2 * sorted(values)[int(0.95 * (len(values) - 1))])  # a loss that ran away would flatten all others
    last = max((line["e"][-1] for cell in cells for line in cell["lines"] if line["e"]), default=1)
    return {"family": sweep.family, "columns": sweep.columns, "cells": cells, "y": [low, high], "last": last, "trains": any(v is not None for c in cells for line in c["lines"] for v in line["t"])}


def _cell(setting: Setting, score: SettingScore | None, view: StudyView, factors: Sequence[str]) -> dict[str, Any]:
    title, mark, note = ", ".join(f"{factor} {text}" for factor, text in zip(factors, setting.texts, strict=True)), None, ""
    if score is not None:
        epochs = [trial.outcome.get("best_epoch", max(trial.reports, default=1)) for trial in setting.full]
        mark = [_rounded(fmean(epochs)), _rounded(score.value), *map(_rounded, score.interval or (None, None))]
    else:
        last = setting.trials[-1]
        note = f"{'stopped' if last.state == 'PRUNED' else 'failed'} after epoch {max(last.reports, default=0)}"
    return {"title": title, "short": " × ".join(setting.texts), "mark": mark, "note": note, "lines": [_line(trial, view) for trial in setting.trials]}


def _line(trial: Trial, view: StudyView) -> dict[str, Any]:
    """``n`` the trial's number, ``e`` epochs, ``v`` and ``t`` scores in validation and training, ``b`` the best epoch's place among them, ``s`` true where the family stopped it early."""
    history: Sequence[Mapping[str, Any]] = trial.outcome.get("history") or []
    epochs = [row.get("epoch", place) for place, row in enumerate(history, 1)]
    if not history:  # it failed, and told no more than its reports
        last = trial.spec.get("epochs", math.inf)
        reports = {epoch: value for epoch, value in sorted(trial.reports.items()) if epoch <= last}
        return {"n": trial.number, "e": list(reports), "v": [_rounded(value) for value in reports.values()], "t": [], "b": None, "s": False}
    name, values = train_metric(view.metric), [_rounded(row.get(view.metric)) for row in history]
    best = (max if view.maximize else min)((value for value in values if value is not None), default=None)
    return {
        "n": trial.number, "e": epochs, "v": values, "t": [_rounded(row.get(name)) for row in history],
        "b": None if best is None else values.index(best), "s": bool(trial.outcome.get("stopped_early")),
    }  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _rounded(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else round(number, _DIGITS)
