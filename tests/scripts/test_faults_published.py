"""The calculations from published numbers give what the reports' critics computed by hand."""

from __future__ import annotations

import pytest

from scripts.replication import faults_published as published
from scripts.replication.faults_published import COMPARED, SHARES, SIZES, Share


@pytest.mark.parametrize(
    ("row", "accuracy", "interval"),
    [("G02", 0.55, (0.48, 0.62)), ("G03", 0.67, (0.60, 0.73)), ("F27", 0.4968, None), ("F28", 0.5012, None), ("F13", 0.3975, None)],
)
def test_shares_are_as_printed_with_wilsons_intervals(row, accuracy, interval):
    assert SHARES[row].accuracy == pytest.approx(accuracy, abs=1e-4)  # reports cut digits off
    if interval is not None:
        assert SHARES[row].interval == pytest.approx(interval, abs=0.005)


@pytest.mark.parametrize(("first", "second", "z"), [("G03", "G02", 2.46), ("F28", "F27", 0.25), ("F13", "F15", 0.31)])
def test_differences_in_standard_errors(first, second, z):
    found, p = published.standard_errors(SHARES[first], SHARES[second])
    assert found == pytest.approx(z, abs=0.01)
    assert (p < 0.05) == (z > 1.96)


def test_interval_of_a_difference_is_newcombes():
    """His example: 56 of 70 against 48 of 80 give 0.0524 to 0.3339."""
    found = published.difference_interval(Share("", "", 56, 70), Share("", "", 48, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_interval_and_standard_errors_agree_on_what_differs():
    for first, second, _ in COMPARED:
        low, high = published.difference_interval(SHARES[first], SHARES[second])
        assert (low > 0) == (published.standard_errors(SHARES[first], SHARES[second])[0] > 1.96) and low < high


def test_how_far_two_systems_may_disagree():
    """7 hits apart: 8 to 1 gives p = 0.039, 9 to 2 gives 0.065."""
    assert published.most_disagreement(7) == 9
    assert published.most_disagreement(6) == 6  # 6 to 0 gives 0.031, 7 to 1 gives 0.070
    assert published.most_disagreement(5) is None  # 5 to 0 gives 0.0625
    assert published.most_disagreement(0) is None


@pytest.mark.parametrize(("count", "largest"), [(1, 0.0), (2, 0.5642), (9, 1.4850)])
def test_largest_of_normal_numbers(count, largest):
    assert published.best_of_normals(count) == pytest.approx(largest, abs=1e-4)


def test_best_of_nine_is_the_best_test_score_and_not_the_best_validation_score():
    found = published.best_of_nine()
    assert found.by_test == 0.495 and found.by_validation == pytest.approx(0.483)
    assert found.by_chance == pytest.approx(0.01766, abs=1e-4) and found.optimism == pytest.approx(1.485 * 0.01766, abs=1e-3)
    assert found.deviation < found.by_chance, "the nine differ by no more than chance"
    assert {test for _, validation, test in SIZES.values() if validation == 0.577} == {0.482, 0.484}


def test_both_networks_emit_the_same_a_second():
    rates = published.emission_rates()
    assert [round(rate, 3) for rate, *_ in rates.values()] == [0.532, 0.531]
    (_, low, high), (_, other_low, other_high) = rates.values()
    assert max(low, other_low) < min(high, other_high), "one rate that both printed pairs allow"
