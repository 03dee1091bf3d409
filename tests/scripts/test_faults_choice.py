"""A choice among noise is worth nothing on other tracks, and the difference says so; a choice among unlike settings costs nothing."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models.item_scores import describe_items, scores_of
from scripts.replication import faults_choice, faults_studies
from scripts.replication.faults_choice import halves, thirds, told
from search.trial import Trial


def noise(seed: int, settings: int, epochs: int, tracks: int, share: float = 0.5) -> list[tuple[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.random((epochs, tracks)) < share,) for _ in range(settings)]


def test_among_noise_the_best_is_flattered_by_the_largest_of_so_many_scores():
    """20 settings of 100 deciding tracks each: the largest of 20 normals is 1.867 deviations of 0.05 above, and others know nothing of it."""
    found = [told([halves(noise(seed, 20, 1, 200), [200], seed=seed, splits=15)]) for seed in range(6)]
    assert np.mean([each["chosen_by"] - each["apart"] for each in found]) == pytest.approx(1.867 * 0.05 + 0.006, abs=0.03)
    assert np.mean([each["apart"] for each in found]) == pytest.approx(0.5, abs=0.03)
    assert all(each["deciding"] == 100 and each["tracks"] == 200 for each in found)
    assert sum(each["interval"][0] > 0 for each in found) >= 5


def test_settings_that_are_all_the_same_leave_nothing_to_choose():
    row = np.random.default_rng(0).random(100) < 0.6
    found = told([halves([(np.tile(row, (5, 1)),)] * 3, [100], splits=20)])
    assert found["chosen_by"] == pytest.approx(row.mean()) and found["difference"] == pytest.approx(0.0, abs=1e-9)


def test_a_setting_that_is_far_better_is_chosen_and_costs_nothing():
    settings = [*noise(0, 3, 1, 200, 0.2), *noise(1, 1, 1, 200, 0.9)]
    found = told([halves(settings, [200], splits=20)])
    assert found["apart"] == pytest.approx(settings[3][0].mean()) and abs(found["difference"]) < 1e-9


def test_tracks_that_belong_together_are_not_torn_apart():
    """Each track comes four times: torn apart, every choice would be asked about tracks that it was made by."""
    settings = [(np.repeat(setting[0], 4, axis=1),) for setting in noise(3, 40, 1, 50)]
    whole = told([halves(settings, [200], np.repeat(np.arange(50), 4), splits=30)])
    torn = told([halves(settings, [200], None, splits=30)])
    assert whole["groups"] == 50 and whole["apart"] < 0.53 < torn["apart"]


def test_epochs_are_chosen_fold_by_fold():
    """Each fold has one epoch that tells all its tracks right: choices find both, on any half."""
    right, wrong = np.ones((1, 30), bool), np.zeros((1, 30), bool)
    setting = (np.concatenate([right, wrong]), np.concatenate([wrong, right]))
    assert told([halves([setting], [30, 30], splits=20)])["apart"] == 1.0


def test_a_setting_chosen_by_validation_is_not_flattered_by_the_test():
    found = [told([thirds(noise(seed, 9, 1, 300), [300], seed=seed, splits=8)]) for seed in range(6)]
    by_test, by_validation, apart = (np.mean([each[name] for each in found]) for name in ("chosen_by", "validated", "apart"))
    assert by_test > 0.53 and by_validation == pytest.approx(0.5, abs=0.03) and apart == pytest.approx(0.5, abs=0.03)


def test_deals_are_averaged_and_few_tracks_have_no_interval():
    many, few = halves(noise(0, 5, 3, 100), [100], splits=10), halves(noise(1, 5, 3, 30), [30], splits=10)
    found = told([many, many])
    assert found["deals"] == 2 and found["tracks"] == 200 and found["chosen_by"] == pytest.approx(many.chosen_by)
    one = told([many])["interval"]
    assert np.diff(found["interval"])[0] == pytest.approx(np.diff(one)[0] / np.sqrt(2))
    assert told([few])["interval"] is None and len(many.left_out) == faults_choice.BLOCKS


def trial(number: int, hits: np.ndarray, ids: list[str], losses: list[float]) -> Trial:
    """A finished trial, as the objective and the study leave it."""
    y, p = np.zeros(len(ids), int), np.where(hits[-1][:, None], [0.9, 0.1], [0.1, 0.9])
    items = describe_items([ids], [scores_of("val_accuracy", y, p, hits)], "val_accuracy", {})
    history = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, start=1)]
    return Trial(number, "COMPLETE", {"family": "cnn", "params": {}}, outcome={"items": items, "history": history})


def test_trials_on_the_same_tracks_make_a_deal():
    rng, ids = np.random.default_rng(0), [f"t{i}" for i in range(20)]
    tables = [rng.random((3, 20)) < 0.5, rng.random((2, 20)) < 0.5]
    trials = {"a": trial(0, tables[0], ids, [2.0, 1.0, 3.0]), "b": trial(1, tables[1], ids, [2.0, 1.5]), "c": trial(2, tables[0], ids[::-1], [1.0, 1.0, 1.0])}
    deal = faults_studies.deal_of(trials)
    assert deal.names == ("a", "b") and deal.folds == (20,) and deal.restored == (1, 1)
    assert (deal.settings[1][0] == tables[1]).all()
    assert (deal.at_restored.settings[0][0] == tables[0][1:2]).all() and deal.alone(1).names == ("b",)
    assert faults_studies.deal_of({"a": trials["a"], "c": trials["c"]}) is None
    assert faults_studies.deal_of({"a": trials["a"], "old": Trial(3, "COMPLETE", {"family": "cnn"})}) is None


def test_no_sweep_is_found_where_nothing_ran(tmp_path):
    assert faults_studies.sweeps_of(tmp_path) == {} and faults_studies.sweeps_of(None) == {}
