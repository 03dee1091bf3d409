"""What workers on other machines need of this one's disk, and how each of their machines comes to it. Knows paths, not engines.

The driver makes out a `Consignment`; each worker settles in by it before it builds its objective. A random file that the driver puts into a folder
tells whether another machine sees that folder. One that does not, gets what is needed of it sent, once for all its workers.
"""

from __future__ import annotations

import contextlib
import copy
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.depot import DepotError, is_url, open_depot, split_name
from search.parcels import Parcel, Shelf, ShippingError, pack
from search.worker import Needed, Workplace

_MARK = ".shared-"
#: A mark older than any search is what a killed driver left.
_MARK_SECONDS = 60 * 86400
_WAYS_OUT = "put it on storage that all machines share"


@dataclass(frozen=True)
class Item:
    """Something that a task names.

    Attributes
    ----------
    keys : tuple of str
        Where in the task.
    path : str
    parcels : mapping of str to Parcel
        What of it is needed, by the name in the folder; by no name a file, or a folder whole.
    mark : str or None
        Name of the file in the folder by which other machines know it; None for a file.
    """

    keys: tuple[str, ...]
    path: str
    parcels: Mapping[str, Parcel]
    mark: str | None

    @property
    def bytes(self) -> int:
        """Of what is needed."""
        return sum(parcel.bytes for parcel in self.parcels.values())

    def is_here(self) -> bool:
        """Whether this machine sees it as the driver's does. Of a file: one of that size and time is at that path."""
        if self.mark is not None:
            return (Path(self.path) / self.mark).exists()
        (_, size, time_ns), = self.parcels[""].files
        with contextlib.suppress(OSError):
            found = Path(self.path).stat()
            return found.st_size == size and abs(found.st_mtime_ns - time_ns) < 10**9  # some file systems keep whole seconds
        return False


@dataclass(frozen=True)
class Consignment:
    """What all machines of a search need; plain data, so that it can be sent.

    Attributes
    ----------
    items : tuple of Item
    depot : str
        Root of the study's artifacts and checkpoints.
    mark : str or None
        In the depot, where that is a folder.
    shipping : {"auto", "always", "never"}
        Whether machines that see an item get it nevertheless, and whether those that do not, do.
    limit_gib : float
        The most that may be sent to a machine.
    """

    items: tuple[Item, ...]
    depot: str
    mark: str | None
    shipping: str
    limit_gib: float

    def withdraw(self) -> None:
        """Remove the marks."""
        marked = [(item.path, item.mark) for item in self.items] + [(self.depot, self.mark)]
        for folder, mark in marked:
            if mark is not None:
                (Path(folder) / mark).unlink(missing_ok=True)


def consign(place: Workplace, shipping: str, limit_gib: float) -> Consignment:
    """Pack what a task needs, and mark the folders; `withdraw` when the search ends.

    Raises
    ------
    ShippingError
        Something is not there, or can't be marked.
    """
    depot, _ = split_name(place.trials_dir)
    mark = f"{_MARK}{uuid.uuid4().hex}"
    items = tuple(_item(place.task, needed, mark) for needed in place.needs)
    for folder in [item.path for item in items if item.mark] + ([] if is_url(depot) else [depot]):
        _put_mark(Path(folder), mark)
    return Consignment(items, depot, None if is_url(depot) else mark, shipping, limit_gib)


def trouble_here(consignment: Consignment) -> str | None:
    """Why workers on this machine could not work; None where they can, once what is missing was sent."""
    machine = socket.gethostname()
    return _trouble_of_depot(consignment, machine) or _trouble_of_items(consignment, machine)


def settle_in(place: Workplace, consignment: Consignment, fetch: Callable[[Parcel, int, int], bytes], digest: Callable[[Parcel, int], str]) -> Workplace:
    """The workplace as it is on this machine, with what it does not see received.

    Parameters
    ----------
    place : Workplace
    consignment : Consignment
    fetch, digest : callable
        `Parcel.piece` and `Parcel.digest` on the driver's machine: called only for what is not here yet.

    Raises
    ------
    ShippingError
        This machine can't be used: it does not see the study's folder, or can't get what it needs.
    """
    if (trouble := trouble_here(consignment)) is not None:
        raise ShippingError(trouble)
    absent = _absent(consignment)
    if not absent:
        return place
    shelf = Shelf()
    with shelf.alone():
        for parcel in (parcel for item in absent for parcel in item.parcels.values() if not shelf.has(parcel)):
            shelf.receive(parcel, lambda number, offset, parcel=parcel: fetch(parcel, number, offset), lambda number, parcel=parcel: digest(parcel, number))
        moved = {item.keys: shelf.lay_out(item.parcels) for item in absent}
    return moved_to(place, moved)


def moved_to(place: Workplace, moved: Mapping[tuple[str, ...], str]) -> Workplace:
    """A workplace whose task names other paths."""
    task = copy.deepcopy(place.task)
    for (*parents, last), path in moved.items():
        inside = task
        for key in parents:
            inside = inside[key]
        inside[last] = path
    return replace(place, task=task)


def _item(task: Mapping[str, Any], needed: Needed, mark: str) -> Item:
    path: Any = task
    for key in needed.keys:
        path = path[key]
    folder = Path(path).expanduser()
    if not needed.inside:
        if not folder.exists():
            raise ShippingError(f"{folder}: is not there, but workers need it")
        return Item(needed.keys, str(folder), {"": pack(folder)}, None if folder.is_file() else mark)
    parcels = {name: pack(folder / name) for name in needed.inside if (folder / name).is_dir()}
    return Item(needed.keys, str(folder), parcels, mark)


def _put_mark(folder: Path, mark: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.glob(f"{_MARK}*"):
            with contextlib.suppress(FileNotFoundError):
                if other.stat().st_mtime < time.time() - _MARK_SECONDS:
                    other.unlink()
        (folder / mark).touch()
    except OSError as error:
        raise ShippingError(f"{folder}: can't be written ({error.strerror or error})") from error


def _absent(consignment: Consignment) -> list[Item]:
    return [item for item in consignment.items if consignment.shipping == "always" or not item.is_here()]


def _trouble_of_depot(consignment: Consignment, machine: str) -> str | None:
    if consignment.mark is None:
        try:
            open_depot(consignment.depot).check()
        except DepotError as error:
            return f"node {machine}: {error}"
        return None
    folder = Path(consignment.depot)
    if not (folder / consignment.mark).exists():
        remedy = "set artifacts: to a folder that all nodes share, or to a URL such as s3://bucket/prefix"
        return f"node {machine}: does not see {folder}, where checkpoints and artifacts are to be kept: {remedy}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"node {machine}: sees {folder}, but its Ray runs as a user who may not write there, and checkpoints and artifacts are to be kept in it"
    return None


def _trouble_of_items(consignment: Consignment, machine: str) -> str | None:
    absent = _absent(consignment)
    if not absent:
        return None
    largest = max(absent, key=lambda item: item.bytes)
    total = sum(item.bytes for item in absent)
    needs = f"node {machine}: does not see {largest.path}" if consignment.shipping != "always" else f"node {machine}: is to get its own copy of {largest.path}"
    if consignment.shipping == "never":
        return f"{needs}, of which {_gib(largest.bytes)} are needed, and resources.shipping is never: {_WAYS_OUT}, or set resources.shipping: auto"
    if total > consignment.limit_gib * 2**30:
        return f"{needs}; {_gib(total)} would have to be sent, and resources.ship_gib is {consignment.limit_gib:g}: {_WAYS_OUT}, or raise resources.ship_gib"
    shelf = Shelf()
    missing = sum(parcel.bytes for item in absent for parcel in item.parcels.values() if not shelf.has(parcel))
    if missing > shelf.free_bytes:
        room = f"{_gib(shelf.free_bytes)} are free in {shelf.folder}"
        return f"{needs}; {_gib(missing)} would have to be sent, but {room}: {_WAYS_OUT}, make room, or start the node's Ray with TMPDIR on a larger disk"
    return None


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 / 10 else f"{n_bytes / 2**20:.1f} MiB"
