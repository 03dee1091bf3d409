"""Sudden death of this very process at a chosen point of the real code: what no signal from outside can hit reliably."""

from __future__ import annotations

import importlib
import os
import signal
from typing import Any


def die_at(method: str, nth: int = 1, when: str = "before", only: str | None = None) -> None:
    """Make the `nth` call of a method kill this process.

    Parameters
    ----------
    method : str
        ``"package.module:Class.method"``.
    nth : int
    when : {"before", "after"}
        Whether the call itself still happens.
    only : str, optional
        Count only calls whose last argument has this attribute, and it is true.
    """
    module, _, path = method.partition(":")
    owner, _, name = path.rpartition(".")
    place = getattr(importlib.import_module(module), owner)
    real, calls = getattr(place, name), []

    def mortal(*arguments: Any, **named: Any) -> Any:
        if only is not None and not getattr(arguments[-1], only):
            return real(*arguments, **named)
        calls.append(1)
        if len(calls) == nth and when == "before":
            _die()
        result = real(*arguments, **named)
        if len(calls) == nth:
            _die()
        return result

    setattr(place, name, mortal)


def die_at_commit(nth: int) -> list[int]:
    """Kill this process when it is about to commit its `nth` transaction, to whatever database; returns a list that grows with each commit."""
    from sqlalchemy import Engine, event

    commits: list[int] = []

    def count(connection: Any) -> None:
        commits.append(1)
        if len(commits) == nth:
            _die()

    event.listen(Engine, "commit", count)
    return commits


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
