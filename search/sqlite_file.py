"""A study's SQLite file: where it may lie, and how its connections are made durable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from search.errors import StudyError

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p"}


def require_local(path: Path) -> None:
    """Raise a StudyError where a database file would lie on a network file system: there SQLite's write-ahead log loses data."""
    kind = file_system_of(path.parent)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StudyError(
            f"{path}: SQLite's write-ahead log is not safe on a network file system ({kind}); "
            "put the studies on a local disk with --studies-dir DIR, or their trials on PostgreSQL with --storage env:NAME"
        )


def make_durable(connection: Any, record: Any) -> None:
    """Set a new connection to WAL with full synchronisation: what is committed survives a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def file_system_of(folder: Path) -> str:
    """Type of the file system that holds `folder`, as the system names it ("ext4", "nfs4", "" if unknown)."""
    path = folder.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    return next((mounts[parent] for parent in (path, *path.parents) if parent in mounts), "")
