"""Parameters, their domains, and the conditions between them.

Pure: no YAML, no Optuna, no I/O. A family space is walked parents first, so that whether a parameter is active is always known before its
value is asked for. Booleans are never numbers here: ``true`` and ``1`` are two values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.domains import ChoiceDomain, Domain, Fixed, FloatDomain, IntDomain, among, plain

__all__ = ["ChoiceDomain", "FamilySpace", "Fixed", "FloatDomain", "IntDomain", "Parameter", "condition_problems", "parents_first"]

#: Partial configurations told apart while counting; beyond it a space counts as infinite.
_MOST_COUNTED = 20_000


@dataclass(frozen=True)
class Parameter:
    """A parameter of a family space.

    Parameters
    ----------
    name : str
    domain : IntDomain, FloatDomain, ChoiceDomain or Fixed
    when : mapping of parameter name to tuple of values
        The parameter is active where each of these parameters is active and has one of its values. Empty: always.
    """

    name: str
    domain: Domain
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def is_searched(self) -> bool:
        """True unless the value is fixed."""
        return not isinstance(self.domain, Fixed)

    @property
    def condition(self) -> str:
        """The condition in words, such as ``schedule is plateau and depth is 3 or 4``; empty where there is none."""
        return " and ".join(f"{parent} is {' or '.join(plain(value) for value in wanted)}" for parent, wanted in self.when.items())

    def holds(self, values: Mapping[str, Any]) -> bool:
        """True if the parameter is active, `values` being those of the active parameters before it."""
        return all(parent in values and among(values[parent], wanted) for parent, wanted in self.when.items())


@dataclass(frozen=True)
class FamilySpace:
    """What is searched of one family.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        Searched and fixed ones, in any order; kept with parents before children and otherwise as given.
    defaults : dict
        Declared name to default, of every parameter the family declares.
    min_trials : int
        Trials this family gets before the sampler chooses between families.
    sections : dict
        The family's overrides of task sections, as given: ``{"features": {"n_mels": 64}}``.

    Raises
    ------
    ValueError
        If a condition can't be met (:func:`condition_problems`) or a parameter has no declared default.
    """

    name: str
    parameters: tuple[Parameter, ...]
    defaults: Mapping[str, Any]
    min_trials: int = 5
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [p.name for p in self.parameters if p.name not in self.defaults]
        problems = [f"{name} is not declared" for name in unknown] + [
            f"{name}: when {text}" for name, text in condition_problems(self.parameters)
        ]
        if problems:
            raise ValueError(f"family space {self.name}: " + "; ".join(problems))
        object.__setattr__(self, "parameters", parents_first(self.parameters))

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The parameters that are not fixed, parents first."""
        return tuple(p for p in self.parameters if p.is_searched)

    def sample(self, suggest: Callable[[Parameter], Any]) -> dict[str, Any]:
        """Ask for one configuration.

        Parameters
        ----------
        suggest : callable
            Gets each active searched parameter, parents first, and returns a value of its domain.

        Returns
        -------
        dict
            Name to value, of the parameters asked for.
        """
        asked = {}
        for parameter, value in self._walk(suggest):
            if parameter.is_searched:
                asked[parameter.name] = value
        return asked

    def resolve(self, sampled: Mapping[str, Any]) -> dict[str, Any]:
        """Give every declared parameter its value.

        Parameters
        ----------
        sampled : mapping
            Name to value, as `sample` returns it; values of inactive parameters are ignored.

        Returns
        -------
        dict
            In declared order: the sampled or fixed value where the parameter is active, its default elsewhere.

        Raises
        ------
        ValueError
            If an active searched parameter has no value, or one outside its domain.
        """
        return dict(self.defaults) | {p.name: value for p, value in self._walk(self._picker(sampled))}

    def values(self, name: str) -> tuple[Any, ...]:
        """What a declared parameter may be: every value of a choice or of a range of whole numbers, the ends of a range of floats, or the one
        value; where its condition can fail also its default."""
        parameter = next((p for p in self.parameters if p.name == name), None)
        if parameter is None:
            return (self.defaults[name],)
        domain = parameter.domain
        if isinstance(domain, Fixed):
            found: tuple[Any, ...] = (domain.value,)
        elif isinstance(domain, IntDomain):
            found = tuple(range(domain.low, domain.high + 1, domain.step))
        else:
            found = domain.values if isinstance(domain, ChoiceDomain) else (domain.low, domain.high)
        is_extra = parameter.when and not among(self.defaults[name], found)
        return (*found, self.defaults[name]) if is_extra else found

    def active(self, sampled: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the parameters, searched and fixed, that are active in this configuration, parents first."""
        return tuple(p.name for p, _ in self._walk(self._picker(sampled)))

    def size(self) -> float:
        """Number of different configurations; infinite where an unstepped float is searched, or conditions are too entangled to count."""
        return _count(self.parameters)

    def _picker(self, sampled: Mapping[str, Any]) -> Callable[[Parameter], Any]:
        def pick(parameter: Parameter) -> Any:
            if parameter.name not in sampled:
                raise ValueError(f"{self.name}/{parameter.name}: the parameter is active but has no value in {dict(sampled)}")
            value = sampled[parameter.name]
            if not parameter.domain.contains(value):
                raise ValueError(f"{self.name}/{parameter.name}: {plain(value)} is not in {parameter.domain}")
            return value

        return pick

    def _walk(self, pick: Callable[[Parameter], Any]) -> Iterator[tuple[Parameter, Any]]:
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.holds(values):
                values[parameter.name] = parameter.domain.value if isinstance(parameter.domain, Fixed) else pick(parameter)
                yield parameter, values[parameter.name]


def condition_problems(parameters: Iterable[Parameter]) -> list[tuple[str, str]]:
    """Conditions that can't be met.

    Returns
    -------
    list of (parameter name, text)
        For a parent that is not there or has no countable values, a value the parent can't have, or a cycle.
    """
    by_name = {p.name: p for p in parameters}
    problems = []
    for parameter in by_name.values():
        for parent, wanted in parameter.when.items():
            domain = by_name[parent].domain if parent in by_name else None
            if domain is None:
                problems.append((parameter.name, f"names {parent}, which is not a parameter here"))
            elif isinstance(domain, FloatDomain) and math.isinf(domain.size()):
                problems.append((parameter.name, f"names {parent}, a float without step: it has no countable values to depend on"))
            else:
                bad = [plain(value) for value in wanted if not domain.contains(value)]
                if bad or not wanted:
                    problems.append((parameter.name, f"names {parent} = {', '.join(bad) or 'nothing'}, but {parent} here is {domain}"))
    placed = {p.name for p in parents_first(by_name.values())}
    return problems + [(name, "goes round in a circle") for name in by_name if name not in placed]


def parents_first(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Order by conditions: each as early as its parents allow, otherwise as given. What stands in a circle is left out."""
    return _ordered(parameters, children_at_once=False)


def _ordered(parameters: Iterable[Parameter], children_at_once: bool) -> tuple[Parameter, ...]:
    waiting = list(parameters)
    names = {p.name for p in waiting}
    placed: dict[str, Parameter] = {}
    while waiting:
        ready = [p for p in waiting if all(parent in placed or parent not in names for parent in p.when)]
        if not ready:
            break
        chosen = next((p for p in ready if p.when), ready[0]) if children_at_once else ready[0]
        placed[chosen.name] = chosen
        waiting.remove(chosen)
    return tuple(placed.values())


def _count(parameters: tuple[Parameter, ...]) -> float:
    """Number of configurations.

    Branches only over the values that a later condition names, the others of a parent counting together; and what hangs on values no longer
    needed is counted once, so children directly follow their parents.
    """
    parameters = _ordered(parameters, children_at_once=True)
    named: dict[str, list[Any]] = {}
    for parameter in parameters:
        for parent, wanted in parameter.when.items():
            known = named.setdefault(parent, [])
            known.extend(value for value in wanted if not among(value, known))
    last_use = {parent: i for i, p in enumerate(parameters) for parent in p.when}
    memo: dict[tuple[Any, ...], float] = {}

    def rest(i: int, values: dict[str, Any]) -> float:
        if i == len(parameters):
            return 1
        live = {name: value for name, value in values.items() if last_use[name] >= i}
        key = (i, tuple((name, repr(value)) for name, value in live.items()))
        if key not in memo and len(memo) >= _MOST_COUNTED:
            return math.inf
        if key not in memo:
            memo[key] = branch(i, live)
        return memo[key]

    def branch(i: int, values: dict[str, Any]) -> float:
        parameter = parameters[i]
        if not parameter.holds(values):
            return rest(i + 1, values)
        if parameter.name not in named:
            return parameter.domain.size() * rest(i + 1, values)
        told_apart = [value for value in named[parameter.name] if parameter.domain.contains(value)]
        total = sum(rest(i + 1, values | {parameter.name: value}) for value in told_apart)
        others = parameter.domain.size() - len(told_apart)
        return total + (others * rest(i + 1, values) if others else 0)

    return rest(0, {})
