"""What becomes of the cache when files of it are cut off or removed under processes that read it, and when its mender is killed."""

from __future__ import annotations

import errno
import faulthandler
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_models.errors import CacheError
from genre_models.features import cache as cache_module
from genre_models.features.cache import RowCache
from genre_models.features.store import FeatureStore
from tests.genre_models.test_features import SMALL, as_tracks

FORK = multiprocessing.get_context("fork")
ROW = 4096  # a page, so that what is cut off is not in the mapped part of the last page


def rows_of(*numbers: int) -> dict[str, np.ndarray]:
    return {str(number): np.full(ROW, number, np.uint8) for number in numbers}


def store_rows(folder: Path, *numbers: int) -> RowCache:
    cache = RowCache(folder, (ROW,), "uint8")
    with cache.writing():
        cache.append(rows_of(*numbers))
    return cache


def in_a_process(function: Callable[..., None], *arguments: Any) -> int:
    process = FORK.Process(target=function, args=arguments)
    process.start()
    process.join(30)
    return process.exitcode


def read_when_told(folder: Path, told: Any, answer: Any) -> None:
    faulthandler.disable()  # its fault is what is tested
    row_of, rows = RowCache(folder, (ROW,), "uint8").open()
    answer.send("mapped")
    told.recv()
    answer.send({content: int(rows[row].max()) for content, row in row_of.items()})


def test_what_is_mapped_never_turns_into_zeros_when_the_cut_off_file_is_mended(tmp_path: Path) -> None:
    store_rows(tmp_path, 1, 2, 3)
    (told, tell), (hear, answer) = FORK.Pipe(False), FORK.Pipe(False)
    reader = FORK.Process(target=read_when_told, args=(tmp_path, told, answer))
    reader.start()
    answer.close()
    assert hear.recv() == "mapped"
    os.truncate(tmp_path / "rows.bin", ROW + 10)
    mended = store_rows(tmp_path, 2, 3)
    assert mended.find_sound("123") == {"1", "2", "3"}
    tell.send("read")
    reader.join(30)
    assert reader.exitcode == -signal.SIGBUS
    with pytest.raises(EOFError):
        hear.recv()
    row_of, rows = mended.open()
    assert {content: set(rows[row].tolist()) for content, row in row_of.items()} == {"1": {1}, "2": {2}, "3": {3}}


def test_rows_of_others_that_were_cut_off_are_known_to_be_gone(tmp_path: Path) -> None:
    store_rows(tmp_path, 1, 2, 3, 4)
    os.truncate(tmp_path / "rows.bin", ROW)
    mended = store_rows(tmp_path, 4, 5, 6)  # of another study, which knows nothing of 2 and 3
    row_of, rows = mended.open()
    assert {content: int(rows[row].min()) for content, row in row_of.items()} == {"1": 1, "4": 4, "5": 5, "6": 6}
    assert mended.find_sound("123456") == set("1456")
    (tmp_path / "rows.bin").unlink()
    assert store_rows(tmp_path, 7).open()[0] == {"7": 0}


@pytest.mark.parametrize("n_replaced", [0, 1, 2])
def test_a_mender_killed_between_two_files_leaves_a_sound_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_replaced: int) -> None:
    store_rows(tmp_path, 1, 2, 3)
    os.truncate(tmp_path / "rows.bin", 2 * ROW - 1)
    write, replaced = cache_module.write_whole, []

    def write_then_die(path: Path, write_to: Callable[[Path], object]) -> None:
        if len(replaced) == n_replaced:
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, write_to)
        replaced.append(path)
        if n_replaced == 2 == len(replaced):
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "write_whole", write_then_die)
        assert in_a_process(store_rows, tmp_path, 2) == -signal.SIGKILL
    row_of, rows = RowCache(tmp_path, (ROW,), "uint8").open()
    assert {content: int(rows[row].min()) for content, row in row_of.items()} == {"1": 1}
    assert store_rows(tmp_path, 2, 3).find_sound("123") == {"1", "2", "3"}


def test_a_writer_whose_folder_was_removed_writes_nothing_into_anothers(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    first, second = RowCache(folder, (ROW,), "uint8"), RowCache(folder, (ROW,), "uint8")
    with first.writing():
        first.append(rows_of(1, 2))
        shutil.rmtree(folder)
        with second.writing():
            second.append(rows_of(3))
            with pytest.raises(CacheError, match="features: was removed while it was written; start again"):
                first.append(rows_of(4))
            second.append(rows_of(5))
    row_of, rows = second.open()
    assert {content: set(rows[row].tolist()) for content, row in row_of.items()} == {"3": {3}, "5": {5}}
    with first.writing():
        first.append(rows_of(6))
        shutil.rmtree(folder)
        with pytest.raises(CacheError, match="was removed while it was written"):
            first.append(rows_of(7))
    assert not folder.exists()


def test_who_waits_for_a_folder_that_is_removed_makes_it_anew(tmp_path: Path) -> None:
    folder, waits = tmp_path / "features", []
    first, second = RowCache(folder, (ROW,), "uint8"), RowCache(folder, (ROW,), "uint8")

    def on_wait() -> None:
        waits.append(folder)
        shutil.rmtree(folder)

    with first.writing():
        first.append(rows_of(1))
        with second.writing(on_wait):
            second.append(rows_of(2))
    assert len(waits) == 1
    assert RowCache(folder, (ROW,), "uint8").find_sound("12") == {"2"}


def test_rows_that_another_added_without_the_lock_are_not_written_over(tmp_path: Path) -> None:
    """As on a file system whose locks hold on one machine only."""
    first = RowCache(tmp_path, (ROW,), "uint8")
    with first.writing():
        first.append(rows_of(1))
        RowCache(tmp_path, (ROW,), "uint8").append(rows_of(2))
        first.append(rows_of(3))
    row_of, rows = first.open()
    assert {content: set(rows[row].tolist()) for content, row in row_of.items()} == {"1": {1}, "2": {2}, "3": {3}}


def test_without_locks_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import portalocker

    def refuse(*_: object) -> None:
        try:
            raise OSError(errno.ENOLCK, "No locks available")
        except OSError as error:  # as portalocker does
            raise portalocker.LockException(error, str(error)) from error

    monkeypatch.setattr(portalocker, "lock", refuse)
    cache = RowCache(tmp_path / "features", (ROW,), "uint8")
    with pytest.raises(CacheError, match=r"features: the file system has no locks \(No locks available\); put studies on a disk that has them with --studies-dir") as told, cache.writing():
        pytest.fail("went on without a lock")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("damage", ["cut off", *(pytest.param(damage, marks=pytest.mark.slow) for damage in ("removed", "rows removed", "never made"))])
def test_a_reader_makes_what_is_gone_since_it_was_prepared(images: Path, tmp_path: Path, damage: str) -> None:
    tracks = as_tracks(images)
    ids = [track["id"] for track in tracks]
    prepared = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
    prepared.prepare(1)
    expected = prepared.features(ids)
    (folder,) = (tmp_path / "cache").glob("features-*")
    if damage == "cut off":
        os.truncate(folder / "rows.bin", 3 * 320 + 7)
    elif damage == "rows removed":
        (folder / "rows.bin").unlink()
    else:
        shutil.rmtree(tmp_path / "cache")
    reader = FeatureStore(tmp_path / "cache", "image", SMALL, tracks if damage != "never made" else tracks[:4])
    np.testing.assert_array_equal(reader.features(ids[:4]), expected[:4])
    assert FeatureStore(tmp_path / "cache", "image", SMALL, tracks).prepare(1).decoded == (6 if damage == "never made" else 0)


@pytest.mark.slow
def test_what_can_not_be_made_again_is_named_with_its_reason(images: Path, tmp_path: Path) -> None:
    tracks = as_tracks(images)
    FeatureStore(tmp_path / "cache", "image", SMALL, tracks).prepare(1)
    shutil.rmtree(tmp_path / "cache")
    Path(tracks[0]["path"]).unlink()
    reader = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
    with pytest.raises(CacheError, match=f"1 of 10 items have no features: {tracks[0]['id']}: .*No such file"):
        reader.features([track["id"] for track in tracks])
    assert reader.features([tracks[1]["id"]]).shape == (1, 16, 20, 1)
