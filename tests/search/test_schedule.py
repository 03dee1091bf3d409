"""Rungs against numbers one can do by hand, and as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.schedule import halving_epochs, rungs


@pytest.mark.parametrize(
    ("least", "most", "factor", "expected"),
    [
        (1, 27, 3, (1, 3, 9)),
        (3, 27, 3, (3, 9)),
        (1, 243, 3, (1, 3, 9, 27, 81)),  # a floating-point logarithm loses the last one
        (1, 1000, 10, (1, 10, 100)),
        (1, 30, 3, (1, 3, 9, 27)),
        (5, 5, 2, ()),
    ],
)
def test_rungs_by_hand(least: int, most: int, factor: int, expected: tuple[int, ...]) -> None:
    assert rungs(least, most, factor) == expected


@given(st.integers(1, 50), st.integers(0, 5000), st.integers(2, 10))
def test_rungs_lie_below_the_budget_and_grow_by_the_factor(least: int, more: int, factor: int) -> None:
    levels = rungs(least, least + more, factor)
    assert all(level < least + more for level in levels)
    assert all(b == a * factor for a, b in zip(levels, levels[1:], strict=False))
    assert (levels[-1] * factor if levels else least) >= least + more


def test_bad_bounds_are_refused_with_their_values() -> None:
    with pytest.raises(ValueError, match="min_epochs=9, max_epochs=3"):
        rungs(9, 3, 3)


def test_epochs_of_27_trials_by_hand() -> None:
    # 27 trials for 1 epoch, 9 for 2 more, 3 for 6 more, 1 for 18 more.
    assert halving_epochs(27, (1, 3, 9), 27, 3) == 27 + 18 + 18 + 18


@given(st.integers(0, 200), st.integers(1, 9), st.integers(0, 100), st.integers(2, 5))
def test_stopping_never_costs_more_than_not_stopping(trials: int, least: int, more: int, factor: int) -> None:
    most = least + more
    assert halving_epochs(trials, rungs(least, most, factor), most, factor) <= trials * most
