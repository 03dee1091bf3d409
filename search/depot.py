"""Where a study's artifacts and checkpoints lie: its own folder, another that all machines see, or a URL such as ``s3://bucket/prefix``.

A depot holds folders by name, such as ``trials/0007``. In a local one workers write where the folders are; with a URL they write into scratch
folders, which are then copied there (`search.remote_depot`). Either way a folder is whole or it is not there. Importing this loads no fsspec.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from search.durable import fsync_path, writing_whole
from search.errors import SearchError

_KEY = "artifacts"
_OWNER = "study.json"
#: Schemes whose URLs name an account with an @.
_WITH_ACCOUNT = ("abfs", "abfss")
_ENVIRONMENT = "the environment, as the packages for such URLs do (for s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_ENDPOINT_URL)"


class DepotError(SearchError):
    """Something can't be read from a depot, or written to it."""


class Depot(Protocol):
    """Folders by name.

    Attributes
    ----------
    root : str
        A path, or a URL without the slash at its end.
    """

    root: str

    def check(self) -> None:
        """Write something and remove it again; DepotError where that fails."""

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Yields a folder to write in; it is there under `name` when it is whole. DepotError or OSError where it can't be written."""

    def put(self, folder: Path, name: str) -> None:
        """Copy a folder there, as `writing`."""

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """Yields the folder; DepotError where it is not there whole. What is changed in it is lost."""

    def may_hold(self, name: str) -> bool:
        """False where a folder is certainly not there; nobody far away is asked."""

    def folders(self, name: str = "") -> list[str]:
        """Names of the folders in a folder, whole or not; none where it is not there."""

    def read_text(self, name: str) -> str | None:
        """A small file; None where it is not there."""

    def write_text(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all."""

    def remove(self, name: str, unwanted: Callable[[str], bool] | None = None) -> None:
        """Remove a folder, or of the folders in it those whose name is `unwanted`; perhaps later, in the order of the calls."""

    def settle(self) -> str | None:
        """Wait until everything is removed; what was in the way, if something was."""


class LocalDepot:
    """A folder on a disk that all workers see."""

    def __init__(self, root: str) -> None:
        self.root = root

    def check(self) -> None:
        """See `Depot`."""
        probe = Path(self.root) / f".probe-{uuid.uuid4().hex[:8]}"
        try:
            probe.mkdir(parents=True)
            probe.rmdir()
        except OSError as error:
            remedy = f"give {_KEY} a folder that can be, or make room"
            raise DepotError(f"{_KEY}: {self.root}: can't be written ({error.strerror or error}); {remedy}") from error

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """See `Depot`."""
        return writing_whole(Path(self.root) / name)

    def put(self, folder: Path, name: str) -> None:
        """See `Depot`."""
        with self.writing(name) as target:
            shutil.copytree(folder, target, dirs_exist_ok=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Depot`."""
        folder = Path(self.root) / name
        if not folder.is_dir():
            raise DepotError(f"{folder}: is not there")
        yield folder

    def may_hold(self, name: str) -> bool:
        """See `Depot`."""
        return (Path(self.root) / name).is_dir()

    def folders(self, name: str = "") -> list[str]:
        """See `Depot`."""
        folder = Path(self.root) / name
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def read_text(self, name: str) -> str | None:
        """See `Depot`."""
        path = Path(self.root) / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def write_text(self, name: str, text: str) -> None:
        """See `Depot`."""
        write_text(Path(self.root) / name, text)

    def remove(self, name: str, unwanted: Callable[[str], bool] | None = None) -> None:
        """See `Depot`; here at once."""
        folders = [name] if unwanted is None else [f"{name}/{each}" for each in self.folders(name) if unwanted(each)]
        for folder in folders:
            shutil.rmtree(Path(self.root) / folder, ignore_errors=True)

    def settle(self) -> str | None:
        """See `Depot`; nothing waits."""
        return None


def is_url(place: str) -> bool:
    """Whether a place is a URL, not a path."""
    return "://" in place


def open_depot(root: str) -> Depot:
    """A depot at a path, or at a URL.

    Raises
    ------
    DepotError
        The package for such URLs is not installed.
    """
    if not is_url(root):
        return LocalDepot(root)
    from search.remote_depot import RemoteDepot

    return RemoteDepot(root)


def split_name(place: str) -> tuple[str, str]:
    """A place as the root of a depot and a name in it."""
    root, _, name = place.replace("\\", "/").rpartition("/")
    return root, name


def refusal(artifacts: str) -> str | None:
    """What is wrong with the key ``artifacts`` of a space file, without asking anybody; None where nothing is."""
    if not artifacts.strip():
        return "must be a folder or a URL such as s3://bucket/prefix"
    if not is_url(artifacts):
        near = re.match(r"([a-z][a-z0-9]+):/?(?!/)", artifacts)
        return f"is no URL: write {near[1]}://…" if near else None
    parts = urlsplit(artifacts)
    if "::" in artifacts:
        return "URLs of several parts (::) can't be written to; name one place"
    if parts.scheme == "memory":
        return "what is in one process's memory no other process sees; name a folder or a URL such as s3://bucket/prefix"
    if parts.scheme in ("http", "https", "data", "github", "git"):
        return f"{parts.scheme}:// can't be written to; name a folder or a URL such as s3://bucket/prefix"
    if parts.password is not None or ("@" in parts.netloc and parts.scheme not in _WITH_ACCOUNT) or parts.query or parts.fragment:
        return f"must hold no name, password, key or option: those are taken from {_ENVIRONMENT}"
    if not (parts.path.startswith("/") if parts.scheme == "file" else parts.netloc):
        return "names no place: write it as s3://bucket/prefix or file:///folder"
    return None


def place_of(artifacts: str | None, study_folder: Path) -> str:
    """Root of a study's depot: its own folder, or one with the study's name at the place that the space file names."""
    if artifacts is None:
        return str(study_folder)
    if artifacts.startswith("file://"):
        artifacts = urlsplit(artifacts).path
    if is_url(artifacts):
        return f"{artifacts.rstrip('/')}/{study_folder.name}"
    return str(Path(artifacts).expanduser().resolve() / study_folder.name)


def require_depot(artifacts: str | None, study_folder: Path) -> Depot:
    """The depot of a study, seen to be writable and this study's own; the lease must be held.

    Raises
    ------
    DepotError
        It can't be written, or is that of a study of the same name that is kept elsewhere.
    """
    depot = open_depot(place_of(artifacts, study_folder))
    if artifacts is None:
        return depot
    depot.check()
    mine = study_folder / f"{_KEY}.json"
    known = _read(mine.read_text(encoding="utf-8")) if mine.is_file() else {}
    known = {"study": uuid.uuid4().hex, **known}
    found = depot.read_text(_OWNER)
    if found is not None and _read(found).get("study") != known["study"]:
        raise DepotError(
            f"{_KEY}: {depot.root} holds what another study '{study_folder.name}' left, one that is not in {study_folder.parent}: give {_KEY} another place or "
            f"the study another name; if it is the same study and its folder was lost, remove {_OWNER} there"
        )
    if known.get("place") != depot.root:
        study_folder.mkdir(parents=True, exist_ok=True)
        write_text(mine, json.dumps({**known, "place": depot.root}) + "\n")
    if found is None:
        depot.write_text(_OWNER, json.dumps({"study": known["study"]}) + "\n")
    return depot


def _read(text: str) -> dict[str, Any]:
    """What a file of ours says; nothing where it can't be understood."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        fsync_path(temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # where a disk is full its room is needed
        raise
    fsync_path(path.parent)
