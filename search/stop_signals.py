"""The two ways a user may stop a search, whoever drives it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Stoppable(Protocol):
    """A search under way."""

    def stop(self, reason: str) -> None: ...
    def note(self, text: str) -> None: ...


@contextmanager
def stoppable(search: Stoppable) -> Iterator[list[int]]:
    """First Ctrl-C or SIGTERM: running trials end at their next epoch. Second: now. Yields the signals so far."""
    stops: list[int] = []

    def on_signal(number: int, frame: Any) -> None:
        stops.append(number)
        if len(stops) > 1:
            raise KeyboardInterrupt
        search.stop("stopped by the user")
        search.note("stopping: running trials end at their next epoch (once more to stop now)")

    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
