"""Two models on the same tracks: what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models import comparison
from genre_models.final import Evaluation


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
    assert f"| classical | 3 | - | - | {entry['accuracy']:.3f} (" in comparison.families_card(winner)
