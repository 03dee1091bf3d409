"""Each family's defaults as its first trial: as near as the space comes to them, once, whatever is killed between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import mean

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


# -- near them -----------------------------------------------------------------------------------------------------

KNOBS = tuple("abcd")
CUBE = FamilySpace("cube", tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in KNOBS), dict.fromkeys(KNOBS, 0.8))


def proposer(seed: int, kind: str = "tpe", **options) -> Proposer:
    return Proposer({"cube": CUBE}, kind, seed, True, warm=WarmStart(queue=declared_defaults({"cube": CUBE})), **options)


def ended(number: int, sampled: dict, value: float, origin: str | None = None) -> Trial:
    spec = {"family": "cube", "params": CUBE.resolve(sampled), "epochs": 9, "warm_start_of": origin}
    return Trial(number, "COMPLETE", spec, {"family": "cube"} | {f"cube/{name}": v for name, v in sampled.items()}, {9: value}, "full", value=value)


def away(sampled: dict) -> float:
    """Mean distance from the defaults along a parameter."""
    return mean(abs(value - 0.8) for value in sampled.values())


def run(searched: Proposer, trials: int, value: Callable[[dict], float], workers: int = 1) -> list[dict]:
    """What is proposed one after the other, so many of them at a time."""
    proposed: list[dict] = []
    for number in range(trials):
        proposed.append(searched.propose(number)[1])
        if number >= workers - 1:
            last = number - workers + 1
            searched.learn(ended(last, proposed[last], value(proposed[last]), searched.origin_of(last)))
    return proposed


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_every_second_of_the_first_trials_is_near_them_where_they_are_good(workers):
    runs = [run(proposer(seed), 10, lambda sampled: -away(sampled), workers) for seed in range(20)]
    near, far = ([away(each[number]) for each in runs for number in range(first, 10, 2)] for first in (3, 2))
    assert mean(near) < 0.6 * mean(far)
    assert all(each[0] == dict.fromkeys(KNOBS, 0.8) for each in runs)
    assert len({tuple(each[number].values()) for each in runs for number in range(10)}) > 9 * len(runs), "near them is not the same again"


@pytest.mark.parametrize("workers", [1, 3])
def test_where_they_turn_out_bad_the_rest_is_as_if_nobody_had_declared_them(workers):
    first = workers + 1  # what is proposed from where one more has ended than the defaults
    later = []
    for seed in range(10):
        runs = [run(proposer(seed, near=near), 12, away, workers) for near in (10, 0)]
        assert workers > 1 or runs[0] == runs[1]
        later += runs[0][first:10]
    assert mean(map(away, later)) > 0.3


def test_gone_on_with_it_proposes_what_it_would_have():
    for seed in range(5):
        searched, trials = proposer(seed), []
        for number in range(9):
            sampled = searched.propose(number)[1]
            trials.append(ended(number, sampled, -away(sampled), searched.origin_of(number)))
            again = proposer(seed)
            again.rebuild(trials[:number])
            assert again.propose(number)[1] == sampled
            searched.learn(trials[-1])


def test_other_samplers_take_no_notice():
    assert run(proposer(0, "random"), 10, away) == run(proposer(0, "random", near=0), 10, away)


def test_lost_or_refused_they_are_nothing_to_be_near_to():
    for state, end in (("FAIL", "worker-lost"), ("PRUNED", "refused")):
        found = []
        for near in (10, 0):
            searched = proposer(0, near=near)
            first = ended(0, searched.propose(0)[1], 0.5, searched.origin_of(0))
            searched.learn(replace(first, state=state, end=end, reports={}, value=None))
            for number in (1, 2):
                searched.learn(ended(number, searched.propose(number)[1], 0.1))
            found.append(searched.propose(3)[1])
        assert found[0] == found[1], (state, end)
