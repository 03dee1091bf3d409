"""Hyperband's brackets and ASHA's promotions, on curves in simulated time, against what the papers' algorithms say."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.schedule import brackets, rungs
from search.schedulers import Scheduler
from search.schedulers.hyperband import Hyperband
from search.schedulers.promotion import AshaPromotion
from search.schedulers.stopping import Asha
from search.simulate import Curve, Simulated, simulate
from search.trial import Trial

values = st.floats(0, 1, allow_nan=False)


def hyperband(least: int = 1, most: int = 27, eta: int = 3, families: tuple[str, ...] = ("a",)) -> Hyperband:
    return Hyperband(brackets(least, most, eta), families, maximize=True)


def promotion(least: int = 1, most: int = 27, eta: int = 3) -> AshaPromotion:
    return AshaPromotion(rungs(least, most, eta), eta, maximize=True)


def run(scheduler: Scheduler, trials: int, *, most: int = 27, workers: int = 1, quality=lambda n: (n * 37 % 101) / 101, pace=lambda n: 1.0) -> Simulated:
    """Curves that stand at their quality from the first epoch on."""
    return simulate(
        scheduler,
        lambda n, family: Curve(family or "a", (quality(n),) * most, pace(n)),
        workers=workers,
        trials=trials,
    )


def reached(done: Simulated) -> dict[int, Counter[int]]:
    """Bracket -> how many trials ended at which epoch."""
    told: dict[int, Counter[int]] = defaultdict(Counter)
    for trial in done.trials:
        told[trial.bracket][len(trial.reports)] += 1
    return told


def test_one_round_of_81_by_3_is_algorithm_1() -> None:
    plans = brackets(1, 81, 3)
    total = sum(plan.configurations for plan in plans)
    done = run(hyperband(1, 81, 3), total, most=81)
    told = reached(done)
    assert [sum(told[b].values()) for b in range(5)] == [81, 34, 15, 8, 5]
    assert told[0] == {1: 54, 3: 18, 9: 6, 27: 2, 81: 1}
    assert told[1] == {3: 23, 9: 8, 27: 2, 81: 1}
    assert told[4] == {81: 5}
    assert done.epochs == sum(plan.epochs for plan in plans), "each goes on from its checkpoint: no epoch is trained twice"


@given(st.integers(1, 4), st.integers(1, 90), st.integers(2, 5), st.integers(1, 5), st.integers(1, 2))
@settings(max_examples=60, deadline=None)
@pytest.mark.slow
def test_every_bracket_keeps_to_its_plan_whatever_the_bounds_and_the_workers(least: int, more: int, eta: int, workers: int, rounds: int) -> None:
    most = least + more
    plans = brackets(least, most, eta)
    total = min(150, rounds * sum(plan.configurations for plan in plans))
    done = run(hyperband(least, most, eta), total, most=most, workers=workers, pace=lambda n: 1 + n % 3)
    told = reached(done)
    assert all(t.end in ("full", "pruned") for t in done.trials), "nothing is left waiting"
    for number, ends in told.items():
        plan = plans[number % len(plans)]
        if sum(ends.values()) < plan.configurations:
            continue  # the last one, which the trials did not fill
        sizes = [sum(n for epochs, n in ends.items() if epochs >= level) for level in plan.levels]
        assert sizes == list(plan.sizes)


@given(st.lists(values, min_size=9, max_size=9))
def test_the_best_third_of_a_rung_goes_on(qualities: list[float]) -> None:
    done = run(hyperband(1, 9, 3), 9, most=9, quality=lambda n: qualities[n])
    on = [qualities[t.number] for t in done.trials if len(t.reports) > 1]
    out = [qualities[t.number] for t in done.trials if len(t.reports) == 1]
    assert len(on) == 3 and min(on) >= max(out)


def test_a_straggler_keeps_nobody_waiting() -> None:
    # Trial 4 takes a hundred times as long; the others' workers go on with later brackets.
    done = run(hyperband(1, 9, 3), 40, most=9, workers=4, pace=lambda n: 100.0 if n == 4 else 1.0)
    begun_while_it_ran = [t for t in done.trials if t.bracket > 0]
    assert begun_while_it_ran and sum(done.busy) > 0.9 * 4 * min(100, done.seconds) - 300
    assert all(t.end is not None for t in done.trials)


def test_families_take_every_bracket_in_turn() -> None:
    families = ("cnn", "vgg16")
    done = run(hyperband(1, 9, 3, families), 2 * (9 + 5 + 3), most=9)
    told = defaultdict(set)
    for trial in done.trials:
        told[trial.bracket].add(trial.family)
    assert [told[b] for b in range(6)] == [{"cnn"}, {"vgg16"}] * 3
    assert [sum(c.values()) for _, c in sorted(reached(done).items())] == [9, 9, 5, 5, 3, 3]


def test_a_failed_configuration_never_goes_on_and_holds_nobody_up() -> None:
    scheduler = hyperband(1, 3, 3)
    trials = [Trial(n, "RUNNING", {"family": "a", "epochs": 3}, bracket=0) for n in range(3)]
    for trial in trials:
        scheduler.begun(trial)
    assert scheduler.decide(trials[0], 1, 0.2) == "pause"
    scheduler.parked(trials[0])
    assert scheduler.decide(trials[1], 1, 0.5) == "pause"
    trials[1].paused = trials[0].paused = 1
    scheduler.parked(trials[1])
    trials[2].state, trials[2].end = "FAIL", "nan"
    scheduler.ended(trials[2], requeued=False)
    assert scheduler.next(False).root == 1 and list(scheduler.losers()) == [0]


def test_a_promoted_trial_that_fails_leaves_the_decided_rung_as_it_was_after_a_restart_too() -> None:
    live = hyperband(1, 9, 3)
    trials = [Trial(n, "RUNNING", {"family": "a", "epochs": 9}, bracket=0) for n in range(9)]
    for trial in trials:
        live.begun(trial)
    for trial in trials:
        trial.reports[1] = 1 - 0.1 * trial.number
        if live.decide(trial, 1, trial.reports[1]) == "pause":
            trial.paused, trial.state = 1, "WAITING"
            live.parked(trial)
        else:
            trial.end, trial.state = "pruned", "PRUNED"
            live.ended(trial, requeued=False)
    for root in live.losers():
        trials[root].end, trials[root].state, trials[root].paused = "pruned", "PRUNED", None
        live.ended(trials[root], requeued=False)
    first = trials[live.next(False).root]
    first.paused, first.state = None, "RUNNING"
    live.resumed(first)
    first.end, first.state = "nan", "FAIL"
    live.ended(first, requeued=False)
    rebuilt = hyperband(1, 9, 3)
    rebuilt.rebuild(trials)
    assert rebuilt.next(False) == live.next(False) and rebuilt.next(False) is not None


def test_a_lost_trials_successor_takes_its_place() -> None:
    scheduler = hyperband(1, 3, 3)
    trials = [Trial(n, "RUNNING", {"family": "a", "epochs": 3}, bracket=0) for n in range(3)]
    for trial in trials:
        scheduler.begun(trial)
        if trial.number < 2:
            assert scheduler.decide(trial, 1, 0.1 * trial.number) == "pause"
            trial.paused = 1
            scheduler.parked(trial)
    trials[2].state, trials[2].end = "FAIL", "worker-lost"
    scheduler.ended(trials[2], requeued=True)
    assert scheduler.next(False) is None, "the rung waits for the successor"
    again = Trial(3, "RUNNING", {"family": "a", "epochs": 3, "retry_of": 2, "first": 2}, bracket=0)
    scheduler.begun(again)
    assert scheduler.decide(again, 1, 0.9) == "continue"
    assert sorted(scheduler.losers()) == [0, 1]


@pytest.mark.parametrize("make", [hyperband, promotion], ids=["hyperband", "promotion"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_rebuilt_at_any_moment_it_goes_on_as_if_nothing_had_been(make, data: st.DataObject) -> None:
    qualities = data.draw(st.lists(values, min_size=40, max_size=40, unique=True))
    cut = data.draw(st.integers(1, 120))
    # The same search, its scheduler thrown away after `cut` epochs and rebuilt from the trials alone.
    parts = simulate(live_part := make(), lambda n, f: Curve(f or "a", (qualities[n],) * 27), workers=1, trials=40, seconds=cut)
    rebuilt = make()
    rebuilt.rebuild(parts.trials)
    assert rebuilt.next(True) == live_part.next(True)
    assert sorted(rebuilt.losers()) == sorted(live_part.losers())


class Watched(AshaPromotion):
    """Notes, at each promotion, how many of its rung's values were at least as good, and how many there were."""

    def __init__(self) -> None:
        super().__init__(rungs(1, 27, 3), 3, maximize=True)
        self.at_rung: dict[int, dict[int, float]] = defaultdict(dict)
        self.promotions: list[tuple[int, int]] = []

    def decide(self, trial: Trial, epoch: int, best: float):
        self.at_rung[epoch][trial.root] = best
        answer = super().decide(trial, epoch, best)
        if epoch in self._levels and answer == "continue":
            self._note_promotion(trial, epoch)
        return answer

    def next(self, may_start: bool):
        self.chosen = super().next(may_start)
        return self.chosen

    def resumed(self, trial: Trial) -> None:
        if getattr(self.chosen, "root", None) == trial.root:  # else it is the one that the search ends with
            self._note_promotion(trial, len(trial.reports))
        super().resumed(trial)

    def _note_promotion(self, trial: Trial, level: int) -> None:
        values = self.at_rung[level]
        self.promotions.append((sum(v > values[trial.root] for v in values.values()), len(values)))


@given(st.lists(values, min_size=3, max_size=60, unique=True), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_promoted_is_only_who_is_among_the_best_third_of_its_rung_then(qualities: list[float], workers: int) -> None:
    scheduler = Watched()
    done = run(scheduler, len(qualities), workers=workers, quality=lambda n: qualities[n])
    assert all(better < there // 3 for better, there in scheduler.promotions)
    assert any(t.is_full for t in done.trials), "at the end the best one is finished, if none was"


def test_promotion_by_hand() -> None:
    # Rungs 1, 3, 9 of 27. Of three at epoch 1 the best goes on; its next rung has one value, so it waits there.
    done = run(promotion(), 4, quality=lambda n: [0.1, 0.3, 0.2, 0.0][n])
    assert [len(t.reports) for t in done.trials] == [1, 27, 1, 1], "number 1 is finished because nothing else was"


def test_promotion_never_compares_families() -> None:
    scheduler = promotion()
    for n in range(9):
        trial = Trial(n, "RUNNING", {"family": "vgg16", "epochs": 27})
        scheduler.decide(trial, 1, 0.9)
    for n in range(9, 12):
        trial = Trial(n, "RUNNING", {"family": "cnn", "epochs": 27})
        answer = scheduler.decide(trial, 1, 0.1 + 0.01 * n)
    assert answer == "continue", "the best of three, whatever the other family has"


def test_all_schedulers_find_the_best_of_flat_curves() -> None:
    best = max(range(60), key=lambda n: (n * 37 % 101) / 101)
    for scheduler in (hyperband(), promotion(), Asha(rungs(1, 27, 3), 3, maximize=True)):
        done = run(scheduler, 60, workers=3)
        full = [t.number for t in done.trials if t.is_full]
        assert best in full and done.leaders[-1][1] == best
