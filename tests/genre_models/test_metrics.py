"""Scores against numbers one can do by hand, against scikit-learn, and by their properties."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genre_models import metrics, score_intervals

LABELS = ["blues", "metal", "pop"]
Y = np.array([0, 0, 1, 1, 2, 2])
P = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.9, 0.0], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2]])


def test_the_scores_of_six_tracks_by_hand():
    assert metrics.accuracy(Y, P) == pytest.approx(4 / 6)
    assert metrics.log_loss(Y, P) == pytest.approx(-np.log([0.8, 0.2, 0.9, 0.6, 0.6, 0.2]).mean())
    confusion = metrics.confusion_matrix(Y, P)
    assert confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert metrics.macro_f1(confusion) == pytest.approx((2 / 4 + 4 / 5 + 2 / 3) / 3)


def test_wilson_by_its_formula():
    """Centre and half-width of Wilson's interval, written out with z = 1.959964."""
    z, n, k = 1.959963985, 40, 30
    centre = (k / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n))
    assert metrics.wilson_interval(k, n) == pytest.approx((centre - half, centre + half), abs=1e-8)
    assert metrics.wilson_interval(0, 5)[0] == 0.0
    assert metrics.wilson_interval(5, 5)[1] == 1.0


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (0, 0), (3, 2), (-1, 4)])
def test_impossible_counts_are_refused(correct, n):
    with pytest.raises(ValueError, match=f"correct={correct}, n={n}"):
        metrics.wilson_interval(correct, n)


def test_agrees_with_scikit_learn():
    from sklearn import metrics as sk

    rng = np.random.default_rng(3)
    y, p = rng.integers(0, 5, 200), rng.dirichlet(np.ones(5), 200)
    found = metrics.final_metrics(list("abcde"), y, p)
    precision, recall, f1, support = sk.precision_recall_fscore_support(y, p.argmax(1), zero_division=0)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, p.argmax(1)))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, p.argmax(1), average="macro"))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, p))
    assert found["confusion"] == sk.confusion_matrix(y, p.argmax(1)).tolist()
    for key, values in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        assert [found["per_class"][label][key] for label in "abcde"] == pytest.approx(list(values))


def test_calibration_error_of_known_gaps():
    """Ten guesses at 0.7 of which five are right: |0.5 - 0.7|; a sure and right model has none."""
    p = np.tile([0.7, 0.3], (10, 1))
    assert metrics.expected_calibration_error([0] * 5 + [1] * 5, p) == pytest.approx(0.2)
    assert metrics.expected_calibration_error([0, 1], np.eye(2)) == 0.0


def test_the_interval_of_a_macro_f1_narrows_with_tracks_and_holds_it():
    guess, few, many = P.argmax(1), np.repeat(np.arange(6), 5), np.repeat(np.arange(6), 50)
    score = metrics.macro_f1(metrics.confusion_matrix(Y, P))
    (low, high), (inner_low, inner_high) = (score_intervals.macro_f1_interval(Y[rows], guess[rows], 3) for rows in (few, many))
    assert low < inner_low < score < inner_high < high


def test_the_interval_of_a_macro_f1_is_that_of_leaving_each_group_out():
    """Against confusion matrices made anew without each group, and Wilson's formula with the number of tracks that their spread stands for."""
    from scipy.stats import t

    rng = np.random.default_rng(1)
    y, guess, groups = rng.integers(0, 3, 60), rng.integers(0, 3, 60), np.repeat(np.arange(20), 3)
    guess[:40] = y[:40]
    score = metrics.macro_f1(metrics.confusion_matrix(y, np.eye(3)[guess]))
    without = [metrics.macro_f1(metrics.confusion_matrix(y[groups != g], np.eye(3)[guess[groups != g]])) for g in range(20)]
    n, z = min(60, score * (1 - score) / (19 * np.var(without))), t.ppf(0.975, 19)
    centre = (score + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(score * (1 - score) / n + z**2 / (4 * n**2))
    assert score_intervals.macro_f1_interval(y, guess, 3, groups) == pytest.approx((centre - half, centre + half))
    assert score_intervals.macro_f1_interval(y, guess, 3, np.zeros(60)) is None


def test_tracks_that_go_together_count_for_less():
    alone = metrics.final_metrics(LABELS, np.repeat(Y, 10), np.repeat(P, 10, axis=0))
    together = metrics.final_metrics(LABELS, np.repeat(Y, 10), np.repeat(P, 10, axis=0), np.repeat(np.arange(6), 10))
    assert {key for key in alone if alone[key] != together[key]} == {"n_groups", "accuracy_ci95", "macro_f1_ci95", "log_loss_ci95", "per_class"}
    assert (alone["n_groups"], together["n_groups"], together["log_loss_ci95"]) == (60, 6, None)
    assert alone["log_loss_ci95"][0] < alone["log_loss"] < alone["log_loss_ci95"][1]
    assert [together["per_class"][label]["recall_ci95"] is None for label in LABELS] == [False] * 3
    for key in ("accuracy", "macro_f1"):
        (low, high), (wide_low, wide_high) = alone[f"{key}_ci95"], together[f"{key}_ci95"]
        assert wide_low < low < alone[key] < high < wide_high


def test_intervals_of_a_class_are_there_where_they_say_something():
    """Class 0: thirty tracks of ten artists; class 1: thirty of one artist; class 2: four tracks; class 3: nothing but a wrong answer."""
    y = np.repeat([0, 1, 2], [30, 30, 4])
    guess = y.copy()
    guess[[0, 1, 2, 30]] = 1, 1, 1, 3
    groups = np.concatenate([np.repeat(np.arange(10), 3), np.full(30, 10), [11, 12, 13, 14]])
    first, second, third, fourth = score_intervals.class_intervals(y, guess, 4, groups)
    low, high = first["recall"]
    assert low < metrics.wilson_interval(27, 30)[0] < 27 / 30 < high, "one artist's three are wrong together"
    assert second["recall"] is None and second["precision"] is not None
    assert third["f1"] is None and third["recall"] == pytest.approx(metrics.wilson_interval(4, 4))
    assert fourth == {"precision": pytest.approx(metrics.wilson_interval(0, 1)), "recall": None, "f1": None}
    assert first["f1"][0] < 2 * 27 / (30 + 27) < first["f1"][1]


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int64, (4, 4), elements=st.integers(0, 9)).filter(lambda c: c.sum() > 1))
def test_every_score_stays_in_its_range(confusion):
    y, guess = np.nonzero(confusion + 0)
    counts = confusion[y, guess]
    y, p = np.repeat(y, counts), np.eye(4)[np.repeat(guess, counts)]
    found = metrics.final_metrics(list("abcd"), y, p)
    assert found["confusion"] == confusion.tolist()
    for key in ("accuracy", "macro_f1", "ece"):
        assert 0.0 <= found[key] <= 1.0
    assert found["accuracy_ci95"][0] <= found["accuracy"] <= found["accuracy_ci95"][1]
    assert 0.0 <= found["macro_f1_ci95"][0] <= found["macro_f1_ci95"][1] <= 1.0


@pytest.mark.parametrize(
    ("y", "p", "says"),
    [([0, 1], [[1.0, 0.0]], "n = len"), ([], np.zeros((0, 2)), "> 0"), ([0], [[np.nan, 1.0]], "finite"), ([2], [[0.5, 0.5]], "0..1")],
)
def test_what_does_not_fit_is_refused(y, p, says):
    with pytest.raises(ValueError, match=says):
        metrics.accuracy(y, p)
    with pytest.raises(ValueError, match="one label per column"):
        metrics.final_metrics(["only"], Y, P)


def test_importing_the_module_is_cheap():
    code = "import sys, genre_models.metrics; print([m for m in ('scipy', 'sklearn', 'keras', 'tensorflow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
