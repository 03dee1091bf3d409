"""Files that other machines do not see are sent to them once. Here the other machine is a time in which the driver's folders are elsewhere."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.parcels import PIECE_BYTES, Parcel, Shelf, ShippingError, pack
from search.shipping import Consignment, consign, settle_in, trouble_here
from search.worker import Needed, Workplace


class Sending:
    """The driver's side, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def fetch(self, parcel: Parcel, number: int, offset: int) -> bytes:
        self.asked[parcel.path(number).name] += 1
        return self._there(parcel).piece(number, offset)

    def digest(self, parcel: Parcel, number: int) -> str:
        return self._there(parcel).digest(number)

    @staticmethod
    def _there(parcel: Parcel) -> Parcel:
        moved = re.sub("/(studies|models)/", r"/driver-\1/", parcel.source)
        return replace(parcel, source=moved) if Path(moved).exists() else parcel

    def settle(self, place: Workplace, consignment: Consignment) -> dict[str, Any]:
        return settle_in(place, consignment, self.fetch, self.digest).task


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scratch space of the machine that files are sent to."""
    (tmp_path / "node").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "node"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "node"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A task with a cache of which two folders are needed, and a file beside."""
    cache, weights = tmp_path / "studies" / ".cache", tmp_path / "models" / "weights.h5"
    for name, size in (("features-1/rows.bin", 2 * PIECE_BYTES + 5), ("features-1/index.jsonl", 100), ("table-2/rows.npy", 7), ("features-9/rows.bin", 9)):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(os.urandom(size))
    (cache / "features-1" / ".lock").touch()
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    needs = (Needed(("cache_dir",), ("features-1", "table-2", "trunk-not-there")), Needed(("places", str(weights))))
    task = {"cache_dir": str(cache), "places": {str(weights): str(weights)}, "labels": ["a"]}
    return Workplace("m:f", task, str(tmp_path / "studies" / "s" / "trials"), needs=needs)


@contextmanager
def on_another_machine(tmp_path: Path, *folders: str) -> Iterator[None]:
    """Inside, these folders are where only the driver's side looks."""
    for folder in folders:
        (tmp_path / folder).rename(tmp_path / f"driver-{folder}")
    yield
    for folder in folders:
        (tmp_path / f"driver-{folder}").rename(tmp_path / folder)


def test_on_shared_storage_nothing_is_sent_and_nothing_left(place: Workplace, node: Path) -> None:
    sending, consignment = Sending(), consign(place, "auto", 4)
    cache = Path(place.task["cache_dir"])
    assert list(cache.glob(".shared-*")) and trouble_here(consignment) is None
    assert sending.settle(place, consignment) == place.task and not sending.asked and not list(node.iterdir())
    consignment.withdraw()
    consignment.withdraw()
    assert not list(cache.glob(".shared-*")) and not list((cache.parent / "s").iterdir())


def test_what_a_machine_does_not_see_is_sent_once_whole_and_only_what_is_needed(place: Workplace, tmp_path: Path, node: Path) -> None:
    place = replace(place, trials_dir=str(tmp_path / "shared" / "s" / "trials"))
    consignment, sending = consign(place, "auto", 4), Sending()
    with on_another_machine(tmp_path, "studies", "models"):
        task = sending.settle(place, consignment)
    cache, here = Path(place.task["cache_dir"]), Path(task["cache_dir"])
    assert here.is_relative_to(node) and sorted(path.name for path in here.iterdir()) == ["features-1", "table-2"]
    for name in ("features-1/rows.bin", "features-1/index.jsonl", "table-2/rows.npy"):
        assert (here / name).read_bytes() == (cache / name).read_bytes()
    assert not (here / "features-1" / ".lock").exists()
    (weights,), (sent,) = place.task["places"], task["places"].values()
    assert Path(sent).is_relative_to(node) and Path(sent).name == "weights.h5" and Path(sent).read_bytes() == b"weights"
    assert list(task["places"]) == [weights] and task["labels"] == ["a"], "the rest of the task is as it was"
    assert sending.asked == {"rows.bin": 3, "index.jsonl": 1, "rows.npy": 1, "weights.h5": 1}, "large files in pieces"
    # What a worker adds to its copy is no reason to send it again, nor is a driver that starts anew, nor another study.
    with (here / "features-1" / "rows.bin").open("ab") as file:
        file.write(b"more")
    again, another = Sending(), consign(place, "auto", 4)
    with on_another_machine(tmp_path, "studies", "models"):
        assert again.settle(place, another) == task and not again.asked


def test_what_has_changed_is_sent_anew_and_the_rest_found(place: Workplace) -> None:
    before = consign(place, "always", 4)
    Sending().settle(place, before)
    cache = Path(place.task["cache_dir"])
    (cache / "table-2" / "rows.npy").write_bytes(b"another")
    sending = Sending()
    task = sending.settle(place, consign(place, "always", 4))
    assert sending.asked == {"rows.npy": 1} and (Path(task["cache_dir"]) / "table-2" / "rows.npy").read_bytes() == b"another"


def test_rows_that_are_added_while_it_is_sent_are_no_part_of_it(place: Workplace) -> None:
    consignment, rows = consign(place, "always", 4), Path(place.task["cache_dir"]) / "features-1" / "rows.bin"
    before = rows.read_bytes()
    with rows.open("ab") as file:
        file.write(b"a row of another study")
    task = Sending().settle(place, consignment)
    assert (Path(task["cache_dir"]) / "features-1" / "rows.bin").read_bytes() == before


@pytest.mark.parametrize("broken", ["flipped", "short"])
def test_what_arrives_broken_or_cut_off_is_not_taken(place: Workplace, node: Path, broken: str) -> None:
    consignment, sending = consign(place, "always", 4), Sending()

    def fetch(parcel: Parcel, number: int, offset: int) -> bytes:
        data = sending.fetch(parcel, number, offset)
        if parcel.path(number).name != "rows.npy":
            return data
        return b"" if broken == "short" else bytes([data[0] ^ 1]) + data[1:]

    with pytest.raises(ShippingError, match="rows.npy: has changed while it was sent"):
        settle_in(place, consignment, fetch, sending.digest)
    assert not [path for path in node.rglob("rows.npy")]
    again = Sending()
    again.settle(place, consignment)
    assert "rows.bin" not in again.asked and again.asked["rows.npy"] == 1, "what came before it is kept"


def test_a_worker_killed_while_it_receives_leaves_nothing_that_is_taken_for_whole(place: Workplace, node: Path) -> None:
    consignment, sending = consign(place, "always", 4), Sending()
    if (child := os.fork()) == 0:
        try:
            settle_in(place, consignment, lambda parcel, number, offset: os.kill(os.getpid(), 9) or b"", sending.digest)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 9
    assert list(node.rglob(".*.partial"))
    task = sending.settle(place, consignment)
    assert len(sending.asked) == 4 and not list(node.rglob(".*.partial")) and Path(task["cache_dir"]).is_dir()


def test_what_was_not_used_for_long_makes_room(place: Workplace, node: Path) -> None:
    Sending().settle(place, consign(place, "always", 4))
    old = [path for kind in ("parcels", "folders") for path in next(node.iterdir()).joinpath("shipped", kind).iterdir()]
    used = pack(Path(place.task["cache_dir"]) / "table-2")
    for path in old:
        os.utime(path, (1, 1))
    with Shelf().alone():
        assert not Shelf().has(used)
    assert not [path for path in old if path.exists()]


def test_the_ways_out_are_named_where_a_machine_cannot_be_used(place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = place.task["cache_dir"]
    elsewhere = replace(place, trials_dir=str(tmp_path / "shared" / "s" / "trials"))
    never, small, usual = (consign(elsewhere, mode, gib) for mode, gib in (("never", 4), ("auto", 0.001), ("auto", 4)))
    unshared = consign(place, "auto", 4)
    with on_another_machine(tmp_path, "studies", "models"):
        assert f"does not see {cache}, of which 16.0 MiB are needed, and resources.shipping is never: put it on storage" in trouble_here(never)
        assert f"does not see {cache}; 16.0 MiB would have to be sent, and resources.ship_gib is 0.001: put it on" in trouble_here(small)
        with pytest.raises(ShippingError, match="raise resources.ship_gib"):
            Sending().settle(elsewhere, small)
        assert f"does not see {Path(cache).parent / 's'}, where checkpoints and artifacts are to be kept: set artifacts:" in trouble_here(unshared)
        assert trouble_here(usual) is None
        monkeypatch.setattr(Shelf, "free_bytes", 2**20)
        assert "16.0 MiB would have to be sent, but 1.0 MiB are free" in trouble_here(usual) and "TMPDIR" in trouble_here(usual)


def test_a_task_that_names_what_is_not_there_is_refused(place: Workplace) -> None:
    Path(next(iter(place.task["places"]))).unlink()
    with pytest.raises(ShippingError, match="weights.h5: is not there, but workers need it"):
        consign(place, "auto", 4)
