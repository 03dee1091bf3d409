"""Which spaces a sampler can search, said before anything is loaded or trained.

Pure but for looking whether an optional package is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from search.domains import ChoiceDomain, FloatDomain
from search.problems import Problems, shown
from search.space import FamilySpace, Parameter

#: Package that a sampler needs beside the installed ones; the extra of the same name as the sampler brings it.
NEEDED = {"gp": "torch", "cmaes": "cmaes"}

#: Samplers whose proposals are draws, so that one of several may be taken; a grid has an order, CMA-ES a population.
DRAWN = ("tpe", "random", "gp")

_OTHERWISE = "or write sampler: tpe"


def check_sampler(sampler: object, families: Iterable[str], spaces: Mapping[str, FamilySpace], problems: Problems) -> None:
    """Add what keeps a sampler from searching these spaces.

    Parameters
    ----------
    sampler : object
        As the file has it; one that does not exist is somebody else's problem.
    families : iterable of str
        Names in the file, also of families that have problems of their own.
    spaces : mapping of name to FamilySpace
        Of the families without.
    problems : Problems
    """
    if sampler == "grid":
        for name, space in spaces.items():
            for parameter in space.searched:
                _check_countable(name, parameter, problems)
    if sampler not in NEEDED:
        return
    if find_spec(NEEDED[sampler]) is None:
        found = f"found {shown(sampler)}, which needs the package {NEEDED[sampler]}"
        problems.add(("sampler",), found, "it is not installed", f"pip install -c constraints.txt '.[{sampler}]', {_OTHERWISE}")
    families = tuple(families)
    if len(families) > 1:
        found = f"found {shown(sampler)} with {len(families)} families"
        problems.add(("sampler",), found, "it searches one space, without conditions", f"keep one of {', '.join(families)}, {_OTHERWISE}")
    for name, space in spaces.items():
        for parameter in space.searched:
            _check_plain(sampler, name, parameter, problems)
        if sampler == "cmaes" and not space.searched:
            remedy = f"give one a range, {_OTHERWISE}"
            problems.add(("families", name), "found no parameter to search", "sampler cmaes needs one at least", remedy)


def check_combinations(sampler: str, wanted: Mapping[str, bool], scheduler: str, resource: str, problems: Problems) -> None:
    """Add what can't be had: choice among proposals of samplers whose proposals have an order or a population, seconds of schedulers whose rungs are epochs.

    `wanted` has the keys that ask for the former, ``frugal`` and ``try_defaults``, and whether they do.
    """
    for key in (key for key, is_wanted in wanted.items() if is_wanted and sampler not in DRAWN):
        problems.add((key,), f"found true with sampler {sampler}", f"must go with one of {', '.join(DRAWN)}", f"take one of these, or take {key} out")
    if resource == "seconds" and scheduler != "asha":
        problems.add(("budget", "resource"), f"found 'seconds' with scheduler {scheduler}", "its rungs are in epochs", "write scheduler: asha, or take resource out")


def _check_countable(family: str, parameter: Parameter, problems: Problems) -> None:
    domain = parameter.domain
    if not isinstance(domain, FloatDomain) or domain.step is not None:
        return
    remedy = "a step can't go with log: list the values with choice" if domain.log else "add step, or list the values with choice"
    problems.add(("families", family, parameter.name), f"sampler grid needs step: found {domain}", remedy)


def _check_plain(sampler: object, family: str, parameter: Parameter, problems: Problems) -> None:
    where = ("families", family, parameter.name)
    if parameter.when:
        found = f"found a parameter that is there only where {parameter.condition}"
        fix = f"fix {' and '.join(parameter.when)}, take {parameter.name} out, {_OTHERWISE}"
        problems.add(where, found, f"sampler {sampler} needs every parameter in every trial", fix)
    if sampler == "cmaes" and isinstance(parameter.domain, ChoiceDomain):
        found = f"found {parameter.domain}"
        problems.add(where, found, "sampler cmaes moves along numbers only", f"give {parameter.name} one value or a range, {_OTHERWISE}")
