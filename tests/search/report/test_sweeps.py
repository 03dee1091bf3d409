"""Sweeps: which studies are one, and what the page says and draws of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from genre_models import resampling
from genre_models.item_scores import describe_items, scores_of
from genre_models.resampling.intervals import wilson
from search.report import write_report
from search.report.sweep_blocks import sweep_blocks
from search.report.sweeps import sweeps
from search.study_view import StudyView
from search.trial import Trial
from tests.browser import running_browser
from tests.search.report.test_page import HOSTILE, data_of, page_of, scripts_of, without_scripts
from tests.search.report.views import N, R, first, full, stopped, view_of


def trained(number: int, right: int, family: str = "cnn", epochs: int = 10, peak: int = 6, of: int = R, **params: Any) -> Trial:
    """A trial whose score rises to `right` items of N in epoch `peak` and falls by one each epoch after that; trained to `epochs`, of which early stopping may be the reason."""
    validation = [max(right - 4 * (peak - epoch) if epoch < peak else right - (epoch - peak), 0) for epoch in range(1, epochs + 1)]
    history = [{"epoch": epoch, "loss": 1.0, "accuracy": 0.08 * epoch, "val_loss": 1.0, "val_accuracy": n / N} for epoch, n in enumerate(validation, 1)]
    table = np.array([first(n) for n in validation])
    p = np.stack([~table[peak - 1], table[peak - 1]], axis=1).astype(float)
    items = describe_items([[f"t{i}" for i in range(N)]], [scores_of("val_accuracy", np.ones(N, int), p, table)], "val_accuracy", {})
    early = epochs < of
    outcome = {
        "value": right / N, "interval": list(wilson(right / N, N)), "best_epoch": peak, "epochs": epochs, "stopped_early": early, "history": history, "scores": [right / N],
        "fit_seconds": 3.0 * epochs, "items": items,
    }  # fmt: skip
    reports = {row["epoch"]: row["val_accuracy"] for row in history}
    named = {f"{family}/{name}": value for name, value in params.items()}
    return Trial(number, "COMPLETE", {"family": family, "epochs": of, "params": {}}, {"family": family, **named}, reports, "early-stop" if early else "full", None, right / N, outcome)


def failed(number: int, **params: Any) -> Trial:
    """A trial whose loss was no number in epoch 3."""
    named = {f"cnn/{name}": value for name, value in params.items()}
    return Trial(number, "FAIL", {"family": "cnn", "epochs": R, "params": {}}, {"family": "cnn", **named}, {1: 0.1, 2: 0.1}, "nan", "loss is nan at epoch 3")


def settings_of_only(view: StudyView) -> list[tuple[Any, ...]]:
    (sweep,) = sweeps(view)
    return [setting.values for setting in sweep.settings]


def test_one_parameter_that_differs_is_a_sweep_with_its_repeats_gathered_and_its_values_in_order() -> None:
    view = view_of([trained(0, 60, kernel=7), trained(1, 50, kernel=3), trained(2, 62, kernel=7), trained(3, 55, kernel=5)])
    (sweep,) = sweeps(view)
    assert (sweep.family, sweep.factors, sweep.columns) == ("cnn", ("kernel",), None)
    assert [(setting.values, [trial.number for trial in setting.trials]) for setting in sweep.settings] == [((3,), [1]), ((5,), [3]), ((7,), [0, 2])]


def test_two_crossed_parameters_are_a_grid_and_two_that_move_together_are_not() -> None:
    grid = [(monitor, patience) for patience in (20, 10) for monitor in ("val_loss", "val_accuracy")]
    view = view_of([trained(i, 50 + i, monitor=monitor, patience=patience) for i, (monitor, patience) in enumerate(grid)])
    view.distributions["cnn/monitor"] = CategoricalDistribution(("val_loss", "val_accuracy"))
    (sweep,) = sweeps(view)
    assert sweep.columns == 2 and settings_of_only(view) == [("val_loss", 10), ("val_loss", 20), ("val_accuracy", 10), ("val_accuracy", 20)]
    assert sweeps(view_of(view.trials[:3]))[0].columns is None  # one setting is still to come
    assert sweeps(view_of([trained(i, 50, factor=factor, patience=patience) for i, (factor, patience) in enumerate([(0.1, 5), (0.3, 10), (0.5, 15)])])) == []


def test_values_that_python_calls_equal_are_two_settings() -> None:
    assert settings_of_only(view_of([trained(0, 50, mode=True), trained(1, 51, mode=1), trained(2, 52, mode="")])) == [(True,), (1,), ("",)]


def test_a_search_is_no_sweep() -> None:
    rng = np.random.default_rng(0)
    many = [trained(i, int(rng.integers(20, 90)), kernel=int(rng.choice([3, 5, 7]))) for i in range(101)]
    assert sweeps(view_of(many)) == [] and len(sweeps(view_of(many[:100]))) == 1
    assert sweeps(view_of([trained(i, 50, rate=float(rng.random()), width=float(rng.random())) for i in range(9)])) == []  # both drawn anew each time
    assert sweeps(view_of([trained(i, 50, rate=float(rng.random())) for i in range(17)])) == []  # too many settings
    three = [trained(i, 50, rate=i % 2, width=i // 2 % 2, pool=i // 4) for i in range(8)]
    assert sweeps(view_of(three)) == []
    sweep = [trained(10 + i, 50 + i, "svm", C=float(i)) for i in range(3)]
    assert sweeps(view_of([*three, *sweep])) == [] and len(sweeps(view_of(sweep))) == 1  # every family must be swept
    assert sweeps(view_of([])) == sweeps(view_of([trained(0, 50, kernel=3)])) == sweeps(view_of([trained(0, 50), trained(1, 50)])) == []


def test_settings_that_were_stopped_are_not_compared_with_those_that_were_not() -> None:
    whole = [trained(i, 50, kernel=3 + 2 * (i % 3)) for i in range(4)]
    assert len(sweeps(view_of([*whole, stopped(4, 0.3, params={"cnn/kernel": 9})]))) == 1
    assert sweeps(view_of([*whole, *(stopped(i, 0.3, params={"cnn/kernel": 9}) for i in (4, 5))])) == []


def test_a_setting_that_failed_keeps_its_place_and_says_why() -> None:
    (block,) = sweep_blocks(view_of([failed(0, rate=0.1), trained(1, 40, rate=0.01), trained(2, 70, rate=0.001)]), resampling)
    assert [row.values for row in block.rows] == [("0.001",), ("0.01",), ("0.1",)]
    assert (block.rows[2].score, block.rows[2].standing, block.rows[2].epochs) == ("–", "failed: loss is nan at epoch 3", "2")
    assert "1 of the settings has no score" in block.sentence
    assert block.plot["cells"][2]["note"] == "failed after epoch 2" and block.plot["cells"][2]["lines"][0]["v"] == [0.1, 0.1]
    assert sweep_blocks(view_of([failed(0, rate=0.1), failed(1, rate=0.01), trained(2, 70, rate=0.001)]), resampling) == []


def test_the_best_is_told_from_what_is_worse_and_ties_are_named() -> None:
    (block,) = sweep_blocks(view_of([trained(0, 40, kernel=3), trained(1, 70, kernel=5), trained(2, 72, kernel=7)]), resampling)
    assert [row.standing for row in block.rows] == ["worse", "a tie", "the best"]
    assert block.sentence == "The best setting is kernel 7, with 60.0 %. It can't be told apart from 1 of the other 2 (paired test, 95 %): kernel 5."
    worse = block.rows[0]
    assert worse.difference.startswith("-26.7 points (") and worse.interval == f"{100 * wilson(40 / N, N)[0]:.1f} to {100 * wilson(40 / N, N)[1]:.1f} %"
    assert worse.gap == f"{100 * (0.48 - 40 / N):+.1f} points" and (worse.best_epoch, worse.epochs, worse.stopped, worse.seconds) == ("6", "10", "stopped early", "30 s")
    (alone,) = sweep_blocks(view_of([trained(0, 40, kernel=3), trained(1, 70, kernel=5)]), resampling)
    assert alone.sentence.endswith("The paired test (95 %) tells it from the other; it was chosen by these very scores, so the test is somewhat too sure.")
    (blind,) = sweep_blocks(view_of([trained(0, 40, kernel=3), trained(1, 70, kernel=5)]), None)
    assert [row.standing for row in blind.rows] == ["not comparable", "the best"] and blind.sentence == "The best setting is kernel 5, with 58.3 %."


def test_repeats_are_averaged_with_an_interval_over_items_and_their_spread() -> None:
    trials = [trained(0, 60, epochs=8, kernel=3), trained(1, 66, epochs=12, of=12, kernel=3), trained(2, 30, kernel=5)]
    (block,) = sweep_blocks(view_of(trials), resampling)
    row = block.rows[0]
    low, high = wilson(63 / N, N)  # of the items' mean scores, 60 ones, 6 halves
    assert (row.score, row.interval) == ("52.5 %", f"{100 * low:.1f} to {100 * high:.1f} %")
    assert (row.spread, row.trials, row.epochs, row.stopped) == ("2 trainings: 50.0 to 55.0 %", "trials 0, 1", "8 to 12", "1 of 2 stopped early")
    assert len(block.plot["cells"][0]["lines"]) == 2 and block.plot["cells"][0]["mark"][:2] == [6.0, 0.525]


def test_repeats_within_a_trial_are_told_apart_from_its_folds() -> None:
    first_one, other = trained(0, 60, kernel=3), trained(1, 50, kernel=5)
    first_one.spec |= {"folds": 2, "repeats": 2}
    first_one.outcome["scores"] = [0.4, 0.6, 0.5, 0.7]
    (block,) = sweep_blocks(view_of([first_one, other]), resampling)
    assert block.rows[0].spread == "2 trainings: 50.0 to 60.0 %" and block.parts == 4


def test_of_losses_the_lowest_is_best_and_a_runaway_flattens_nobody() -> None:
    trials = [full(0, 0.9, params={"cnn/rate": 0.1}), full(1, 0.5, params={"cnn/rate": 0.2}), full(2, 0.7, params={"cnn/rate": 0.3})]
    for trial in trials:
        trial.outcome |= {"interval": None, "history": [{"epoch": e, "loss": trial.value - 0.2, "val_loss": 1e6 if e == 1 and trial.number == 0 else trial.value} for e in range(1, R + 1)]}
    (block,) = sweep_blocks(StudyView("s", False, "val_loss", {}, trials), resampling)
    assert block.sentence.startswith("The best setting is rate 0.2, with 0.500.") and block.rows[1].gap == "+0.200"
    assert block.plot["y"] == [0.3, 1.8]


def test_a_family_without_epochs_has_its_table_alone(tmp_path: Path) -> None:
    view = view_of([full(i, 0.5 + i / 10, "svm", params={"svm/C": 10**i}) for i in range(3)])
    (block,) = sweep_blocks(view, resampling)
    assert block.plot is None and [row.epochs for row in block.rows] == ["–"] * 3
    page = page_of(view, tmp_path / "s")
    assert "What was varied: C" in page and data_of(page)["sweeps"] == [] and 'class="plot sweep"' not in page


def test_a_search_has_no_such_section(tmp_path: Path) -> None:
    page = page_of(view_of([full(i, 0.5 + i / 100, params={"cnn/rate": 0.01 * i, "cnn/width": i / 10}) for i in range(5)]), tmp_path / "s")
    assert "What was varied" not in page and data_of(page)["sweeps"] == []


def test_the_page_shows_each_setting_and_hostile_values_stay_text(tmp_path: Path) -> None:
    trials = [trained(0, 60, HOSTILE, **{HOSTILE: HOSTILE}), trained(1, 30, HOSTILE, **{HOSTILE: "b"}), failed(2, kernel=3), trained(3, 33, kernel=5), trained(4, 34, kernel=7)]
    trials[2].reason = HOSTILE
    page = page_of(view_of(trials), tmp_path / "s")
    assert len(scripts_of(page)) == 2 and page.count("</script>") == 3 and "<script>alert" not in page and "\x07" not in page and "49%{x}" not in page
    markup, data = without_scripts(page), data_of(page)
    assert markup.count("data-sweep=") == 2 and 'data-sweep="1"' in markup and [one["family"] for one in data["sweeps"]] == [HOSTILE, "cnn"]
    assert {cell["short"] for cell in data["sweeps"][0]["cells"]} == {HOSTILE, "b"}
    assert re.search(r"<b class=\"wrap\">&lt;/script&gt;", markup) and "failed: &lt;/script&gt;" in markup


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark", "columns"), [(1400, False, 3), (390, True, 2)])
def test_a_browser_draws_a_sweep_when_one_comes_near_with_the_same_axes(tmp_path: Path, width: int, dark: bool, columns: int) -> None:
    hostile = "<img src=x onerror=document.title='owned'>"
    grid = [(factor, patience) for factor in (0.1, 0.3, 0.5) for patience in (5, 10, hostile)]
    view = view_of([trained(i, 60 + i, factor=factor, patience=str(patience)) for i, (factor, patience) in enumerate(grid)])
    page = write_report(view, tmp_path, statistics=resampling, doubts=[])
    with running_browser(width=width, height=500, dark=dark) as browser:
        browser.open(page.as_uri())
        assert not browser.run("return document.querySelector('[data-sweep]').classList.contains('js-plotly-plot')"), "it lies further down"
        browser.run("document.querySelector('[data-sweep]').scrollIntoView()")
        browser.wait_for("document.querySelectorAll('[data-sweep] .subplot').length === 9")
        layout = json.loads(browser.run("return JSON.stringify(document.querySelector('[data-sweep]').layout)"))
        axes = {name: axis for name, axis in layout.items() if re.match("[xy]axis", name)}
        assert len(axes) == 18 and len({(name[0], *axis["range"]) for name, axis in axes.items()}) == 2
        assert len({axis["domain"][0] for name, axis in axes.items() if name[0] == "x"}) == columns
        assert browser.run("return document.documentElement.scrollWidth") == width and browser.run("return document.title") != "owned"
        assert browser.complaints() == [] and not [url for url in browser.requested() if not url.startswith("file:")]
