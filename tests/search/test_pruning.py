"""ASHA's decisions, on scripted curves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.pruning import Asha
from search.trial import Decision, Trial

LEVELS = (1, 3, 9)


def ended(number: int, family: str, values: list[float], end: str) -> Trial:
    state = {"full": "COMPLETE", "early-stop": "COMPLETE", "pruned": "PRUNED", "orphan": "FAIL"}[end]
    return Trial(number, state, {"family": family}, reports=dict(enumerate(values, 1)), end=end)


def test_only_the_best_third_goes_on() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    answers = [asha.decide("cnn", n, 1, value) for n, value in enumerate([0.5, 0.4, 0.6, 0.3, 0.55, 0.61])]
    assert answers == ["continue", "stop", "continue", "stop", "stop", "continue"]


def test_between_rungs_nothing_is_stopped() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    asha.decide("cnn", 0, 1, 0.9)
    assert asha.decide("cnn", 1, 2, 0.0) is Decision.CONTINUE


def test_families_are_never_compared() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    for n in range(9):
        asha.decide("vgg16", n, 1, 0.9)
    assert asha.decide("cnn", 100, 1, 0.1) is Decision.CONTINUE


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1)), max_size=30))
def test_a_family_is_treated_as_if_it_were_alone(reports: list[tuple[str, float]]) -> None:
    together, alone = Asha(LEVELS, 3, maximize=True), Asha(LEVELS, 3, maximize=True)
    for n, (family, value) in enumerate(reports):
        answer = together.decide(family, n, 1, value)
        if family == "a":
            assert answer == alone.decide("a", n, 1, value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_minimizing_mirrors_maximizing(values: list[float]) -> None:
    up, down = Asha(LEVELS, 3, maximize=True), Asha(LEVELS, 3, maximize=False)
    for n, value in enumerate(values):
        assert up.decide("a", n, 1, value) == down.decide("a", n, 1, -value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_best_so_far_always_goes_on(values: list[float]) -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    for n, value in enumerate(values):
        if asha.decide("a", n, 1, value) is Decision.STOP:
            assert value < max(values[: n + 1])


def test_rebuilt_from_the_study_it_decides_as_before() -> None:
    curves = {n: [0.1 * n, 0.1 * n, 0.1 * n + 0.05] for n in range(9)}
    live = Asha(LEVELS, 3, maximize=True)
    trials = []
    for n, curve in curves.items():
        reached = []
        for epoch, value in enumerate(curve, 1):
            reached.append(value)
            if live.decide("a", n, epoch, max(reached)) is Decision.STOP:
                break
        trials.append(ended(n, "a", reached, "pruned"))
    rebuilt = Asha(LEVELS, 3, maximize=True)
    rebuilt.rebuild(trials, maximize=True)
    for value in (0.2, 0.55, 0.78, 0.9):
        for level in LEVELS:
            assert rebuilt.decide("a", 99, level, value) == live.decide("a", 99, level, value)
            rebuilt.forget(99), live.forget(99)


def test_an_early_stop_stands_at_later_rungs_and_a_lost_trial_nowhere() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    asha.rebuild([ended(0, "a", [0.8, 0.8], "early-stop"), ended(1, "a", [0.9] * 3, "orphan")], maximize=True)
    assert asha.decide("a", 2, 9, 0.7) is Decision.STOP
    assert asha.decide("a", 3, 9, 0.85) is Decision.CONTINUE
