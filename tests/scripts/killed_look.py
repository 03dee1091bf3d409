"""Runs the real command in a process of its own and kills it, by a real signal, at a chosen point.

Processes are forked from a server that has imported everything: a kill costs half a second instead of five.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
from pathlib import Path

from tests import fake_family

POINTS = (
    "before retrain",
    "in retrain",
    "before opened",
    "opened is torn",
    "after opened",
    "in held-out features",
    "after evaluate",
    "in predictions.csv",
    "in confusion.png",
    "in curves.png",
    "in card.md",
    "in metrics.json",
    "before closed",
    "closed is torn",
    "after closed",
)
# Where several models are looked at, "second" means: at the second of them.
POINTS_OF_SEVERAL = (
    "second: before retrain",
    "second: in retrain",
    "before opened",
    "after opened",
    "second: in held-out features",
    "second: after evaluate",
    "in predictions-other.csv",
    "in families.png",
    "before closed",
)


def run(arguments: list[str], folder: Path, kill_at: str = "nowhere") -> tuple[int, str]:
    """Exit code (negative for a signal) and what was printed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "scripts.final_eval", "matplotlib.figure", "scipy.stats", "search.study", "genre_models.prepare"])
    process = context.Process(target=_child, args=(arguments, str(folder / "output.txt"), kill_at))
    process.start()
    process.join(60)
    return process.exitcode, (folder / "output.txt").read_text()


def _child(arguments: list[str], output: str, kill_at: str) -> None:
    from scripts import final_eval

    fake_family.install()
    final_eval.import_keras = lambda backend=None: None  # seconds of each process, and these families do without
    final_eval.write_report = lambda *told: None  # 5 MB each; tests/scripts/test_report.py has the page
    _arm(kill_at)
    with open(output, "w", buffering=1) as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        code = final_eval.main(arguments)
    os._exit(code)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(kill_at: str) -> None:
    """Put the kill into the one place that `kill_at` names."""
    from genre_models import durable, final, look, receipts, retrain, verdict

    second, kill_at = kill_at.startswith("second: "), kill_at.removeprefix("second: ")
    place = kill_at.removeprefix("before ").removeprefix("after ").removeprefix("in ")
    wrapped = {
        "retrain": (retrain, "retrain") if kill_at.startswith("before") else (fake_family, "fit"),
        "opened": (look.Seal, "open"),
        "closed": (look.Seal, "close"),
        "evaluate": (final, "evaluate"),
        "held-out features": (final, "compute_features"),
    }
    if place in wrapped:
        calls = 3 + 6 * second if "features" in place else 1 + second  # each model reads six tracks
        _wrap(*wrapped[place], after=kill_at.startswith("after"), calls=calls)
    elif kill_at.endswith("is torn"):
        receipts.os = _TornWrites(kill_at.split()[0])
    elif place != "nowhere":
        original = durable.fsync_path
        durable.fsync_path = lambda path: _die() if path.name == f".{place.replace('.', '.partial.')}" else original(path)
        assert verdict.write_whole is durable.write_whole


def _wrap(owner, name: str, after: bool, calls: int) -> None:
    original, count = getattr(owner, name), iter(range(1, 10**6))

    def dying(*given, **options):
        last = next(count) == calls
        if last and not after:
            _die()
        result = original(*given, **options)
        if last:
            _die()
        return result

    setattr(owner, name, dying)


class _TornWrites:
    """Stands in for ``os`` in the receipts' module: the power fails while the line of one event is flushed, half of it is on disk."""

    def __init__(self, event: str) -> None:
        self._event = event

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        line = path.read_bytes().splitlines()[-1]
        if json.loads(line)["event"] == self._event:
            os.truncate(path, path.stat().st_size - len(line) // 2)
            _die()
        os.fsync(descriptor)
