"""Who makes way for trials that need another kind of worker."""

from __future__ import annotations

from dataclasses import dataclass

from search.engines.ray_capacity import Shape
from search.engines.ray_room import PATIENCE_SECONDS, make_way

ONE, GPU, WIDE = Shape(), Shape(1, 1), Shape(4)
TWO_NODES = {"plain": {"CPU": 1.0}, "gpu": {"CPU": 1.0, "GPU": 1.0}}


@dataclass(frozen=True)
class Hand:
    shape: Shape
    node: str | None


def test_the_free_worker_on_the_node_that_fits_makes_way_and_the_other_stays() -> None:
    plain, near = Hand(ONE, "plain"), Hand(ONE, "gpu")
    assert make_way([(GPU, 0.0)], [], [plain, near], [], TWO_NODES, 2, 0.0) == ([near], [GPU])


def test_a_busy_worker_on_the_only_node_that_fits_is_waited_for() -> None:
    plain, near = Hand(ONE, "plain"), Hand(ONE, "gpu")
    assert make_way([(GPU, 0.0)], [], [plain], [near], TWO_NODES, 2, PATIENCE_SECONDS) == ([], [])
    assert make_way([(GPU, 0.0)], [], [plain], [Hand(GPU, "gpu")], TWO_NODES, 2, 10 * PATIENCE_SECONDS) == ([], []), "it is of the right shape: its next trial"


def test_a_worker_that_starts_may_turn_out_to_be_on_the_node_that_fits() -> None:
    plain, starting = Hand(ONE, "plain"), Hand(ONE, None)
    assert make_way([(GPU, 0.0)], [starting], [plain], [], TWO_NODES, 2, 5.0) == ([], [])
    assert make_way([(GPU, 0.0)], [starting], [plain], [], TWO_NODES, 2, PATIENCE_SECONDS + 1) == ([plain], [GPU])


def test_where_none_of_ours_is_in_the_way_anybody_who_is_free_makes_way_for_the_number_of_workers() -> None:
    plain = [Hand(ONE, "plain") for _ in range(2)]
    assert make_way([(GPU, 0.0)], [], plain, [], TWO_NODES, 2, 0.0) == (plain[:1], [GPU])
    assert make_way([(GPU, 0.0)], [], plain, [], TWO_NODES, 3, 0.0) == ([], [GPU]), "there may be one more"
    assert make_way([(GPU, 0.0)], [], [], plain, TWO_NODES, 2, 0.0) == ([], []), "nobody is free"


def test_as_many_start_as_wait_and_as_fit() -> None:
    idle = [Hand(ONE, "big") for _ in range(4)]
    offers = {"big": {"CPU": 8.0, "GPU": 3.0}}
    waiting = [(GPU, 0.0)] * 4
    assert make_way(waiting, [], idle, [], offers, 4, 0.0) == (idle[:3], [GPU] * 3)
    assert make_way(waiting, [Hand(GPU, None)], idle, [Hand(GPU, "big")], offers, 6, 0.0) == (idle[:1], [GPU])


def test_one_that_starts_and_finds_no_room_gets_that_of_all_who_are_free_after_a_while() -> None:
    idle, starting = [Hand(ONE, "big") for _ in range(2)], [Hand(WIDE, None)]
    offers = {"big": {"CPU": 4.0}, "small": {"CPU": 1.0}}
    elsewhere = Hand(ONE, "small")
    assert make_way([(WIDE, 0.0)], starting, [*idle, elsewhere], [], offers, 4, PATIENCE_SECONDS) == ([], [])
    assert make_way([(WIDE, 0.0)], starting, [*idle, elsewhere], [], offers, 4, PATIENCE_SECONDS + 1) == (idle, [])


def test_one_is_asked_for_even_where_no_node_has_room_for_it() -> None:
    idle = [Hand(ONE, "plain")]
    assert make_way([(WIDE, 0.0)] * 3, [], idle, [], TWO_NODES, 1, 0.0) == (idle, [WIDE])
    assert make_way([(WIDE, 0.0)] * 3, [Hand(WIDE, None)], [], [], TWO_NODES, 1, 99.0) == ([], [])


def test_each_shape_gets_what_it_needs_from_those_who_are_left() -> None:
    idle = [Hand(ONE, "gpu"), Hand(ONE, "gpu")]
    offers = {"gpu": {"CPU": 4.0, "GPU": 1.0}}
    assert make_way([(GPU, 0.0), (Shape(2), 1.0)], [], idle, [], offers, 2, 1.0) == (idle, [GPU, Shape(2)])
    assert make_way([(GPU, 0.0), (Shape(2), 1.0)], [], idle[:1], [], offers, 1, 1.0) == (idle[:1], [GPU])
