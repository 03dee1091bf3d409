"""Beginning where other studies ended: what a new study takes over from them. Pure; `search.warm_sources` reads the studies.

The best configurations are tried first, as trials like any other. Finished trials are shown to the sampler while the study has few of its own.
Scores of other corpora, splits, features or budgets have other levels, so of a foreign trial only its place among the trials of its family in its
own study is kept, never its score.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from search.domains import ChoiceDomain, FloatDomain, plain, same
from search.ranking import places, rank_of
from search.space import FamilySpace, Parameter
from search.trial import End, Trial, defaults_of

#: Configurations that are tried first: so many in all, and of the first ones so many of a family.
MOST_QUEUED, FIRST_OF_FAMILY = 5, 2
#: Finished trials that are kept for the sampler: half of them the best, half the newest.
MOST_KNOWN = 200
#: Trials of other studies stand in for a family's own until it has so many: two of 20 are what TPE takes for good
#: (docs/benchmarks.md, "Warm start").
STAND_INS = 20
#: Of so many first trials of a family every second is drawn near its declared defaults (docs/benchmarks.md, "Beginning near the defaults").
NEAR_DEFAULTS = 10


@dataclass(frozen=True)
class Configuration:
    """One to try first: `origin` is ``STUDY/NUMBER``, or ``defaults of FAMILY``; `sampled` has the searched parameters by name."""

    origin: str
    family: str
    sampled: Mapping[str, Any]


@dataclass(frozen=True)
class Outsider:
    """A finished trial of another study; `place` is 0 to 1, the best first, among the trials of its family there."""

    family: str
    sampled: Mapping[str, Any]
    place: float


@dataclass(frozen=True)
class WarmStart:
    """What a study has taken over; kept with it, so that it is the same however often the search is gone on with.

    Attributes
    ----------
    studies : tuple of str
    queue : tuple of Configuration
        In the order in which they are tried.
    known : tuple of Outsider
        By place, the best first.
    told : tuple of str
        What was taken from each study and what was not, a line each.
    """

    studies: tuple[str, ...] = ()
    queue: tuple[Configuration, ...] = ()
    known: tuple[Outsider, ...] = ()
    told: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """As JSON-able data."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> WarmStart:
        """From :meth:`record`; of None, nothing."""
        if record is None:
            return cls()
        queue = tuple(Configuration(**each) for each in record["queue"])
        known = tuple(Outsider(**each) for each in record["known"])
        return cls(tuple(record["studies"]), queue, known, tuple(record["told"]))

    def spread(self, family: str, count: int) -> list[Outsider]:
        """So many foreign trials of a family, their places spread evenly from the best to the worst."""
        left = [other for other in self.known if other.family == family]
        chosen: list[Outsider] = []
        for place in places(count) if count > 0 else ():
            if left:
                chosen.append(min(left, key=lambda other: abs(other.place - place)))
                left.remove(chosen[-1])
        return chosen


def stand_ins(warm: WarmStart, family: str, standing: Mapping[int, float], taken_over: Collection[int]) -> list[Outsider]:
    """Trials of other studies in the place of those that a family has not yet.

    Only where they are worth it: the configurations that were taken over have to stand in the better half of what was tried here, something
    else being among it. Where none was, every second proposal does without, so that something else comes in.

    Parameters
    ----------
    warm : WarmStart
    family : str
    standing : mapping of int to float
        The family's ended and paused trials here, and their places: 0 to 1, the best first.
    taken_over : collection of int
        Numbers of those whose configurations were taken over.
    """
    taken = [place for number, place in standing.items() if number in taken_over]
    is_worth_it = len(taken) < len(standing) and mean(taken) <= 0.5 if taken else len(standing) % 2 == 1
    return warm.spread(family, STAND_INS - len(standing)) if is_worth_it else []


def disappointing(standing: Mapping[int, float], taken_over: Collection[int]) -> int:
    """How many trials of a family were taken over, if they stand in the worse half: they are no beginning to learn from."""
    taken = [place for number, place in standing.items() if number in taken_over]
    return len(taken) if taken and mean(taken) > 0.5 else 0


def to_be_near(family: str, standing: Mapping[int, float], under_way: Collection[int], taken_over: Mapping[str, int]) -> int | None:
    """The trial near which to draw, in the beginning of a study that tries declared defaults: these, or what turned out better.

    Parameters
    ----------
    family : str
    standing : mapping of int to float
        The family's ended and paused trials, and their places: 0 to 1, the best first.
    under_way : collection of int
        Numbers of those that run.
    taken_over : mapping of str to int
        Origin of a configuration that was queued, to the number of its trial.

    Returns
    -------
    int or None
        None where the defaults were not tried, or stand in the worse half: then who declared them knew nothing that helps here.
    """
    number = taken_over.get(defaults_of(family))
    if number in under_way:
        return number
    return min(standing, key=standing.__getitem__) if len(standing) > 1 and standing.get(number, 1.0) <= 0.5 else None


@dataclass(frozen=True)
class Taken:
    """What one study has to give to a space.

    Attributes
    ----------
    full : list of Configuration
        Of the trials with the full budget, the best first.
    finished : list of (int, Outsider)
        Number and trial, the oldest first.
    passed_over : list of str
        Why each of the other finished trials can't be used.
    """

    full: list[Configuration]
    finished: list[tuple[int, Outsider]]
    passed_over: list[str]


def take_from(study: str, trials: Sequence[Trial], families: Mapping[str, FamilySpace], maximize: bool) -> Taken:
    """What the finished trials of a study are to this space.

    Parameters
    ----------
    study : str
        Its name.
    trials : sequence of Trial
    families : mapping of name to FamilySpace
        Of this search.
    maximize : bool
    """
    ended = [t for t in trials if t.confirms is None and t.reports and (t.is_full or t.end == End.PRUNED)]
    ranked = sorted(ended, key=lambda t: (*rank_of(t, maximize), t.number))
    found, passed_over = {}, []
    for family in dict.fromkeys(t.family for t in ended):
        members = [t for t in ranked if t.family == family]
        for trial, place in zip(members, places(len(members)), strict=True):
            try:
                sampled = sampled_in(families, trial)
            except ValueError as error:
                passed_over.append(str(error))
            else:
                found[trial.number] = Outsider(family, sampled, place)
    usable = [t for t in ranked if t.number in found]
    full = [Configuration(f"{study}/{t.number}", t.family, found[t.number].sampled) for t in usable if t.is_full]
    return Taken(full, sorted(found.items(), key=lambda item: item[0]), passed_over)


def sampled_in(families: Mapping[str, FamilySpace], trial: Trial) -> dict[str, Any]:
    """The searched parameters that make a trial's configuration in this space.

    Raises
    ------
    ValueError
        If nothing in the space makes it; in words.
    """
    space = families.get(trial.family)
    if space is None:
        raise ValueError(f"family {trial.family} is not searched here")
    given = trial.spec["params"]
    if unknown := [name for name in given if name not in space.defaults]:
        raise ValueError(f"{trial.family} has no parameter {unknown[0]} any more")
    wanted = {**space.defaults, **given}  # a parameter that the program has learned since was what it is by default
    sampled = space.sample(lambda parameter: _value_in(parameter, wanted[parameter.name]))
    resolved, active = space.resolve(sampled), space.active(sampled)
    given_here = {p.name for p in space.parameters}
    for name, value in resolved.items():
        if (name in active or name not in given_here) and not same(value, wanted[name]):
            raise ValueError(f"{trial.family}/{name}: {plain(wanted[name])} is not in {plain(value)}")
    return sampled


def _value_in(parameter: Parameter, value: Any) -> Any:
    """A stored value as the domain has it."""
    if isinstance(parameter.domain, ChoiceDomain):
        return next((own for own in parameter.domain.values if same(own, value)), value)
    return float(value) if isinstance(parameter.domain, FloatDomain) and type(value) is int else value


def queue_of(taken: Sequence[Taken]) -> tuple[Configuration, ...]:
    """The configurations to try first: studies in turn, the best of each first, none twice; at first at most two of a family."""
    longest = max((len(each.full) for each in taken), default=0)
    in_turn = [each.full[i] for i in range(longest) for each in taken if i < len(each.full)]
    distinct: list[Configuration] = []
    for configuration in in_turn:
        if not any(configuration.family == other.family and configuration.sampled == other.sampled for other in distinct):
            distinct.append(configuration)
    first = [c for c in distinct if sum(c.family == d.family for d in distinct[: distinct.index(c)]) < FIRST_OF_FAMILY]
    return tuple([*first, *(c for c in distinct if c not in first)][:MOST_QUEUED])


def declared_defaults(families: Mapping[str, FamilySpace]) -> tuple[Configuration, ...]:
    """The configuration of each family that its declaration begins from, as near as the space comes to it."""
    return tuple(
        Configuration(defaults_of(name), name, space.sample(lambda parameter: parameter.domain.nearest(space.defaults[parameter.name])))
        for name, space in families.items()
    )


def known_of(taken: Sequence[Taken]) -> tuple[Outsider, ...]:
    """The finished trials to keep for the sampler, by place: of too many the best and the newest."""
    aged = [((len(each.finished) - i) / len(each.finished), other) for each in taken for i, (_, other) in enumerate(each.finished)]
    by_place = sorted(aged, key=lambda pair: pair[1].place)
    best, rest = by_place[: MOST_KNOWN // 2], by_place[MOST_KNOWN // 2 :]
    newest = sorted(rest, key=lambda pair: pair[0])[: MOST_KNOWN - len(best)]
    return tuple(sorted((other for _, other in (*best, *newest)), key=lambda other: other.place))
