"""Whether a study is a sweep: one parameter of a family varied, or two crossed, with all else the same. Pure.

Told from the trials alone, whichever sampler made them. Settings that were tried several times keep all their trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search.report.families import short
from search.study_view import StudyView
from search.trial import End, Trial

_MOST_FACTORS, _MOST_SETTINGS, _MOST_TRIALS = 2, 16, 100
#: Part of a study's trials that may have been stopped: more, and its settings were not given the same chance.
_MOST_STOPPED = 0.2
#: Stands for a parameter that a setting has not, because a condition on another one does not hold.
ABSENT = object()


@dataclass(frozen=True)
class Setting:
    """One setting, and the trials that tried it.

    Attributes
    ----------
    values : tuple
        Of the sweep's factors; `ABSENT` where the setting has no such parameter.
    trials : tuple of Trial
        Ended ones, by their number.
    """

    values: tuple[Any, ...]
    trials: tuple[Trial, ...]

    @property
    def full(self) -> tuple[Trial, ...]:
        """Those that were trained to the end."""
        return tuple(trial for trial in self.trials if trial.is_full)

    @property
    def texts(self) -> tuple[str, ...]:
        """The values in words."""
        return tuple("–" if value is ABSENT else short(value) or "(none)" for value in self.values)


@dataclass(frozen=True)
class Sweep:
    """The settings of one family.

    Attributes
    ----------
    family : str
    factors : tuple of str
        Names of the one or two parameters that differ, without the family's.
    settings : tuple of Setting
        By the first factor, then the second: numbers ascending, choices as the space has them.
    """

    family: str
    factors: tuple[str, ...]
    settings: tuple[Setting, ...]

    @property
    def columns(self) -> int | None:
        """How many settings stand side by side where two factors are fully crossed: the values of the second. None where nothing is crossed."""
        if len(self.factors) < 2:
            return None
        first, second = ({_key(setting.values[place]) for setting in self.settings} for place in (0, 1))
        return len(second) if len(first) * len(second) == len(self.settings) else None


def sweeps(view: StudyView) -> list[Sweep]:
    """The sweeps of a study, one for each of its families with two settings or more that were trained to the end; none where the study is no sweep.

    It is one if in every family at most two parameters are searched, with at most 16 settings; if two differ they are crossed, not drawn anew each time; of
    at most 100 trials at most a fifth was stopped.
    """
    ended = [trial for trial in view.trials if trial.counts]
    stopped = sum(trial.end == End.PRUNED for trial in ended)
    if not ended or len(ended) > _MOST_TRIALS or stopped > _MOST_STOPPED * len(ended):
        return []
    found = []
    for family in dict.fromkeys(trial.family for trial in ended):
        own = [trial for trial in ended if trial.family == family]
        searched = {name for trial in own for name in trial.params if name != "family" and not _is_single(view.distributions.get(name))}
        if len(searched) > _MOST_FACTORS:
            return []
        sweep = _sweep(family, own, view)
        if sweep is not None:
            if not _is_laid_out(sweep):
                return []
            found.append(sweep)
    return [sweep for sweep in found if sum(bool(setting.full) for setting in sweep.settings) > 1]


def _is_single(distribution: Any) -> bool:
    return distribution is not None and distribution.single()


def _sweep(family: str, trials: list[Trial], view: StudyView) -> Sweep | None:
    """The family's settings; None where nothing differs."""
    names = dict.fromkeys(name for trial in trials for name in trial.params if name != "family")
    factors = [name for name in names if len({_key(trial.params.get(name, ABSENT)) for trial in trials}) > 1]
    if not factors:
        return None
    rank = {name: _ranks([trial.params.get(name, ABSENT) for trial in trials], view.distributions.get(name)) for name in factors}
    gathered: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        gathered.setdefault(tuple(_key(trial.params.get(name, ABSENT)) for name in factors), []).append(trial)
    settings = [Setting(tuple(each[0].params.get(name, ABSENT) for name in factors), tuple(each)) for each in gathered.values()]
    settings.sort(key=lambda setting: [rank[name](value) for name, value in zip(factors, setting.values, strict=True)])
    return Sweep(family, tuple(name.removeprefix(f"{family}/") for name in factors), tuple(settings))


def _is_laid_out(sweep: Sweep) -> bool:
    """False where there are too many settings, or two factors moved together each time, so that neither can be told from the other."""
    values = [{_key(setting.values[place]) for setting in sweep.settings} - {_key(ABSENT)} for place in range(len(sweep.factors))]
    crossed = len(sweep.factors) < 2 or len(sweep.settings) > max(map(len, values))
    return len(sweep.settings) <= _MOST_SETTINGS and crossed


def _key(value: Any) -> str:
    """Tells values apart that Python calls equal, such as True and 1."""
    return "" if value is ABSENT else f"{type(value).__name__} {value!r}"


def _ranks(values: list[Any], distribution: Any) -> Callable[[Any], float]:
    """Place of a value: numbers by size, choices as they are declared or were first seen; an absent one is first."""
    seen = [value for value in values if value is not ABSENT]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in seen):
        return lambda value: -math.inf if value is ABSENT else float(value)
    declared = getattr(distribution, "choices", ())  # Optuna's distribution of a choice has them
    order = list(dict.fromkeys(map(_key, [*declared, *seen])))
    return lambda value: -math.inf if value is ABSENT else float(order.index(_key(value)))
