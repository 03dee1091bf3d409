"""Values for the full budget of trials that did not have it."""

from __future__ import annotations

import pytest

from search.levelling import levelled
from search.trial import Trial


def trial(number: int, reports: dict[int, float], state: str = "PRUNED", family: str = "a", **spec: int) -> Trial:
    value = reports[max(reports)] if reports and state == "COMPLETE" else None
    return Trial(number, state, {"family": family, "epochs": 9, **spec}, {}, reports, value=value)


def test_no_gain_where_nobody_went_on() -> None:
    assert levelled([trial(0, {1: 0.2}), trial(1, {1: 0.4}, "WAITING"), trial(2, {})], True) == {0: 0.2, 1: 0.4}


def test_gains_add_up_from_level_to_level() -> None:
    trials = [
        trial(0, {1: 0.2}),
        trial(1, {1: 0.3, 3: 0.4}, "WAITING"),  # gained 0.1 from 1 to 3
        trial(2, {1: 0.3, 3: 0.6, 9: 0.7}, "COMPLETE"),  # 0.3, then 0.1
        trial(3, {1: 0.1, 3: 0.3, 9: 0.8}, "COMPLETE"),  # 0.2, then 0.5
    ]
    found = levelled(trials, True)
    assert found == pytest.approx({0: 0.2 + 0.2 + 0.3, 1: 0.4 + 0.3, 2: 0.7, 3: 0.8})


def test_minimized_scores_gain_downwards_and_the_best_epoch_counts() -> None:
    trials = [trial(0, {1: 2.0, 2: 1.5, 3: 1.8}), trial(1, {1: 3.0, 3: 2.0, 9: 1.0}, "COMPLETE")]
    assert levelled(trials, False) == pytest.approx({0: 0.5, 1: 1.0})


def test_families_do_not_borrow_from_one_another() -> None:
    trials = [trial(0, {1: 0.2}), trial(1, {1: 0.1, 9: 0.9}, "COMPLETE", "b")]
    assert levelled(trials, True) == {0: 0.2, 1: 0.9}


def test_an_early_stop_stands_at_the_levels_above_with_its_value() -> None:
    trials = [trial(0, {1: 0.2}), trial(1, {1: 0.3, 3: 0.4}), trial(2, {1: 0.3, 2: 0.5}, "COMPLETE")]
    # From 1 to 3: 0.1 and 0.2; from 3 to the end: the early stop, 0.
    assert levelled(trials, True) == pytest.approx({0: 0.35, 1: 0.4, 2: 0.5})


def test_beyond_the_last_epoch_the_running_mean_counts() -> None:
    folds = {"folds": 3}
    trials = [trial(0, {1: 0.2, 9: 0.6, 10: 0.5}, **folds), trial(1, {1: 0.1, 9: 0.8, 10: 0.7, 11: 0.72}, "COMPLETE", **folds)]
    assert levelled(trials, True) == pytest.approx({0: 0.52, 1: 0.72})
