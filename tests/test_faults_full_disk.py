"""The command itself on a disk that is full wherever it writes: scan, features, study, weights. Each time one clear error, and the same command goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.study_view import read_study
from tests.search.small_disk import SmallDisk
from tests.tiny_study import make_corpus

ROOT = Path(__file__).parents[1]
SPACE = """
study: full
features: {image_size: [64, 96]}
budget: {min_epochs: 1, max_epochs: 2, trials: 2}
engine: inline
sampler: random
families:
  cnn: {depth: 1, filters: {choice: [4, 8]}, batch_size: 8}
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    (tmp_path / "studies").mkdir()
    small = SmallDisk(tmp_path / "studies", 100_000)
    yield small
    small.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wherever_the_disk_is_full_the_same_command_goes_on_when_there_is_room(disk: SmallDisk, tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus")
    (tmp_path / "full.yaml").write_text(SPACE)
    words = ["-m", "search.run", "--space", tmp_path / "full.yaml", "--data", tmp_path / "corpus", "--study", "full", "--studies-dir", tmp_path / "studies"]

    def search() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*disk.prefix, sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    errors = []
    for left_kib in (0, 8, 60, 140, 250):
        disk.fill(left_kib)
        done = search()
        assert done.returncode == 2, f"{left_kib} KiB: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, f"{left_kib} KiB: {done.stderr}"
        told = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert len(told) == 1 and str(disk.folder) in told[0] and "space" in told[0], f"{left_kib} KiB: {done.stderr}"
        errors.append(told[0])
        disk.empty()
    assert any("features" in error for error in errors) and any("study.db" in error for error in errors), errors
    done = search()
    assert done.returncode == 0, done.stdout + done.stderr
    trials = read_study(disk.copy_out(tmp_path / "then"), "full").trials
    assert sum(t.counts for t in trials) == 2 and any(t.is_full for t in trials)
