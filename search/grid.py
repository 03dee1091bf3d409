"""Every configuration of a space, one after another, in an order that is the same on every run and machine.

Families take turns, so that a search cut short has seen all of them. Within a family the last parameter varies fastest, parameters
standing as in the file, parents before children; one that is inactive is left out, so no configuration comes twice. Nothing is drawn:
the seed plays no part.

Pure, and lazy: a grid of millions is never written out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from search.domains import ChoiceDomain, Domain, Fixed, FloatDomain, IntDomain, same
from search.space import FamilySpace

#: A configuration as the place of each of its values in its domain: free of rounding.
_Point = tuple[tuple[str, int], ...]


def grid_size(families: Mapping[str, FamilySpace]) -> int | None:
    """Number of configurations of all families; None where they are too many, or their conditions too entangled, to count."""
    size = sum(space.size() for space in families.values())
    return None if math.isinf(size) else int(size)


def configurations(space: FamilySpace) -> Iterator[dict[str, Any]]:
    """The configurations of a family, made one by one as they are asked for.

    Yields
    ------
    dict
        Name to value, of the active searched parameters, as :meth:`search.space.FamilySpace.sample` returns it.

    Raises
    ------
    ValueError
        If a float without step is searched.
    """

    def rest(i: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if i == len(space.parameters):
            yield {p.name: values[p.name] for p in space.searched if p.name in values}
            return
        parameter = space.parameters[i]
        if not parameter.holds(values):
            yield from rest(i + 1, values)
            return
        for value in domain_values(parameter.domain):
            yield from rest(i + 1, {**values, parameter.name: value})

    return rest(0, {})


def domain_values(domain: Domain) -> Iterable[Any]:
    """The values of a countable domain, ascending; those of a choice as given."""
    if isinstance(domain, Fixed):
        return (domain.value,)
    if isinstance(domain, ChoiceDomain):
        return domain.values
    if isinstance(domain, IntDomain):
        return range(domain.low, domain.high + 1, domain.step)
    if domain.step is None:
        raise ValueError(f"{domain} has no countable values: a grid needs step")
    # In decimals, so that 0.1 + 2 * 0.1 is written 0.3.
    low, step = Decimal(repr(domain.low)), Decimal(repr(domain.step))
    return (min(float(low + i * step), domain.high) for i in range(int(domain.size())))


class Grid:
    """Hands out the configurations of a space that have not been tried.

    Parameters
    ----------
    families : mapping of name to FamilySpace
        Every searched float has a step.
    """

    def __init__(self, families: Mapping[str, FamilySpace]) -> None:
        self._families = dict(families)
        self._ahead = {name: configurations(space) for name, space in self._families.items()}
        self._tried: dict[str, set[_Point]] = {name: set() for name in self._families}
        self._sizes = {name: space.size() for name, space in self._families.items()}
        self.size = grid_size(self._families)

    def note(self, family: str, sampled: Mapping[str, Any]) -> None:
        """A configuration has been tried, by whichever sampler; a retry of one changes nothing."""
        point = self._point(family, sampled)
        if point is not None:
            self._tried[family].add(point)

    def has_more(self, family: str | None = None) -> bool:
        """True while :meth:`next` has something, of that family if one is asked for; always where it can't be counted."""
        names = self._families if family is None else [family]
        return any(len(self._tried[name]) < self._sizes[name] for name in names)

    def next(self, family: str | None = None) -> tuple[str, dict[str, Any]] | None:
        """The next configuration, which counts as tried from now on.

        Parameters
        ----------
        family : str, optional
            Only of this family. Otherwise of the one with the fewest tried so far; of several, the first in the file.

        Returns
        -------
        (family, sampled) or None
            None where all have been tried.
        """
        names = sorted(self._families, key=lambda name: len(self._tried[name])) if family is None else [family]
        for name in names:
            for sampled in self._ahead[name]:
                point = self._point(name, sampled)
                if point not in self._tried[name]:
                    self._tried[name].add(point)
                    return name, sampled
        return None

    def _point(self, family: str, sampled: Mapping[str, Any]) -> _Point | None:
        """Where a configuration stands; None where it is not on the grid."""
        domains = {p.name: p.domain for p in self._families[family].searched}
        if not all(name in domains and domains[name].contains(value) for name, value in sampled.items()):
            return None
        return tuple((name, _place(domain, sampled[name])) for name, domain in domains.items() if name in sampled)


def _place(domain: Domain, value: Any) -> int:
    if isinstance(domain, ChoiceDomain):
        return next(i for i, other in enumerate(domain.values) if same(other, value))
    return round((value - domain.low) / domain.step)  # type: ignore[union-attr]
