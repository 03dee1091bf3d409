"""KerasTuner's Hyperband over a space, as its documentation has it, in this process; what it does stands in the study.

Its own state is in the study's folder, ``keras-tuner/search``, and it goes on from there. KerasTuner is loaded where it begins.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from search.errors import SearchError
from search.peer_study import PeerStudy
from search.space import FamilySpace
from search.worker import Workplace, build_objective

PROJECT = "search"
#: So many failed trials in a row end KerasTuner's search; refused configurations fail too.
_FAILURES = 10


class KerasTunerEngine:
    """Runs KerasTuner until the study's totals are reached.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    max_epochs, factor : int
        Of Hyperband.
    seed : int
    folder : Path
        The study's.
    """

    def __init__(self, families: Mapping[str, FamilySpace], max_epochs: int, factor: int, seed: int, folder: Path) -> None:
        self._families, self._max_epochs, self._factor, self._seed = dict(families), max_epochs, factor, seed
        self._directory = folder / "keras-tuner"

    def run(self, study: PeerStudy, place: Workplace) -> None:
        """Return when a total of the study is reached, or when KerasTuner has nothing more to try.

        Raises
        ------
        SearchError
            KerasTuner's own state is gone or can't be read.
        """
        if study.stop_reason is not None or not study.has_trials_left:
            return
        project = self._directory / PROJECT
        if study.owner.trials and not (project / "oracle.json").is_file():
            told = f"study '{study.owner.name}' has trials, but KerasTuner's own state is not in {project} any more"
            raise SearchError(f"{told}: put it back, or take another name with --study NAME")
        # Before KerasTuner would load Keras, with all that it prints; with the backend's own threads, as a script of KerasTuner's has them.
        task = build_objective(replace(place, threads=None))
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each trial is another network, so each is traced, and TensorFlow warns of that
        from search.engines.keras_tuner_hyperband import Stopped, ToldHyperband

        try:
            tuner = ToldHyperband(
                study,
                task,
                self._families,
                max_epochs=self._max_epochs,
                factor=self._factor,
                hyperband_iterations=None,  # without end: the study's totals end it
                seed=self._seed,
                max_consecutive_failed_trials=_FAILURES,
                directory=str(self._directory),
                project_name=PROJECT,
            )
        except (json.JSONDecodeError, KeyError, RuntimeError) as error:
            told = f"{project}: KerasTuner can't read its own state ({type(error).__name__}: {error}), as after a kill while it wrote"
            raise SearchError(f"{told}; take another name with --study NAME") from error
        study.begin()
        try:
            tuner.search(verbose=0)
            study.note("KerasTuner has nothing more to try: it found no configuration that it had not drawn before")
        except Stopped:
            study.abandon("stopped in an epoch")
        except RuntimeError as error:
            if "consecutive failures" not in str(error):
                raise
            study.failing = study.failing or f"{_FAILURES} trials in a row failed, and KerasTuner gave up"
