"""Who makes way for trials that need another kind of worker. Pure: it is told who there is and what time it is.

Units: seconds on any clock that only goes forward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from search.engines.ray_capacity import Shape

#: A trial that waits so long for a worker of its kind gets the room of all who are free and in its way.
PATIENCE_SECONDS = 20.0


class Placed(Protocol):
    """A worker; `node` is None until it is known."""

    @property
    def shape(self) -> Shape: ...
    @property
    def node(self) -> str | None: ...


H = TypeVar("H", bound=Placed)


def make_way(
    waiting: Sequence[tuple[Shape, float]],
    starting: Sequence[H],
    idle: Sequence[H],
    busy: Sequence[H],
    offers: Mapping[str, Mapping[str, float]],
    wanted: int,
    now: float,
) -> tuple[list[H], list[Shape]]:
    """Which free workers end, and which start, for trials that wait for a worker of their shape.

    Room for a shape is only on nodes that have what it takes. Where one of our workers there is busy, or starts and may be there, it is waited for: it
    will be free. There are never more workers than are wanted.

    Parameters
    ----------
    waiting : sequence of (Shape, float)
        What each waiting trial needs, and since when it waits; the longest wait first.
    starting, idle, busy : sequence of Placed
    offers : mapping
        What each living node offers in all, by its identity.
    wanted : int
        Workers there are to be.
    now : float

    Returns
    -------
    list of Placed
        Idle workers to end.
    list of Shape
        Workers to start.
    """
    free: list[H] = list(idle)
    ended: list[H] = []
    started: list[Shape] = []
    coming, working = Counter(hand.shape for hand in starting), Counter(hand.shape for hand in busy)
    count = len(starting) + len(idle) + len(busy)
    since = {shape: at for shape, at in reversed(waiting)}
    for shape, trials in Counter(shape for shape, _ in waiting).items():
        slots = {node: shape.slots(offered) for node, offered in offers.items()}
        patient = now - since[shape] <= PATIENCE_SECONDS
        # One is asked for even where no node has room for it: a cluster that grows by itself grows by what is asked for.
        missing = min(trials - coming[shape], max(1, sum(slots.values())) - coming[shape] - working[shape])
        others = [hand for hand in starting if hand.shape != shape]
        for _ in range(missing):
            near = [hand for hand in free if slots.get(hand.node)]
            if not near and patient and any(hand.node is None or slots.get(hand.node) for hand in (*busy, *others)):
                break
            out = near or (free if count >= wanted else [])
            if out:
                ended.append(out[0])
                free.remove(out[0])
                count -= 1
            if count >= wanted:
                break
            started.append(shape)
            count += 1
        if missing <= 0 and not patient and not working[shape]:  # the one that starts has not found room
            near = [hand for hand in free if slots.get(hand.node)]
            ended += near
            free = [hand for hand in free if hand not in near]
    return ended, started
