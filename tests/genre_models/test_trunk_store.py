"""Outputs of pretrained networks on disk: computed once, shared, whole after a kill."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import CacheError, HeldOutError, TrunkUnavailable
from genre_models.features import trunk_pass
from genre_models.features.trunk_pass import TrunkPass, wanted_items
from genre_models.features.trunk_rows import CutRows, pass_name
from genre_models.features.trunk_store import TrunkStore, prepare_stores

BASE = (20, 40, 1)
SETTINGS = {
    "trunk": "mobilenet", "weights": "random", "sha256": None, "side": 32, "cut": "conv_pw_2_relu", "channels": "repeat",
    "pooling": "average", "copy_frequency_mask": 8, "copy_time_mask": 20, "copy_masks": 1, "copy_fill": "zero",
}  # fmt: skip
FACTS = {"layers": {"conv_pw_1_relu": {"shape": [16, 16, 64]}, "conv_pw_2_relu": {"shape": [8, 8, 128]}}}
TRACKS = [{"id": f"rock/{i}", "content": f"content {i // 2}"} for i in range(6)]  # each file twice
IDS = [track["id"] for track in TRACKS]


class Base:
    """Base features that follow from the content; counts what is read."""

    shape, dtype = BASE, np.dtype("float16")

    def __init__(self) -> None:
        self.read: list[str] = []

    def features(self, ids: Sequence[str]) -> np.ndarray:
        self.read += ids
        return np.stack([np.random.default_rng(int(id[5:]) // 2).random(BASE) for id in ids]).astype(self.dtype)


@pytest.fixture
def base() -> Base:
    return Base()


def store(folder: Path, base: Base, **settings) -> TrunkStore:
    return TrunkStore(base, TRACKS, folder, {**SETTINGS, **settings}, "base", FACTS)


def expected(base: Base, ids: Sequence[str], **settings) -> np.ndarray:
    from genre_models.trunks.handle import TrunkHandle

    whole = TrunkHandle({**SETTINGS, **settings}, FACTS, BASE, "float16").whole()
    return np.asarray(whole(base.features(ids)))


def test_outputs_are_the_networks(tmp_path: Path, base: Base) -> None:
    found = store(tmp_path, base).features(IDS)
    assert (found.shape, found.dtype) == ((6, 128), np.float16)
    np.testing.assert_allclose(found, expected(base, IDS), rtol=2e-3, atol=1e-4)
    np.testing.assert_array_equal(store(tmp_path, base).features(IDS[::-1]), found[::-1])


def test_an_item_passes_once_for_all_stores(tmp_path: Path, base: Base) -> None:
    store(tmp_path, base).features(IDS)
    assert len(base.read) == 3  # identical files are one
    store(tmp_path, base).features(IDS)
    maxima = store(tmp_path, base, pooling="max").features(IDS)
    assert len(base.read) == 3
    maps = store(tmp_path, base, pooling="flat").features(IDS)  # only the pooled pair was kept
    assert len(base.read) == 6
    np.testing.assert_array_equal(maps.max(axis=(1, 2)), maxima)


def test_pooled_rows_come_from_maps_that_are_there(tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = store(tmp_path, base, pooling="flat")
    whole = maps.features(IDS[:2])
    for path in tmp_path.glob("trunk-*[!p]"):  # the pairs, as a kill between the two writes leaves them
        (path / "index.jsonl").unlink()
    pooled = store(tmp_path, base)
    np.testing.assert_allclose(pooled.features(IDS[:2]), whole.astype("float32").mean(axis=(1, 2)), rtol=2e-3, atol=1e-4)
    assert len(base.read) == 1
    assert pooled.features(IDS).shape == (6, 128)  # some from maps, some computed now
    assert len(base.read) == 3


def test_copies_are_masked_by_content_and_number_alone(tmp_path: Path, base: Base) -> None:
    first = store(tmp_path / "1", base).copies(["rock/0", "rock/3", "rock/0", "rock/1"], [1, 1, 2, 1])
    assert not np.allclose(first[0], first[2], atol=1e-3)
    np.testing.assert_array_equal(first[0], first[3])  # the same content
    again = store(tmp_path / "2", base).copies(["rock/1", "rock/2"], [2, 1])  # another study
    np.testing.assert_allclose(again, first[[2, 1]], rtol=2e-3, atol=1e-4)
    assert not np.allclose(first[0], store(tmp_path / "1", base).features(["rock/0"])[0], atol=1e-3)
    other = store(tmp_path / "1", base, copy_fill="mean").copies(["rock/0"], [1])
    assert not np.allclose(other[0], first[0], atol=1e-3)
    with pytest.raises(ValueError, match="numbered from 1, but number 0"):
        store(tmp_path, base).copies(["rock/0"], [0])


def test_copies_that_mask_nothing_are_the_items(tmp_path: Path, base: Base) -> None:
    kept = store(tmp_path, base, copy_frequency_mask=0, copy_time_mask=0)
    np.testing.assert_allclose(kept.copies(IDS, [1] * 6), kept.features(IDS), rtol=2e-3, atol=1e-4)


def test_all_cuts_are_made_in_one_pass(tmp_path: Path, base: Base) -> None:
    stores = [store(tmp_path, base), store(tmp_path, base, cut="conv_pw_1_relu"), store(tmp_path, base, pooling="flat")]
    told: list[tuple] = []
    assert prepare_stores(stores, 2, lambda *step: told.append(step), copied_ids=IDS[:2]) == 3 + 2
    assert len(base.read) == 3 + 2
    what = "mobilenet to conv_pw_2_relu, conv_pw_1_relu"
    assert told == [(3, 3, what), (2, 2, f"{what} of masked copies")]
    assert [one.features(IDS).shape for one in stores] == [(6, 128), (6, 64), (6, 8, 8, 128)]
    stores[1].copies(IDS[:2], [2, 1])
    assert stores[0].prepare(2, copied_ids=IDS[:2]) == 0
    assert len(base.read) == 5


def test_a_broken_row_is_made_again(tmp_path: Path, base: Base) -> None:
    before = store(tmp_path, base).features(IDS)
    (folder,) = tmp_path.glob("trunk-*")
    with (folder / "rows.bin").open("r+b") as file:
        file.seek(700)
        file.write(b"broken")
    assert store(tmp_path, base).prepare() == 1
    np.testing.assert_allclose(store(tmp_path, base).features(IDS), before, rtol=2e-3, atol=1e-4)


def test_what_is_done_before_a_kill_stays(tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk_pass, "_MOST_ITEMS", 1)
    features = base.features
    monkeypatch.setattr(base, "features", lambda ids: features(ids) if len(base.read) < 2 else (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store(tmp_path, base).prepare()
    base.read.clear()
    monkeypatch.undo()
    assert store(tmp_path, base).prepare() == 1


def test_large_numbers_are_cut_off_at_what_float16_holds(tmp_path: Path) -> None:
    rows = CutRows(tmp_path, "name", "cut", (1, 1, 3), flat=True)
    with rows.map.writing(), rows.pair.writing():
        rows.append({"a": np.array([[[1e6, -1e6, np.nan]]], np.float32)})
    np.testing.assert_array_equal(rows.read(["a"], "flat")[0, 0, 0], np.array([65504, -65504, np.nan], np.float16))
    with pytest.raises(CacheError, match="no output of cut for 1 of 2 items"):
        rows.read(["a", "b"], "flat")


def test_held_out_tracks_can_not_be_read(tmp_path: Path, base: Base) -> None:
    with pytest.raises(HeldOutError, match="mobilenet for rock/99 .* not one of the 6 development tracks"):
        store(tmp_path, base).features(["rock/1", "rock/99"])
    assert not base.read


def test_names_hold_all_that_numbers_follow_from() -> None:
    def name(masked: bool = False, base_key: str = "base", **settings) -> str:
        return pass_name({**SETTINGS, **settings}, base_key, masked)

    assert name() == name(pooling="max") == name(copy_masks=3)
    of_file = name(weights="/a/w.h5", sha256="1")
    assert of_file == name(weights="/elsewhere/w.h5", sha256="1")
    others = [name(True), name(True, copy_masks=3), name(base_key="other"), name(side=64), name(channels="delta"), name(trunk="vgg16"),
              name(weights="imagenet"), of_file, name(weights="/a/w.h5", sha256="2")]  # fmt: skip
    assert len({name(), *others}) == 1 + len(others)


def test_a_missing_file_of_weights_is_named(tmp_path: Path, base: Base) -> None:
    with pytest.raises(TrunkUnavailable, match="gone.weights.h5: the file of weights can't be read"):
        store(tmp_path, base, weights=str(tmp_path / "gone.weights.h5"))


def test_cut_shape_without_facts(tmp_path: Path, base: Base) -> None:
    assert TrunkStore(base, TRACKS, tmp_path, {**SETTINGS, "pooling": "flat"}, "base").shape == (8, 8, 128)
    of_dense = {**SETTINGS, "trunk": "vgg16", "cut": "fc1", "side": 64}
    assert TrunkStore(base, TRACKS, tmp_path, of_dense, "base").shape == (4096,)


def test_another_process_waits_and_finds_it(tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    one = store(tmp_path, base)
    context = multiprocessing.get_context("spawn")
    ready, go_on = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(tmp_path), ready, go_on))
    other.start()
    try:
        assert ready.wait(30)
        told: list[str] = []

        def tell(done: int, total: int, what: str) -> None:
            told.append(what)
            go_on.set()

        monkeypatch.setattr(TrunkPass, "_pass", lambda *_: pytest.fail("it was computed twice"))
        assert one.prepare(progress=tell) == 0
        assert told[0] == "waiting for another process that computes mobilenet to conv_pw_2_relu"
    finally:
        go_on.set()
        other.join(30)
    assert (one.features(IDS) == 1).all()


def hold(folder: str, ready, go_on) -> None:
    """In the other process: rows of ones, once the first has been seen to wait."""
    rows = CutRows(Path(folder), pass_name(SETTINGS, "base", False), "conv_pw_2_relu", (8, 8, 128), flat=False)
    with rows.pair.writing():
        ready.set()
        go_on.wait(30)
        rows.append({track["content"]: np.ones((8, 8, 128), np.float32) for track in TRACKS})


def test_items_are_named_by_content_and_copy() -> None:
    contents = {"a": "x", "b": "x"}
    assert list(wanted_items(contents, ["a", "b", "a"], [0, 0, 2])) == ["x", "x#2"]
