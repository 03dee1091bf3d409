"""Rungs in seconds of training: where they are met, and that who is compared there has had the same time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.mirror import Mirror
from search.schedule import rungs
from search.schedulers.ladder import EpochLadder, SecondsLadder
from search.schedulers.stopping import Asha
from search.simulate import Curve, Simulated, simulate
from search.space import FamilySpace, FloatDomain, Parameter
from search.trial import Trial

EPOCHS = 27


def run(scheduler: Asha, curves: list[tuple[float, float]], *, workers: int = 2, seconds: float = math.inf) -> Simulated:
    """Trials of (value at the end, seconds of an epoch), which come to their value with the epochs."""
    made = [Curve("a", tuple(value * (1 - math.exp(-e / 5)) for e in range(1, EPOCHS + 1)), pace) for value, pace in curves]
    return simulate(scheduler, lambda number, family: made[number], workers=workers, trials=len(made), seconds=seconds)


def of_seconds(number: int, values: list[float], took: float, state: str = "RUNNING") -> Trial:
    reports = dict(enumerate(values, 1))
    return Trial(number, state, {"family": "a", "epochs": EPOCHS}, {}, reports, seconds={e: e * took for e in reports})


def answers(asha: Asha, trial: Trial) -> list[str]:
    """What it is told after each of its epochs."""
    grown = Trial(trial.number, "RUNNING", trial.spec, seconds=trial.seconds)
    told = []
    for epoch, value in trial.reports.items():
        grown.reports[epoch] = value
        told.append(asha.decide(grown, epoch, grown.best(True)))
    return told


def test_an_epoch_meets_the_rungs_that_it_passes() -> None:
    ladder = SecondsLadder(2.0, 3)
    assert ladder.levels[:4] == (2.0, 6.0, 18.0, 54.0)
    trial = of_seconds(0, [0.1] * 8, 2.5)
    assert [tuple(ladder.reached(trial, e)) for e in range(1, 9)] == [(2.0,), (), (6.0,), (), (), (), (), (18.0,)]
    assert [ladder.epoch_of(trial, level) for level in (2.0, 6.0, 18.0, 54.0)] == [1, 3, 8, None]
    long = of_seconds(1, [0.1], 20.0)
    assert tuple(ladder.reached(long, 1)) == (2.0, 6.0, 18.0), "one epoch may pass several"


def test_no_rung_is_met_before_the_first_epochs_are_over() -> None:
    ladder = SecondsLadder(2.0, 3, min_epochs=3)
    trial = of_seconds(0, [0.1] * 4, 2.5)
    assert [tuple(ladder.reached(trial, e)) for e in range(1, 5)] == [(), (), (2.0, 6.0), ()]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.1, 0.7, 1.0, 3.3]), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_where_all_epochs_cost_the_same_it_decides_as_in_epochs(values: list[float], pace: float, workers: int) -> None:
    curves = [(value, pace) for value in values]
    ended = [
        [(t.end, len(t.reports)) for t in run(Asha(ladder, 3, True), curves, workers=workers).trials]
        for ladder in (EpochLadder(rungs(1, EPOCHS, 3)), SecondsLadder(pace, 3))
    ]
    assert ended[0] == ended[1]


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.3, 1.0, 2.0, 9.0])), min_size=2, max_size=20), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_rebuilt_after_any_prefix_it_decides_as_before(curves: list[tuple[float, float]], cut: int) -> None:
    live, rebuilt = Asha(SecondsLadder(1.0, 3), 3, True), Asha(SecondsLadder(1.0, 3), 3, True)
    trials = run(live, curves, seconds=cut).trials
    rebuilt.rebuild(trials)
    for number, (value, took) in enumerate([(0.2, 0.5), (0.5, 4.0), (0.9, 1.0)]):
        probe = of_seconds(100 + number, [value] * 9, took)
        assert answers(live, probe) == answers(rebuilt, probe)


def test_at_equal_seconds_the_better_goes_on_however_few_its_epochs() -> None:
    asha = Asha(SecondsLadder(1.0, 3), 3, True)
    for number in range(6):
        answers(asha, of_seconds(number, [0.3, 0.4, 0.5], 1.0))  # 0.5 after 3 seconds
    assert answers(asha, of_seconds(10, [0.55], 3.0)) == ["continue"], "one epoch of 3 seconds, and better than all after 3 seconds"
    assert answers(asha, of_seconds(11, [0.45], 3.0)) == ["stop"], "better than all after one epoch, and worse after 3 seconds"


def test_a_whole_trial_stands_at_all_rungs_above_where_it_ended() -> None:
    asha = Asha(SecondsLadder(1.0, 3), 3, True)
    whole = of_seconds(0, [0.8] * EPOCHS, 1.0, "COMPLETE")
    whole.end, whole.value = "full", 0.8
    asha.rebuild([whole])
    slow = of_seconds(1, [0.9, 0.9], 100.0)
    assert answers(asha, slow) == ["continue", "continue"]
    assert answers(asha, of_seconds(2, [0.7], 100.0)) == ["stop"], "more seconds than a whole trial took, and worse than it"


@pytest.mark.parametrize("seed", range(3))
def test_neither_the_cheap_nor_the_dear_are_starved(seed: int) -> None:
    """Where a configuration's worth has nothing to do with its cost, the winner is nearly the best, be it cheap or dear."""
    quality = [((n * 37 + seed * 11) % 101) / 101 for n in range(60)]
    curves = [
        Curve("a", tuple(q * (1 - math.exp(-e * pace / 20)) for e in range(1, EPOCHS + 1)), pace)
        for q, pace in zip(quality, [1.0, 10.0] * 30, strict=True)
    ]
    done = simulate(Asha(SecondsLadder(3.0, 3), 3, True), lambda number, family: curves[number], workers=2, trials=60)
    full = [t.number for t in done.trials if t.is_full]
    assert {n % 2 for n in full} == {0, 1}, "both kinds have whole trials"
    assert max(t.value for t in done.trials if t.is_full) > max(max(c.values) for c in curves) - 0.05


def test_for_a_sampler_those_stopped_at_one_rung_came_equally_far() -> None:
    space = FamilySpace("a", (Parameter("x", FloatDomain(0, 1), {}),), {"x": 0.5}, 0, {})
    mirror = Mirror({"a": space}, True, ladder=SecondsLadder(1.0, 3))
    for number, (value, took) in enumerate([(0.4, 1.0), (0.6, 3.0), (0.5, 9.0)]):
        trial = of_seconds(number, [value], took, "PRUNED")
        trial.reports = dict.fromkeys(range(1, round(9 / took) + 1), value)
        trial.seconds = {e: e * took for e in trial.reports}
        trial.end, trial.params = "pruned", {"family": "a", "a/x": 0.5}
        mirror.take_in(trial)
    assert list(mirror.standing("a")) == [1, 2, 0], "all met the rung of 9 seconds: by value, not by the number of their epochs"
