"""What a study takes over from others: which configurations first, which trials for the sampler, and how little harm they do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.sampling import Proposer
from search.space import ChoiceDomain, FamilySpace, Fixed, FloatDomain, IntDomain, Parameter
from search.trial import Trial
from search.warm_start import MOST_KNOWN, MOST_QUEUED, STAND_INS, Outsider, WarmStart, disappointing, known_of, queue_of, sampled_in, stand_ins, take_from

NET = FamilySpace(
    "net",
    (
        Parameter("depth", IntDomain(2, 5)),
        Parameter("rate", FloatDomain(1e-4, 1e-1, log=True)),
        Parameter("masked", ChoiceDomain((True, False))),
        Parameter("mask", IntDomain(0, 27), {"masked": (True,)}),
        Parameter("batch", Fixed(32)),
    ),
    {"depth": 3, "rate": 1e-3, "masked": False, "mask": 5, "batch": 16, "pool": "2-2"},
    min_trials=2,
)
TREE = FamilySpace("tree", (Parameter("leaves", IntDomain(2, 64)),), {"leaves": 8}, min_trials=2)
FAMILIES = {"net": NET, "tree": TREE}
PLAIN = {"depth": 4, "rate": 0.01, "masked": False, "mask": 5, "batch": 32, "pool": "2-2"}


def trial(number: int, value: float | None = 0.5, epochs: int = 9, family: str = "net", end: str | None = None, spec: dict | None = None, **params: Any) -> Trial:
    """One that had 9 epochs is full, a shorter one was stopped."""
    whole = {**(PLAIN if family == "net" else {"leaves": 8}), **params}
    end = end or ("full" if epochs == 9 else "pruned")
    state = {"full": "COMPLETE", "early-stop": "COMPLETE", "pruned": "PRUNED", "refused": "PRUNED"}.get(end, "FAIL")
    reports = {} if value is None else dict.fromkeys(range(1, epochs + 1), value)
    return Trial(number, state, {"family": family, "params": whole, "epochs": 9, **(spec or {})}, {}, reports, end, value=value)


# -- what fits -----------------------------------------------------------------------------------------------------


def test_a_configuration_is_sampled_so_that_it_resolves_to_the_same() -> None:
    told = json.loads(json.dumps({**PLAIN, "masked": True, "mask": 12}))
    sampled = sampled_in(FAMILIES, trial(0, **told))
    assert sampled == {"depth": 4, "rate": 0.01, "masked": True, "mask": 12}
    assert NET.resolve(sampled) == told


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"depth": 6}, "net/depth: 6 is not in int 2..5"),
        ({"rate": 0.5}, "net/rate: 0.5 is not in float"),
        ({"masked": True, "mask": 30}, "net/mask: 30 is not in int 0..27"),
        ({"batch": 64}, "net/batch: 64 is not in 32"),
        ({"pool": "3-3"}, "net/pool: 3-3 is not in 2-2"),
        ({"kernel": 3}, "net has no parameter kernel any more"),
    ],
)
def test_a_value_outside_the_space_is_named(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sampled_in(FAMILIES, trial(0, **changed))


def test_what_has_no_effect_there_may_be_anything_and_a_parameter_learned_since_was_its_default() -> None:
    assert "mask" not in sampled_in(FAMILIES, trial(0, masked=False, mask=99))
    old = trial(0)
    del old.spec["params"]["pool"]
    assert sampled_in(FAMILIES, old)["depth"] == 4
    with pytest.raises(ValueError, match="family svm is not searched here"):
        sampled_in(FAMILIES, trial(0, family="svm"))


def test_a_whole_number_in_a_float_stays_a_float() -> None:
    space = FamilySpace("net", (Parameter("x", FloatDomain(0.0, 1.0)),), {"x": 0.5})
    sampled = sampled_in({"net": space}, Trial(0, "COMPLETE", {"family": "net", "params": {"x": 1}}))
    assert sampled == {"x": 1.0} and type(sampled["x"]) is float


# -- what is taken -------------------------------------------------------------------------------------------------


def test_finished_trials_have_their_places_among_their_family_and_others_are_not_taken() -> None:
    trials = [
        trial(0, 0.6, depth=2),
        trial(1, 0.9, epochs=3),  # stopped: below all that had the full budget
        trial(2, 0.7, depth=3, end="early-stop"),
        trial(3, 0.8, epochs=1),
        trial(4, None, end="refused"),
        trial(5, 0.99, end="nan"),
        trial(6, 0.99, spec={"confirms": 0}),
        trial(7, 0.2, family="tree"),
        trial(8, 0.95, depth=9),
    ]
    taken = take_from("a", trials, FAMILIES, maximize=True)
    assert [c.origin for c in taken.full] == ["a/2", "a/0", "a/7"]
    assert {number: other.place for number, other in taken.finished} == {2: 0.3, 0: 0.5, 1: 0.7, 3: 0.9, 7: 0.5}
    assert taken.passed_over == ["net/depth: 9 is not in int 2..5"], "it has its place all the same: the first of five"
    least = take_from("a", trials, FAMILIES, maximize=False)
    assert [c.origin for c in least.full] == ["a/7", "a/0", "a/2"]


def full(study: str, *families_and_depths: tuple[str, int]) -> Any:
    """A study whose full trials come in this order."""
    rows = [trial(i, 0.9 - 0.01 * i, family=f, **({"depth": d} if f == "net" else {"leaves": d})) for i, (f, d) in enumerate(families_and_depths)]
    return take_from(study, rows, FAMILIES, maximize=True)


def test_studies_in_turn_two_of_a_family_first_none_twice_five_in_all() -> None:
    a = full("a", ("net", 2), ("net", 3), ("net", 4), ("tree", 5), ("net", 5))
    b = full("b", ("net", 2), ("tree", 6), ("tree", 7))
    assert [c.origin for c in queue_of([a, b])] == ["a/0", "a/1", "b/1", "b/2", "a/2"]
    assert [c.origin for c in queue_of([a])] == ["a/0", "a/1", "a/3", "a/2", "a/4"], "the room that families leave is filled"
    assert queue_of([full("c")]) == ()


@given(st.lists(st.tuples(st.sampled_from(["net", "tree"]), st.integers(2, 5)), max_size=12))
def test_the_queue_is_distinct_and_short(rows: list[tuple[str, int]]) -> None:
    queue = queue_of([full("a", *rows)])
    assert len(queue) == min(MOST_QUEUED, len(set(rows)))
    assert len({(c.family, json.dumps(c.sampled)) for c in queue}) == len(queue)


def test_of_too_many_trials_the_best_and_the_newest_are_kept() -> None:
    many = take_from("a", [trial(n, (n * 37 % 1000) / 1000) for n in range(1000)], FAMILIES, maximize=True)
    known = known_of([many])
    assert len(known) == MOST_KNOWN
    assert [other.place for other in known] == sorted(other.place for other in known)
    best = {other.place for _, other in many.finished if other.place < 0.1}
    assert best <= {other.place for other in known}
    assert {other.place for number, other in many.finished if number >= 910} <= {other.place for other in known}


def test_what_was_taken_is_kept_as_data_and_comes_back_the_same() -> None:
    taken = [full("a", ("net", 2), ("tree", 5))]
    warm = WarmStart(("a",), queue_of(taken), known_of(taken), ("told",))
    assert WarmStart.of(json.loads(json.dumps(warm.record()))) == warm
    assert WarmStart.of(None) == WarmStart()


@given(st.integers(0, 60), st.integers(-3, 30))
def test_stand_ins_are_spread_from_the_best_to_the_worst(many: int, wanted: int) -> None:
    known = tuple(Outsider("net", {"depth": 2}, (i + 0.5) / many) for i in range(many))
    chosen = [other.place for other in WarmStart(known=known).spread("net", wanted)]
    assert len(chosen) == len(set(chosen)) == max(0, min(many, wanted))
    if 0 < wanted <= many:
        assert all(abs(place - (i + 0.5) / wanted) < 1.5 / wanted for i, place in enumerate(chosen))
    assert WarmStart(known=known).spread("tree", 5) == []


# -- what is proposed ----------------------------------------------------------------------------------------------


def warm_start() -> WarmStart:
    taken = [full("a", ("net", 2), ("net", 3), ("net", 4), ("tree", 5), ("net", 5))]
    return WarmStart(("a",), queue_of(taken), known_of(taken))


def finish(proposer: Proposer, number: int, proposal: Any, value: float) -> Trial:
    family, _, written = proposal
    spec = {"family": family, "warm_start_of": proposer.origin_of(number)}
    done = Trial(number, "COMPLETE", spec, {key: v for key, (v, _) in written.items()}, {1: value}, "full", value=value)
    proposer.learn(done)
    return done


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_queue_comes_first_each_once_also_when_the_search_is_gone_on_with(sampler: str) -> None:
    live, trials = Proposer(FAMILIES, sampler, 0, True, warm=warm_start()), []
    for number in range(3):
        trials.append(finish(live, number, live.propose(number), 0.1 * number))
    resumed = Proposer(FAMILIES, sampler, 0, True, warm=warm_start())
    resumed.rebuild(trials)
    for number in range(3, 12):
        proposals = [proposer.propose(number) for proposer in (live, resumed)]
        assert proposals[0] == proposals[1] and live.origin_of(number) == resumed.origin_of(number)
        trials += [finish(proposer, number, proposal, 0.1) for proposer, proposal in zip((live, resumed), proposals, strict=True)][:1]
    assert [t.warm_start_of for t in trials] == ["a/0", "a/1", "a/3", "a/2", "a/4"] + [None] * 7
    assert [t.params for t in trials[:3]] == [
        {"family": "net", "net/depth": 2, "net/rate": 0.01, "net/masked": False},
        {"family": "net", "net/depth": 3, "net/rate": 0.01, "net/masked": False},
        {"family": "tree", "tree/leaves": 5},
    ]


def test_a_lost_trial_of_the_queue_is_not_proposed_a_second_time() -> None:
    proposer = Proposer(FAMILIES, "random", 0, True, warm=warm_start())
    family, _, written = proposer.propose(0)
    params = {key: v for key, (v, _) in written.items()}
    spec = {"family": family, "warm_start_of": "a/0"}
    lost = Trial(0, "FAIL", spec, params, end="worker-lost")
    again = Trial(1, "WAITING", {**spec, "retry_of": 0, "first": 0}, params)
    resumed = Proposer(FAMILIES, "random", 0, True, warm=warm_start())
    resumed.rebuild([lost, again])
    resumed.propose(2)
    assert resumed.origin_of(2) == "a/1"


def test_a_family_that_is_asked_for_or_blocked_has_its_own_way_through_the_queue() -> None:
    proposer = Proposer(FAMILIES, "random", 0, True, warm=warm_start())
    proposer.propose(0, "tree")
    assert proposer.origin_of(0) == "a/3"
    proposer.propose(1, "tree")
    assert proposer.origin_of(1) is None
    blocked = Proposer(FAMILIES, "random", 0, True, warm=warm_start(), blocked=["net"])
    blocked.propose(0)
    assert blocked.origin_of(0) == "a/3"


def test_a_grid_begins_with_the_queue_and_tries_nothing_twice() -> None:
    grid = Proposer({"tree": TREE}, "grid", 0, True, warm=WarmStart(("a",), queue_of([full("a", ("tree", 9), ("tree", 5))])))
    leaves = []
    while grid.has_more():
        leaves.append(grid.propose(len(leaves))[1]["leaves"])
    assert leaves[:4] == [9, 5, 2, 3] and sorted(leaves) == list(range(2, 65))


def foreign(best_leaves: int) -> tuple[Outsider, ...]:
    """Sixty trials of another study, the better the nearer to a number of leaves."""
    near = sorted(range(2, 62), key=lambda leaves: abs(leaves - best_leaves))
    return tuple(Outsider("tree", {"leaves": leaves}, (i + 0.5) / 60) for i, leaves in enumerate(near))


def test_trials_of_other_studies_have_no_say_in_the_family_and_none_at_all_after_a_while() -> None:
    cold, warm = (Proposer(FAMILIES, "tpe", 3, True, warm=w) for w in (WarmStart(), WarmStart(("a",), (), foreign(50))))
    differed = 0
    for number in range(4 * STAND_INS):
        one, other = cold.propose(number), warm.propose(number)
        assert one[0] == other[0]
        differed += one != other
        own = len(warm._mirror.standing("tree"))
        assert one == other or (one[0] == "tree" and own < STAND_INS)
        for proposer in (cold, warm):  # the same history for both
            finish(proposer, number, one, 0.5 if one[0] == "net" else 1 - abs(one[1]["leaves"] - 20) / 64)
    assert differed > 3


def test_stand_ins_come_only_where_what_was_taken_over_does_well_here() -> None:
    warm = WarmStart(known=foreign(20))
    well, badly = {0: 0.1, 1: 0.3, 2: 0.5, 3: 0.7, 4: 0.9}, {0: 0.9, 1: 0.7, 2: 0.5, 3: 0.3, 4: 0.1}
    assert len(stand_ins(warm, "tree", well, [0, 1])) == STAND_INS - 5, "they fill up what is missing"
    assert stand_ins(warm, "tree", badly, [0, 1]) == [] and disappointing(badly, [0, 1]) == 2
    assert disappointing(well, [0, 1]) == 0
    assert stand_ins(warm, "tree", {0: 0.25, 1: 0.75}, [0, 1]) == [], "nothing else was tried to compare them with"
    assert [bool(stand_ins(warm, "tree", dict.fromkeys(range(n), 0.5), [])) for n in range(4)] == [False, True, False, True]
    assert stand_ins(warm, "tree", {n: 0.1 for n in range(STAND_INS)}, [0]) == []


@pytest.mark.slow
def test_the_same_problem_is_solved_sooner_and_a_misleading_start_is_made_up_for() -> None:
    """On a smooth function of three parameters, beside a cold start: means over seeds."""
    space = FamilySpace("net", tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "xyz"), dict.fromkeys("xyz", 0.5), 1)

    def searched(at: float, seed: int, warm: WarmStart, trials: int = 60) -> list[Trial]:
        proposer, done = Proposer({"net": space}, "tpe", seed, True, warm=warm), []
        for number in range(trials):
            family, sampled, written = proposer.propose(number)
            value = 1 - sum((v - at) ** 2 for v in sampled.values())
            spec = {"family": family, "params": space.resolve(sampled), "epochs": 1, "warm_start_of": proposer.origin_of(number)}
            done.append(Trial(number, "COMPLETE", spec, {k: v for k, (v, _) in written.items()}, {1: value}, "full", value=value))
            proposer.learn(done[-1])
        return done

    def regret(trials: list[Trial], count: int) -> float:
        return 1 - max(t.value for t in trials[:count])

    cold, same, misled = [], [], []
    for seed in range(8):
        cold.append(searched(0.25, seed, WarmStart()))
        for at, found in ((0.25, same), (0.9, misled)):
            taken = [take_from("a", searched(at, seed + 100, WarmStart(), 40), {"net": space}, maximize=True)]
            found.append(searched(0.25, seed, WarmStart(("a",), queue_of(taken), known_of(taken))))

    def mean_regret(searches: list[list[Trial]], count: int) -> float:
        return sum(regret(trials, count) for trials in searches) / len(searches)

    assert mean_regret(same, 5) < mean_regret(cold, 20)
    assert mean_regret(misled, 5) > 3 * mean_regret(cold, 5), "it is misleading"
    assert mean_regret(misled, 60) < mean_regret(cold, 20)


@pytest.mark.slow
def test_gp_takes_trials_of_other_studies_too() -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install -c constraints.txt -e '.[gp]'")
    proposer = Proposer({"tree": TREE}, "gp", 0, True, warm=WarmStart(("a",), (), foreign(50)))
    leaves = []
    for number in range(8):
        proposal = proposer.propose(number)
        leaves.append(proposal[1]["leaves"])
        finish(proposer, number, proposal, 0.5)
    assert any(40 <= value <= 60 for value in leaves)
