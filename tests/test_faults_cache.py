"""The feature cache damaged between two runs, and under workers that have it mapped: they read what was prepared, or nothing."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.search.conftest import Driver, Studies, until
from tests.search.soundness import assert_sound

TRIALS = 12
MODULE = "tests.faults_reader"


@pytest.fixture
def studies(tmp_path: Path) -> Iterator[Studies]:
    found = Studies(tmp_path)
    found.module = MODULE
    rng = np.random.default_rng(0)
    (tmp_path / "corpus").mkdir()
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "corpus" / f"{number:02d}.png")
    yield found
    for driver in found.drivers:
        driver.clean_up()


def start(studies: Studies, epoch_seconds: float = 0.0, **changes: object) -> Driver:
    folder = studies.folder
    task = {"corpus": str(folder / "corpus"), "digests": str(folder / "digests"), "log": str(folder / "log"), "epoch_seconds": epoch_seconds}
    return studies.start(task, **{"trials": TRIALS, "factor": 2, **changes})


def digests(folder: Path) -> list[str]:
    path = folder / "digests"
    return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []


def rows(folder: Path) -> Path:
    (found,) = (folder / ".cache").glob("features-*/rows.bin")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut off", "one byte"])
def test_damaged_between_two_runs_it_is_made_again_to_the_same(studies: Studies, tmp_path: Path, damage: str) -> None:
    first = start(studies, engine="inline", trials=4)
    assert first.wait() == 0 and "12 files decoded" in first.text, first.text
    if damage == "cut off":
        os.truncate(rows(tmp_path), 7 * 4096 + 100)
    else:
        with rows(tmp_path).open("r+b") as file:
            file.seek(3 * 4096 + 5)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    again = start(studies, engine="inline")
    assert again.wait() == 0, again.text
    assert f"{5 if damage == 'cut off' else 1} files decoded" in again.text
    assert len(set(digests(tmp_path))) == 1
    assert_sound(studies.read(), TRIALS, tmp_path / "log", factor=2)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut off", "removed"])
def test_damaged_under_workers_they_read_what_was_prepared_or_are_lost(studies: Studies, tmp_path: Path, damage: str) -> None:
    driver = start(studies, 0.1)
    until(lambda: len(digests(tmp_path)) >= 6, told=lambda: driver.text)
    driver.family()
    if damage == "cut off":
        os.truncate(rows(tmp_path), 100)
    else:
        shutil.rmtree(tmp_path / ".cache")
    assert driver.wait() == 0, driver.text
    view = studies.read()
    assert_sound(view, TRIALS, tmp_path / "log", factor=2)
    assert len(set(digests(tmp_path))) == 1, "no other bytes were ever read"
    ends = Counter(t.end for t in view.trials)
    assert set(ends) <= {"full", "pruned", "worker-lost"} and ends["worker-lost"] == (2 if damage == "cut off" else 0), ends
    driver.assert_nothing_left()
