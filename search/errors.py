"""Errors of the engine: one root, few children.

A root command prints ``error: MESSAGE`` without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Iterable

#: What moves a terminal's cursor, changes its colours or the direction of writing, by code point. For `str.translate`.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class SearchError(Exception):
    """Root of every error that this package raises on purpose. Its text moves no terminal, whatever names it repeats.

    Attributes
    ----------
    exit_code : int
        What a command that stops on this error exits with.
    """

    exit_code = 2

    def __str__(self) -> str:
        return super().__str__().translate(_CONTROL)


class SpaceFileError(SearchError, ValueError):
    """A space file can't be used as it stands; the message lists every problem found in it.

    Parameters
    ----------
    problems : iterable of str
        One line each: where, what was found, what must hold, the remedy.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        head = [] if len(self.problems) == 1 else [f"{len(self.problems)} problems:"]
        super().__init__("\n".join([*head, *self.problems]))

    def __reduce__(self) -> tuple[type[SpaceFileError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class StudyError(SearchError):
    """A study can't be opened, joined or gone on with."""


class LeaseHeld(StudyError):
    """Another driver holds the study."""


class LeaseLost(StudyError):
    """The study is no longer this driver's, which has stopped writing."""

    @classmethod
    def of(cls, name: str, holder: str) -> LeaseLost:
        """The error of a driver whose study `name` another one has taken over: `holder` says which."""
        return cls(
            f"study '{name}': another driver ({holder}) has it now, because this one was paused or cut off for too long; this one has stopped and wrote nothing "
            "since; what it had running is run again by the other. Wait for that one, then run the same command again to go on"
        )


class TrialFailed(SearchError):
    """The engine's own failure of one trial; the search goes on.

    Parameters
    ----------
    reason_code : str
        Becomes the trial's end state: ``"refused"``, ``"nan"``, ``"memory"`` or ``"exception"``.
    message : str
    """

    def __init__(self, reason_code: str, message: str) -> None:
        self.reason_code = reason_code
        super().__init__(message)

    def __reduce__(self) -> tuple[type[TrialFailed], tuple[str, str]]:
        return type(self), (self.reason_code, str(self))  # it crosses process borders
