"""A training run's state on disk: arrays and counters, whole or absent, nothing pickled; and how a run offers it as it reports.

`state.json` names the array file that belongs to it and is renamed into place last, so a crash between the two leaves the snapshot before.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import write_text, write_whole
from genre_models.errors import SnapshotError

Snapshot = Callable[[str], None]  # writes the state into a folder
Report = Callable[[int, dict[str, float], Snapshot], str]  # (epoch, metrics, snapshot) -> "continue" | "stop" | "pause"

FORMAT = 1
# What a file raises that is cut short, garbled or of another version.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)


def write_snapshot(folder: str | Path, epoch: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
    """Write a snapshot, in place of an earlier one in the same folder.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing.
    epoch : int
        Last epoch done.
    arrays : mapping of str to np.ndarray
    state : mapping
        JSON-able.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"arrays-{epoch:04d}.npz"
    write_whole(path, lambda temporary: np.savez(temporary, **arrays))
    write_text(folder / "state.json", json.dumps({"format": FORMAT, "arrays": path.name, "epoch": epoch, **state}))
    for earlier in folder.glob("arrays-*.npz"):
        if earlier != path:
            earlier.unlink()


def read_snapshot(folder: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_snapshot` wrote.

    Returns
    -------
    arrays, state

    Raises
    ------
    SnapshotError
        Where there is no whole snapshot in the folder, or one of another format.
    """
    folder = Path(folder)
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if state.get("format") != FORMAT:
            found = f"{folder}: the snapshot has format {state.get('format')}, this version reads {FORMAT}"
            raise SnapshotError(f"{found}: start the trial afresh")
        with np.load(folder / Path(state["arrays"]).name, allow_pickle=False) as stored:
            return dict(stored), state
    except UNREADABLE as error:
        raise SnapshotError(f"{folder}: no readable snapshot ({error}): start the trial afresh") from error
