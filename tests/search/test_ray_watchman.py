"""Who ends what a killed driver leaves: only that, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from search.engines import ray_watchman

pytestmark = pytest.mark.skipif(ray_watchman.started_at(1) is None, reason="needs /proc")


def test_it_waits_for_the_pipe_to_close_and_spares_a_number_that_was_given_again() -> None:
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        watched, other = processes
        words = [f"{watched.pid}:{ray_watchman.started_at(watched.pid)}", f"{other.pid}:1", "999999999:1"]
        watchman = subprocess.Popen([sys.executable, "-I", "-S", ray_watchman.__file__, *words], stdin=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            watched.wait(0.5)
        watchman.communicate()
        assert (watchman.returncode, watched.wait(10), other.poll()) == (0, -9, None)
    finally:
        for process in processes:
            process.kill()
            process.wait()
