"""One parameter of a space file: its domain or fixed value, and its condition, against its declaration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from search.domains import ChoiceDomain, Domain, Fixed, FloatDomain, IntDomain, among, plain
from search.problems import KeyPath, Problems, nearest, number_remedy, shown

if TYPE_CHECKING:
    from search.family_section import DeclaredParameter

MAX_CHOICES = 1000

_SHAPES = "{int: [low, high]}, {float: [low, high]}, {choice: [...]} or a plain value"


class _Bad(ValueError):
    """What is wrong with a value: the parts of a problem's line."""


def read_parameter(where: KeyPath, found: object, declared: DeclaredParameter, problems: Problems) -> Domain | None:
    """The domain that the file gives a parameter; None where there are problems, which are added.

    A range or a choice that holds a single value is the same as that value.
    """
    before = len(problems)
    domain: Domain | None = None
    try:
        domain = _read_domain(where, found, declared, problems) if isinstance(found, dict) else _read_fixed(found, declared)
    except _Bad as bad:
        problems.add(where, *bad.args)
    if len(problems) > before or domain is None:
        return None
    if isinstance(domain, ChoiceDomain):
        return domain if len(domain.values) > 1 else Fixed(domain.values[0])
    return Fixed(domain.low) if isinstance(domain, IntDomain | FloatDomain) and domain.low == domain.high else domain


def read_when(
    where: KeyPath, found: object, declared: Mapping[str, DeclaredParameter], problems: Problems
) -> dict[str, tuple[Any, ...]]:
    """The condition that the file gives a parameter, its values legal ones of the parents; problems are added."""
    if not isinstance(found, dict) or not found:
        problems.add(where, f"found {shown(found)}", "must be a mapping of parameter to value or values, such as {depth: [3, 4]}")
        return {}
    problems.unknown_keys(where, found, tuple(declared))
    when = {}
    for parent, wanted in found.items():
        if parent not in declared:
            continue
        try:
            when[parent] = _legal_values(wanted if isinstance(wanted, list) else [wanted], declared[parent])
        except _Bad as bad:
            problems.add((*where, parent), *bad.args)
    return when


def legal_range(declared: DeclaredParameter) -> str:
    """What a parameter may be, in words."""
    if declared.kind == "choice":
        return ", ".join(plain(value) for value in declared.choices)
    if declared.kind == "bool":
        return "true, false"
    if declared.kind == "text":
        return f"a text, such as {', '.join(plain(value) for value in declared.choices)}" if declared.choices else "a text"
    low, high = (f"{end:g}" if isinstance(end, float) else str(end) for end in (declared.low, declared.high))
    return f"each {low}..{high}" if declared.kind == "widths" else f"{low}..{high}"


def _read_fixed(found: object, declared: DeclaredParameter) -> Fixed:
    if found is None:
        raise _Bad("found nothing", f"must be {_SHAPES}")
    if isinstance(found, list):
        raise _Bad(f"found the list {shown(found)}", f"must be {_SHAPES}", f"to search these values write {{choice: {shown(found)}}}")
    return Fixed(_legal(found, declared))


def _read_domain(where: KeyPath, found: Mapping[Any, Any], declared: DeclaredParameter, problems: Problems) -> Domain | None:
    before = len(problems)
    problems.unknown_keys(where, found, ("int", "float", "choice", "step", "log", "when"))
    kinds = [kind for kind in ("int", "float", "choice") if kind in found]
    if not kinds and len(problems) > before:
        return None  # the unknown key is most likely the kind
    if len(kinds) != 1:
        raise _Bad(f"found {' and '.join(kinds) or shown(dict(found))}", f"must be one of {_SHAPES}")
    if kinds == ["choice"]:
        for key in ("step", "log"):
            if key in found:
                problems.add((*where, key), "found beside choice", "goes with int and float only")
        return _read_choice(found["choice"], declared)
    if declared.kind not in ("int", "float"):
        raise _Bad(f"found {kinds[0]}", f"{declared.name} is a {declared.kind}: {legal_range(declared)}", "write {choice: [...]}")
    if kinds[0] != declared.kind:
        raise _Bad(f"found {kinds[0]}", f"{declared.name} is {_article(declared)}", f"write {{{declared.kind}: {shown(found[kinds[0]])}}}")
    return _read_range(found, declared)


def _read_choice(found: object, declared: DeclaredParameter) -> ChoiceDomain:
    if not isinstance(found, list) or not found:
        raise _Bad(f"found choice {shown(found)}", "must be a list of one or more values")
    return ChoiceDomain(_legal_values(found, declared))


def _read_range(found: Mapping[str, Any], declared: DeclaredParameter) -> IntDomain | FloatDomain:
    ends = found[declared.kind]
    if not isinstance(ends, list) or len(ends) != 2:
        raise _Bad(f"found {declared.kind} {shown(ends)}", "must be [low, high]")
    low, high = (_legal(end, declared) for end in ends)
    log, step = found.get("log", False), found.get("step")
    if low > high:
        raise _Bad(f"found [{low}, {high}]", "low <= high must hold", f"write [{high}, {low}]")
    if not isinstance(log, bool):
        raise _Bad(f"found log {shown(log)}", "must be true or false")
    if log and low <= 0:
        raise _Bad(f"found log with low {low}", "a logarithmic scale needs low > 0")
    if step is not None:
        step = _legal_step(step, low, high, log, declared)
    if declared.kind == "int":
        return IntDomain(low, high, step or 1, log)
    return FloatDomain(low, high, step, log)


def _legal_step(step: object, low: float, high: float, log: bool, declared: DeclaredParameter) -> int | float:
    if log:
        raise _Bad("found step and log", "only one of them can be", "take one out")
    value = _number(step, declared.kind, "step ")
    if value <= 0:
        raise _Bad(f"found step {shown(step)}", "step > 0 must hold")
    if value * 1e9 < high - low:
        raise _Bad(f"found step {step} from {low} to {high}", "a step so small is none", "take it out")
    count = (high - low) / value
    if not math.isclose(count, round(count), abs_tol=1e-6) or (round(count) == 0 and high > low):
        last = low + value * math.floor(count)
        raise _Bad(f"found step {step} from {low} to {high}", "step must divide high - low", f"the last value it reaches is {last:g}")
    return value


def _legal_values(found: Iterable[object], declared: DeclaredParameter) -> tuple[Any, ...]:
    """Values of a choice or a condition: legal and different. All that are not legal are told."""
    values, wrong = [], []
    for item in found:
        try:
            values.append(_legal(item, declared))
        except _Bad as bad:
            wrong.append(bad)
    if len(values) > MAX_CHOICES:
        raise _Bad(f"found {len(values)} values", f"must be {MAX_CHOICES} values at most")
    twice = dict.fromkeys(plain(value) for i, value in enumerate(values) if among(value, values[:i]))
    if twice:
        wrong.append(_Bad(f"found {', '.join(twice)} twice", "values must be different"))
    if not values and not wrong:
        wrong.append(_Bad("found no value", "must be one or more values"))
    if wrong:
        found_parts = (bad.args[0] for bad in wrong)
        raise _Bad(*dict.fromkeys((*found_parts, *(part for bad in wrong for part in bad.args[1:]))))
    return tuple(values)


def _legal(found: object, declared: DeclaredParameter) -> Any:
    """The value as the family takes it, or :class:`_Bad`."""
    if declared.kind == "bool":
        if not isinstance(found, bool):
            raise _Bad(f"found {shown(found)}", f"{declared.name} must be true or false")
        return found
    if declared.kind == "choice":
        if not among(found, declared.choices):
            raise _Bad(f"found {shown(found)}", nearest(found, [plain(value) for value in declared.choices]))
        return next(value for value in declared.choices if value == found)
    if declared.kind == "widths":
        return _legal_widths(found, declared)
    if declared.kind == "text":
        if not isinstance(found, str) or not found.strip():
            raise _Bad(f"found {shown(found)}", f"{declared.name} must be {legal_range(declared)}")
        return found.strip()
    value = _number(found, declared.kind)
    if not declared.low <= value <= declared.high:
        raise _Bad(f"found {shown(found)}", f"{declared.name} must lie in {legal_range(declared)}")
    return value


def _number(found: object, kind: str, what: str = "") -> int | float:
    legal_types = (int,) if kind == "int" else (int, float)
    if isinstance(found, bool) or not isinstance(found, legal_types):
        must = "must be a whole number" if kind == "int" else "must be a number"
        raise _Bad(f"found {what}{shown(found)}", must, number_remedy(found))
    if kind == "int":
        return found
    try:
        value = float(found)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise _Bad(f"found {what}{shown(found)}", "must be finite")
    return value


def _legal_widths(found: object, declared: DeclaredParameter) -> str:
    text = str(found) if type(found) is int else found  # a single width needs no quotes
    if text == "" and "" in (declared.default, *declared.choices):
        return ""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9})*", text):
        raise _Bad(f"found {shown(found)}", f"{declared.name} must be whole numbers joined by -", 'such as "32-64-128"')
    widths = [int(part) for part in text.split("-")]
    if not all(declared.low <= width <= declared.high for width in widths):
        raise _Bad(f"found {shown(found)}", f"{declared.name} must have each number in {legal_range(declared).removeprefix('each ')}")
    return "-".join(str(width) for width in widths)


def _article(declared: DeclaredParameter) -> str:
    return f"{'an' if declared.kind == 'int' else 'a'} {declared.kind} in {legal_range(declared)}"
