"""How commands end."""

from __future__ import annotations

import errno

import pytest

from genre_models.errors import CorpusError
from scripts.ending import exit_code_of
from search.errors import SearchError


def raising(error: BaseException):
    def action() -> int:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (SearchError("study [x]: is gone"), 2, "error: study [x]: is gone\n"),
        (CorpusError("music: no such folder"), 2, "error: music: no such folder\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/full/page.html"), 2, "error: /full/page.html: No space left on device; make room\n"),
        (KeyboardInterrupt(), 130, "stopped; nothing is lost\n"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(raising(error), stopped="stopped; nothing is lost", elsewhere="make room") == code
    assert capsys.readouterr() == ("", told)


def test_a_fault_of_the_program_is_not_hidden() -> None:
    assert exit_code_of(lambda: 1, stopped="") == 1
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0, stopped="")
