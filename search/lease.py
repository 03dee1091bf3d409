"""One driver for each study: locks that die with their holder.

There is no stale lock to remove by hand: after ``kill -9`` or a power cut the kernel has let go of the file's, and the server of the database's.
On SQLite the lock is the file's alone. On PostgreSQL the database's decides, whatever machines the drivers run on.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import portalocker

from search.errors import LeaseHeld, LeaseLost, StudyError
from search.location import Location

if TYPE_CHECKING:
    from search.advisory_lock import AdvisoryLock


class Lease:
    """A held lease.

    Attributes
    ----------
    location : Location
        The study it is of.
    """

    def __init__(self, location: Location, handle: IO[str], lock: AdvisoryLock | None) -> None:
        self.location = location
        self._handle, self._lock = handle, lock

    def keep(self) -> None:
        """Called before each write.

        Raises
        ------
        LeaseLost
            The study is no longer this driver's.
        DBAPIError
            The database, which would know, can't be reached.
        """
        if self._lock is not None:
            self._lock.keep()
        elif not _is_at(self._handle, self.location):
            raise LeaseLost(
                f"study '{self.location.name}': its folder {self.location.folder} was removed, moved or replaced while it ran; "
                "nothing was written since; run the same command again to begin anew, or put the folder back first to go on"
            )


@contextmanager
def hold_lease(location: Location) -> Iterator[Lease]:
    """Hold the study's lease for the length of the ``with`` block; its folder is created if need be.

    Raises
    ------
    LeaseHeld
        If another process holds it; the message names that process.
    StudyError
        If the database can't be reached, the folder can't be written, or its file system has no locks.
    """
    with _open(location) as handle:
        _lock_file(handle, location)
        if location.variable is None:
            yield Lease(location, handle, None)
            return
        from search.advisory_lock import AdvisoryLock

        lock = AdvisoryLock(location)
        try:
            lock.take()
            yield Lease(location, handle, lock)
        finally:
            lock.release()


def _open(location: Location) -> IO[str]:
    try:
        location.folder.mkdir(parents=True, exist_ok=True)
        return (location.folder / ".lease").open("a+")
    except OSError as error:
        raise _not_writable(location, error) from error


def _not_writable(location: Location, error: OSError) -> StudyError:
    remedy = "make it writable, free space on its disk, or take another folder with --studies-dir DIR"
    return StudyError(f"{location.folder}: can't be written: {error.strerror or error}; {remedy}")


def _lock_file(handle: IO[str], location: Location) -> None:
    try:
        portalocker.lock(handle, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.exceptions.AlreadyLocked as error:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        raise LeaseHeld(
            f"study '{location.name}': another process (pid {holder}) is working on it; "
            "wait for it, stop it with Ctrl-C, or start a study of another name with --study NAME"
        ) from error
    except portalocker.exceptions.LockException as error:
        if location.variable is not None:
            return  # a network file system without locks: the database's lock is the one that counts
        raise StudyError(
            f"{handle.name}: the file system has no locks ({error}); put the studies on a local disk with --studies-dir DIR, "
            "or their trials on PostgreSQL with --storage env:NAME"
        ) from error
    try:
        handle.truncate(0)
        os.write(handle.fileno(), f"{os.getpid()} on {socket.gethostname()}".encode())  # past the buffer, which would be written once more at the end
    except OSError as error:
        raise _not_writable(location, error) from error


def _is_at(handle: IO[str], location: Location) -> bool:
    """Whether the locked file is still the one that another driver would find."""
    held = os.fstat(handle.fileno())
    try:
        found = (location.folder / ".lease").stat()
    except FileNotFoundError:
        return False
    return (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)
