"""Workers that die, or can't start: when there are too many of them, and when the next one may be tried. Pure: it is told the time.

Units: seconds on any clock that only goes forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: So many workers lost in a row without a finished trial: something kills them all. Those of one node that die together are one loss.
WORKERS_LOST = 6
_TOGETHER_SECONDS = 1.0
#: After workers that could not start, the next one waits at most so long.
_RESTART_SECONDS = 60.0


@dataclass
class WorkerLosses:
    """What went wrong with a pool's workers since a trial was finished last."""

    _in_a_row: int = 0
    _counted_at: dict[str, float] = field(default_factory=dict)  # when a node's workers were last counted as lost
    _failed_batches: int = 0
    _failed_together: int = 0  # starts, since one succeeded or they were counted as losses
    _start_again: float = 0.0

    @property
    def are_too_many(self) -> bool:
        """Whether the pool is to give up."""
        return self._in_a_row >= WORKERS_LOST

    def may_start(self, now: float) -> bool:
        """Whether a worker may be started now."""
        return now >= self._start_again

    def started(self) -> None:
        """A worker is there."""
        self._failed_batches = self._failed_together = 0

    def served(self) -> None:
        """A worker finished a trial."""
        self._in_a_row = 0

    def lost(self, now: float, node: str | None) -> None:
        """A worker died; `node` is where it was, if that is known."""
        if node is not None:
            if now - self._counted_at.get(node, -_TOGETHER_SECONDS) < _TOGETHER_SECONDS:
                return
            self._counted_at[node] = now
        self._in_a_row += 1

    def could_not_start(self, now: float, has_others: bool) -> None:
        """A node may lack what workers need, for now or for good: it is tried again less and less often, and while the pool `has_others`, which work or may
        still start, that is nobody's death."""
        self._failed_together += 1
        if self.may_start(now):  # those that were started together wait together
            self._failed_batches += 1
            self._start_again = now + min(_RESTART_SECONDS, 2.0 ** min(self._failed_batches, 10))
        if not has_others:
            self._in_a_row += self._failed_together
            self._failed_together = 0
