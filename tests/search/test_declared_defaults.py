"""Each family's defaults as its first trial: as near as the space comes to them, once, whatever is killed between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.domains import ChoiceDomain, FloatDomain, IntDomain
from search.sampling import Proposer
from search.space import FamilySpace, Parameter
from search.trial import Trial
from search.warm_start import WarmStart, declared_defaults
from tests.search.test_warm_start import FAMILIES, NET

ints = st.tuples(st.integers(-20, 20), st.integers(0, 30), st.integers(1, 7)).map(lambda t: IntDomain(t[0], t[0] + t[1] * t[2], t[2]))
floats = st.tuples(st.floats(-9, 9), st.floats(0.1, 9), st.one_of(st.none(), st.integers(1, 8))).map(
    lambda t: FloatDomain(t[0], t[0] + t[1], None if t[2] is None else t[1] / t[2])
)
choices = st.lists(st.one_of(st.integers(-9, 9), st.floats(-9, 9)), min_size=1, max_size=5).map(lambda values: ChoiceDomain(tuple(values)))


@given(st.one_of(ints, floats, choices), st.one_of(st.integers(-40, 40), st.floats(-40, 40)))
def test_the_nearest_value_is_in_the_domain_and_none_of_it_is_nearer(domain, value):
    found = domain.nearest(value)
    assert domain.contains(found)
    if isinstance(domain, FloatDomain):
        others = [domain.low, domain.high] if domain.step is None else [domain.low + k * domain.step for k in range(int(domain.size()))]
    else:
        others = domain.values if isinstance(domain, ChoiceDomain) else range(domain.low, domain.high + 1, domain.step)
    assert all(abs(found - value) <= abs(other - value) + 1e-9 for other in others)
    assert not domain.contains(value) or found == pytest.approx(value)


def test_of_words_it_is_the_value_or_the_first():
    domain = ChoiceDomain(("adam", "sgd"))
    assert domain.nearest("sgd") == "sgd" and domain.nearest("rmsprop") == "adam"
    assert ChoiceDomain((True, False)).nearest(False) is False and ChoiceDomain((True,)).nearest(0) is True


def test_of_each_family_they_come_first_and_once():
    warm = WarmStart(queue=declared_defaults(FAMILIES))
    assert [(each.family, each.sampled) for each in warm.queue] == [("net", {"depth": 3, "rate": 1e-3, "masked": False}), ("tree", {"leaves": 8})]
    proposer, plain = Proposer(FAMILIES, "tpe", 0, True, warm=warm), Proposer(FAMILIES, "tpe", 0, True)
    first = [proposer.propose(number)[:2] for number in range(2)]
    assert first == [(each.family, each.sampled) for each in warm.queue]
    assert proposer.propose(2)[1] not in [each.sampled for each in warm.queue]
    assert plain.propose(0)[:2] != first[0]

    spec = {"family": "net", "params": NET.resolve(first[0][1]), "epochs": 9, "warm_start_of": proposer.origin_of(0)}
    gone_on = Proposer(FAMILIES, "tpe", 0, True, warm=warm)
    gone_on.rebuild([Trial(0, "FAIL", spec, {"family": "net"} | {f"net/{name}": value for name, value in first[0][1].items()}, {}, "refused")])
    assert gone_on.propose(1)[:2] == first[1] and gone_on.propose(2)[1] != first[0][1]


def test_a_condition_that_the_defaults_do_not_meet_is_left_out():
    space = FamilySpace("net", (Parameter("masked", ChoiceDomain((True,))), Parameter("mask", IntDomain(6, 9), {"masked": (True,)})), {"masked": False, "mask": 5})
    assert declared_defaults({"net": space})[0].sampled == {"masked": True, "mask": 6}
