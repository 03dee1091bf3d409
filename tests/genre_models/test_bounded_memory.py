"""What is held while a corpus is prepared does not grow with it."""

from __future__ import annotations

import time
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genre_models import parallel
from genre_models.corpus.fma_table import read_table
from genre_models.features import store
from genre_models.features.cache import RowCache
from genre_models.features.store import FeatureStore
from genre_models.settings import FeatureSettings
from tests.genre_models.fma_tables import row, write_table


def test_jobs_wait_for_a_slow_consumer(tmp_path: Path) -> None:
    jobs = [(str(tmp_path / str(i)),) for i in range(40)]
    for taken, _ in enumerate(parallel.run_jobs(leave_mark, jobs, 1)):
        if taken < 4:
            time.sleep(0.2)  # the worker would be done with all of them
        assert len(list(tmp_path.iterdir())) - taken <= parallel._AHEAD
    assert len(list(tmp_path.iterdir())) == 40


def leave_mark(path: str) -> None:
    Path(path).touch()


def test_no_more_rows_are_held_than_go_to_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FeatureSettings(image_size=[64, 64]).model_dump(mode="json")
    tracks = [{"id": f"rock/{i}", "path": f"{i}.png", "content": f"{i:03d}"} for i in range(200)]
    features = FeatureStore(tmp_path, "image", settings, tracks)
    alive: weakref.WeakSet = weakref.WeakSet()
    most = 0

    class Row(np.ndarray):
        __hash__ = object.__hash__

    def made(_function, jobs, _workers) -> Iterator[tuple[int, np.ndarray]]:
        nonlocal most
        for number in range(len(jobs)):
            made = np.full(features.shape, number % 251, np.uint8).view(Row)
            alive.add(made)
            yield number, made
            most = max(most, len(alive))

    monkeypatch.setattr(store, "run_jobs", made)
    monkeypatch.setattr(store, "_BATCH_BYTES", 10 * 64 * 64)
    assert features.prepare(1).decoded == 200
    assert most <= 12  # ten, the one that is taken in and the one that is made
    assert [int(each[0, 0, 0]) for each in features.features(["rock/0", "rock/199", "rock/57"])] == [0, 199, 57]


def test_the_index_is_read_once_for_all_rows_that_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (RowCache(tmp_path / "rows", (4,), "uint8") for _ in range(2))
    reads = []
    index = RowCache.index
    monkeypatch.setattr(RowCache, "index", lambda self: reads.append(self) or index(self))
    for turn, cache in enumerate((one, other, one)):  # another process may write in between
        with cache.writing():
            for i in range(5):
                cache.append({f"{turn}{i}": np.full(4, 10 * turn + i, np.uint8)})
    assert reads == [one, other, one]
    assert sorted(row for row, _ in index(one).values()) == list(range(15))
    assert one.find_sound(f"{turn}{i}" for turn in range(3) for i in range(5)) == set(index(one))


def test_fmas_table_is_not_held(tmp_path: Path) -> None:
    rows = (row(id, "Rock") | {("artist", "bio"): "long\n" * 1000} for id in range(400))
    table = write_table(tmp_path / "tracks.csv", rows)
    tracemalloc.start()
    try:
        n = sum(1 for _ in read_table(table))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 400
    assert table.stat().st_size > 2e6 > 10 * peak
