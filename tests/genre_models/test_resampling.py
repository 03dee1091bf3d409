"""Intervals over groups, paired tests and what a chosen one is worth: by hand, by brute force, by textbook tests, and by their coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models.resampling.choosing import expect_chosen, item_scores
from genre_models.resampling.intervals import groups_of, mean_interval, proportion_interval, wilson
from genre_models.resampling.paired import compare_paired, drawn_sign_flip, exact_sign_flip, paired_interval

# Intervals of one score


def test_items_alone_have_wilsons_interval_and_groups_of_one_too():
    from scipy.stats import binomtest

    hits = np.repeat([1, 0], [30, 10])
    expected = binomtest(30, 40).proportion_ci(method="wilson")
    assert proportion_interval(hits) == pytest.approx((expected.low, expected.high))
    assert proportion_interval(hits, np.arange(40)[::-1]) == proportion_interval(hits)


def test_groups_that_agree_are_worth_one_item_each():
    """Ten groups of four alike: about the interval of ten items, wider by Student's quantile, and far from that of forty."""
    hits, groups = np.repeat([1, 1, 1, 1, 1, 1, 1, 0, 0, 0], 4), np.repeat(np.arange(10), 4)
    low, high = proportion_interval(hits, groups)
    (ten_low, ten_high), (forty_low, forty_high) = wilson(0.7, 10), wilson(0.7, 40)
    assert low < ten_low < forty_low < 0.7 < forty_high < ten_high < high
    assert high - low < 1.25 * (ten_high - ten_low)


def test_where_all_is_right_a_group_still_counts_once():
    low, high = proportion_interval(np.ones(40), np.repeat(np.arange(10), 4))
    assert high == 1.0
    assert low < wilson(1.0, 10)[0] < wilson(1.0, 40)[0]
    assert proportion_interval(np.ones(4), np.zeros(4)) is None, "one group does not tell how groups differ"


@pytest.mark.parametrize("size", [1, 5])
def test_grouped_intervals_hold_the_truth_nineteen_times_in_twenty(size):
    """A fixed model, groups of five that share half of their luck; by items alone the interval would hold it three times in four."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(400):
        chance = rng.beta(0.7, 0.3, size=120 // size) if size > 1 else np.full(120, 0.7)
        groups = np.repeat(np.arange(120 // size), size)
        low, high = proportion_interval(rng.random(120) < chance[groups], groups)
        inside.append(low <= 0.7 <= high)
    assert 0.925 <= np.mean(inside) <= 0.98


def test_students_interval_of_items_alone_is_the_textbooks():
    from scipy.stats import t

    x = np.random.default_rng(0).gamma(2.0, size=25)
    expected = t.interval(0.95, 24, loc=x.mean(), scale=x.std(ddof=1) / 5)
    assert mean_interval(x) == pytest.approx(expected)
    assert mean_interval(np.repeat(x, 3), np.repeat(np.arange(25), 3)) == pytest.approx(expected), "copies add nothing"
    assert mean_interval(x, np.zeros(25)) is None


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="3 groups for 2 items"):
        groups_of([1, 2, 3], 2)
    with pytest.raises(ValueError, match="at least one item"):
        proportion_interval([])
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        compare_paired([1, 0], [1, 0, 1])


# Two models on the same items


@pytest.mark.parametrize("counts", [(30, 4, 9, 7), (50, 0, 0, 0), (0, 0, 0, 3), (0, 6, 0, 0), (10, 1, 0, 9), (3, 5, 5, 2)])
def test_paired_intervals_hold_the_difference_and_turn_with_it(counts):
    both, first, second, neither = counts
    low, high = paired_interval(*counts)
    assert -1 <= low <= (first - second) / sum(counts) <= high <= 1
    assert paired_interval(both, second, first, neither) == pytest.approx((-high, -low))
    assert paired_interval(neither, first, second, both) == pytest.approx((low, high)), "rights for wrongs, and the two changed about"


def test_models_that_agree_can_be_told_apart_sooner():
    """30 of 100 against 20 of 100: by chance if they differ on 50 tracks, hardly if on 10."""
    assert paired_interval(0, 30, 20, 50)[0] < 0 < paired_interval(20, 10, 0, 70)[0]


def test_paired_intervals_cover_the_difference_nineteen_times_in_twenty():
    rng, p = np.random.default_rng(0), [0.5, 0.15, 0.1, 0.25]
    drawn = rng.multinomial(80, p, size=400)
    inside = [low <= p[1] - p[2] <= high for low, high in (paired_interval(*map(int, counts)) for counts in drawn)]
    assert 0.92 <= np.mean(inside) <= 0.99


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_the_sign_flip_counts_every_pattern(totals):
    found = abs(sum(totals))
    patterns = [abs(sum(sign * total for sign, total in zip(signs, totals, strict=True))) for signs in itertools.product((1, -1), repeat=len(totals))]
    assert exact_sign_flip(np.array(totals)) == pytest.approx(np.mean(np.array(patterns) >= found))


def test_with_items_alone_the_sign_flip_is_mcnemars_exact_test():
    from scipy.stats import binomtest

    totals = np.repeat([1, -1, 0], [18, 7, 75])
    assert exact_sign_flip(totals) == pytest.approx(binomtest(18, 25).pvalue)
    assert drawn_sign_flip(totals.astype(float), seed=1) == pytest.approx(binomtest(18, 25).pvalue, abs=0.005)


def test_what_groups_say_together_proves_less():
    first, second = np.repeat([1, 0, 1, 0], [12, 4, 20, 4]), np.repeat([0, 1, 1, 0], [12, 4, 20, 4])
    alone, together = compare_paired(first, second), compare_paired(first, second, np.repeat(np.arange(10), 4))
    assert (alone.difference, alone.wins, alone.losses) == (together.difference, together.wins, together.losses) == (pytest.approx(0.2), 12, 4)
    assert alone.p_value < together.p_value and together.is_tie
    assert together.interval[0] < alone.interval[0] and alone.interval[1] < together.interval[1]


def test_a_model_ties_with_its_copy_and_not_with_a_much_better_one():
    rng = np.random.default_rng(0)
    hits, groups = rng.random(100) < 0.6, np.repeat(np.arange(50), 2)
    for grouped in (None, groups):
        copy = compare_paired(hits, hits, grouped)
        assert copy.is_tie and copy.p_value == 1.0 and copy.difference == 0.0
        better = compare_paired(np.ones(100), hits, grouped)
        assert not better.is_tie and better.interval[0] > 0.2
    assert compare_paired(hits, ~hits, np.zeros(100)).is_tie, "one group proves nothing"


def test_losses_are_compared_by_their_means():
    rng = np.random.default_rng(0)
    first = rng.gamma(2.0, size=80)
    near, far = compare_paired(first + rng.normal(0, 0.5, 80), first), compare_paired(first + 0.3 + rng.normal(0, 0.5, 80), first)
    assert near.is_tie and not far.is_tie
    assert far.interval[0] < far.difference < far.interval[1]


# The best of many


def coin(rng, n_trials, n_epochs, n):
    """Trials that all are right seven times in ten, whatever the epoch."""
    return [(rng.random((n_epochs, n)) < 0.7,) for _ in range(n_trials)]


def winner_of(candidates):
    return max(range(len(candidates)), key=lambda i: (candidates[i][0].mean(axis=1).max(), -i))


def test_the_best_of_many_equals_is_worth_what_all_are():
    rng, scores, expected, inside = np.random.default_rng(0), [], [], []
    for _ in range(25):
        candidates = coin(rng, 12, 6, 100)
        found = expect_chosen(candidates, winner_of(candidates), [100], resamples=200)
        scores.append(found.score)
        expected.append(found.expected)
        inside.append(found.interval[0] <= 0.7 <= found.interval[1])
        assert (found.candidates, found.states) == (12, 72)
    assert np.mean(scores) > 0.79
    assert np.mean(expected) == pytest.approx(0.7, abs=0.015)
    assert np.mean(inside) >= 0.9


def test_a_winner_far_ahead_is_worth_what_it_scored():
    rng = np.random.default_rng(0)
    ahead = (rng.random((1, 200)) < 0.9,)
    found = expect_chosen([ahead, *((rng.random((1, 200)) < 0.5,) for _ in range(20))], 0, [200], resamples=400)
    assert found.expected == pytest.approx(found.score, abs=0.01)
    assert found.interval == pytest.approx(proportion_interval(ahead[0][0]), abs=0.015)


def test_the_choice_is_made_again_by_whole_groups():
    """Two models, each right on half of the groups: what one group says, its other items say too, and left out are only other groups."""
    groups = np.repeat(np.arange(20), 5)
    first = (groups % 2 == 0)[None]
    by_items, by_groups = (expect_chosen([(first,), (~first,)], 0, [100], g, resamples=1000) for g in (None, groups))
    assert by_groups.expected < by_items.expected < 0.5
    assert by_groups.interval[1] - by_groups.interval[0] > 1.5 * (by_items.interval[1] - by_items.interval[0])
    assert expect_chosen([(first,)], 0, [100], np.zeros(100)) is None


def test_folds_and_repeats_choose_within_each_training():
    rng = np.random.default_rng(0)
    parts = tuple(rng.random((4, n)) < 0.7 for n in (30, 20, 30, 20))
    found = expect_chosen([parts], 0, [30, 20], resamples=400)
    assert found.score == pytest.approx(np.mean([part.mean(axis=1).max() for part in parts]))
    assert found.expected < found.score
    best = [part[part.mean(axis=1).argmax()] for part in parts]
    assert item_scores(parts, [30, 20]) == pytest.approx(np.concatenate([(best[0] + best[2].astype(int)) / 2, (best[1] + best[3].astype(int)) / 2]))


def test_losses_choose_the_smallest():
    rng = np.random.default_rng(0)
    candidates = [(rng.gamma(2.0, size=(3, 100)),) for _ in range(10)]
    winner = min(range(10), key=lambda i: candidates[i][0].mean(axis=1).min())
    found = expect_chosen(candidates, winner, [100], maximize=False, resamples=400)
    assert found.score < found.expected == pytest.approx(2.0, abs=0.25)
    assert found.interval[0] < found.expected < found.interval[1]


def test_the_cheapest_that_is_near_enough_is_chosen_for_its_cost():
    rng = np.random.default_rng(0)
    base = rng.random(300) < 0.8
    dear, cheap, poor = base, base & (rng.random(300) < 0.985), base & (rng.random(300) < 0.6)
    candidates = [(hits[None],) for hits in (dear, cheap, poor)]
    by_score = expect_chosen(candidates, 0, [300], resamples=300)
    by_cost = expect_chosen(candidates, 1, [300], costs=[3.0, 2.0, 1.0], within=0.05, resamples=300)
    assert by_score.expected == pytest.approx(dear.mean(), abs=0.01)
    assert by_cost.expected == pytest.approx(cheap.mean(), abs=0.01)
    assert by_cost.score == pytest.approx(cheap.mean())
