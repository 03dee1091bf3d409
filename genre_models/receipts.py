"""A file of events in which every line vouches for the line before it.

Owns: the hash chain. One JSON object a line; each carries the SHA-256 of the line before, so a line that is changed, removed or inserted
later breaks the chain. That makes tampering evident, not impossible: whoever cuts off the end of the file leaves no trace in it.
An append is on disk when it returns. A write that a crash interrupted leaves a last line without its newline: it counts for nothing, since
nobody went on from it, and the next append takes it away and says so.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
from typing import TYPE_CHECKING

from genre_models.durable import fsync_path
from genre_models.errors import GenreModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIRST = "0" * 64  # `previous` of the first line


class BrokenChain(GenreModelsError):
    """A receipt was changed, removed or inserted after it was written."""


class Receipts:
    """The chained events of one subject.

    Parameters
    ----------
    path : Path
        The file; made with its folder by the first append.
    subject : str
        Written into every event as ``split_id``, so that a file copied from another subject is not taken for this one's.
    """

    def __init__(self, path: Path, subject: str) -> None:
        self.path, self.subject = path, subject

    def read(self) -> list[dict]:
        """All events, oldest first, verified; none where there is no file.

        Raises
        ------
        BrokenChain
            A line is no receipt of this subject, or does not follow from the line before it.
        """
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            return self._verified(stream.read())[0]

    @contextlib.contextmanager
    def locked(self) -> Iterator[tuple[list[dict], Callable[[dict], dict]]]:
        """All events and a function that appends one and returns it as written; no other process gets between the two."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fsync_path(self.path.parent.parent)
        with self.path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            content = stream.read()
            events, last = self._verified(content)
            torn = content[content.rfind(b"\n") + 1 :]

            def append(event: dict) -> dict:
                nonlocal last, torn
                if torn:  # half a line would spoil the one after it; what is cut away stays on record
                    stream.truncate(len(content) - len(torn))
                    event = event | {"torn_line_removed": torn.decode(errors="replace")}
                    torn = b""
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                event = event | {"split_id": self.subject, "time": now, "previous": last}
                line = json.dumps(event, sort_keys=True).encode()
                stream.write(line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
                fsync_path(self.path.parent)
                last = hashlib.sha256(line).hexdigest()
                return event

            yield events, append

    def _verified(self, content: bytes) -> tuple[list[dict], str]:
        """The events of the whole lines, and the hash that the next one must carry."""
        events, previous = [], FIRST
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            events.append(self._event(line, number, previous))
            previous = hashlib.sha256(line).hexdigest()
        return events, previous

    def _event(self, line: bytes, number: int, previous: str) -> dict:
        try:
            event = json.loads(line)
            follows, known = event["previous"] == previous, event["split_id"] == self.subject
        except (ValueError, KeyError, TypeError, RecursionError):
            follows = known = False
        if follows and known:
            return event
        what = "does not follow from the line before it: a receipt was changed, removed or inserted" if known else "is no receipt of this split"
        raise BrokenChain(
            f"{self.path}, line {number} {what}. What this file says about looks can't be trusted any more. "
            "Restore it from a backup; without one, deal another split (data.split_seed) and say so beside its number"
        )
