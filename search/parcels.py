"""Files on their way to another machine: what is sent, named by what it is, and where it lies on arrival. Knows files only.

    scratch/shipped/parcels/KEY/      the files; KEY = hash of their names, sizes and times, so whoever needs the same finds them
    scratch/shipped/folders/KEY/      parcels under the names that they have in the folder they come from
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from search.durable import is_leftover, writing_whole
from search.errors import SearchError
from search.scratch import remove_abandoned, scratch_folder

PIECE_BYTES = 8 * 2**20
_KEPT_SECONDS = 14 * 86400

#: (file's number, offset) -> at most PIECE_BYTES bytes of it
Fetch = Callable[[int, int], bytes]


class ShippingError(SearchError):
    """Files can't be had on a machine that needs them."""


@dataclass(frozen=True)
class Parcel:
    """A folder or a file as it is when it is packed; what is added to a file later is not part of it.

    Attributes
    ----------
    source : str
        Path on the machine that it comes from.
    files : tuple of (str, int, int)
        Relative name, size in bytes, time of the last change in ns.
    """

    source: str
    files: tuple[tuple[str, int, int], ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(size for _, size, _ in self.files)

    @cached_property
    def key(self) -> str:
        """Names it, wherever it comes from."""
        return hashlib.blake2b(json.dumps([Path(self.source).name, self.files]).encode(), digest_size=16).hexdigest()

    def path(self, number: int) -> Path:
        """One of the files at the source."""
        name = self.files[number][0]
        return Path(self.source) / name if name else Path(self.source)

    def piece(self, number: int, offset: int) -> bytes:
        """A part of a file at the source."""
        with self.path(number).open("rb") as file:
            file.seek(offset)
            return file.read(min(PIECE_BYTES, self.files[number][1] - offset))

    def digest(self, number: int) -> str:
        """SHA-256 of a file at the source, as far as it belongs to the parcel."""
        digest, left = hashlib.sha256(), self.files[number][1]
        with self.path(number).open("rb") as file:
            while left and (data := file.read(min(2**20, left))):
                digest.update(data)
                left -= len(data)
        return digest.hexdigest()


def pack(path: Path) -> Parcel:
    """A folder with all that is in it but hidden files, or a file, as a parcel.

    Raises
    ------
    ShippingError
        It can't be read.
    """
    try:
        if path.is_file():
            return Parcel(str(path), (("", *_size_and_time(path)),))
        # An index sorts before what it is of, and so is looked at first: what it names is there.
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        return Parcel(str(path), tuple((file.relative_to(path).as_posix(), *_size_and_time(file)) for file in files))
    except OSError as error:
        raise ShippingError(f"{path}: can't be read to be sent to workers ({error.strerror or error})") from error


def _size_and_time(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


class Shelf:
    """What has arrived on this machine."""

    def __init__(self) -> None:
        self.folder = scratch_folder("shipped")
        self._parcels, self._folders = self.folder / "parcels", self.folder / "folders"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the machine's lock: one process receives, the others wait and find what has come. What was not used for two weeks is removed."""
        import portalocker

        for folder in (self._parcels, self._folders):
            folder.mkdir(exist_ok=True)
        with (self.folder / ".lock").open("a") as file:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
            for folder in (self._parcels, self._folders):
                remove_abandoned(folder, _KEPT_SECONDS)
            for folder in [each for each in self._parcels.iterdir() if is_leftover(each.name)]:
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that was killed: nobody else writes here now
            yield

    @property
    def free_bytes(self) -> int:
        """Room on the disk."""
        return shutil.disk_usage(self.folder).free

    def has(self, parcel: Parcel) -> bool:
        """Whether a parcel is here; workers may have added to its files since."""
        place = self._parcels / parcel.key
        try:
            return place.is_dir() and all((place / (name or Path(parcel.source).name)).stat().st_size >= size for name, size, _ in parcel.files)
        except OSError:
            return False

    def receive(self, parcel: Parcel, fetch: Fetch, digests: Callable[[int], str]) -> None:
        """Write a parcel, piece by piece; it is here when all of it is, and is what was sent.

        Parameters
        ----------
        parcel : Parcel
        fetch : callable
        digests : callable
            SHA-256 of a file by its number, as it is at the source.

        Raises
        ------
        ShippingError
            It is not what was sent, or this machine's disk is full.
        """
        try:
            with writing_whole(self._parcels / parcel.key) as folder:
                for number, (name, size, time_ns) in enumerate(parcel.files):
                    file = folder / (name or Path(parcel.source).name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    if _written(file, size, number, fetch) != digests(number):
                        raise ShippingError(f"{parcel.path(number)}: has changed while it was sent to workers; start again")
                    os.utime(file, ns=(time_ns, time_ns))
        except OSError as error:
            raise ShippingError(f"{self._parcels}: {parcel.source} can't be written there ({error.strerror or error}); make room, or set TMPDIR to another place") from error

    def lay_out(self, parcels: Mapping[str, Parcel]) -> str:
        """Path of what a task names: a folder with the parcels under their names, or the parcel without a name itself."""
        for parcel in parcels.values():
            os.utime(self._parcels / parcel.key)  # used
        if "" in parcels:
            whole = parcels[""]
            return str(self._parcels / whole.key / (Path(whole.source).name if whole.files and not whole.files[0][0] else ""))
        key = hashlib.blake2b(json.dumps(sorted((name, parcel.key) for name, parcel in parcels.items())).encode(), digest_size=16).hexdigest()
        folder = self._folders / key
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        for name, parcel in parcels.items():
            link, target = folder / name, os.path.join("..", "..", "parcels", parcel.key)
            if not link.is_symlink() or os.readlink(link) != target:
                link.unlink(missing_ok=True)
                link.symlink_to(target, target_is_directory=True)
        return str(folder)


def _written(file: Path, size: int, number: int, fetch: Fetch) -> str:
    """Write a file from its pieces; the SHA-256 of what was written."""
    digest, offset = hashlib.sha256(), 0
    with file.open("wb") as target:
        while offset < size and (data := fetch(number, offset)):
            target.write(data)
            digest.update(data)
            offset += len(data)
    return digest.hexdigest()
