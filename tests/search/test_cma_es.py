"""CMA-ES worked out from the trials: what it moves along, and what it does where nothing can be learnt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.cma_es import from_unit, propose, to_unit
from search.domains import FloatDomain, IntDomain
from search.space import FamilySpace, Parameter

DOMAINS = (
    FloatDomain(-2.0, 3.0),
    FloatDomain(1e-5, 1e-1, log=True),
    FloatDomain(0.1, 0.7, 0.1),
    IntDomain(2, 11, 3),
    IntDomain(1, 512, log=True),
    IntDomain(0, 1),
)


@given(st.sampled_from(DOMAINS), st.lists(st.floats(0, 1), min_size=2, max_size=5))
@settings(max_examples=100, deadline=None)
def test_numbers_from_0_to_1_are_the_domain(domain: FloatDomain | IntDomain, places: list[float]) -> None:
    values = [from_unit(domain, u) for u in sorted(places)]
    assert all(domain.contains(value) for value in values) and values == sorted(values)
    for value in values:
        assert 0 <= to_unit(domain, value) <= 1 and from_unit(domain, to_unit(domain, value)) == pytest.approx(value)
    assert from_unit(domain, 0.0) == pytest.approx(domain.low) and from_unit(domain, 1.0) == pytest.approx(domain.high)


def test_whole_numbers_come_back_exactly() -> None:
    for domain in (d for d in DOMAINS if isinstance(d, IntDomain)):
        for value in range(domain.low, domain.high + 1, domain.step):
            assert from_unit(domain, to_unit(domain, value)) == value


def test_where_all_score_the_same_it_still_finds_new_configurations() -> None:
    pytest.importorskip("cmaes", reason="pip install -c constraints.txt -e '.[cmaes]'")
    space = FamilySpace("a", tuple(Parameter(f"p{i}", IntDomain(0, 4)) for i in range(3)), {f"p{i}": 0 for i in range(3)})
    history: list[tuple[dict[str, int], float]] = []
    for n in range(150):  # more than the 125 there are
        history.append((propose(space, history, n), 0.0))
    assert len({tuple(sampled.values()) for sampled, _ in history}) > 100


def test_a_single_parameter_will_do() -> None:
    pytest.importorskip("cmaes", reason="pip install -c constraints.txt -e '.[cmaes]'")
    space = FamilySpace("a", (Parameter("x", FloatDomain(0.0, 1.0)),), {"x": 0.5})
    history: list[tuple[dict[str, float], float]] = []
    for n in range(40):
        sampled = propose(space, history, n)
        history.append((sampled, (sampled["x"] - 0.9) ** 2))
    assert min(value for _, value in history) < 1e-3
