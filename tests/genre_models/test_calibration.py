"""How far probabilities can be believed: temperature and reliability, by hand and by properties."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models import metrics
from genre_models.calibration import calibration, reliability, scaled
from genre_models.item_scores import validated


def sure_of_itself(rng, n, factor):
    """Classes drawn from honest probabilities, and those probabilities made too sure."""
    logits = rng.normal(0, 1.2, (n, 5))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(5, p=row) for row in honest])
    sharp = np.exp(factor * logits)
    return y, (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32)


def test_the_temperature_of_validation_undoes_what_made_the_model_too_sure():
    rng = np.random.default_rng(0)
    y_validation, p_validation = sure_of_itself(rng, 3000, 2.5)
    y, p = sure_of_itself(rng, 3000, 2.5)
    temperature = validated([str(i) for i in range(3000)], y_validation, p_validation, {})["temperature"]
    assert temperature == pytest.approx(2.5, rel=0.08)
    found = calibration(y, p, temperature)
    assert found["log_loss"] < metrics.log_loss(y, p) - 0.1
    assert found["ece"] < 0.5 * metrics.expected_calibration_error(y, p)


def test_no_class_changes_at_any_temperature_and_1_leaves_all_as_it_is():
    y, p = sure_of_itself(np.random.default_rng(1), 200, 1.0)
    assert scaled(p, 1.0) == pytest.approx(p, abs=1e-6)
    for temperature in (0.2, 3.0):
        assert (scaled(p, temperature).argmax(axis=1) == p.argmax(axis=1)).all()
        assert scaled(p, temperature).sum(axis=1) == pytest.approx(1.0)


def test_the_bins_are_those_of_the_calibration_error():
    y, p = sure_of_itself(np.random.default_rng(2), 300, 2.0)
    bins = reliability(y, p)
    assert sum(each["n"] for each in bins) == 300
    error = sum(each["n"] * abs(each["accuracy"] - each["confidence"]) for each in bins) / 300
    assert error == pytest.approx(metrics.expected_calibration_error(y, p))
    for each in bins:
        assert each["low"] < each["confidence"] <= each["high"] + 1e-9
        assert each["accuracy_ci95"][0] <= each["accuracy"] <= each["accuracy_ci95"][1]


def test_without_a_temperature_nothing_is_scaled_and_a_bin_of_one_group_has_no_interval():
    y, p = sure_of_itself(np.random.default_rng(3), 40, 1.0)
    found = calibration(y, p, None, np.zeros(40))
    assert (found["temperature"], found["log_loss"], found["ece"], found["reliability_scaled"]) == (None, None, None, None)
    assert all(each["accuracy_ci95"] is None or each["n"] == 1 for each in found["reliability"])
