"""The words the page begins with, and the table of families: on scripted studies with the real statistics."""

from __future__ import annotations

import pytest

from genre_models import resampling
from search.report.families import family_rows
from search.report.scores import Scale
from search.report.verdict import Verdict, judge, selection_of
from search.study_view import StudyView
from search.winner import ahead_lines, winner_lines
from tests.search.report.views import first, full, look, stopped, view_of


def verdict_of(view: StudyView, looks: list[dict] | None = None) -> Verdict:
    return judge(view, *selection_of(view, resampling), looks or [], "LOOK", "SEARCH")


@pytest.fixture
def two() -> StudyView:
    """A winner, one that differs from it on three items of 120, one that is far behind, and a stopped one."""
    return view_of([full(0, 0.75, right=first(90)), full(1, 0.725, right=first(87)), full(2, 0.4, right=first(48)), stopped(3, 0.2)])


def test_the_winner_its_interval_its_ties_and_how_to_get_the_number_that_is_missing(two: StudyView) -> None:
    told = verdict_of(two)
    assert told.headline == "cnn won: trial 0"
    assert (told.tiles[0].label, told.tiles[0].value, told.tiles[0].interval) == ("accuracy in validation", "75.0 %", "70.0 to 80.0 %")
    assert (told.tiles[1].label, told.tiles[-1].value) == ("what that is worth", "not looked at")
    text = " ".join(told.sentences)
    assert "4 configurations were tried in 10 minutes, 3 of them to the end; trial 0 is the best, with 75.0 % accuracy." in text
    assert "can't be told apart from 1 of the other 2 (paired test, 95 %): trial 1." in text
    assert told.command == "LOOK" and "number to quote is still missing" in told.ask


def test_a_winner_that_has_the_defaults_is_said_to_be_nothing_that_was_found(two: StudyView) -> None:
    assert not any("defaults" in sentence for sentence in verdict_of(two).sentences)
    two.trials[0].spec["warm_start_of"] = "defaults of cnn"
    assert any("the search found no configuration that scored higher" in sentence for sentence in verdict_of(two).sentences)
    selection, _ = selection_of(two, resampling)
    assert any("it has the defaults of its family" in line for line in winner_lines(selection, "val_accuracy"))


@pytest.mark.parametrize(("number", "score", "verdict", "line"), [(1, "72.5 %", "which may be chance", "next, the defaults, trial 1"), (2, "40.0 %", "which is more than chance alone gives two models named beforehand", "the defaults, trial 2")])
def test_what_the_search_brought_beyond_the_defaults(two: StudyView, number: int, score: str, verdict: str, line: str) -> None:
    two.trials[number].spec["warm_start_of"] = "defaults of cnn"
    told = next(sentence for sentence in verdict_of(two).sentences if "defaults" in sentence)
    gain = 0.75 - two.trials[number].value
    assert told.startswith(f"The defaults of its family, trial {number}, came to {score}: from there the search brought +{100 * gain:.1f} points (") and verdict in told
    expected = float(told.partition("expect ")[2].partition(" points")[0]) / 100
    assert gain - 0.03 < expected < gain, "of what was chosen by the same items, less is left"
    selection, _ = selection_of(two, resampling)
    assert any(each.startswith(f"  {line}: {-gain:+.3f}") for each in winner_lines(selection, "val_accuracy"))


def test_with_other_families_the_defaults_are_those_of_the_winners(two: StudyView) -> None:
    two.trials[2].spec |= {"warm_start_of": "defaults of vgg16", "family": "vgg16"}
    assert not any("defaults" in sentence for sentence in verdict_of(two).sentences)


def test_a_trial_that_waits_and_is_ahead_already_is_named(two: StudyView) -> None:
    waiting = stopped(4, 0.8, epochs=20)
    waiting.state, waiting.end, waiting.spec["first"] = "WAITING", None, 2
    behind = stopped(5, 0.5, epochs=20)
    behind.state, behind.end = "WAITING", None
    two.trials.append(behind)
    assert not any("ahead of it" in sentence for sentence in verdict_of(two).sentences)
    two.trials.append(waiting)
    told = "Trial 2 was not at its end, but ahead of it, with 80.0 % by epoch 20 of 27: the same search with more time goes on with it."
    assert told in verdict_of(two).sentences and verdict_of(two).command == "SEARCH"
    selection, _ = selection_of(two, resampling)
    assert ahead_lines(selection, two.trials) == ["  not at its end, but ahead of it: trial 2, 0.800 by epoch 20 of 27; the same command with more time goes on with it"]
    two.trials[3].state = "RUNNING"
    assert told not in verdict_of(two).sentences, "of a search that runs it would be old in a minute"


def test_a_winner_that_nobody_ties_with_is_told_apart_and_the_test_said_to_be_too_sure() -> None:
    trials = [full(0, 0.75, right=first(90)), full(1, 0.3, right=first(36)), full(2, 0.2)]
    sentence = next(each for each in verdict_of(view_of(trials)).sentences if "tells it from" in each)
    assert sentence.startswith("The paired test (95 %) tells it from the other one trained to the end: 1 scored worse. ")
    assert "chosen by scores on these very tracks, so it is somewhat too sure. 1 more can't be compared" in sentence


def test_a_winner_by_preference_that_is_worse_than_the_best_is_not_called_better() -> None:
    cheap = full(1, 0.5, right=first(60))
    cheap.outcome["fit_seconds"] = 1.0
    view = view_of([full(0, 0.75, right=first(90)), cheap, full(2, 0.1, right=first(12))])
    view.prefer = "cheapest-within 0.3"
    told = verdict_of(view)
    assert told.headline == "cnn won: trial 1"
    assert any("tells it from all 2 others trained to the end: 1 scored worse, 1 scored better." in sentence for sentence in told.sentences)


def test_confirmations_that_failed_are_told() -> None:
    trials = [full(0, 0.75, right=first(90)), full(1, 0.7, right=first(84)), full(2, 0.4, right=first(48)), full(3, 0.72, right=first(86)), full(4, 0.7)]
    for each, confirmed in ((trials[3], 1), (trials[4], 0)):
        each.spec |= {"confirms": confirmed, "folds": 5}
    trials[4].state, trials[4].end, trials[4].value = "FAIL", "nan", None
    view = view_of(trials)
    view.confirm = {"top": 2, "folds": 5}
    text = " ".join(verdict_of(view).sentences)
    assert "3 of them to the end, 1 of these scored again on 5 folds; trial 1 is the best" in text
    assert "No candidates, though they had scored more than the winner in the search, are those whose confirmation failed: that of trial 0 (75.0 %) ended as nan." in text
    view.trials, view.confirm = [*trials[:3], trials[4]], {"top": 1, "folds": 5}
    assert "No confirmation on 5 folds succeeded: that of trial 0 (75.0 %) ended as nan; so the scores are those of the search." in verdict_of(view).sentences


def test_the_only_configuration_is_told_as_one_and_as_the_winner() -> None:
    view = view_of([full(0, 0.75, right=first(90))])
    assert "1 configuration was tried in 10 minutes, to the end; trial 0 is the best" in verdict_of(view).sentences[0]
    (row,) = family_rows(view, selection_of(view, resampling)[0], resampling, [])[1]
    assert row.standing == "the winner"


def test_a_tie_that_costs_a_fraction_is_named(two: StudyView) -> None:
    two.trials[1].outcome["fit_seconds"] = 1.0
    assert any("trial 1 (cnn, 72.5 %), took 1 s to fit, the winner 10 s" in sentence for sentence in verdict_of(two).sentences)


def test_after_the_look_its_score_is_the_number_and_nothing_is_asked_for(two: StudyView) -> None:
    told = verdict_of(two, [look(0)])
    assert (told.tiles[-1].value, told.tiles[-1].interval, told.command) == ("70.0 %", "60.0 to 80.0 %", "")
    assert "141 tracks that no search process had seen" in told.tiles[-1].note
    assert told.sentences[-2].startswith("Held-out tracks gave 70.0 %, which is within what was to be expected after the choice (")
    assert "which is less than was to be expected" in verdict_of(two, [look(0, value=0.2)]).sentences[-2]
    assert "macro F1 69.0 %" in told.sentences[-1] and "It was look" not in told.sentences[-1]
    assert "It was look 2 at these tracks" in verdict_of(two, [look(1), look(0, 2)]).sentences[-1]


def test_held_out_tracks_that_another_study_looked_at_are_not_called_fresh(two: StudyView) -> None:
    told = judge(two, *selection_of(two, resampling), [], "LOOK", "SEARCH", looked_at_by="study other")
    assert told.command == "LOOK --again REASON" and "can be had once" not in told.ask
    assert told.sentences[-1].startswith("Its held-out tracks were looked at already, by study other;")
    assert "number to quote" not in judge(two, *selection_of(two, resampling), [look(0)], "LOOK", "SEARCH", looked_at_by="study other").ask, "its own look is its number"


def test_a_look_at_another_trial_is_not_taken_for_the_winners(two: StudyView) -> None:
    told = verdict_of(two, [look(1)])
    tile = told.tiles[-1]
    assert (tile.label, tile.value, tile.interval) == ("accuracy on held-out tracks", "70.0 %", "60.0 to 80.0 %") and told.command == ""
    assert tile.note == "of trial 1, not this winner" and "number to quote" not in tile.note
    assert verdict_of(two, [look(1), look(0, 2, value=0.6)]).tiles[-1].value == "60.0 %", "the winner's own look comes first"
    assert any("Look 1 was at trial 1 (cnn), which is not the winner any more: 70.0 % on 141 held-out tracks." in sentence for sentence in told.sentences)


def test_without_a_winner_the_reason_and_the_way_on_are_told() -> None:
    told = verdict_of(view_of([stopped(0, 0.3)]))
    assert (told.headline, told.tiles, told.command) == ("There is no winner yet", (), "SEARCH")
    assert "no trial has had the full budget (1 PRUNED)" in told.sentences[0]


def test_nothing_held_out_and_a_naive_split_ask_for_no_look(two: StudyView) -> None:
    nothing = view_of(two.trials, {"split_id": None})
    assert verdict_of(nothing).command == "" and "Nothing was held out" in verdict_of(nothing).sentences[-1]
    naive = view_of(two.trials, {"split_id": "x", "caveat": "no result"})
    assert verdict_of(naive).command == "" and all("held" not in tile.label for tile in verdict_of(naive).tiles)


def test_a_loss_is_no_percentage_and_less_is_better() -> None:
    view = view_of([full(0, 1.25), full(1, 0.5)])
    view.metric, view.maximize = "val_loss", False
    told = verdict_of(view)
    assert (told.headline, told.tiles[0].label, told.tiles[0].value) == ("cnn won: trial 1", "loss in validation", "0.500")
    assert Scale("val_macro_f1").text(0.5) == "50.0 %" and Scale("val_loss").difference(-0.1) == "-0.100"


def test_families_stand_side_by_side_with_their_costs(two: StudyView) -> None:
    svm = full(7, 0.7, "svm", right=first(87), cost={"cpu_seconds": 3.0, "energy_kwh": 0.0021})
    view = view_of([*two.trials, svm])
    looked = look(0, others=[{"family": "svm", "trial": 7, "value": 0.65, "interval": (0.55, 0.75), "against": "tie"}])
    heads, rows = family_rows(view, selection_of(view, resampling)[0], resampling, [looked])
    assert [(row.family, row.trial, row.score, row.held_out, row.standing) for row in rows] == [("cnn", 0, "75.0 %", "70.0 %", "the winner"), ("svm", 7, "70.0 %", "65.0 %", "a tie")]
    assert heads == ["fitting", "CPU time", "energy", "parameters"]
    assert (rows[0].costs, rows[1].costs) == (("10 s", "–", "–", "1,000"), ("17 s", "3 s", "2.1 Wh", "1,007"))
    assert rows[0].trials == "4 tried, 3 to the end" and rows[0].expected != "–"
