"""The ``families:`` section of a space file, checked against what the families declare.

Families are read through their attributes only (docs/design.md, section 3), so the engine need not know who declares them. Booleans are
never taken for numbers. Whatever the declaration says about where a parameter has an effect holds beside the file's own ``when``: the
engine never searches a parameter that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from search.domains import Fixed, among, plain
from search.parameter_section import read_parameter, read_when
from search.problems import KeyPath, Problems, nearest, shown
from search.space import FamilySpace, Parameter, condition_problems, parents_first
from search.task_section import validated


class DeclaredParameter(Protocol):
    """What the engine reads of a declared parameter."""

    name: str
    kind: str
    default: Any
    meaning: str
    low: float | None
    high: float | None
    choices: tuple[Any, ...]
    log: bool
    when: Mapping[str, tuple[Any, ...]]


class DeclaredFamily(Protocol):
    """What the engine reads of a declared family."""

    name: str
    meaning: str
    parameters: tuple[DeclaredParameter, ...]


@dataclass(frozen=True)
class _Unknown:
    """Stands for a domain that could not be read, so that the rest of the family can still be checked."""

    def contains(self, value: object) -> bool:
        return True

    def size(self) -> float:
        return float("inf")


def read_families(
    found: object, families: Mapping[str, DeclaredFamily], overridable: Iterable[str], problems: Problems
) -> dict[str, FamilySpace]:
    """Read the whole section.

    Parameters
    ----------
    found : object
        What the file has under ``families``.
    families : mapping of name to declared family
    overridable : iterable of str
        Task sections that a family may override.
    problems : Problems
        Everything wrong is added to it.

    Returns
    -------
    dict
        Family name to its space, of the families without problems, in the file's order.
    """
    where: KeyPath = ("families",)
    if found is None or found == {}:
        said = "missing" if found is None else "found no family"
        problems.add(where, said, "at least one must be given", nearest("", tuple(families)))
        return {}
    if not isinstance(found, dict):
        problems.add(where, f"found {shown(found)}", "must be a mapping of family names", nearest(found, tuple(families)))
        return {}
    problems.unknown_keys(where, found, tuple(families))
    spaces = {
        name: _read_family((*where, name), entry, families[name], tuple(overridable), problems)
        for name, entry in found.items()
        if name in families
    }
    return {name: space for name, space in spaces.items() if space is not None}


def _read_family(
    where: KeyPath, found: object, family: DeclaredFamily, overridable: tuple[str, ...], problems: Problems
) -> FamilySpace | None:
    name = str(where[-1])
    entry = {} if found is None else found
    if not isinstance(entry, dict):
        problems.add(where, f"found {shown(found)}", "must be a mapping of the family's parameters; {} searches nothing")
        return None
    before = len(problems)
    declared = {parameter.name: parameter for parameter in family.parameters}
    problems.unknown_keys(where, entry, (*declared, "min_trials", *overridable))
    min_trials = entry.get("min_trials", 5)
    if type(min_trials) is not int or min_trials < 0:
        problems.add((*where, "min_trials"), f"found {shown(min_trials)}", "must be a whole number, 0 or more")
    sections = {name: entry[name] or {} for name in overridable if name in entry}
    for section, changes in sections.items():
        if not isinstance(changes, dict):
            problems.add((*where, section), f"found {shown(changes)}", "must be a mapping of the keys to change for this family")
    parameters = _read_parameters(where, {k: v for k, v in entry.items() if k in declared}, declared, problems)
    if len(problems) > before:
        return None
    return FamilySpace(name, parameters, {key: d.default for key, d in declared.items()}, min_trials, sections)


def _read_parameters(
    where: KeyPath, entry: Mapping[str, Any], declared: Mapping[str, DeclaredParameter], problems: Problems
) -> tuple[Parameter, ...]:
    given = []
    for name, value in entry.items():
        domain = read_parameter((*where, name), value, declared[name], problems)
        conditional = isinstance(value, dict) and "when" in value
        when = read_when((*where, name, "when"), value["when"], declared, problems) if conditional else {}
        given.append(Parameter(name, _Unknown() if domain is None else domain, when))
    everything = _with_silent_parents(given, declared)
    impossible = condition_problems(everything)
    stuck = {name for name, _ in impossible}
    effective = [p if p.name in stuck else _narrowed(where, p, everything, declared, problems) for p in everything]
    # What the declaration adds may close a circle that the file alone did not.
    for name, text in dict.fromkeys((*impossible, *condition_problems(effective))):
        problems.add((*where, name, "when"), text)
    if stuck:
        return ()
    kept = {parameter.name: parameter for parameter in _without_certain(effective)}
    parents = {parent for parameter in kept.values() for parent in parameter.when}
    return tuple(kept[p.name] for p in everything if p.name in entry or p.name in parents)


def _with_silent_parents(given: Iterable[Parameter], declared: Mapping[str, DeclaredParameter]) -> tuple[Parameter, ...]:
    """Add the parameters that the file leaves at their defaults but on which others depend."""
    everything = {parameter.name: parameter for parameter in given}
    waiting = list(given)
    while waiting:
        parameter = waiting.pop()
        for parent in (*parameter.when, *declared[parameter.name].when):
            if parent not in everything:
                everything[parent] = Parameter(parent, Fixed(declared[parent].default))
                waiting.append(everything[parent])
    return tuple(everything.values())


def _narrowed(
    where: KeyPath,
    parameter: Parameter,
    everything: tuple[Parameter, ...],
    declared: Mapping[str, DeclaredParameter],
    problems: Problems,
) -> Parameter:
    """The parameter with the declaration's conditions beside its own, cut to what the parents here can be."""
    domains = {p.name: p.domain for p in everything}
    when = dict(parameter.when)
    for parent, wanted in declared[parameter.name].when.items():
        met = tuple(value for value in when.get(parent, wanted) if among(value, wanted) and domains[parent].contains(value))
        if not met:
            needs = " or ".join(plain(value) for value in wanted)
            here = str(domains[parent])
            remedy = f"let {parent} be {needs} in some trials, or take {parameter.name} out"
            if parent in parameter.when:
                here = " or ".join(plain(value) for value in parameter.when[parent])
            problems.add((*where, parameter.name), f"{parent} is {here} here", f"it has an effect only where {parent} is {needs}", remedy)
        else:
            when[parent] = met
    return Parameter(parameter.name, parameter.domain, when)


def _without_certain(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Drop the conditions that always hold: they would only split what a sampler can learn from together."""
    kept: dict[str, Parameter] = {}
    for parameter in parents_first(parameters):
        when = {parent: wanted for parent, wanted in parameter.when.items() if not _is_certain(kept[parent], wanted)}
        kept[parameter.name] = Parameter(parameter.name, parameter.domain, when)
    return tuple(kept.values())


def _is_certain(parent: Parameter, wanted: tuple[Any, ...]) -> bool:
    return not parent.when and len(wanted) == parent.domain.size()  # wanted values are different and possible ones


def resolve_overrides(
    found: object,
    names: Iterable[str],
    sound: Mapping[str, dict[str, Any]],
    models: Mapping[str, type[BaseModel]],
    problems: Problems,
) -> dict[str, dict[str, BaseModel]]:
    """The task sections as each family has them: the file's, with the family's changes laid over.

    Parameters
    ----------
    found : object
        What the file has under ``families``.
    names : iterable of str
        Of the known families.
    sound : mapping of section name to dict
        The sections as the file has them, without those that have problems of their own.
    models : mapping of section name to pydantic model
        The sections that a family may override.
    problems : Problems

    Returns
    -------
    dict
        Family name to section name to model instance, where there is no problem.
    """
    resolved: dict[str, dict[str, BaseModel]] = {}
    entries = {name: found[name] for name in found if name in names} if isinstance(found, dict) else {}
    for family, entry in entries.items():
        resolved[family] = {}
        for section, model in models.items():
            changes = entry.get(section) if isinstance(entry, dict) else None
            data = {**sound.get(section, {}), **(changes if isinstance(changes, dict) else {})}
            # What keys say together can't be judged while the section they belong to is unsound.
            resolved[family][section] = validated(("families", family, section), data, model, problems, keys_only=section not in sound)
    return resolved
