"""A configuration near another: legal, other, near, and the same for a seed."""

from __future__ import annotations

import math
from statistics import mean

from hypothesis import given
from hypothesis import strategies as st

from search.domains import FloatDomain, IntDomain
from search.nearby import near_by
from search.space import ChoiceDomain, FamilySpace, Fixed, Parameter
from tests.search.test_warm_start import NET


@given(st.integers(0, 2**32), st.booleans())
def test_it_is_legal_another_one_and_the_same_for_a_seed(seed, masked):
    origin = {"depth": 3, "rate": 1e-3, "masked": masked} | ({"mask": 20} if masked else {})
    found = near_by(NET, origin, seed)
    assert found == near_by(NET, origin, seed) and found != origin
    assert NET.sample(lambda parameter: found[parameter.name]) == found
    assert all(p.domain.contains(found[p.name]) for p in NET.searched if p.name in found)


def test_numbers_stay_near_on_their_own_scale_and_many_parameters_as_they_are():
    space = FamilySpace(
        "f", (Parameter("rate", FloatDomain(1e-4, 1.0, log=True)), Parameter("width", IntDomain(8, 800, 8)), Parameter("kind", ChoiceDomain(tuple("abcde")))),
        {"rate": 1e-2, "width": 400, "kind": "c"},
    )
    origin = {"rate": 1e-2, "width": 400, "kind": "c"}
    found = [near_by(space, origin, seed) for seed in range(400)]
    decades = [abs(math.log10(each["rate"]) + 2) for each in found]
    assert 0.3 < mean(decades) < 0.5 and max(decades) <= 2  # half of them 0; a normal one of a decade's deviation has a mean of 0.8, cut off a little less
    assert 30 < mean(abs(each["width"] - 400) for each in found) < 100  # evenly drawn it would be 198
    assert 0.5 < mean(each["kind"] == "c" for each in found) < 0.7 and {each["kind"] for each in found} == set("abcde")


def test_a_parameter_that_the_other_does_not_have_begins_from_the_default():
    masks = [found["mask"] for seed in range(200) if (found := near_by(NET, {"depth": 3, "rate": 1e-3, "masked": False}, seed))["masked"]]
    assert len(masks) > 20 and mean(mask == 5 for mask in masks) > 0.4 and mean(abs(mask - 5) for mask in masks) < 5


def test_a_space_of_one_configuration_ends():
    only = FamilySpace("f", (Parameter("a", ChoiceDomain((1,))), Parameter("b", Fixed(2))), {"a": 1, "b": 2})
    assert near_by(only, {"a": 1}, 0) == {"a": 1}
