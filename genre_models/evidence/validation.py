"""Evidence of a trial, from its validation predictions and the development tracks; held-out tracks are not known here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import sha256_file
from genre_models.errors import GenreModelsError
from genre_models.evidence.predictions import read_predictions
from genre_models.evidence.writing import SCHEMA, write_evidence

#: Mistakes of a model that is not the winner which are shown with picture and sound.
_PICTURED_OF_OTHERS = 3


class ValidationEvidence:
    """Makes evidence of trials, where it is not there yet.

    Parameters
    ----------
    development : callable
        Gives the development tracks (`genre_models.task_data.TaskData.development`) and the kind of the corpus; it is called when they are first
        needed, since to open a corpus takes a while. It may raise a GenreModelsError: then there are no pictures.
    """

    def __init__(self, development: Callable[[], tuple[Sequence[Mapping[str, Any]], str]]) -> None:
        self._open = development
        self._opened: tuple[dict[str, Mapping[str, Any]], str] | None = None
        self.trouble: GenreModelsError | None = None

    def __call__(self, artifacts: Path, folder: Path, about: str, winner: bool) -> None:
        """Bring the folder up to date.

        Parameters
        ----------
        artifacts : Path
            Folder with the trial's ``validation.csv``.
        folder : Path
            Where the evidence goes.
        about : str
            Which trial this is, in words.
        winner : bool
            More of its mistakes are shown.

        Raises
        ------
        GenreModelsError
            There are no predictions, or they are broken.
        """
        path = artifacts / "validation.csv"
        predictions = read_predictions(path)
        pictured = {} if winner else {"pictured": _PICTURED_OF_OTHERS}
        made_from = f"{SCHEMA} {sha256_file(path)} {'winner' if winner else 'other'}"
        if _made_from(folder) == made_from:
            return
        tracks, kind = self._tracks()
        if tracks:
            known = all(id in tracks for id in predictions.ids)
            groups = np.array([tracks[id]["group"] for id in predictions.ids]) if known else None
            predictions = replace(predictions, groups=groups)
        else:
            made_from = ""  # to be made anew once the corpus is there again
        files = {id: Path(track["path"]) for id, track in tracks.items()}
        write_evidence(folder, predictions, files, kind, f"{len(predictions.ids)} validation tracks, and what {about} said", made_from=made_from, **pictured)

    def _tracks(self) -> tuple[dict[str, Mapping[str, Any]], str]:
        if self._opened is None:
            try:
                rows, kind = self._open()
                self._opened = {row["id"]: row for row in rows}, kind
            except GenreModelsError as error:
                self.trouble = error
                self._opened = {}, "table"
        return self._opened


def _made_from(folder: Path) -> str | None:
    try:
        return json.loads((folder / "index.json").read_text(encoding="utf-8"))["made_from"] or None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not ours: it is made anew
