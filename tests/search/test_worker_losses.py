"""When a pool gives up on its workers, and when it tries again."""

from __future__ import annotations

from search.engines.worker_losses import WORKERS_LOST, WorkerLosses


def test_workers_that_die_one_after_another_are_too_many_unless_a_trial_is_finished() -> None:
    losses = WorkerLosses()
    for number in range(WORKERS_LOST - 1):
        losses.lost(10.0 * number, "a")
    assert not losses.are_too_many
    losses.served()
    for number in range(WORKERS_LOST):
        assert not losses.are_too_many
        losses.lost(100.0 + 10.0 * number, "a")
    assert losses.are_too_many


def test_those_of_one_node_that_die_together_are_one_loss() -> None:
    losses = WorkerLosses()
    for number in range(50):
        losses.lost(0.01 * number, "a")
    assert not losses.are_too_many
    for number in range(WORKERS_LOST - 1):
        losses.lost(0.6, f"other {number}")
    assert losses.are_too_many


def test_a_bad_node_ends_no_search_whose_other_workers_may_still_start() -> None:
    losses = WorkerLosses()
    for _ in range(16):
        losses.could_not_start(1.0, has_others=True)
    assert not losses.are_too_many
    losses.started()
    losses.could_not_start(100.0, has_others=False)
    assert not losses.are_too_many, "those before were not the end of all"


def test_where_none_can_start_all_count() -> None:
    losses = WorkerLosses()
    for number in range(WORKERS_LOST):
        losses.could_not_start(1.0, has_others=number < WORKERS_LOST - 1)
    assert losses.are_too_many


def test_tries_come_less_and_less_often_however_many_fail_together_and_however_often() -> None:
    losses, now, pauses = WorkerLosses(), 0.0, []
    for _ in range(2000):  # 2.0 to that power is no number any more
        for _ in range(3):
            losses.could_not_start(now, has_others=True)
        assert not losses.may_start(now)
        began = now
        while not losses.may_start(now):
            now += 0.5
        pauses.append(now - began)
    assert pauses[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0] and set(pauses[6:]) == {60.0}
    losses.started()
    losses.could_not_start(now, has_others=True)
    assert losses.may_start(now + 2.0)
