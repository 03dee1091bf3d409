"""Two models on the same tracks: the paired interval by its properties, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models import comparison
from genre_models.final import Evaluation


@pytest.mark.parametrize("counts", [(30, 4, 9, 7), (50, 0, 0, 0), (0, 0, 0, 3), (0, 6, 0, 0), (10, 1, 0, 9), (3, 5, 5, 2)])
def test_paired_intervals_hold_the_difference_and_turn_with_it(counts):
    both, first, second, neither = counts
    low, high = comparison.paired_interval(*counts)
    assert -1 <= low <= (first - second) / sum(counts) <= high <= 1
    assert comparison.paired_interval(both, second, first, neither) == pytest.approx((-high, -low))
    assert comparison.paired_interval(neither, first, second, both) == pytest.approx((low, high)), "rights for wrongs, and the two changed about"


def test_models_that_agree_can_be_told_apart_sooner():
    """30 of 100 against 20 of 100: by chance if they differ on 50 tracks, hardly if on 10."""
    assert comparison.paired_interval(0, 30, 20, 50)[0] < 0 < comparison.paired_interval(20, 10, 0, 70)[0]


def test_paired_intervals_cover_the_difference_nineteen_times_in_twenty():
    rng, p = np.random.default_rng(0), [0.5, 0.15, 0.1, 0.25]
    drawn = rng.multinomial(80, p, size=400)
    inside = [low <= p[1] - p[2] <= high for low, high in (comparison.paired_interval(*map(int, counts)) for counts in drawn)]
    assert 0.92 <= np.mean(inside) <= 0.99


def evaluation(right) -> Evaluation:
    """Of 40 tracks of the first class, those of these numbers right."""
    p = np.tile(np.float32([0.2, 0.8]), (40, 1))
    p[list(right)] = 0.9, 0.1
    return Evaluation(tuple(map(str, range(40))), np.zeros(40, int), p, ("blues", "pop"), 1.0)


@pytest.mark.parametrize(
    ("winners", "others", "verdict", "counts"),
    [
        (range(20), range(20), "a tie: +0.000 [", "0 won, 0 lost"),
        (range(20), range(2, 23), "a tie: +0.025 [", "3 won, 2 lost"),
        (range(20), range(40), "better: +0.500 [", "20 won, 0 lost"),
        (range(40), range(30, 40), "worse: -0.750 [", "0 won, 30 lost"),
    ],
)
def test_a_difference_is_named_where_there_is_one(winners, others, verdict, counts):
    pipeline = {"spec": {"family": "classical"}, "trial": 3, "validation_accuracy": None, "epochs": None, "parameters": 9}
    entry = comparison.compare(evaluation(winners), comparison.Compared(evaluation(others), pipeline))
    assert entry["accuracy"] == len(others) / 40
    winner = entry | {"family": "cnn", "n_tracks": 40, "also": [entry]}
    winner.pop("compared")
    *_, line, _, caution = comparison.families_table(winner)
    assert line.startswith("classical") and verdict in line and line.endswith(counts)
    assert caution == comparison.CAUTION
    assert f"| classical | 3 | - | {entry['accuracy']:.3f} (" in comparison.families_card(winner)
