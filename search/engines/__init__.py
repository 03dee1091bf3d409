"""Where trials run. An engine fills its workers from the loop until the loop has nothing more to start.

Every engine offers ``run(loop, place) -> None``; all decisions are the loop's.
"""

from __future__ import annotations

from typing import Protocol

from search.loop import Loop
from search.worker import Workplace


class Engine(Protocol):
    """Runs the trials of one search."""

    def run(self, loop: Loop, place: Workplace) -> None:
        """Return when the loop starts nothing more and nothing runs."""
        ...
