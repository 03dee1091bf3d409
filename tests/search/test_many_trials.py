"""What a sampler is shown of very many trials."""

from __future__ import annotations

import random
import time

import optuna
import pytest

from search.mirror import MOST_SHOWN, Mirror
from search.ranking import rank_of
from search.sampling import Proposer
from search.space import ChoiceDomain, FamilySpace, FloatDomain, Parameter
from search.trial import Trial

PARAMETERS = (
    *(Parameter(f"p{i}", FloatDomain(0.0, 1.0)) for i in range(5)),
    Parameter("more", ChoiceDomain((True, False))),
    Parameter("p5", FloatDomain(0.0, 1.0), {"more": (True,)}),
)
SPACE = {"f": FamilySpace("f", PARAMETERS, dict.fromkeys((p.name for p in PARAMETERS), 0.5) | {"more": False})}


def trials(count: int, seed: int = 0) -> list[Trial]:
    """A third of them stopped at each of two rungs."""
    chance, made = random.Random(seed), []
    for number in range(count):
        last = chance.choice((1, 3, 9))
        more = chance.random() < 0.5
        params = {"family": "f", **{f"f/p{i}": chance.random() for i in range(5)}, "f/more": more, **({"f/p5": chance.random()} if more else {})}
        reports = {epoch: chance.random() for epoch in range(1, last + 1)}
        end, state = ("full", "COMPLETE") if last == 9 else ("pruned", "PRUNED")
        made.append(Trial(number, state, {"family": "f", "epochs": 9}, params, reports, end, value=reports[last]))
    return made


def test_of_too_many_the_best_the_newest_and_all_under_way_are_shown_in_their_order() -> None:
    mirror, made = Mirror(SPACE, True, most=100), trials(1000)
    for trial in made:
        mirror.take_in(trial)
    for number in (1000, 1001):
        mirror.take_in(Trial(number, "RUNNING", {"family": "f"}, made[0].params))
    mirror.forget(999)
    shown = mirror.study(optuna.samplers.RandomSampler()).trials
    assert len(shown) == 102 and [t.state.name for t in shown[-2:]] == ["RUNNING"] * 2
    best = sorted(made[:999], key=lambda t: rank_of(t, True))[:10]
    expected = {t.number for t in best} | {n for n in range(999) if n >= 999 - 90 - sum(t.number >= 909 for t in best)}
    assert [t.params for t in shown[:-2]] == [made[n].params for n in sorted(expected)]


def test_the_best_are_best_as_optuna_ranks_them() -> None:
    spec = {"family": "f"}
    worst_first = [
        Trial(0, "PRUNED", spec, {}, {}, "refused"),
        Trial(1, "PRUNED", spec, {}, {1: 0.9}, "pruned"),
        Trial(2, "PRUNED", spec, {}, {1: 0.9, 3: 0.1}, "pruned"),
        Trial(3, "PRUNED", spec, {}, {3: 0.2}, "pruned"),
        Trial(4, "COMPLETE", spec, {}, {9: 0.1}, "full", value=0.1),
        Trial(5, "COMPLETE", spec, {}, {9: 0.3}, "full", value=0.3),
    ]
    assert [t.number for t in sorted(worst_first, key=lambda t: rank_of(t, True))] == [5, 4, 3, 2, 1, 0]
    assert [t.number for t in sorted(worst_first, key=lambda t: rank_of(t, False))] == [4, 5, 2, 3, 1, 0]


def test_up_to_the_limit_nothing_changes() -> None:
    capped, whole = Proposer(SPACE, "tpe", 1, True, shown=300), Proposer(SPACE, "tpe", 1, True)
    for proposer in (capped, whole):
        proposer.rebuild(trials(300))
    assert capped.propose(300) == whole.propose(300)


@pytest.mark.slow
def test_a_proposal_after_very_many_trials_takes_a_second_at_most() -> None:
    proposer = Proposer(SPACE, "tpe", 1, True)
    proposer.rebuild(trials(5 * MOST_SHOWN))
    took = []
    for number in range(3):
        started = time.process_time()
        proposer.propose(5 * MOST_SHOWN + number)
        took.append(time.process_time() - started)
    assert min(took) < 1.0
