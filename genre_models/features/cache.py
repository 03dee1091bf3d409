"""Rows of one shape on disk: appended under a lock, memory-mapped by any number of readers.

``rows.bin`` holds the rows, ``index.jsonl`` one line for each: content hash, row number, checksum. A line is written only after its row is
on the disk, so a row that a crash tore is not in the index. A row that fails its checksum is written again at the end; the last line of
a content counts.

The folder is safe to delete at any time. Whoever writes in it holds the lock of its own ``.lock``, by which it knows that the folder is still
the one it began with: another writer may have made a new one of the same name.

A file that was cut off is never made longer: whoever has it mapped would read zeros where rows were, instead of being told by the system
(SIGBUS). What is left of it is copied, and a new file takes its name.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from genre_models.durable import write_whole
from genre_models.errors import CacheError, no_locks

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ATTEMPTS = 10  # at a lock whose file was removed meanwhile


class RowCache:
    """A folder of fixed-shape rows.

    Parameters
    ----------
    folder : Path
    shape : tuple of int
        Of one row.
    dtype : str
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.folder, self.shape, self.dtype = Path(folder), tuple(shape), np.dtype(dtype)
        self.row_bytes = int(np.prod(shape)) * self.dtype.itemsize
        self._lock: IO[str] | None = None  # while it is held
        self._next_row: int | None = None  # while the lock is held
        self._index_bytes = 0  # as `append` left it
        self._rows_path, self._index_path = self.folder / "rows.bin", self.folder / "index.jsonl"

    def index(self) -> dict[str, tuple[int, str]]:
        """Read the index: (row number, checksum) by content hash; lines that a crash tore are passed over."""
        entries: dict[str, tuple[int, str]] = {}
        try:
            file = self._index_path.open("rb")
        except FileNotFoundError:
            return entries
        with file:
            for line in file:
                try:
                    entry = json.loads(line)
                    entries[str(entry["content"])] = (int(entry["row"]), str(entry["check"]))
                except (ValueError, KeyError, TypeError):
                    continue
        return entries

    def open(self) -> tuple[dict[str, int], np.ndarray]:
        """Row number by content hash, of the rows that are on the disk, and all rows (`open_rows`).

        The rows first: of what is added or mended meanwhile the index may name more than is mapped, and that is passed over.
        """
        rows = self.open_rows()
        return {content: row for content, (row, _) in self.index().items() if row < len(rows)}, rows

    def open_rows(self) -> np.ndarray:
        """Map all rows read-only [shape=(n_rows, *shape)]; cheap, nothing is read or checked."""
        n_rows = self._rows_path.stat().st_size // self.row_bytes if self._rows_path.exists() else 0
        if not n_rows:
            return np.empty((0, *self.shape), self.dtype)
        return np.memmap(self._rows_path, self.dtype, "r", shape=(n_rows, *self.shape))

    def find_sound(self, contents: Iterable[str]) -> set[str]:
        """Read the rows of some contents and return those whose checksum holds."""
        index = self.index()
        wanted = sorted((index[content], content) for content in set(contents) if content in index)
        sound = set()
        if not wanted or not self._rows_path.exists():
            return sound
        with self._rows_path.open("rb") as file:
            for (row, check), content in wanted:
                file.seek(row * self.row_bytes)
                data = file.read(self.row_bytes)
                if len(data) == self.row_bytes and _checksum(data) == check:
                    sound.add(content)
        return sound

    @contextmanager
    def writing(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the folder's lock; it belongs to the process and dies with it.

        Parameters
        ----------
        on_wait : callable, optional
            Called about twice a second while another process holds the lock.

        Raises
        ------
        CacheError
            If the folder can't be written, its file system has no locks, or it is removed again and again.
        """
        import portalocker

        with self._locked(on_wait) as file:
            self._lock, self._next_row = file, None  # another process may have written
            try:
                yield
            finally:
                self._lock = None
                portalocker.unlock(file)

    def _locked(self, on_wait: Callable[[], None] | None) -> IO[str]:
        """The open file whose lock is held; a folder that is removed meanwhile is made anew."""
        for _ in range(_ATTEMPTS):
            with self._explained(0):
                self.folder.mkdir(parents=True, exist_ok=True)
                file = (self.folder / ".lock").open("a")
            try:
                if self._take(file, on_wait):
                    return file
            except BaseException:  # Ctrl-C while it waits, too
                file.close()
                raise
            file.close()
        raise self._removed()

    def _take(self, file: IO[str], on_wait: Callable[[], None] | None) -> bool:
        """Wait for the lock of a file; False where that is no longer the one that other writers find."""
        import portalocker

        while self._is_in_place(file):
            try:
                portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            except portalocker.AlreadyLocked:
                if on_wait is not None:
                    on_wait()
                time.sleep(0.5)
            except portalocker.LockException as error:
                raise no_locks(self.folder, error) from error
            else:
                return self._is_in_place(file)
        return False

    def _is_in_place(self, file: IO[str]) -> bool:
        """Whether an open ``.lock`` is the one that another writer would find."""
        with self._explained(0):
            try:
                return os.path.samestat(os.fstat(file.fileno()), (self.folder / ".lock").stat())
            except FileNotFoundError:
                return False

    def _removed(self) -> CacheError:
        return CacheError(f"{self.folder}: was removed while it was written; start again")

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write rows, then their index lines, each flushed to the disk; the lock must be held.

        Parameters
        ----------
        arrays : mapping of str to np.ndarray [shape=self.shape]
            By content hash.

        Raises
        ------
        CacheError
            If the disk is full or can't be written, and what was there before stays valid; or if the folder was removed, or replaced, since it
            was locked.
        """
        if not arrays:
            return
        if self._lock is not None and not self._is_in_place(self._lock):
            raise self._removed()
        if self._next_row is None or self._size_of_index() != self._index_bytes:  # else not for each call: the index grows with the corpus
            self._next_row = self._first_free_row()
        first, self._next_row = self._next_row, None  # should this fail, it is read anew
        lines = []
        with self._explained(len(arrays) * self.row_bytes):
            # Not "ab": the end of the file may lie in the middle of a torn row.
            descriptor = os.open(self._rows_path, os.O_RDWR | os.O_CREAT, 0o666)
            with os.fdopen(descriptor, "r+b") as file:
                for row, (content, array) in enumerate(arrays.items(), first):
                    if array.shape != self.shape or array.dtype != self.dtype:
                        raise ValueError(f"row {array.shape} {array.dtype} does not fit a cache of {self.shape} {self.dtype}")
                    data = np.ascontiguousarray(array).tobytes()
                    file.seek(row * self.row_bytes)
                    file.write(data)
                    lines.append(_line(content, row, _checksum(data)))
                file.flush()
                os.fsync(file.fileno())
            with self._index_path.open("ab") as file:
                # The newline in front ends a line that was torn; an empty line is passed over.
                file.write(("\n" + "\n".join(lines) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
                self._index_bytes = file.tell()
        self._next_row = first + len(arrays)

    def _size_of_index(self) -> int:
        """Bytes; other than `append` left it where another wrote too, as on a file system whose locks hold on one machine only."""
        with self._explained(0):
            try:
                return self._index_path.stat().st_size
            except FileNotFoundError:
                return 0

    def _first_free_row(self) -> int:
        index = self.index()
        n_named = 1 + max((row for row, _ in index.values()), default=-1)
        n_rows = self._rows_path.stat().st_size // self.row_bytes if self._rows_path.exists() else 0
        if n_named <= n_rows:
            return n_named
        left = {content: entry for content, entry in index.items() if entry[0] < n_rows}
        with self._explained(n_rows * self.row_bytes):
            # In this order: `open` looks at the rows first, so it never sees new rows under an old index.
            write_whole(self._index_path, lambda new: new.write_text("".join(_line(content, *entry) + "\n" for content, entry in left.items())))
            write_whole(self._rows_path, lambda new: _copy_start(self._rows_path, new, n_rows * self.row_bytes))
        return n_rows

    @contextmanager
    def _explained(self, n_bytes: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise CacheError(
                    f"{self.folder}: no space left on the disk for {max(1, n_bytes >> 20)} MiB more of features; free space (the folder "
                    "above is a cache and safe to delete) and start again: what is stored so far stays valid"
                ) from error
            raise CacheError(f"{self.folder}: the feature cache can't be written: {error.strerror or error}") from error


def _line(content: str, row: int, check: str) -> str:
    return json.dumps({"content": content, "row": row, "check": check})


def _copy_start(path: Path, copy: Path, n_bytes: int) -> None:
    with copy.open("wb") as target:
        if n_bytes:
            with path.open("rb") as source:
                shutil.copyfileobj(source, target, 2**20)
            target.truncate(n_bytes)


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
