"""Who wins, who ties with the winner, what its score is worth: on scripted outcomes, with the real statistics."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from genre_models import resampling
from genre_models.item_scores import describe_items, scores_of
from search.config import load_space
from search.errors import SpaceFileError, StudyError
from search.item_scores import item_scores
from search.leaderboard import print_leaderboard, write_leaderboard
from search.preference import Preference, read_preference, recorded_preference
from search.study_view import select_winner
from search.trial import Trial
from search.winner import unconfirmed_lines, winner_lines
from tests.search.scripted_driver import FAMILIES, space_text

N = 120
IDS = [f"t{number:03d}" for number in range(N)]
RNG = np.random.default_rng(0)
HARD = RNG.permutation(N)  # items in the order of how many models tell them right


def hits(right: int, wrong_besides: int = 0) -> np.ndarray:
    """A model that has the easiest `right` items right, but for a few of them."""
    found = np.zeros(N, bool)
    found[HARD[:right]] = True
    found[HARD[:wrong_besides]] = False
    return found


def scored(number: int, rows: Sequence[np.ndarray], family: str = "cnn", groups: dict[str, int] | None = None, **outcome: Any) -> Trial:
    """A full trial that had these items right, epoch by epoch."""
    table = np.array(rows)
    value = float(table.mean(axis=1).max())
    p = np.stack([~table[table.mean(axis=1).argmax()], table[table.mean(axis=1).argmax()]], axis=1).astype(float)
    items = describe_items([IDS], [scores_of("val_accuracy", np.ones(N, int), p, table)], "val_accuracy", groups or {})
    told = {"value": value, "interval": [value - 0.05, value + 0.05], "epochs": 3, "seconds": 9.0, "fit_seconds": 5.0, "parameters": 100, "items": items}
    spec = {"family": family, "epochs": 3}
    told = json.loads(json.dumps(told | outcome))
    return Trial(number, "COMPLETE", spec, {"family": family, f"{family}/depth": number}, {3: value}, "full", None, value, told)


def selected(trials: list[Trial], prefer: str = "best", maximize: bool = True, confirm: dict | None = None):
    return select_winner("s", trials, maximize, confirm, prefer, resampling)


def table_of(trials: list[Trial], width: int = 160, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_leaderboard(console, trials, True, "val_accuracy", selection=selected(trials, **options))
    return console.file.getvalue()


def test_what_was_scored_comes_back_as_it_was_packed() -> None:
    rows, groups = [hits(70), hits(90, 3)], {id: number // 4 for number, id in enumerate(IDS)}
    found = item_scores(scored(0, rows, groups=groups))
    assert found.folds == (N,) and found.parts[0].tolist() == [row.tolist() for row in rows]
    assert found.groups.tolist() == [number // 4 for number in range(N)]
    p = RNG.dirichlet(np.ones(3), N)
    truth = RNG.integers(0, 3, N)
    losses = describe_items([IDS[:50], IDS[50:]], [scores_of("val_loss", truth[:50], p[:50]), scores_of("val_loss", truth[50:], p[50:])], "val_loss", {})
    found = item_scores(Trial(0, "COMPLETE", {}, outcome={"items": losses}))
    assert found.folds == (50, 70) and found.groups is None
    assert np.concatenate(found.parts, axis=1)[0] == pytest.approx(-np.log(p[np.arange(N), truth]), rel=1e-3)


@pytest.mark.parametrize(
    "items", [None, {}, {"order": "x", "folds": [], "groups": None, "kind": "hits", "parts": []}, {"kind": "a later kind"}, {"parts": ["not packed"]}]
)
def test_scores_that_are_missing_or_of_another_version_are_left_out(items: Any) -> None:
    whole = scored(0, [hits(80)]).outcome["items"]
    trial = scored(1, [hits(90)])
    trial.outcome["items"] = items if not items or "order" in items else whole | items
    assert item_scores(trial) is None
    selection = selected([scored(0, [hits(80)]), trial])
    assert selection.winner.trial is trial and selection.against_winner == {} and selection.expected is None
    assert winner_lines(selection, "val_accuracy") == ["winner: trial 1, cnn: val_accuracy 0.750 [0.700, 0.800]"]


def test_two_copies_of_one_configuration_are_a_tie_and_a_much_worse_one_is_none(tmp_path: Path) -> None:
    trials = [scored(0, [hits(90)]), scored(1, [hits(90)]), scored(2, [hits(60)], "classical"), scored(3, [hits(88)], "classical")]
    selection = selected(trials)
    assert selection.winner.trial.number == 0
    assert {number: told.is_tie for number, told in selection.against_winner.items()} == {1: True, 2: False, 3: True}
    assert selection.against_winner[1].p_value == 1.0
    lines = table_of(trials).splitlines()
    standing = {line.split()[1]: word for line in lines for word in ("winner", "tie", "worse") if f" {word} " in f"{line} " and line.split()[0].isdigit()}
    assert standing == {"0": "winner", "1": "tie", "2": "worse", "3": "tie"}
    told = winner_lines(selection, "val_accuracy")
    assert told[0] == "winner: trial 0, cnn: val_accuracy 0.750 [0.700, 0.800]"
    assert "  can't be told apart from 2 of 3 others (paired, 95 %): trials 1, 3" in told
    assert any(line.startswith("  next, trial 1: +0.000 [") and line.endswith("], a tie") for line in told)
    assert any(line.startswith("  best classical, trial 3: -0.017 [") and line.endswith("], a tie") for line in told)
    write_leaderboard(tmp_path / "l.csv", trials, True, "val_accuracy", "demo", selection)
    with (tmp_path / "l.csv").open() as handle:
        rows = {row["trial"]: row for row in csv.DictReader(handle)}
    assert [rows[number]["against_winner"] for number in "0123"] == ["winner", "tie", "worse", "tie"]
    assert (rows["1"]["difference"], rows["1"]["p_value"]) == ("0.0", "1.0") and rows["0"]["difference"] == ""
    assert float(rows["2"]["difference"]) == -0.25 and float(rows["2"]["difference_low"]) < -0.25 < float(rows["2"]["difference_high"]) < 0


def test_groups_decide_whether_a_difference_is_one() -> None:
    """Twelve items more right: by strangers a difference; by one artist's twelve tracks none."""
    better, worse = hits(90), hits(78)
    of_one_artist = {IDS[item]: 1000 for item in HARD[78:90]}
    alone, grouped = ([scored(0, [better], groups=groups), scored(1, [worse], groups=groups)] for groups in ({}, of_one_artist))
    assert not selected(alone).against_winner[1].is_tie
    assert selected(grouped).against_winner[1].is_tie


def test_trials_scored_on_other_items_are_not_compared() -> None:
    other = scored(1, [hits(80)])
    other.outcome["items"]["order"] = "another"
    selection = selected([scored(0, [hits(90)]), other, scored(2, [hits(90)])])
    assert set(selection.against_winner) == {2} and selection.expected.candidates == 2
    assert any("2 full trials (1 more without a record of their items)" in line for line in winner_lines(selection, "val_accuracy"))


def test_the_winner_of_many_is_told_what_its_score_is_worth() -> None:
    rng = np.random.default_rng(1)
    trials = [scored(number, rng.random((3, N)) < 0.6) for number in range(20)]
    selection = selected(trials)
    assert selection.winner.value > 0.66 and selection.expected.score == pytest.approx(selection.winner.value)
    assert selection.expected.expected == pytest.approx(0.6, abs=0.04)
    low, high = selection.expected.interval
    line = f"  expected after the optimism of choosing among 20 full trials and 60 epochs: {selection.expected.expected:.3f} [{low:.3f}, {high:.3f}]"
    assert line in winner_lines(selection, "val_accuracy")


def test_of_one_trial_only_its_epochs_were_chosen_among() -> None:
    rng = np.random.default_rng(1)
    (line,) = winner_lines(selected([scored(0, rng.random((9, N)) < 0.6)]), "val_accuracy")[1:]
    assert line.startswith("  expected after the optimism of choosing among 9 epochs: 0.")
    assert len(winner_lines(selected([scored(0, [hits(80)])]), "val_accuracy")) == 1, "nothing was chosen"


@pytest.mark.parametrize(
    ("prefer", "winner"),
    [("best", 0), ("cheapest-within 0", 0), ("cheapest-within 0.02", 1), ("cheapest-within 0.3", 3), ("cheapest-within ties", 2)],
)
def test_the_cheapest_near_the_best_wins_where_that_is_preferred(prefer: str, winner: int) -> None:
    trials = [
        scored(0, [hits(90)], fit_seconds=50.0),
        scored(1, [hits(88)], fit_seconds=9.0, parameters=50),
        scored(2, [hits(86)], fit_seconds=8.0),
        scored(3, [hits(60)], fit_seconds=1.0),
        scored(4, [hits(88)], fit_seconds=9.0, parameters=60),
    ]
    trials[2].outcome["items"]["parts"] = scored(2, [hits(86)]).outcome["items"]["parts"]
    selection = selected(trials, prefer)
    assert selection.winner.trial.number == winner
    told = "\n".join(winner_lines(selection, "val_accuracy"))
    assert ("by prefer" in told) == (prefer != "best")
    if winner == 3:
        assert "cheapest (1 s of fitting) of those near the best, trial 0 with 0.750" in told and "next, trial 0: +0.250" in told and "better" in told
    assert selection.expected is None or selection.expected.score == pytest.approx(selection.winner.value)


def test_what_is_not_known_to_be_cheap_is_not_the_cheapest() -> None:
    unknown = scored(1, [hits(90)])
    del unknown.outcome["fit_seconds"]
    assert selected([scored(0, [hits(90)], fit_seconds=70.0), unknown], "cheapest-within 0.1").winner.trial.number == 0


def test_of_losses_the_smaller_is_better_and_the_difference_has_the_metrics_sign() -> None:
    rng, trials = np.random.default_rng(0), []
    base = rng.gamma(2.0, 0.3, N)
    for number, more in enumerate((0.4, 0.0, 0.02)):
        losses = np.clip(base + more + rng.normal(0, 0.05, N), 0.01, 10)
        p = np.stack([1 - np.exp(-losses), np.exp(-losses)], axis=1)
        items = describe_items([IDS], [scores_of("val_loss", np.ones(N, int), p)], "val_loss", {})
        value = float(losses.mean())
        trials.append(Trial(number, "COMPLETE", {"family": "cnn", "epochs": 3}, {}, {3: value}, "full", None, value, {"items": items, "interval": None}))
    selection = selected(trials, maximize=False)
    assert selection.winner.trial.number == 1
    assert not selection.against_winner[0].is_tie
    assert any(line.startswith("  next, trial 2: +0.0") for line in winner_lines(selection, "val_loss"))
    assert selection.expected.expected >= selection.winner.value - 0.01


def test_the_confirmed_are_compared_by_what_confirmed_them() -> None:
    trials = [scored(0, [hits(95)]), scored(1, [hits(90)]), scored(2, [hits(94)])]
    for number, right in ((0, 80), (1, 100)):
        again = scored(number + 3, [hits(right)])
        again.spec |= {"confirms": number, "folds": 5}
        trials.append(again)
    confirm = {"top": 2, "folds": 5}
    with pytest.raises(StudyError, match="being confirmed"):
        selected(trials, confirm=confirm)
    third = scored(5, [hits(70)])
    third.spec |= {"confirms": 2, "folds": 5}
    selection = selected([*trials, third], confirm=confirm)
    assert selection.winner.trial.number == 1 and selection.winner.value == pytest.approx(100 / N)
    assert set(selection.against_winner) == {0, 2} and not selection.against_winner[0].is_tie
    assert winner_lines(selection, "val_accuracy")[0].startswith("winner: trial 1, cnn: val_accuracy 0.833 on 5 folds")


def test_a_trial_that_lost_its_right_to_win_is_named() -> None:
    trials = [scored(0, [hits(95)]), scored(1, [hits(90)]), scored(2, [hits(80)])]
    failed, done = (scored(number, [hits(85)]) for number in (3, 4))
    for each, confirmed in ((failed, 0), (done, 1)):
        each.spec |= {"confirms": confirmed, "folds": 5}
    failed.state, failed.end, failed.reason, failed.value = "FAIL", "nan", "val_loss is nan at epoch 1", None
    trials += [failed, done]
    selection = selected(trials, confirm={"top": 2, "folds": 5})
    assert selection.winner.trial.number == 1
    assert unconfirmed_lines(selection, trials) == ["  no candidate: trial 0 with 0.792, since its confirmation, trial 3, ended as nan: val_loss is nan at epoch 1"]
    assert unconfirmed_lines(selected(trials[:3]), trials) == []
    alone = selected(trials[:4], confirm={"top": 1, "folds": 5})
    assert alone.winner.scored is alone.winner.trial
    assert unconfirmed_lines(alone, trials[:4]) == ["  not confirmed: trial 0 has 0.792 of the search alone, since its confirmation, trial 3, ended as nan: val_loss is nan at epoch 1"]


def test_what_a_search_is_to_be_expected_to_have_brought() -> None:
    """Of many that are no better than the defaults, the best looks better; what is expected of it is nothing to speak of."""
    seen, expected = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        alike = [scored(number, [rng.random(N) < 0.7]) for number in range(30)]
        selection = selected(alike)
        middling = min(selection.contenders, key=lambda each: abs(each.value - 0.7))
        seen.append(selection.winner.value - middling.value)
        expected.append(selection.gain_over(middling))
    assert np.mean(seen) > 0.06 and abs(np.mean(expected)) < np.mean(seen) / 3
    better = [*alike, scored(30, [rng.random(N) < 0.98])]
    selection = selected(better)
    assert selection.winner.trial.number == 30
    found = selection.gain_over(next(each for each in selection.contenders if each.trial.number == middling.trial.number))
    assert found == pytest.approx(selection.winner.value - middling.value, abs=0.02)


@pytest.mark.parametrize("text", ["worst", "cheapest-within nan", "cheapest-within -1", "cheapest-within 1 2", "best 3", "cheapest-within much", "cheapest-within", "cheapest-within by seconds"])
def test_a_preference_that_is_none_is_refused_with_what_it_may_be(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write best, cheapest-within X"):
        read_preference(text)
    space = tmp_path / "space.yaml"
    space.write_text(space_text() + f"prefer: {text}\n")
    with pytest.raises(SpaceFileError, match="space.yaml: prefer: .*write best, cheapest-within X"):
        load_space(space, FAMILIES, {})


def test_preferences_read_back_as_they_are_said() -> None:
    assert [str(read_preference(text)) for text in ("cheapest-within ties", "cheapest-within 0.010")] == ["cheapest-within ties", "cheapest-within 0.01"]
    assert read_preference("best") is None and read_preference("cheapest-within 0") == Preference(0.0)
    old = ("cheapest-within", "cheapest-within by seconds", "cheapest-within 0.01 by seconds", "best")
    assert [recorded_preference(text) for text in old] == ["cheapest-within ties", "cheapest-within ties by seconds", *old[2:]]
