"""A depot at a URL, through fsspec. Nothing else here knows of fsspec.

    URL/NAME/FILE…    what was written
    URL/NAME/whole.json    written last: names, sizes and SHA-256 of the files. Without it, or where it does not fit, the folder is not there.

Credentials come from the environment, as each of fsspec's packages has it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from search.depot import DepotError
from search.scratch import scratch

WHOLE = "whole.json"
_EXTRAS = {"s3": "pip install -c constraints.txt -e '.[s3]'"}
_SETTLE_SECONDS = 60


class RemoteDepot:
    """Folders at a URL; see `search.depot.Depot`.

    Raises
    ------
    DepotError
        The package for such URLs is not installed.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._removals: list[Future[None]] = []
        scheme = urlsplit(root).scheme
        try:
            import fsspec

            fsspec.get_filesystem_class(scheme)
        except ImportError as error:
            remedy = _EXTRAS.get(scheme, f"install the package that fsspec wants for it ({error})")
            raise DepotError(f"artifacts: {root}: the package for {scheme}:// is not installed; {remedy}") from error
        except ValueError as error:
            raise DepotError(f"artifacts: {root}: fsspec knows no {scheme}://; name a folder or a URL such as s3://bucket/prefix") from error

    def check(self) -> None:
        """See `search.depot.Depot`."""
        probe = f"{self._path}/.probe-{uuid.uuid4().hex[:8]}"
        with self._explained("can't be written"):
            self._fs.pipe_file(probe, b"probe")
            self._fs.rm_file(probe)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `search.depot.Depot`."""
        with scratch("uploads") as folder:
            yield folder
            self.put(folder, name)

    def put(self, folder: Path, name: str) -> None:
        """Copy a folder to the depot; DepotError where that fails, and then there is none of that name."""
        target = f"{self._path}/{name}"
        with self._explained(f"{name} can't be written"):
            self._forget(target)
            told = {}
            try:
                for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                    relative = file.relative_to(folder).as_posix()
                    told[relative] = {"bytes": file.stat().st_size, "sha256": _sha256(file)}
                    self._fs.put_file(str(file), f"{target}/{relative}")
                self._fs.pipe_file(f"{target}/{WHOLE}", json.dumps({"files": told}).encode())
            except BaseException:
                with contextlib.suppress(Exception):  # what is wrong is told by the first error
                    self._remove(target)
                raise

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `search.depot.Depot`."""
        with scratch("downloads") as folder:
            with self._explained(f"{name} can't be read"):
                told = json.loads(self._fs.cat_file(f"{self._path}/{name}/{WHOLE}"))["files"]
                for relative, known in told.items():
                    if PurePosixPath(relative).is_absolute() or ".." in PurePosixPath(relative).parts:
                        raise DepotError(f"{self.root}/{name}: {WHOLE} names a file outside the folder")
                    file = folder / relative
                    file.parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(f"{self._path}/{name}/{relative}", str(file))
                    if file.stat().st_size != known["bytes"] or _sha256(file) != known["sha256"]:
                        raise DepotError(f"{self.root}/{name}/{relative}: is not what was written there")
            yield folder

    def may_hold(self, name: str) -> bool:
        """See `search.depot.Depot`."""
        return True

    def folders(self, name: str = "") -> list[str]:
        """See `search.depot.Depot`."""
        with self._explained("can't be listed"):
            try:
                entries = self._fs.ls(f"{self._path}/{name}".rstrip("/"), detail=True)
            except FileNotFoundError:
                return []
        return sorted(PurePosixPath(entry["name"]).name for entry in entries if entry["type"] == "directory")

    def read_text(self, name: str) -> str | None:
        """See `search.depot.Depot`."""
        with self._explained(f"{name} can't be read"):
            try:
                return self._fs.cat_file(f"{self._path}/{name}").decode()
            except FileNotFoundError:
                return None

    def write_text(self, name: str, text: str) -> None:
        """See `search.depot.Depot`."""
        with self._explained(f"{name} can't be written"):
            self._fs.pipe_file(f"{self._path}/{name}", text.encode())

    def remove(self, name: str, unwanted: Callable[[str], bool] | None = None) -> None:
        """See `search.depot.Depot`; here in a thread of its own: the driver does not wait for a server."""

        def now() -> None:
            with self._explained(f"{name} can't be removed"):
                for folder in [name] if unwanted is None else [f"{name}/{each}" for each in self.folders(name) if unwanted(each)]:
                    self._remove(f"{self._path}/{folder}")

        self._removals = [each for each in self._removals if not each.done() or each.exception() is not None]
        self._removals.append(self._thread.submit(now))

    def settle(self) -> str | None:
        """See `search.depot.Depot`."""
        removals, self._removals = self._removals, []
        done, waiting = wait(removals, _SETTLE_SECONDS)
        if waiting:  # the interpreter would wait for them at its end
            self._thread.shutdown(wait=False, cancel_futures=True)
            del self._thread
        errors = [str(error) for each in removals if each in done and (error := each.exception()) is not None]
        return next(iter(errors), f"artifacts: {self.root}: did not answer for {_SETTLE_SECONDS} s" if waiting else None)

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="depot")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        return fsspec.core.url_to_fs(self.root, use_listings_cache=False)

    @property
    def _fs(self) -> Any:
        return self._opened[0]

    @property
    def _path(self) -> str:
        return self._opened[1].rstrip("/")

    def _remove(self, target: str) -> None:
        self._forget(target)  # first: what is removed in part is not there
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(target, recursive=True)

    def _forget(self, target: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{target}/{WHOLE}")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except DepotError:
            raise
        except Exception as error:  # packages for URLs raise what the libraries below them raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DepotError(f"artifacts: {self.root}: {what} ({reason}); see that it exists, and that the environment has the right to write there") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
