"""The exhaustive sampler: every configuration once, in a fixed order, whatever happens in between."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given

from search.config import load_space
from search.domains import FloatDomain
from search.plan import plan_text, planned_trials
from search.grid import Grid, configurations, domain_values, grid_size
from search.sampling import Proposer
from search.space import ChoiceDomain, FamilySpace, IntDomain, Parameter
from search.trial import End, Trial
from tests.search.declarations import FAMILIES, SECTIONS
from tests.search.test_space import FEW, spaces

SMALL = FamilySpace(
    "small",
    (
        Parameter("factor", FloatDomain(0.1, 0.3, step=0.1), {"schedule": ("plateau",)}),
        Parameter("schedule", ChoiceDomain(("constant", "plateau"))),
        Parameter("depth", IntDomain(2, 4, 2)),
    ),
    {"factor": 0.1, "schedule": "constant", "depth": 2},
)
TINY = FamilySpace("tiny", (Parameter("width", IntDomain(1, 3)),), {"width": 1})
BOTH = {"small": SMALL, "tiny": TINY}


def ended(number: int, family: str, written: dict, how: End = End.FULL, retry_of: int | None = None) -> Trial:
    spec = {"family": family, "retry_of": retry_of}
    reports = {1: 0.5} if how is End.FULL else {}
    return Trial(number, how.state, spec, {k: v for k, (v, _) in written.items()}, reports, str(how), value=0.5 if reports else None)


@given(spaces())
@FEW
def test_every_configuration_comes_once(space: FamilySpace) -> None:
    found = list(configurations(space))
    assert len(found) == space.size()
    assert len({repr(sampled) for sampled in found}) == len(found)
    searched = {p.name for p in space.searched}
    for sampled in found:
        space.resolve(sampled)  # every value is legal, none is missing
        assert set(sampled) == searched & set(space.active(sampled))


def test_the_last_parameter_varies_fastest() -> None:
    order = [tuple(sampled.values()) for sampled in configurations(SMALL)]
    assert order == [
        ("constant", 2), ("constant", 4),
        ("plateau", 0.1, 2), ("plateau", 0.1, 4), ("plateau", 0.2, 2), ("plateau", 0.2, 4), ("plateau", 0.3, 2), ("plateau", 0.3, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "step"), [(0.1, 0.7, 0.1), (1e-4, 1e-3, 1e-4), (0.0, 1.0, 1 / 3), (-0.3, 0.3, 0.05)])
def test_steps_are_written_as_a_person_would_and_are_legal(low: float, high: float, step: float) -> None:
    domain = FloatDomain(low, high, step)
    values = list(domain_values(domain))
    assert len(values) == domain.size() and all(domain.contains(value) for value in values)
    if (low, high) == (0.1, 0.7):
        assert values == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_a_float_without_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"float 0\.0\.\.1\.0 has no countable values"):
        list(domain_values(FloatDomain(0.0, 1.0)))


def test_families_take_turns_until_one_is_done() -> None:
    grid = Grid(BOTH)
    assert grid.size == grid_size(BOTH) == 11
    names = [grid.next()[0] for _ in range(11)]
    assert names == ["small", "tiny"] * 3 + ["small"] * 5
    assert grid.next() is None


def test_a_family_can_be_asked_for() -> None:
    proposer = Proposer(BOTH, "grid", 0, True)
    assert proposer.total == 11
    assert [proposer.propose(n, "tiny")[1]["width"] for n in range(3)] == [1, 2, 3]
    assert proposer.propose(3, "tiny") is None
    assert proposer.has_more() and proposer.has_more("small") and not proposer.has_more("tiny")
    assert proposer.propose(3)[0] == "small"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_killed_lost_or_refused_the_grid_is_done_once_and_in_order(seed: int) -> None:
    order = Proposer(BOTH, "grid", 0, True)
    whole = [order.propose(n)[:2] for n in range(11)]
    assert order.propose(11) is None and not order.has_more()
    chance = random.Random(seed)
    trials: list[Trial] = []
    proposed = []
    proposer = Proposer(BOTH, "grid", seed, True)
    while True:
        if chance.random() < 0.3:  # the driver is killed
            proposer = Proposer(BOTH, "grid", seed, True)
            proposer.rebuild(trials)
        proposal = proposer.propose(len(trials))
        if proposal is None:
            break
        name, sampled, written = proposal
        proposed.append((name, sampled))
        how = chance.choice([End.FULL, End.PRUNED, End.REFUSED, End.NAN, End.WORKER_LOST])
        trials.append(ended(len(trials), name, written, how))
        proposer.learn(trials[-1])
        if how is End.WORKER_LOST:
            again = Trial(len(trials), "WAITING", {"family": name, "retry_of": trials[-1].number}, trials[-1].params)
            trials.append(again)
            if chance.random() < 0.5:
                again.state = "RUNNING"
                proposer.adopt(again)
                trials[-1] = ended(again.number, name, written, End.FULL, again.retry_of)
                proposer.learn(trials[-1])
    assert proposed == whole


def test_what_another_sampler_or_a_confirmation_did() -> None:
    params = {"family": "tiny", "tiny/width": 2}
    by_tpe = Trial(0, "COMPLETE", {"family": "tiny"}, params, {1: 0.5}, "full", value=0.5)
    confirming = Trial(1, "COMPLETE", {"family": "tiny", "confirms": 0}, {**params, "tiny/width": 1}, {1: 0.5}, "full", value=0.5)
    proposer = Proposer({"tiny": TINY}, "grid", 0, True)
    proposer.rebuild([by_tpe, confirming])
    assert [proposer.propose(n)[1]["width"] for n in (2, 3)] == [1, 3]
    assert proposer.propose(4) is None


def test_another_sampler_goes_on_where_the_grid_stopped() -> None:
    grid = Proposer(BOTH, "grid", 0, True)
    trials = [ended(n, name, written) for n, (name, _, written) in enumerate(iter(lambda: grid.propose(0), None))]
    tpe = Proposer(BOTH, "tpe", 0, True)
    tpe.rebuild(trials)
    assert tpe.propose(len(trials))[0] in BOTH


def test_a_grid_of_any_size_is_never_written_out() -> None:
    wide = tuple(Parameter(f"p{i}", IntDomain(0, 999)) for i in range(6))
    huge = FamilySpace("huge", wide, {p.name: 0 for p in wide})
    proposer = Proposer({"huge": huge}, "grid", 0, True)
    assert proposer.total == 10**18
    assert [proposer.propose(n)[1]["p5"] for n in range(3)] == [0, 1, 2]


def test_the_plan_says_how_large_the_grid_is(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    net = "{depth: {int: [2, 5]}, masked: {choice: [true, false]}}"
    path.write_text(f"sampler: grid\nfamilies:\n  net: {net}\n  tree: {{leaves: {{int: [2, 4]}}}}\n")
    for trials, planned, told in ((None, 11, "all are"), (11, 11, "all are"), (60, 11, "all are"), (5, 5, "the first 5 are")):
        config = load_space(path, FAMILIES, SECTIONS, {"budget.trials": trials, "budget.minutes": None})
        assert planned_trials(config) == planned
        text = plan_text(config)
        assert "sampler grid: 11 configurations, families in turn (net 8, tree 3), the last parameter of a family varying" in text
        assert f"; {told} tried" in text
        assert f"{planned} trials: about" in text
