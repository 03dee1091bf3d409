"""Pausing, going on, folds and confirmations: the whole loop over a real study, with the scripted objective."""

from __future__ import annotations

import io
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search.config import load_space
from search.confirm import WITHDRAWN, confirming_spec
from search.errors import StudyError
from search.location import locate
from search.schedule import brackets
from search.study import StudyOwner
from search.study_view import StudyView, read_study
from search.trial import End, Trial
from tests.search.conftest import Studies, until
from tests.search.scripted_driver import FAMILIES, run, space_text
from tests.search.test_faults import some_epochs

EPOCHS = 9


def search(folder: Path, task: dict[str, Any] | None = None, **changes: Any) -> tuple[StudyView, str]:
    """A search in this process, and what it printed."""
    space = folder / "space.yaml"
    space.write_text(space_text(**{"engine": "inline", "scheduler": "hyperband", "trials": 17, **changes}))
    console = Console(file=io.StringIO(), width=300)
    run(folder, load_space(space, FAMILIES, {}), task or {}, console)
    return read_study(folder, "s"), console.file.getvalue()


def epochs_of(log: Path) -> Counter[tuple[str, str]]:
    """How often each (seed, epoch) was trained."""
    return Counter(tuple(line.split()[1:]) for line in log.read_text().splitlines())


def assert_whole(trials: list[Trial]) -> None:
    for trial in trials:
        assert trial.end is not None and trial.state not in ("RUNNING", "WAITING") and trial.paused is None
        if trial.reports and trial.parts == 1:
            assert sorted(trial.reports) == list(range(1, max(trial.reports) + 1)), "no epoch is missing"


@pytest.mark.parametrize("scheduler", ["hyperband", "asha_promotion"])
def test_paused_trials_go_on_from_their_checkpoints_and_no_epoch_is_trained_twice(tmp_path: Path, scheduler: str) -> None:
    log = tmp_path / "log"
    view, text = search(tmp_path, {"log": str(log)}, scheduler=scheduler, families="fast slow", trials=34)
    assert_whole(view.trials)
    assert sum(t.counts for t in view.trials) == 34 and any(t.is_full for t in view.trials)
    assert set(epochs_of(log).values()) == {1}
    assert sum(epochs_of(log).values()) == sum(len(t.reports) for t in view.trials)
    assert not list((tmp_path / "s" / "checkpoints").iterdir()), "checkpoints go with their trials"
    assert "waits at epoch" in text and "Traceback" not in text
    assert all("best of its rung" in t.reason for t in view.trials if t.end == "pruned" and scheduler == "asha_promotion")


def test_hyperband_is_algorithm_1_family_by_family(tmp_path: Path) -> None:
    view, _ = search(tmp_path, families="fast slow", trials=34)
    told: dict[int, list[Trial]] = {}
    for trial in view.trials:
        told.setdefault(trial.bracket, []).append(trial)
    plans = brackets(1, EPOCHS, 3)
    for number, members in told.items():
        plan = plans[number // 2]
        assert {t.family for t in members} == {"fast" if number % 2 == 0 else "slow"} or {t.family for t in members} == {"slow" if number % 2 == 0 else "fast"}
        assert [sum(len(t.reports) >= level for t in members) for level in plan.levels] == list(plan.sizes)


@pytest.mark.parametrize("scheduler", ["hyperband", "asha", "asha_promotion"])
def test_a_grid_is_tried_whole_whatever_the_scheduler(tmp_path: Path, scheduler: str) -> None:
    families = {"fast": "{quality: {float: [0, 1], step: 0.25}, width: {int: [3, 5]}}", "slow": "{quality: {float: [0, 1], step: 0.5}}"}
    space = tmp_path / "space.yaml"
    text = space_text(engine="inline", scheduler=scheduler, sampler="grid", trials="null", families="")
    space.write_text(text + "".join(f"  {name}: {given}\n" for name, given in families.items()))
    console = Console(file=io.StringIO(), width=300)
    run(tmp_path, load_space(space, FAMILIES, {}), {}, console)
    trials = read_study(tmp_path, "s").trials
    assert_whole(trials)
    assert Counter(t.family for t in trials) == {"fast": 15, "slow": 3}
    assert len({tuple(sorted(t.params.items())) for t in trials}) == 18
    assert "the grid is done: all 18 configurations" in console.file.getvalue()


def test_without_room_for_checkpoints_epochs_are_trained_again_and_the_study_is_the_same(tmp_path: Path) -> None:
    logs = {}
    for name, gib in (("room", 1), ("none", 0)):
        folder = tmp_path / name
        folder.mkdir()
        logs[name] = folder / "log"
        search(folder, {"log": str(logs[name])}, checkpoints_gib=gib)
    room, none = (read_study(tmp_path / name, "s").trials for name in ("room", "none"))
    assert [(t.params, t.reports, t.end, t.value) for t in room] == [(t.params, t.reports, t.end, t.value) for t in none]
    assert set(epochs_of(logs["none"])) == set(epochs_of(logs["room"])) and max(epochs_of(logs["none"]).values()) > 1


def test_a_full_disk_costs_the_checkpoint_and_not_the_trial(tmp_path: Path) -> None:
    view, text = search(tmp_path, {"full_disk": True})
    assert_whole(view.trials)
    assert "could not be written" in text and "No space left" in text


def test_an_unreadable_checkpoint_costs_its_epochs(tmp_path: Path) -> None:
    search(tmp_path, {"epoch_seconds": 0.1}, minutes=0.06, trials=17)
    view = read_study(tmp_path, "s")
    held = list((tmp_path / "s" / "checkpoints").rglob("epoch"))
    assert held and [t for t in view.trials if t.paused is not None or t.state == "WAITING"]
    for path in held:
        path.write_text("not a number")
    view, _ = search(tmp_path, trials=17)
    assert_whole(view.trials)


@pytest.mark.parametrize("scheduler", ["hyperband", "asha_promotion"])
def test_what_waits_when_the_time_is_up_goes_on_when_there_is_more(tmp_path: Path, scheduler: str) -> None:
    log = tmp_path / "log"
    view, _ = search(tmp_path, {"log": str(log), "epoch_seconds": 0.1}, minutes=0.06, trials=17, scheduler=scheduler)
    assert any(t.is_full for t in view.trials), "the most advanced one is finished first"
    waiting = [t for t in view.trials if t.state == "WAITING"]
    assert waiting and not [t for t in view.trials if t.state == "RUNNING"]
    view, _ = search(tmp_path, {"log": str(log)}, trials=17, scheduler=scheduler)
    assert_whole(view.trials)
    assert sum(t.counts for t in view.trials) == 17
    assert set(epochs_of(log).values()) == {1}, "from the checkpoint, not from the beginning"


@pytest.mark.parametrize(("scheduler", "engine"), [("hyperband", "ray"), ("asha_promotion", "inline")])
@pytest.mark.slow
def test_driver_killed_among_paused_trials_the_same_command_goes_on(studies: Studies, tmp_path: Path, scheduler: str, engine: str) -> None:
    log = tmp_path / "log"
    driver = studies.start({"epoch_seconds": 0.03, "log": str(log)}, scheduler=scheduler, trials=17, engine=engine)
    until(lambda: some_epochs(log, 30))
    driver.kill(signal.SIGKILL)
    driver.wait()
    driver.assert_nothing_left()
    before = {t.number: (t.state, t.value) for t in studies.read().trials if t.end is not None}
    again = studies.start({"log": str(log)}, scheduler=scheduler, trials=17, engine="inline")
    assert again.wait() == 0, again.text
    view = studies.read()
    assert_whole(view.trials)
    assert sum(t.counts for t in view.trials) == 17
    assert before.items() <= {t.number: (t.state, t.value) for t in view.trials}.items()
    assert sum(n - 1 for n in epochs_of(log).values()) <= 2 * 9, "at most what two workers were doing is done again"
    again.assert_nothing_left()


@pytest.mark.slow
def test_ctrl_c_saves_running_trials_and_they_go_on_where_they_were(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    driver = studies.start({"epoch_seconds": 0.1, "log": str(log)}, scheduler="none", trials=2)
    until(lambda: some_epochs(log, 8))
    driver.kill(signal.SIGINT)
    assert driver.wait() == 130, driver.text
    assert len(list((tmp_path / "s" / "checkpoints").rglob("epoch"))) == 2
    again = studies.start({"log": str(log)}, scheduler="none", trials=2, engine="inline")
    assert again.wait() == 0, again.text
    assert set(epochs_of(log).values()) == {1}
    full = [t for t in studies.read().trials if t.is_full]
    assert len(full) == 2 and all(sorted(t.reports) == list(range(1, EPOCHS + 1)) for t in full)


def test_further_parts_are_reported_as_running_means_and_may_be_spared(tmp_path: Path) -> None:
    view, _ = search(tmp_path, scheduler="asha", repeats=3, trials=30)
    full = [t for t in view.trials if t.is_full]
    assert full and all(sorted(t.reports) == list(range(1, EPOCHS + 3)) for t in full)
    for trial in full:
        assert trial.value == pytest.approx(trial.reports[EPOCHS + 2]) and trial.outcome["parts"] == 3
    between = [t for t in view.trials if t.end == "pruned" and max(t.reports) >= EPOCHS]
    assert between, "some were stopped between parts"
    assert view.winner().value == max(t.value for t in full)


def test_stopped_in_a_later_part_it_goes_on_there_with_all_its_reports(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    changes = {"scheduler": "none", "trials": 1, "repeats": 4, "engine": "inline"}
    driver = studies.start({"epoch_seconds": 0.1, "log": str(log)}, **changes)
    until(lambda: log.exists() and any(epoch > 300 for _, _, epoch in studies.epochs_logged(log)))
    driver.kill(signal.SIGINT)
    assert driver.wait() == 130, driver.text
    again = studies.start({"log": str(log)}, **changes)
    assert again.wait() == 0, again.text
    trial = studies.read().winner()
    assert sorted(trial.reports) == list(range(1, EPOCHS + 4)) and trial.outcome["parts"] == 4
    assert {epoch for (_, epoch), n in epochs_of(log).items() if n > 1} <= {"301", "302"}, "only the part under way is begun again"


@pytest.mark.parametrize("scheduler", ["hyperband", "asha_promotion", "asha"])
def test_a_family_that_stops_early_holds_nobody_up_with_parts_either(tmp_path: Path, scheduler: str) -> None:
    space = tmp_path / "space.yaml"
    text = space_text(engine="inline", scheduler=scheduler, trials=17, repeats=2, families="")
    space.write_text(text + "  fast: {quality: {float: [0, 1]}, patience: {int: [0, 4]}}\n")
    run(tmp_path, load_space(space, FAMILIES, {}), {}, Console(file=io.StringIO()))
    trials = read_study(tmp_path, "s").trials
    assert all(t.end is not None for t in trials) and any(t.is_full for t in trials)
    assert not [t for t in trials if t.reason and "the search ended before" in t.reason and scheduler == "hyperband"]


def test_the_best_few_are_confirmed_before_one_wins(tmp_path: Path) -> None:
    view, text = search(tmp_path, scheduler="asha", confirm="{top: 2, folds: 5}", trials=20)
    best = sorted((t for t in view.trials if t.is_full), key=lambda t: -t.value)[:2]
    confirming = [t for t in view.trials if t.confirms is not None]
    assert sorted(t.confirms for t in confirming) == sorted(t.number for t in best)
    assert all(t.spec["folds"] == 5 and t.outcome["parts"] == 5 and not t.counts and not t.is_full for t in confirming)
    assert sum(t.counts for t in view.trials) == 20
    assert view.winner().number == max(confirming, key=lambda t: t.value).confirms
    assert "on 5 folds" in text
    # Going on with a larger budget confirms only who is new among the best.
    more, _ = search(tmp_path, scheduler="asha", confirm="{top: 2, folds: 5}", trials=40)
    again = [t.confirms for t in more.trials if t.confirms is not None]
    assert len(again) == len(set(again)) and sum(t.counts for t in more.trials) == 40


@pytest.mark.slow
def test_killed_while_it_confirms_there_is_no_winner_until_that_is_done(studies: Studies, tmp_path: Path) -> None:
    changes = {"scheduler": "none", "trials": 2, "confirm": "{top: 2, folds: 9}", "engine": "inline"}
    driver = studies.start({"epoch_seconds": 0.15}, **changes)
    until(lambda: [t for t in studies_trials(tmp_path) if t.confirms is not None and t.reports], 60)
    driver.kill(signal.SIGKILL)
    driver.wait()
    with pytest.raises(StudyError, match="being confirmed"):
        studies.read().winner()
    again = studies.start({}, **changes)
    assert again.wait() == 0, again.text
    view = studies.read()
    assert sum(t.is_full for t in view.trials) == 2 and view.winner().is_full
    assert Counter(t.confirms for t in view.trials if t.confirms is not None and t.state == "COMPLETE") == {0: 1, 1: 1}


def studies_trials(folder: Path) -> list[Trial]:
    try:
        return read_study(folder, "s").trials
    except StudyError:
        return []


def test_the_time_budget_may_end_before_the_confirmation_does(tmp_path: Path) -> None:
    view, _ = search(tmp_path, {"epoch_seconds": 0.005}, scheduler="none", trials="null", minutes=0.03, confirm="{top: 2, folds: 3}")
    assert view.elapsed_seconds >= 1.5, "nothing but the time ends it; between two trials none is interrupted, and nothing is said of it"
    assert len([t for t in view.trials if t.confirms is not None and t.state == "COMPLETE"]) == 2


def test_one_worker_repeats_a_search_exactly(tmp_path: Path) -> None:
    told = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        view, _ = search(tmp_path / name, scheduler="asha_promotion", sampler="tpe", trials=25)
        told.append([(t.spec, t.params, t.reports, t.end, t.value) for t in view.trials])
    assert told[0] == told[1]


@pytest.mark.parametrize("scheduler", ["hyperband", "asha_promotion"])
def test_failures_among_trials_that_pause_are_not_failures_in_a_row(tmp_path: Path, scheduler: str) -> None:
    view, text = search(tmp_path, {"nan_widths": [3, 4]}, scheduler=scheduler, trials=40)
    assert_whole(view.trials)
    assert sum(t.end == "nan" for t in view.trials) > 10 and "in a row" not in text
    assert sum(t.counts for t in view.trials) == 40 and any(t.is_full for t in view.trials)


def test_a_search_whose_minutes_are_used_up_finishes_one_trial_whenever_it_is_run_again(tmp_path: Path) -> None:
    view, _ = search(tmp_path, {"nan_at": 9}, scheduler="none", trials="null", minutes=0.001)
    assert not any(t.is_full for t in view.trials)
    view, _ = search(tmp_path, {"epoch_seconds": 0.005}, scheduler="none", trials="null", minutes=0.002)
    waiting = [t.number for t in view.trials if t.state == "WAITING"]
    view, _ = search(tmp_path, scheduler="none", trials="null", minutes=0.002)
    assert any(t.is_full for t in view.trials) or not waiting


def test_a_confirmation_that_was_withdrawn_is_made_when_it_is_asked_for_again(tmp_path: Path) -> None:
    """It was put off before it was begun on: the best trial keeps its right to win."""
    view, _ = search(tmp_path, scheduler="none", trials=4, confirm="{top: 2, folds: 5}")
    first = next(t for t in view.trials if t.confirms is not None)
    best = view.trials[first.confirms]
    # As a driver leaves it that was stopped while it confirmed: the confirmation is lost, its successor waits.
    owner = StudyOwner(locate(tmp_path, "s"), maximize=True, fingerprint=view.fingerprint)
    again = owner.start({**first.spec, "confirms": best.number, "folds": 7}, {name: (value, view.distributions[name]) for name, value in best.params.items()})
    owner.finish(again.number, End.INTERRUPTED)
    owner.close()
    view, _ = search(tmp_path, scheduler="none", trials=4, confirm="null")
    assert view.trials[-1].end == "refused" and view.trials[-1].reason == WITHDRAWN
    view, _ = search(tmp_path, scheduler="none", trials=4, confirm="{top: 2, folds: 7}")
    done = {t.confirms for t in view.trials if t.confirms is not None and t.spec["folds"] == 7 and t.state == "COMPLETE"}
    assert best.number in done and len(done) == 2 and view.winner().number in done


def test_a_confirmation_has_a_timeout_of_its_own_to_lose() -> None:
    trial = Trial(3, "COMPLETE", {"family": "f", "epochs": 9, "timeouts": 1, "retry_of": 1, "first": 1}, end="full", value=0.5)
    spec = confirming_spec(trial, 5)
    assert (spec["confirms"], spec["folds"], spec["retry_of"]) == (3, 5, None)
    again = Trial(4, "FAIL", spec, end="timeout")
    assert again.is_lost and again.root == 4


def test_new_leaders_must_be_confirmed_before_they_or_others_win(tmp_path: Path) -> None:
    confirm = "{top: 2, folds: 5}"
    search(tmp_path, scheduler="none", trials=3, confirm=confirm)
    # Without the confirmation in the file the best score wins, whatever was confirmed before.
    view, _ = search(tmp_path, scheduler="none", trials=30)
    assert view.winner().value == max(t.value for t in view.trials if t.is_full)
    view, _ = search(tmp_path, scheduler="none", trials=30, confirm=confirm)
    finalists = sorted((t for t in view.trials if t.is_full), key=lambda t: -t.value)[:2]
    confirmed = {t.confirms: t.value for t in view.trials if t.confirms is not None}
    assert set(confirmed) >= {t.number for t in finalists} and view.winner().number == max(confirmed, key=confirmed.get)
