"""Domains, conditions and the walk over a family space."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.domains import ChoiceDomain, Domain, Fixed, FloatDomain, IntDomain, among, plain, same
from search.space import FamilySpace, Parameter, condition_problems, parents_first

FEW = settings(max_examples=50, deadline=None)  # other tests may have the processor

PLATEAU = FamilySpace(
    "cnn",
    (
        Parameter("factor", FloatDomain(0.1, 0.5, step=0.1), {"schedule": ("plateau",)}),
        Parameter("schedule", ChoiceDomain(("constant", "plateau"))),
        Parameter("depth", IntDomain(2, 5)),
        Parameter("patience", Fixed(7), {"schedule": ("plateau",), "depth": (2, 3)}),
    ),
    {"depth": 3, "schedule": "constant", "factor": 0.3, "patience": 5, "batch_norm": True},
)


def domains() -> st.SearchStrategy[Domain]:
    """Countable domains with few values, so that whole spaces can be enumerated."""
    few = st.integers(0, 3)
    ints = st.builds(lambda low, n, step: IntDomain(low, low + n * step, step), st.integers(-3, 3), few, st.integers(1, 3))
    floats = st.builds(lambda low, n: FloatDomain(low, low + n * 0.1, 0.1), st.sampled_from([0.0, 0.1]), few)
    words = st.lists(st.sampled_from([True, False, "a", "b", 3]), min_size=1, max_size=4, unique=True)
    choices = words.map(lambda values: ChoiceDomain(tuple(values)))
    return st.one_of(ints, floats, choices, st.sampled_from([Fixed(1), Fixed("a"), Fixed(True)]))


def values_of(domain: Domain) -> list[Any]:
    if isinstance(domain, Fixed):
        return [domain.value]
    if isinstance(domain, ChoiceDomain):
        return list(domain.values)
    return [domain.low + i * domain.step for i in range(int(domain.size()))]


@st.composite
def spaces(draw: st.DrawFn) -> FamilySpace:
    """Spaces with conditions on earlier parameters, given in any order."""
    parameters: list[Parameter] = []
    for i in range(draw(st.integers(1, 5))):
        parents = draw(st.lists(st.sampled_from(parameters), max_size=2, unique_by=lambda p: p.name)) if parameters else []
        when = {
            p.name: tuple(draw(st.lists(st.sampled_from(values_of(p.domain)), min_size=1, max_size=2, unique_by=repr))) for p in parents
        }
        parameters.append(Parameter(f"p{i}", draw(domains()), when))
    defaults = {p.name: "default" for p in parameters} | {"left_out": 0}
    return FamilySpace("f", tuple(draw(st.permutations(parameters))), defaults)


def configurations(space: FamilySpace) -> set[str]:
    """All of them, the slow way: by trying every combination of values."""
    searched = [p for p in space.parameters if p.is_searched]
    found = set()
    for combination in itertools.product(*(values_of(p.domain) for p in searched)):
        values = dict(zip((p.name for p in searched), combination, strict=True))
        found.add(repr({name: value for name, value in space.resolve(values).items() if name in space.active(values)}))
    return found


@FEW
@given(spaces())
def test_parents_come_before_children(space: FamilySpace) -> None:
    seen: set[str] = set()
    for parameter in space.parameters:
        assert set(parameter.when) <= seen
        seen.add(parameter.name)
    assert seen == set(space.defaults) - {"left_out"}


@FEW
@given(spaces(), st.integers(0, 2**16))
def test_a_sample_resolves_into_the_domains(space: FamilySpace, seed: int) -> None:
    rng = random.Random(seed)
    sampled = space.sample(lambda p: rng.choice(values_of(p.domain)))
    resolved, active = space.resolve(sampled), space.active(sampled)

    assert list(resolved) == list(space.defaults)
    assert resolved == space.resolve(dict(reversed(sampled.items())))
    assert set(sampled) == {p.name for p in space.parameters if p.name in active and p.is_searched}
    for parameter in space.parameters:
        if parameter.name in active:
            assert parameter.domain.contains(resolved[parameter.name])
            assert all(parent in active and among(resolved[parent], wanted) for parent, wanted in parameter.when.items())
        else:
            assert resolved[parameter.name] == "default"
    assert resolved["left_out"] == 0


@FEW
@given(spaces())
def test_size_counts_what_can_be_told_apart(space: FamilySpace) -> None:
    assert space.size() == len(configurations(space))


def test_size_by_hand() -> None:
    assert PLATEAU.size() == 4 * (1 + 5)  # depth times (constant, or plateau with 5 factors); patience is fixed
    free = FamilySpace("f", (Parameter("x", FloatDomain(0, 1)),), {"x": 0.5})
    assert free.size() == math.inf


def test_size_of_many_conditions_is_quick() -> None:
    parents = [Parameter(f"a{i}", ChoiceDomain((True, False))) for i in range(40)]
    children = [Parameter(f"b{i}", IntDomain(1, 9), {f"a{i}": (True,)}) for i in range(40)]
    space = FamilySpace("f", (*parents, *children), {p.name: 0 for p in (*parents, *children)})
    assert space.size() == 10**40


def test_inactive_parameters_take_their_defaults() -> None:
    assert PLATEAU.resolve({"depth": 2, "schedule": "constant"}) == dict(PLATEAU.defaults) | {"depth": 2}
    assert PLATEAU.resolve({"depth": 2, "schedule": "plateau", "factor": 0.1})["patience"] == 7
    assert PLATEAU.active({"depth": 5, "schedule": "plateau", "factor": 0.1}) == ("schedule", "factor", "depth")


def test_values_of_inactive_parameters_are_ignored() -> None:
    assert PLATEAU.resolve({"depth": 2, "schedule": "constant", "factor": 99})["factor"] == 0.3


def test_resolve_says_what_is_missing_or_outside() -> None:
    with pytest.raises(ValueError, match="cnn/factor: the parameter is active but has no value"):
        PLATEAU.resolve({"depth": 2, "schedule": "plateau"})
    with pytest.raises(ValueError, match=r"cnn/depth: 6 is not in int 2\.\.5"):
        PLATEAU.resolve({"depth": 6, "schedule": "constant"})


def test_suggest_is_asked_for_active_searched_parameters_only() -> None:
    asked = []

    def suggest(parameter: Parameter) -> Any:
        asked.append(parameter.name)
        return values_of(parameter.domain)[0]

    assert PLATEAU.sample(suggest) == {"schedule": "constant", "depth": 2}
    assert asked == ["schedule", "depth"]


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ({"nobody": (1,)}, "names nobody, which is not a parameter here"),
        ({"x": (0.5,)}, "names x, a float without step"),
        ({"n": (9,)}, r"names n = 9, but n here is int 1\.\.3"),
        ({"n": (True,)}, "names n = true, but"),
        ({"n": ()}, "names n = nothing"),
        ({"p": (1,)}, "goes round in a circle"),
        ({"q": (1,)}, "goes round in a circle"),
    ],
)
def test_conditions_that_cannot_be_met(when: dict[str, tuple[Any, ...]], text: str) -> None:
    parameters = (
        Parameter("p", IntDomain(1, 3), when),
        Parameter("q", IntDomain(1, 3), {"p": (1,)}),
        Parameter("n", IntDomain(1, 3)),
        Parameter("x", FloatDomain(0.0, 1.0)),
    )
    assert condition_problems(parameters)
    with pytest.raises(ValueError, match=f"family space f: p: when {text}"):
        FamilySpace("f", parameters, dict.fromkeys("pqnx", 0))


def test_a_parameter_needs_a_declared_default() -> None:
    with pytest.raises(ValueError, match="p is not declared"):
        FamilySpace("f", (Parameter("p", Fixed(1)),), {})


def test_order_stays_as_given_where_conditions_allow() -> None:
    names = [p.name for p in parents_first([Parameter("c", Fixed(1), {"a": (1,)}), Parameter("b", Fixed(1)), Parameter("a", Fixed(1))])]
    assert names == ["b", "a", "c"]


def test_booleans_are_not_numbers() -> None:
    assert not same(True, 1) and same(1, 1.0)
    assert not IntDomain(0, 3).contains(True) and not FloatDomain(0, 3).contains(True)
    assert not ChoiceDomain((1, 2)).contains(True) and ChoiceDomain((True,)).contains(True)


def test_float_domains_forgive_rounding_and_nothing_more() -> None:
    stepped = FloatDomain(0.0, 0.6, step=0.1)
    assert stepped.contains(0.1 + 0.2) and stepped.contains(0.6000000000000001) and not stepped.contains(0.25)
    assert FloatDomain(1e-5, 1e-1, log=True).contains(0.10000000000000002) and not FloatDomain(0, 1).contains(1.001)
    assert not FloatDomain(0, 1).contains(math.nan) and not FloatDomain(0, 1).contains("0.5")


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (IntDomain(3, 7), "int 3..7"),
        (IntDomain(3, 7, step=2), "int 3..7 step 2"),
        (FloatDomain(1e-5, 0.1, log=True), "float 1e-05..0.1 log"),
        (FloatDomain(0.0, 0.6, step=0.1), "float 0.0..0.6 step 0.1"),
        (ChoiceDomain((True, "a", 3)), "choice true, a, 3"),
        (Fixed("32-64"), "32-64"),
    ],
)
def test_domains_read_as_one_line(domain: Domain, text: str) -> None:
    assert str(domain) == text


def test_plain_tells_texts_from_other_kinds() -> None:
    assert [plain(v) for v in ("", "true", "1", True, None, 0.5)] == ['""', '"true"', '"1"', "true", "null", "0.5"]


def test_size_of_entangled_conditions_gives_up_quickly() -> None:
    parents = [Parameter(f"a{i}", ChoiceDomain((True, False))) for i in range(40)]
    child = Parameter("b", IntDomain(1, 9), {p.name: (True,) for p in parents})
    space = FamilySpace("f", (*parents, child), {p.name: 0 for p in (*parents, child)})
    assert space.size() == math.inf
