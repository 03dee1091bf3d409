"""Families of different kinds in one study: some report once, at the full budget, and some can't be had in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.config import load_space
from search.driver import Finished
from search.errors import SearchError, StudyError
from search.study_view import read_study
from tests.search.scripted_driver import FAMILIES, run, space_text


def search(folder: Path, task: dict[str, Any], **changes: Any) -> Finished:
    folder.mkdir(exist_ok=True)
    space = folder / "space.yaml"
    space.write_text(space_text(engine="inline", families="fast slow", **changes))
    return run(folder, load_space(space, FAMILIES, {}), task)


@pytest.mark.parametrize("scheduler", ["none", "asha", "asha_promotion", "hyperband"])
def test_a_family_that_reports_once_competes_and_holds_nobody_up(tmp_path: Path, scheduler: str) -> None:
    done = search(tmp_path, {"at_once": ["fast"]}, scheduler=scheduler, trials=30)
    assert sum(t.counts for t in done.trials) == 30
    at_once = [t for t in done.trials if t.family == "fast"]
    assert len(at_once) >= 5
    assert {t.end for t in at_once} == {"full"}, "it had the full budget when it first reported"
    assert all(list(t.reports) == [9] for t in at_once)
    others = [t for t in done.trials if t.family == "slow"]
    assert any(t.end == "full" for t in others)
    assert scheduler == "none" or any(t.end == "pruned" for t in others), "judged among themselves as before"
    more = search(tmp_path, {"at_once": ["fast"]}, scheduler=scheduler, trials=36)
    assert sum(t.counts for t in more.trials) == 36


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_a_family_that_cannot_be_had_is_left_out_of_this_run_and_comes_back_in_the_next(tmp_path: Path, sampler: str, scheduler: str) -> None:
    first = search(tmp_path, {"blocked": ["slow"]}, sampler=sampler, scheduler=scheduler, trials=12)
    assert {t.family for t in first.trials} == {"fast"}
    assert sum(t.counts for t in first.trials) == 12
    second = search(tmp_path, {}, sampler=sampler, scheduler=scheduler, trials=40)
    assert sum(t.family == "slow" for t in second.trials) >= 5, "the same study goes on, with both"
    assert sum(t.counts for t in second.trials) == 40


def test_what_waits_of_a_family_that_cannot_be_had_is_not_lost(tmp_path: Path) -> None:
    first = search(tmp_path, {"epoch_seconds": 0.1}, scheduler="hyperband", trials=17, minutes=0.06)
    waiting = {t.family for t in first.trials if t.state == "WAITING"}
    assert waiting, "the time was up while trials waited at a rung"
    with pytest.raises(SearchError, match="waits to go on, but that family can't be had here"):
        search(tmp_path, {"blocked": sorted(waiting)}, scheduler="hyperband", trials=17)
    assert sum(t.counts for t in search(tmp_path, {}, scheduler="hyperband", trials=17).trials) == 17


def test_what_is_to_be_confirmed_waits_for_its_family(tmp_path: Path) -> None:
    first = search(tmp_path, {}, scheduler="asha", trials=12)
    best = max((t for t in first.trials if t.is_full), key=lambda t: t.value)
    confirm = {"scheduler": "asha", "trials": 12, "confirm": "{top: 2, folds: 3}"}
    without = search(tmp_path, {"blocked": [best.family]}, **confirm)
    again = [t.confirms for t in without.trials if t.confirms is not None]
    assert best.number not in again, "it is not tried where it would fail for good"
    with pytest.raises(StudyError, match="confirm"):
        read_study(tmp_path, "s").winner()
    search(tmp_path, {}, **confirm)
    trials = read_study(tmp_path, "s").trials
    assert [t.end for t in trials if t.confirms == best.number] == ["full"] and read_study(tmp_path, "s").winner()


@pytest.mark.parametrize("scheduler", ["asha", "asha_promotion", "hyperband"])
def test_the_first_configurations_may_all_be_refused(tmp_path: Path, scheduler: str) -> None:
    seeds = range(6)  # of some of them the very first is refused, of others the first of a later bracket
    for seed in seeds:
        done = search(tmp_path / str(seed), {"widest": 3}, scheduler=scheduler, trials=14, seed=seed)
        assert sum(t.counts for t in done.trials) == 14
    refused = [t.end == "refused" for t in done.trials]
    assert any(refused) and not all(refused)
