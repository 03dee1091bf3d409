"""All studies of a folder, and of a database that is named, as one read-only storage of Optuna's.

optuna-dashboard shows one storage, while here each study has a database of its own. So studies and trials are numbered anew, and each request is passed on
to the study that it is about. Studies come and go while the dashboard runs; one that can't be read is left out, and kept in mind with the reason.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NoReturn

from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.study._study_direction import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.dashboard.evidence import EvidenceStore
from search.dashboard.shown_study import TRIAL_BITS, ShownStudy
from search.dashboard.study_reader import StudyReader
from search.errors import StudyError
from search.location import Location, locate, require_name

#: The folder is looked through again after so many seconds.
_LOOK_SECONDS = 2.0
_NUMBERS = 99_991
_READ_ONLY = "the dashboard does not write studies"


class FolderStorage(BaseStorage):
    """A storage of Optuna's over many.

    Parameters
    ----------
    studies_dir : Path
    storage : str, optional
        ``env:NAME``: also all studies of the PostgreSQL database whose URL the environment variable NAME holds.
    write : bool
        Whether notes may be written.

    Attributes
    ----------
    store : EvidenceStore
        Serves the evidence that is listed.
    """

    def __init__(self, studies_dir: Path, storage: str | None = None, write: bool = False) -> None:
        self._studies_dir, self._database, self._write = studies_dir, storage, write
        self.store = EvidenceStore()
        self._lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._shown: dict[str, ShownStudy] = {}
        self._broken: dict[str, str] = {}
        self._elsewhere: StudyReader | None = None
        self._looked = float("-inf")

    # -- which studies there are -----------------------------------------------------------------------------------

    def shown_studies(self) -> list[ShownStudy]:
        """All studies, readable or not, by their number."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK_SECONDS:
                self._look()
                self._looked = time.monotonic()
            return sorted(self._shown.values(), key=lambda shown: shown.number)

    def broken(self) -> dict[str, str]:
        """Studies that can't be found at all, by name, and why."""
        self.shown_studies()
        return dict(self._broken)

    def shown(self, study_id: int) -> ShownStudy:
        """The study of a number; KeyError where there is none."""
        for each in self.shown_studies():
            if each.number == study_id:
                return each
        raise KeyError(f"no study {study_id}")

    def _look(self) -> None:
        found, self._broken = self._find(), {}
        for title in [title for title in self._shown if found.get(title) != self._shown[title].reader.location]:
            self._shown.pop(title).reader.close()
        for title, where in found.items():
            if isinstance(where, str):
                self._broken[title] = where
            elif title not in self._shown:
                self._shown[title] = ShownStudy(self._number_of(title), title, StudyReader(where), self.store, self._write)

    def _number_of(self, title: str) -> int:
        """The same after a restart, and whatever studies come and go, so that links stay true: a hash of the name, or where that is taken the next one free."""
        if title not in self._numbers:
            number, taken = zlib.crc32(title.encode("utf-8", "surrogateescape")) % _NUMBERS + 1, set(self._numbers.values())
            while number in taken:
                number += 1
            self._numbers[title] = number
        return self._numbers[title]

    def _find(self) -> dict[str, Location | str]:
        """Where each study is, or why that can't be told."""
        found: dict[str, Location | str] = {}
        files = [*self._studies_dir.glob("*/study.db"), *self._studies_dir.glob("*/storage.json")]
        for file in sorted(files):
            name = file.parent.name
            if not name.startswith("."):
                try:
                    found[name] = locate(self._studies_dir, name)
                except StudyError as error:
                    found[name] = str(error)
        if self._database is not None:
            try:
                self._elsewhere = self._elsewhere or StudyReader(locate(self._studies_dir, ".", self._database))
                place = self._elsewhere.location
                for name in self._elsewhere.names():
                    title = name if name not in found else f"{name} ({self._database})"
                    if name not in found or isinstance(found[name], str) or found[name].url != place.url:
                        found[title] = self._in_database(name, place)
            except StudyError as error:
                found[self._database] = str(error)
        return found

    def _in_database(self, name: str, place: Location) -> Location | str:
        """A study of that database; whoever may write there may give it any name, also one that leads out of the folder."""
        try:
            require_name(self._studies_dir, name)
        except StudyError as error:
            return str(error)
        return Location(self._studies_dir, name, place.variable, place.url)

    # -- what optuna-dashboard reads -------------------------------------------------------------------------------

    def get_all_studies(self) -> list[FrozenStudy]:
        """Those that can be read."""
        studies = []
        for shown in self.shown_studies():
            try:
                studies.append(shown.frozen())
            except StudyError:  # the page of all studies says why
                continue
        return studies

    def get_study_id_from_name(self, study_name: str) -> int:
        """See `BaseStorage`."""
        for shown in self.shown_studies():
            if shown.title == study_name:
                return shown.number
        raise KeyError(f"no study {study_name}")

    def get_study_name_from_id(self, study_id: int) -> str:
        """See `BaseStorage`."""
        return self.shown(study_id).title

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See `BaseStorage`."""
        return self._frozen(study_id).directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """What the dashboard shows of them."""
        return dict(self._frozen(study_id).user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """With the note and the evidence that are laid over them."""
        return dict(self._frozen(study_id).system_attrs)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See `BaseStorage`."""
        for trial in self.get_all_trials(trial_id >> TRIAL_BITS, deepcopy=False):
            if trial._trial_id == trial_id:
                return trial
        raise KeyError(f"no trial {trial_id}")

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """See `BaseStorage`; always the same objects, which nobody changes here."""
        shown = self.shown(study_id)
        try:
            return [trial for trial in shown.trials() if states is None or trial.state in states]
        except StudyError as error:
            raise KeyError(str(error)) from error

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The winner as the search would name it; else the best that had the full budget. Confirmations are no candidates."""
        shown = self.shown(study_id)
        winner, trials = shown.standing().winner, self.get_all_trials(study_id, deepcopy=False)
        if winner is not None:
            return next(trial for trial in trials if trial.number == winner.number)
        sign = 1 if self.get_study_directions(study_id) == [StudyDirection.MAXIMIZE] else -1
        full = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        return max(full, key=lambda trial: ("confirms" not in trial.user_attrs, sign * trial.value))

    def _frozen(self, study_id: int) -> FrozenStudy:
        try:
            return self.shown(study_id).frozen()
        except StudyError as error:
            raise KeyError(str(error)) from error

    # -- what may be written: notes --------------------------------------------------------------------------------

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write a note of the study or of a trial; nothing else."""
        if not self._write or ":note_" not in key or not key.startswith("dashboard:"):
            raise PermissionError(_READ_ONLY)
        from search.storage import StudyStorage

        parts, shown = key.split(":"), self.shown(study_id)
        if parts[1].isdigit():  # of a trial, which has another number in its own database
            parts[1] = str(int(parts[1]) & ((1 << TRIAL_BITS) - 1))
        storage = StudyStorage(shown.reader.location)
        try:
            storage.set_study_system_attr(shown.reader.study()._study_id, ":".join(parts), value)
        finally:
            storage.engine.dispose()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def delete_study(self, study_id: int) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def set_trial_param(self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        """Refused."""
        raise PermissionError(_READ_ONLY)
