"""How files are spoiled, and how many of them a test tries."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Numbers that counts and sizes in headers are replaced with.
_EXTREMES = [bytes.fromhex(text) for text in ("00000000", "ffffffff", "7fffffff", "80000000", "ffffff7f", "00000080", "01000000", "00000001", "0000ffff", "ffff0000")]
#: One edit: where (a share of the file), what kind, with which bytes.
_EDIT = st.tuples(
    st.floats(0, 1), st.sampled_from(["flip", "number", "cut out", "put in", "end here", "again"]), st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(_EXTREMES))
)
#: The beginning of a file is where its headers are: half of all edits fall there.
EDITS = st.lists(st.tuples(_EDIT, st.booleans()), min_size=1, max_size=6)


def spoiled(data: bytes, edits: list[Any], head: int = 256) -> bytes:
    """A file after some edits, half of them in its first `head` bytes."""
    content = bytearray(data)
    for (share, kind, patch), in_head in edits:
        at = int(share * max(0, (min(head, len(content)) if in_head else len(content)) - 1))
        if kind == "flip":
            content[at : at + 1] = bytes([content[at] ^ patch[0]]) if content else b""
        elif kind == "number":
            content[at : at + len(patch)] = patch
        elif kind == "cut out":
            del content[at : at + 1 + 16 * patch[0]]
        elif kind == "put in":
            content[at:at] = patch
        elif kind == "end here":
            del content[max(1, at) :]
        else:
            content[at:at] = content[at : at + 4 * patch[0]]
    return bytes(content)


def many(few: int, lots: int) -> Any:
    """Run a test with few examples in the default run, with many in the slow one."""
    return pytest.mark.parametrize("examples", [few, pytest.param(lots, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])


def try_many(examples: int, check: Callable[..., None], *strategies: Any) -> None:
    """Call `check` with so many examples; none may take 10 seconds. HOSTILE_SEED=random takes others each time, HOSTILE_TIMES=10 so many times more."""
    decide = settings(
        max_examples=examples * int(os.environ.get("HOSTILE_TIMES", "1")), deadline=10_000, database=None, derandomize=os.environ.get("HOSTILE_SEED") != "random", suppress_health_check=list(HealthCheck), print_blob=True
    )
    decide(given(*strategies)(check))()
