"""The simulated tables are what the benchmark says that they are, and its command runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts import bench_coverage

ROOT = Path(__file__).parents[2]


def test_the_tracks_of_a_group_agree_as_they_are_told_to() -> None:
    """Two tracks of a group have the same answer with chance correlation + (1 - correlation) * (that of two strangers of the class)."""
    rng = np.random.default_rng(0)
    chances = np.tile(np.linspace(0.05, 0.15, 10), (10, 1))
    truth, answers, groups = bench_coverage.draw(rng, chances, 20_000, 2, 0.3)
    assert (truth[::2] == truth[1::2]).all() and (groups[::2] == groups[1::2]).all() and len(set(groups)) == 10_000
    assert (answers[::2] == answers[1::2]).mean() == pytest.approx(0.3 + 0.7 * (chances[0] ** 2).sum(), abs=0.02)
    assert np.bincount(answers) / 20_000 == pytest.approx(chances[0], abs=0.01)


def test_the_truth_is_that_of_the_population() -> None:
    """With very many tracks the intervals close on it."""
    found = {name: (truth, interval) for name, truth, interval in bench_coverage.fixed_model(np.random.default_rng(0), 40_000, 1, 0.0, whole=False)}
    assert set(found) == {"accuracy", "macro F1", "log loss", "accuracy, by tracks"}
    for truth, (low, high) in found.values():
        assert low - 0.01 < truth < high + 0.01 and high - low < 0.04


def test_the_command_refuses_no_tables() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "bench_coverage.py", "--tables", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "must be 1 or more, but got 0" in done.stderr
