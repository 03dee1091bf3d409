"""Seconds predicted from declared work, and proposals that are tried the likelier the cheaper they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search.config import load_space
from search.errors import SpaceFileError
from search.predicted_seconds import PRIOR_SLOPE, SecondsModel, Timed
from search.sampling import Proposer
from search.space import FamilySpace, IntDomain, Parameter
from search.thrift import Thrift
from search.trial import Trial

SPACE = FamilySpace("a", (Parameter("width", IntDomain(1, 100), {}),), {"width": 1}, 0, {})


def work(family: str, sampled: dict[str, Any]) -> float:
    return float(sampled["width"])


def ended(number: int, width: int, seconds: float, family: str = "a") -> Trial:
    outcome = {"fit_seconds": 9 * seconds, "epochs": 9}
    params = {"family": family, f"{family}/width": width}
    return Trial(number, "COMPLETE", {"family": family, "epochs": 9}, params, {1: 0.4, 9: 0.5}, "full", value=0.5, outcome=outcome)


def test_without_trials_twice_the_work_takes_less_than_twice_as_long() -> None:
    model = SecondsModel()
    assert model.seconds("a", 8.0) / model.seconds("a", 2.0) == pytest.approx(4**PRIOR_SLOPE)


def test_trials_set_the_level_and_correct_the_slope() -> None:
    few = SecondsModel([Timed("a", 10.0, 3.0)])
    assert few.seconds("a", 10.0) == pytest.approx(3.0, rel=0.02)
    many = SecondsModel([Timed("a", w, 0.2 * w) for w in (1, 2, 5, 10, 20, 50)])
    assert many.seconds("a", 100.0) == pytest.approx(20.0, rel=0.15), "as long as the work, whatever was thought before"


def test_families_have_levels_of_their_own_and_a_new_one_lies_with_the_others() -> None:
    model = SecondsModel([Timed(f, w, s * w**0.5) for f, s in (("a", 1.0), ("b", 4.0)) for w in (1.0, 4.0, 9.0)])
    assert model.seconds("b", 4.0) / model.seconds("a", 4.0) == pytest.approx(4.0, rel=0.1)
    assert model.seconds("a", 4.0) < model.seconds("c", 4.0) < model.seconds("b", 4.0)


def test_the_order_of_the_trials_has_no_say() -> None:
    timed = [Timed("a", 1.0, 2.0), Timed("b", 4.0, 3.0), Timed("a", 9.0, 5.0)]
    assert SecondsModel(timed).seconds("b", 7.0) == pytest.approx(SecondsModel(timed[::-1]).seconds("b", 7.0), rel=1e-12)


def test_the_chance_of_a_configuration_falls_with_the_square_of_its_seconds() -> None:
    thrift = Thrift(work)
    for number, width in enumerate((1, 4, 9, 16, 25, 36)):
        thrift.note(ended(number, width, float(width)), {"width": width})
    points = [("a", {"width": 2}), ("a", {"width": 6})]
    chosen = Counter(thrift.choose(points, seed)[1]["width"] for seed in range(2000))
    assert chosen[2] / chosen[6] == pytest.approx(9, rel=0.3) and chosen[6] > 100, "dear ones are rarer, and never left out"


def test_what_would_be_refused_is_not_tried_where_there_is_another() -> None:
    thrift = Thrift(lambda family, sampled: float("inf") if sampled["width"] > 5 else 1.0)
    points = [("a", {"width": 9}), ("a", {"width": 2}), ("a", {"width": 8})]
    assert {thrift.choose(points, seed)[1]["width"] for seed in range(50)} == {2}
    assert thrift.choose(points[:1] + points[2:], 0) == points[0], "where all would be, the screen says so as ever"


def test_where_the_work_is_not_known_the_first_proposal_is_tried() -> None:
    thrift = Thrift(lambda family, sampled: None)
    thrift.note(ended(0, 3, 1.0), {"width": 3})
    assert thrift.choose([("a", {"width": 9}), ("a", {"width": 2})], 1)[1] == {"width": 9}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_what_is_proposed_follows_from_the_trials_alone(sampler: str) -> None:
    def proposer() -> Proposer:
        return Proposer({"a": SPACE}, sampler, 3, True, thrift=Thrift(work))

    trials = [ended(n, 1 + 9 * n, 0.5 + n) for n in range(11)]
    live, again = proposer(), proposer()
    for trial in reversed(trials):
        live.learn(trial)
    again.rebuild(trials)
    assert [live.propose(11 + n)[1] for n in range(3)] == [again.propose(11 + n)[1] for n in range(3)]


def test_a_frugal_search_proposes_cheaper_configurations() -> None:
    frugal = Proposer({"a": SPACE}, "random", 0, True, thrift=Thrift(work))
    plain = Proposer({"a": SPACE}, "random", 0, True)
    widths = [[each.propose(n)[1]["width"] for n in range(200)] for each in (frugal, plain)]
    assert sum(widths[0]) < 0.75 * sum(widths[1]) and max(widths[0]) > 60


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sampler: grid\nfrugal: true", "frugal: found true with sampler grid; must go with one of tpe, random, gp"),
        ("sampler: grid\ntry_defaults: true", "try_defaults: found true with sampler grid; must go with one of tpe, random, gp"),
        ("scheduler: hyperband\nbudget: {resource: seconds, min_seconds: 3}", "budget.resource: found 'seconds' with scheduler hyperband; its rungs are in epochs"),
        ("budget: {resource: seconds}", "budget: resource: seconds needs min_seconds"),
        ("budget: {min_seconds: 3}", "budget: min_seconds is 3, but rungs are in epochs: add resource: seconds"),
        ("budget: {resource: minutes}", "budget.resource: found"),
        ("budget: {resource: seconds, min_seconds: 0}", "budget.min_seconds: found 0; must be greater than 0"),
    ],
)
def test_what_can_not_go_together_is_said(tmp_path: Path, text: str, told: str) -> None:
    from tests.search.scripted_driver import FAMILIES

    path = tmp_path / "s.yaml"
    path.write_text(f"{text}\nfamilies: {{slow: {{quality: {{choice: [0.1, 0.2]}}}}}}\n")
    with pytest.raises(SpaceFileError, match=".") as error:
        load_space(path, FAMILIES, {})
    assert told in str(error.value)


def test_rungs_in_seconds_are_part_of_what_a_resume_must_match(tmp_path: Path) -> None:
    from tests.search.scripted_driver import FAMILIES

    def fingerprint(budget: str) -> dict[str, Any]:
        path = tmp_path / "s.yaml"
        path.write_text(f"budget: {budget}\nfamilies: {{slow: {{quality: {{choice: [0.1, 0.2]}}}}}}\n")
        return load_space(path, FAMILIES, {}).fingerprint_parts()["budget"]

    assert fingerprint("{max_epochs: 9}") == {"min_epochs": 1, "max_epochs": 9, "reduction_factor": 3}, "as before there were seconds"
    assert fingerprint("{resource: seconds, min_seconds: 2}") != fingerprint("{resource: seconds, min_seconds: 3}")
