"""Trunks as the driver sees them: facts, and caches filled before a search, by one child process. Importing this loads no framework.

The driver never imports a framework; the child does (`genre_models.trunks.child`) and takes all cores. It is told its work in one line on
stdin and answers in lines of JSON on stdout; stdin then stays open, and the child ends when it closes, whatever became of the driver.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from genre_models import errors
from genre_models.errors import GenreModelsError
from genre_models.trunks.facts import trunk_key

__all__ = ["prepare_trunks", "trunk_key"]

_PACKAGES = Path(__file__).resolve().parents[2]
_CHILD = "genre_models.trunks.child"
_SHOWN_LINES, _PATIENCE_SECONDS = 5, 10


def prepare_trunks(
    jobs: Sequence[Mapping[str, Any]],
    task: Mapping[str, Any] | None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Load the weights of trunks, read off their facts, and pass the development tracks through them.

    Parameters
    ----------
    jobs : sequence of mapping
        Trunk settings (see `genre_models.features.trunk_store.TrunkStore`), each with ``features`` (the resolved settings of the base
        features), and optionally ``kind`` of these and ``copies``, the number of masked copies of each track that may be trained on.
    task : mapping or None
        As in docs/design.md, section 5; its base features must be there. None for facts alone, without weights: no file is opened and
        nothing is downloaded.
    progress : callable, optional
        ``progress(done, total, what)``, counted in items.

    Returns
    -------
    dict of str to dict
        Facts by `trunk_key`, as `genre_models.trunks.facts.facts_of` gives them, with ``sha256`` of a file of weights. Layers that the
        weights do not reach are left out.

    Raises
    ------
    TrunkUnavailable
        If weights can't be had; before anything is computed.
    SettingsError
        If a cut is no layer of its trunk, or can't be had at that size.
    GenreModelsError
        Of any kind that the child raised, or if it died.
    """
    if not jobs:
        return {}
    given = json.dumps({"jobs": [dict(job) for job in jobs], "task": None if task is None else dict(task)})
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])}
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-m", _CHILD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            answer = _converse(child, given.encode(), progress)
            child.wait(_PATIENCE_SECONDS if answer else None)
        except subprocess.TimeoutExpired:
            pass  # it has answered; what it still holds is let go below
        finally:
            _end(child)
        if answer is None:
            raise GenreModelsError(_died(child.returncode, said))
    if "error" in answer:
        raise _as_raised(answer["error"], answer["text"], answer.get("trunk"))
    return answer["facts"]


def _converse(child: subprocess.Popen, given: bytes, progress: Callable[[int, int, str], None] | None) -> dict[str, Any] | None:
    """The child's last word; None if it has none."""
    try:
        child.stdin.write(given + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return None
    for line in child.stdout:
        message = json.loads(line)
        if "progress" not in message:
            return message
        if progress is not None:
            progress(*message["progress"])
    return None


def _end(child: subprocess.Popen) -> None:
    """See that it has gone, after Ctrl-C too: what it has stored by then stays valid."""
    for stream in (child.stdin, child.stdout):
        try:
            stream.close()
        except BrokenPipeError:
            pass
    if child.poll() is None:
        child.kill()
    child.wait()


def _died(code: int, said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    how = f"was killed by signal {-code}, by hand or because memory ran out" if code < 0 else f"failed with exit code {code}"
    told = "; it said last: " + " | ".join(line.strip() for line in lines[-_SHOWN_LINES:]) if lines else ""
    return f"the process that prepares pretrained networks {how} (what it has stored is kept: the same command goes on from there){told}"


def _as_raised(name: str, text: str, trunk: str | None) -> GenreModelsError:
    kind = getattr(errors, name, GenreModelsError)
    error = (kind if isinstance(kind, type) and issubclass(kind, GenreModelsError) else GenreModelsError)(text)
    if isinstance(error, errors.TrunkUnavailable):
        error.trunk = trunk
    return error
