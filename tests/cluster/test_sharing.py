"""Several studies on one cluster."""

from __future__ import annotations

import signal

import pytest

from tests.cluster.conftest import Desk, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_two_studies_share_the_workers_and_the_second_need_not_wait_for_the_first(desk: Desk) -> None:
    first = desk.start({"epoch_seconds": 0.05}, study="first", trials=1000)
    first.until(lambda: len(desk.nodes("first")) == 2)
    second = desk.start({"epoch_seconds": 0.05}, study="second", trials=8)
    assert second.wait() == 0, second.text
    desk.assert_sound(8, "second")
    first.until(lambda: told(first) == ["2 workers", "1 worker", "2 workers"])
    first.send(signal.SIGTERM)
    assert first.wait() == 130, first.text

    done = sum(trial.counts for trial in desk.read("first").trials)
    again = desk.start({}, study="first", trials=done + 4)
    assert again.wait() == 0, again.text
    desk.assert_sound(done + 4, "first")


def told(run: Run) -> list[str]:
    """How many workers it said that it has."""
    return [line.partition("] ")[2].removesuffix(", 1 core each") for line in run.text.splitlines() if line.endswith(", 1 core each")]
