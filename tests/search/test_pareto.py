"""The Pareto front of trials: score against a cost that is stored beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pareto import COSTS, front
from search.trial import Trial


def _trial(number: int, value: float, seconds: float | None, state: str = "COMPLETE") -> Trial:
    outcome = {} if seconds is None else {"fit_seconds": seconds}
    return Trial(number, state, {"family": "f", "epochs": 1}, value=value, outcome=outcome)


def test_the_front_runs_from_the_cheapest_to_the_best():
    trials = [_trial(0, 0.7, 10.0), _trial(1, 0.9, 30.0), _trial(2, 0.8, 20.0), _trial(3, 0.75, 25.0), _trial(4, 0.7, 12.0)]
    assert [t.number for t in front(trials, COSTS["seconds"].of, maximize=True)] == [0, 2, 1]


def test_of_a_loss_less_is_better():
    trials = [_trial(0, 0.7, 10.0), _trial(1, 0.9, 30.0), _trial(2, 0.6, 20.0)]
    assert [t.number for t in front(trials, COSTS["seconds"].of, maximize=False)] == [0, 2]


def test_of_equals_the_earliest_stands():
    trials = [_trial(1, 0.7, 10.0), _trial(0, 0.7, 10.0), _trial(2, 0.7, 11.0)]
    assert [t.number for t in front(trials, COSTS["seconds"].of, maximize=True)] == [0]


def test_trials_of_unknown_cost_or_without_the_full_budget_are_passed_over():
    trials = [_trial(0, 0.9, None), _trial(1, 0.95, 1.0, state="PRUNED"), _trial(2, 0.5, 5.0)]
    assert [t.number for t in front(trials, COSTS["seconds"].of, maximize=True)] == [2]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30), st.booleans())
def test_on_the_front_is_who_no_other_dominates(pairs: list[tuple[int, int]], maximize: bool):
    trials = [_trial(number, float(value), float(seconds)) for number, (value, seconds) in enumerate(pairs)]
    cost, sign = COSTS["seconds"].of, 1 if maximize else -1
    found = {(t.value, cost(t)) for t in front(trials, cost, maximize)}
    expected = {
        (t.value, cost(t))
        for t in trials
        if not any(sign * o.value >= sign * t.value and cost(o) <= cost(t) and (o.value, cost(o)) != (t.value, cost(t)) for o in trials)
    }
    assert found == expected


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_that_was_never_recorded_is_not_known(name: str):
    assert COSTS[name].of(_trial(0, 0.5, None)) is None


def test_costs_of_a_trial_stand_in_its_outcome():
    trial = _trial(0, 0.5, 2.0)
    trial.outcome |= {"parameters": 1234, "gflops": 0.5, "disk_bytes": 10, "cost": {"energy_kwh": 0.01, "cpu_seconds": 3.0, "peak_ram_mib": 700.0, "emissions_kg": None}}
    found = {name: cost.of(trial) for name, cost in COSTS.items()}
    assert (found["energy"], found["cpu_seconds"], found["memory"], found["emissions"]) == (0.01, 3.0, 700.0, None)
    assert (found["seconds"], found["parameters"], found["gflops"], found["disk"]) == (2.0, 1234.0, 0.5, 10.0)
    assert COSTS["parameters"].text(1234.0) == "1,234" and COSTS["energy"].text(0.0123) == "12.3 Wh" and COSTS["energy"].text(2.5) == "2.5 kWh"
