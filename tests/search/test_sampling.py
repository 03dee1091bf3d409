"""What is proposed: legal, repeatable, fair to families, and learnt from."""

from __future__ import annotations

from collections import Counter

import pytest

from search.sampling import Proposer
from search.space import ChoiceDomain, FamilySpace, FloatDomain, IntDomain, Parameter
from search.trial import End, Trial


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
