"""What is proposed: legal, repeatable, fair to families, and learnt from."""

from __future__ import annotations

import importlib.util
import random
import statistics
from collections import Counter
from dataclasses import replace
from typing import Any

import optuna
import pytest

from search.mirror import Mirror
from search.sampling import Proposer
from search.space import ChoiceDomain, FamilySpace, FloatDomain, IntDomain, Parameter
from search.trial import End, Trial

#: One family, no conditions, numbers only: every sampler can search it.
PLANE = FamilySpace("plane", (Parameter("x", FloatDomain(0.0, 1.0)), Parameter("y", IntDomain(0, 100))), {"x": 0.5, "y": 50})


def needing(sampler: str, package: str, *marks: pytest.MarkDecorator) -> Any:
    """A sampler whose tests are skipped where its package is not installed."""
    missing = importlib.util.find_spec(package) is None
    skip = pytest.mark.skipif(missing, reason=f"{package} is not installed: pip install -c constraints.txt -e '.[{sampler}]'")
    return pytest.param(sampler, marks=(skip, *marks))


GP, CMAES = needing("gp", "torch", pytest.mark.slow), needing("cmaes", "cmaes")


def family(name: str, min_trials: int = 2) -> FamilySpace:
    parameters = (
        Parameter("x", FloatDomain(0.0, 1.0), {}),
        Parameter("augment", ChoiceDomain((True, False)), {}),
        Parameter("mask", IntDomain(0, 27), {"augment": (True,)}),
    )
    return FamilySpace(name, parameters, {"x": 0.5, "augment": False, "mask": 0, "other": 1}, min_trials, {})


def end(proposer: Proposer, number: int, name: str, written: dict, value: float | None, how: End = End.FULL) -> Trial:
    params = {key: v for key, (v, _) in written.items()}
    trial = Trial(number, how.state, {"family": name}, params, {1: value} if value is not None else {}, str(how), value=value)
    proposer.learn(trial)
    return trial


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_and_history_propose_the_same_after_a_restart(sampler: str) -> None:
    whole = Proposer({"a": family("a")}, sampler, 7, maximize=True)
    trials, proposals = [], []
    for n in range(16):
        name, sampled, written = whole.propose(n)
        proposals.append(sampled)
        trials.append(end(whole, n, name, written, 1 - abs(sampled["x"] - 0.3)))
    resumed = Proposer({"a": family("a")}, sampler, 7, maximize=True)
    resumed.rebuild(trials[:12])
    for n in range(12, 16):
        name, sampled, written = resumed.propose(n)
        assert sampled == proposals[n]
        end(resumed, n, name, written, trials[n].value)


def test_inactive_parameters_are_not_proposed() -> None:
    proposer = Proposer({"a": family("a")}, "random", 0, maximize=True)
    for n in range(30):
        _, sampled, written = proposer.propose(n)
        assert ("mask" in sampled) == sampled["augment"]
        assert set(written) == {"family"} | {f"a/{name}" for name in sampled}


def test_every_family_has_its_first_trials_and_its_floor() -> None:
    # b is always refused at sight: TPE would drop it, the floor must not.
    proposer = Proposer({"a": family("a", 3), "b": family("b", 3)}, "tpe", 0, maximize=True)
    names = []
    for n in range(80):
        name, _, written = proposer.propose(n)
        names.append(name)
        end(proposer, n, name, written, 0.9 if name == "a" else 0.0, End.FULL if name == "a" else End.PRUNED)
    assert Counter(names[:6]) == {"a": 3, "b": 3}
    assert 8 <= Counter(names)["b"] <= 40


def test_tpe_learns_from_refusals_and_survives_failures() -> None:
    proposer = Proposer({"a": family("a")}, "tpe", 3, maximize=True)
    late = []
    for n in range(60):
        name, sampled, written = proposer.propose(n)
        if n % 10 == 9:
            end(proposer, n, name, written, None, End.NAN)
        elif sampled["x"] > 0.5:
            end(proposer, n, name, written, None, End.REFUSED)
        else:
            end(proposer, n, name, written, 1 - abs(sampled["x"] - 0.2))
        late += [sampled["x"]] if n >= 30 else []
    assert sum(x <= 0.5 for x in late) > 0.7 * len(late)


def test_a_requeued_trial_is_not_proposed_again_but_adopted() -> None:
    proposer = Proposer({"a": family("a"), "b": family("b")}, "tpe", 0, maximize=True)
    name, _, written = proposer.propose(0)
    lost = end(proposer, 0, name, written, None, End.WORKER_LOST)
    again = Trial(1, "RUNNING", {"family": name, "retry_of": 0}, lost.params)
    assert proposer.written_params(lost.params) == written
    proposer.adopt(again)
    done = Trial(1, "COMPLETE", again.spec, lost.params, {1: 0.5}, "full", value=0.5)
    proposer.learn(done)
    assert proposer.propose(2)[0] in ("a", "b")


def test_a_family_asked_for_overrides_choice_and_floor() -> None:
    proposer = Proposer({"a": family("a", 5), "b": family("b", 5)}, "tpe", 0, maximize=True)
    for n in range(12):
        name, _, written = proposer.propose(n, "b")
        assert name == "b"
        end(proposer, n, name, written, 0.5)
    assert [proposer.propose(n)[0] for n in range(12, 17)] == ["a"] * 5


# -- trials that pause ---------------------------------------------------------------------------------------------


def paused(number: int, params: dict[str, Any], reports: dict[int, float]) -> Trial:
    return Trial(number, "WAITING", {"family": "plane"}, params, reports, paused=max(reports))


def at(x: float, y: int) -> dict[str, Any]:
    return {"family": "plane", "plane/x": x, "plane/y": y}


def test_a_paused_trial_is_known_by_its_reports_until_it_ends() -> None:
    mirror = Mirror({"plane": PLANE}, True)

    def known() -> list[tuple[str, dict[int, float], float | None]]:
        trials = mirror.study(optuna.samplers.RandomSampler()).trials
        return [(t.state.name, t.intermediate_values, t.value if t.state.name == "COMPLETE" else None) for t in trials]

    trial = paused(4, at(0.1, 3), {1: 0.2, 3: 0.3})
    mirror.take_in(trial)
    trial.state, trial.paused = "RUNNING", None
    trial.reports[4] = 0.9  # it goes on; nobody has told the mirror
    assert known() == [("PRUNED", {3: 0.3}, None)]
    mirror.take_in(replace(trial, state="WAITING", paused=9, reports={**trial.reports, 9: 0.95}))
    assert known() == [("PRUNED", {9: 0.95}, None)]
    mirror.take_in(replace(trial, state="COMPLETE", end="full", value=0.97))
    assert [(state, value) for state, _, value in known()] == [("COMPLETE", 0.97)]
    mirror.forget(4)
    assert known() == []


@pytest.mark.parametrize("sampler", ["tpe", GP, CMAES])
def test_what_is_proposed_depends_on_the_trials_and_not_on_how_it_came_to_them(sampler: str) -> None:
    """Pauses, promotions, crashes and a restart in between leave no trace."""
    chance = random.Random(1)
    live = Proposer({"plane": PLANE}, sampler, 5, maximize=True)
    trials: dict[int, Trial] = {}
    for n in range(14):
        _, sampled, written = live.propose(n)
        value = 1 - (sampled["x"] - 0.3) ** 2 - (sampled["y"] / 100 - 0.6) ** 2
        trials[n] = Trial(n, "WAITING", {"family": "plane"}, {k: v for k, (v, _) in written.items()}, {1: value / 2}, paused=1)
        live.learn(trials[n])
        for old in [t for t in trials.values() if t.paused is not None and chance.random() < 0.3]:
            old.state, old.paused = "RUNNING", None
            live.adopt(old)
            old.reports[2] = 2 * old.reports[1]
            if chance.random() < 0.2:
                old.state, old.end = "FAIL", "worker-lost"
            else:
                old.state, old.end, old.value = "COMPLETE", "full", old.reports[2]
            live.learn(old)
    resumed = Proposer({"plane": PLANE}, sampler, 5, maximize=True)
    resumed.rebuild(list(trials.values()))
    for n in (14, 15):
        assert resumed.propose(n) == live.propose(n)


@pytest.mark.parametrize("sampler", ["tpe", CMAES])
def test_confirmations_are_never_shown(sampler: str) -> None:
    trials = [Trial(n, "COMPLETE", {"family": "plane"}, at(n / 12, n), {1: n / 12}, "full", value=n / 12) for n in range(12)]
    confirming = Trial(12, "COMPLETE", {"family": "plane", "confirms": 11}, at(11 / 12, 11), {1: 0.0}, "full", value=0.0)
    one, other = (Proposer({"plane": PLANE}, sampler, 5, maximize=True) for _ in range(2))
    one.rebuild(trials)
    other.rebuild([*trials, confirming])
    other.adopt(replace(confirming, state="RUNNING", end=None))
    other.learn(confirming)
    assert one.propose(13) == other.propose(13)


# -- samplers that learn from values -------------------------------------------------------------------------------


@pytest.mark.parametrize("ranking", ["values", "levelled"])
def test_every_trial_with_reports_has_a_value_and_for_them_a_refused_one_the_worst(ranking: str) -> None:
    mirror = Mirror({"plane": PLANE}, False, ranking)
    spec = {"family": "plane"}
    mirror.take_in(Trial(0, "PRUNED", spec, at(0.9, 9), {}, "refused"))
    assert mirror.valued()[0][1] is None
    mirror.take_in(Trial(1, "COMPLETE", spec, at(0.1, 1), {1: 5.0, 2: 3.0}, "full", value=3.0))
    mirror.take_in(Trial(2, "PRUNED", spec, at(0.2, 2), {1: 7.0}, "pruned", value=7.0))
    mirror.take_in(paused(3, at(0.3, 3), {1: 4.0}))
    mirror.take_in(Trial(4, "RUNNING", spec, at(0.4, 4)))
    worst = 5.0 if ranking == "values" else None
    assert [value for _, value in mirror.valued()] == [worst, 3.0, 5.0, 2.0, None]
    states = [t.state.name for t in mirror.study(optuna.samplers.RandomSampler()).trials]
    assert states == ["COMPLETE" if worst else "PRUNED"] + ["COMPLETE"] * 3 + ["RUNNING"]


@pytest.mark.parametrize(("sampler", "trials"), [pytest.param(*p.values, n, marks=p.marks) for p, n in ((CMAES, 40), (GP, 20))])
def test_they_beat_the_dice_on_a_smooth_function_although_most_trials_are_stopped(sampler: str, trials: int) -> None:
    def distances(kind: str) -> list[float]:
        proposer = Proposer({"plane": PLANE}, kind, 3, maximize=True)
        found = []
        for n in range(trials):
            _, sampled, written = proposer.propose(n)
            distance = (sampled["x"] - 0.7) ** 2 + (sampled["y"] / 100 - 0.2) ** 2
            found.append(distance)
            params = {k: v for k, (v, _) in written.items()}
            reports = {1: 0.5 - distance} | ({2: 1 - distance} if n % 4 == 0 else {})
            how = End.FULL if len(reports) == 2 else End.PRUNED
            proposer.learn(Trial(n, how.state, {"family": "plane"}, params, reports, str(how), value=reports[max(reports)]))
        return found

    learnt, drawn = distances(sampler), distances("random")
    assert statistics.median(learnt[trials // 2 :]) < 0.5 * statistics.median(drawn)


def test_a_condition_on_a_stepped_float_holds_for_what_is_drawn() -> None:
    """A sampler counts steps and draws 0.30000000000000004."""
    parameters = (Parameter("x", FloatDomain(0.1, 0.7, 0.1)), Parameter("mask", IntDomain(0, 27), {"x": (0.3,)}))
    proposer = Proposer({"a": FamilySpace("a", parameters, {"x": 0.1, "mask": 0})}, "random", 0, maximize=True)
    drawn = [proposer.propose(n)[1] for n in range(60)]
    assert any(round(sampled["x"], 6) == 0.3 for sampled in drawn)
    assert all(("mask" in sampled) == (round(sampled["x"], 6) == 0.3) for sampled in drawn)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_of_other_families_the_least_tried_that_has_something_left(sampler: str) -> None:
    spaces = {name: FamilySpace(name, (Parameter("k", IntDomain(1, size)),), {"k": 1}, 0, {}) for name, size in (("a", 9), ("b", 2), ("c", 9))}
    proposer = Proposer(spaces, sampler, 0, maximize=True)
    assert proposer.other_than({"a"}) == "b" and proposer.other_than(spaces) is None
    for number in range(2):
        proposer.propose(number, "b")
    assert proposer.other_than({"a"}) == "c"
    assert proposer.other_than({"a", "c"}) == (None if sampler == "grid" else "b")
