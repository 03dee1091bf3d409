"""ASHA's decisions, on scripted curves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.schedulers.stopping import Asha
from search.trial import Decision, Trial

LEVELS = (1, 3, 9)


def asked(asha: Asha, family: str, number: int, epoch: int, best: float) -> Decision:
    return asha.decide(Trial(number, "RUNNING", {"family": family}), epoch, best)


def ended(number: int, family: str, values: list[float], end: str) -> Trial:
    state = {"full": "COMPLETE", "early-stop": "COMPLETE", "pruned": "PRUNED", "orphan": "FAIL"}[end]
    return Trial(number, state, {"family": family}, reports=dict(enumerate(values, 1)), end=end)


def test_only_the_best_third_goes_on() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    answers = [asked(asha, "cnn", n, 1, value) for n, value in enumerate([0.5, 0.4, 0.6, 0.3, 0.55, 0.61])]
    assert answers == ["continue", "stop", "continue", "stop", "stop", "continue"]


def test_the_defaults_always_go_on_and_others_are_compared_with_them() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    asked(asha, "cnn", 1, 1, 0.5)
    defaults = Trial(0, "RUNNING", {"family": "cnn", "warm_start_of": "defaults of cnn"})
    assert [asha.decide(defaults, epoch, 0.1 * epoch) for epoch in LEVELS] == ["continue"] * 3
    assert asked(asha, "cnn", 2, 1, 0.4) == "stop" and asked(asha, "cnn", 2, 9, 0.8) == "stop", "of three at epoch 1, of two at epoch 9"
    of_others = Trial(3, "RUNNING", {"family": "cnn", "warm_start_of": "defaults of vgg16"})
    assert asha.decide(of_others, 1, 0.0) is Decision.STOP


def test_between_rungs_nothing_is_stopped() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    asked(asha, "cnn", 0, 1, 0.9)
    assert asked(asha, "cnn", 1, 2, 0.0) is Decision.CONTINUE


def test_families_are_never_compared() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    for n in range(9):
        asked(asha, "vgg16", n, 1, 0.9)
    assert asked(asha, "cnn", 100, 1, 0.1) is Decision.CONTINUE


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1)), max_size=30))
def test_a_family_is_treated_as_if_it_were_alone(reports: list[tuple[str, float]]) -> None:
    together, alone = Asha(LEVELS, 3, maximize=True), Asha(LEVELS, 3, maximize=True)
    for n, (family, value) in enumerate(reports):
        answer = asked(together, family, n, 1, value)
        if family == "a":
            assert answer == asked(alone, "a", n, 1, value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_minimizing_mirrors_maximizing(values: list[float]) -> None:
    up, down = Asha(LEVELS, 3, maximize=True), Asha(LEVELS, 3, maximize=False)
    for n, value in enumerate(values):
        assert asked(up, "a", n, 1, value) == asked(down, "a", n, 1, -value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_best_so_far_always_goes_on(values: list[float]) -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    for n, value in enumerate(values):
        if asked(asha, "a", n, 1, value) is Decision.STOP:
            assert value < max(values[: n + 1])


def test_rebuilt_from_the_study_it_decides_as_before() -> None:
    curves = {n: [0.1 * n, 0.1 * n, 0.1 * n + 0.05] for n in range(9)}
    live = Asha(LEVELS, 3, maximize=True)
    trials = []
    for n, curve in curves.items():
        reached = []
        for epoch, value in enumerate(curve, 1):
            reached.append(value)
            if asked(live, "a", n, epoch, max(reached)) is Decision.STOP:
                break
        trials.append(ended(n, "a", reached, "pruned"))
    rebuilt = Asha(LEVELS, 3, maximize=True)
    rebuilt.rebuild(trials)
    for value in (0.2, 0.55, 0.78, 0.9):
        for level in LEVELS:
            assert asked(rebuilt, "a", 99, level, value) == asked(live, "a", 99, level, value)
            for each in (rebuilt, live):
                each.ended(ended(99, "a", [value], "orphan"), requeued=False)


def test_an_early_stop_stands_at_later_rungs_and_a_lost_trial_nowhere() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    asha.rebuild([ended(0, "a", [0.8, 0.8], "early-stop"), ended(1, "a", [0.9] * 3, "orphan")])
    assert asked(asha, "a", 2, 9, 0.7) is Decision.STOP
    assert asked(asha, "a", 3, 9, 0.85) is Decision.CONTINUE


def test_a_trial_that_waits_to_go_on_stands_where_it_was() -> None:
    asha = Asha(LEVELS, 3, maximize=True)
    lost = ended(0, "a", [0.9] * 3, "orphan")
    successor = Trial(1, "WAITING", {"family": "a", "retry_of": 0, "first": 0}, reports=dict(lost.reports))
    asha.rebuild([lost, successor])
    assert asked(asha, "a", 2, 3, 0.5) is Decision.STOP
    asha.ended(lost, requeued=True)
    assert asked(asha, "a", 3, 3, 0.6) is Decision.STOP
