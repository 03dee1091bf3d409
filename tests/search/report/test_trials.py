"""What the plots are given: records of trials, rung survival, importance, fronts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from search.report.curves import fronts, survival, trial_records
from search.report.importance import LEAST_TRIALS, importances
from search.trial import Trial
from tests.search.report.views import R, full, stopped, view_of


def test_a_record_has_the_curve_the_state_the_costs_and_the_settings() -> None:
    view = view_of([full(0, 0.8, params={"cnn/rate": 0.01}, cost={"energy_kwh": float("inf"), "cpu_seconds": 4.0}), stopped(1, 0.3, params={"cnn/rate": 0.0200001})])
    one, two = trial_records(view)
    assert (one["n"], one["f"], one["s"], one["e"][-1], one["y"][-1], one["b"]) == (0, "cnn", "f", R, 0.8, 0.8)
    assert (two["s"], two["e"], two["b"], two["t"]) == ("s", [1, 2, 3], 0.3, "rate 0.02")
    assert one["c"] == {"seconds": 10.0, "cpu_seconds": 4.0, "parameters": 1000.0}  # what is not finite is not known
    assert two["l"] == pytest.approx(0.3 + 0.8 - 0.8 * (0.5 + 0.5 * 3 / R), abs=1e-3)  # levelled by what the other gained since epoch 3
    json.dumps([one, two], allow_nan=False)


def test_confirmations_lost_trials_and_later_folds_are_no_curves() -> None:
    folds = full(0, 0.8)
    folds.spec["folds"], folds.reports[R + 1] = 2, 0.7
    confirmation = full(1, 0.75)
    confirmation.spec["confirms"] = 0
    lost = stopped(2, 0.4)
    lost.state, lost.end = "FAIL", "worker-lost"
    records = trial_records(view_of([folds, confirmation, lost]))
    assert [record["n"] for record in records] == [0] and records[0]["e"][-1] == R


def test_survival_counts_who_reached_each_rung_and_an_early_stop_had_its_whole_budget() -> None:
    early = full(4, 0.6)
    early.reports, early.end = {1: 0.6}, "early-stop"
    trials = [full(0, 0.8), stopped(1, 0.3, 3), stopped(2, 0.3, 3), stopped(3, 0.4, 9), early, full(5, 0.7, "svm")]
    assert survival(view_of(trials)) == {"levels": [3, 9, 27], "counts": {"cnn": [5, 3, 2]}}  # svm is compared at the end alone


def test_the_setting_that_decides_is_told_from_one_that_does_not() -> None:
    rng, trials = np.random.default_rng(0), []
    for number in range(60):
        rate, width = 10 ** rng.uniform(-4, -1), rng.uniform()
        value = 0.9 - 0.15 * abs(np.log10(rate) + 2)
        params = {"cnn/rate": rate, "cnn/width": width} | ({"cnn/pool": "max"} if number % 2 else {})
        trials.append(full(number, value, params=params) if number % 3 == 0 else stopped(number, value / 2, params=params))
    trials += [full(100 + number, 0.5, "svm", params={"svm/width": 0.1 * number}) for number in range(5)]
    (found,) = importances(view_of(trials))
    assert (found["family"], found["trials"]) == ("cnn", 60)  # the five of svm say nothing
    shares = dict(found["bars"])
    assert found["bars"][0][0] == "rate" and shares["rate"] > 2 * shares["width"] and sum(shares.values()) == pytest.approx(1, abs=0.01)
    rate = next(each for each in found["slices"] if each["name"] == "rate")
    assert (rate["log"], rate["choices"], len(rate["points"])) == (True, None, 60)
    pool = next((each for each in found["slices"] if each["name"] == "pool"), None)
    assert pool is None or (pool["choices"] == ["max", "mean"] and len(pool["points"]) == 30)
    assert importances(view_of(trials[: LEAST_TRIALS - 1])) == []


def test_fronts_of_costs_that_two_trials_know() -> None:
    trials = [full(0, 0.8, fit_seconds=30.0, gflops=1.0), full(1, 0.7, fit_seconds=10.0), full(2, 0.6, fit_seconds=20.0), stopped(3, 0.9)]
    found = fronts(view_of(trials))
    assert found["seconds"] == {"label": "fitting", "unit": "s", "front": [1, 0]}
    assert "gflops" not in found


def test_a_study_without_a_budget_has_no_rungs() -> None:
    view = view_of([full(0, 0.5), Trial(1, "RUNNING", {"family": "cnn"}, {}, {})])
    view.fingerprint = {"scheduler": "none", "budget": {"min_epochs": 1, "max_epochs": 3, "reduction_factor": 3}}
    assert survival(view) == {"levels": [], "counts": {}}
    assert len(trial_records(view)) == 1
