"""A study as it is shown: its own records, with a note, evidence and readable attributes laid over them, and numbers that are its own among all studies."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial
from optuna_dashboard._note import concat_body, note_str_key_prefix, note_ver_key, split_body

from search.dashboard.evidence import Evidence, EvidenceStore, final_evidence, trial_evidence
from search.dashboard.note import Standing, note_of, standing_of
from search.dashboard.study_reader import StudyReader
from search.study_view import trial_of

#: Trials of all studies are numbered in one row: study number, then the trial's own in so many bits. Browsers count to 2**53.
TRIAL_BITS = 32
#: Files beside the trials are looked at again after so many seconds.
_FILES_SECONDS = 3.0
_TRIAL_NOTE = re.compile(r"dashboard:([0-9]+):(note_.*)")
_FACTS = ("best_epoch", "epochs", "parameters", "gflops")


class ShownStudy:
    """One study among others.

    Parameters
    ----------
    number : int
        Among all studies, from 1.
    title : str
        Its name, unlike that of any other.
    reader : StudyReader
    store : EvidenceStore
        Told of the evidence that is listed.
    write : bool
        Whether the note is the user's to edit: then the stored one is shown alone, where there is one.
    """

    def __init__(self, number: int, title: str, reader: StudyReader, store: EvidenceStore, write: bool) -> None:
        self.number, self.title, self.reader, self._store, self._write = number, title, reader, store, write
        self._lock = threading.RLock()
        self._shown: dict[int, tuple[FrozenTrial, tuple[Any, ...], FrozenTrial]] = {}
        self._evidence: tuple[float, list[Evidence], dict[int, list[Evidence]]] = (0.0, [], {})
        self._standing: tuple[float, object, Standing] | None = None

    @property
    def folder(self) -> Path:
        """The study's."""
        return self.reader.location.folder

    def frozen(self) -> FrozenStudy:
        """The study's record, as the dashboard lists it; what is laid over it is made when it is asked for. StudyError where it can't be read."""
        study = self.reader.study()
        return FrozenStudy(self.title, None, _study_facts(study.user_attrs), ShownAttrs(self, study.system_attrs), self.number, directions=study.directions)

    def trials(self) -> list[FrozenTrial]:
        """All trials, with their numbers among all studies. StudyError where they can't be read."""
        with self._lock:
            evidence = self.evidence()[1]
            return [self._show(trial, evidence.get(trial.number, [])) for trial in self.reader.trials()]

    def _show(self, trial: FrozenTrial, evidence: list[Evidence]) -> FrozenTrial:
        files = tuple(item.artifact_id for item in evidence)
        before = self._shown.get(trial.number)
        if before is not None and before[0] is trial and before[1] == files:
            return before[2]
        shown = FrozenTrial(
            trial.number, trial.state, None, trial.datetime_start, trial.datetime_complete, trial.params, trial.distributions, _trial_facts(trial.user_attrs),
            {key: value for key, value in trial.system_attrs.items() if key == "fixed_params"} | dict(item.as_attribute() for item in evidence),
            trial.intermediate_values, (self.number << TRIAL_BITS) + trial._trial_id, values=trial.values,
        )  # fmt: skip
        self._shown[trial.number] = (trial, files, shown)
        return shown

    def evidence(self) -> tuple[list[Evidence], dict[int, list[Evidence]]]:
        """Evidence of the study's look, and of its trials by their number."""
        with self._lock:
            made, final, trials = self._evidence
            if time.monotonic() - made > _FILES_SECONDS or not made:
                final, trials = final_evidence(self.folder), trial_evidence(self.folder)
                for items in (final, *trials.values()):
                    self._store.add(items)
                self._evidence = (time.monotonic(), final, trials)
            return final, trials

    def standing(self) -> Standing:
        """Who leads or has won. StudyError where the study can't be read."""
        with self._lock:
            frozen, now = self.reader.trials(), time.monotonic()
            if self._standing is None or self._standing[1] is not frozen or now - self._standing[0] > _FILES_SECONDS:
                study = self.reader.study()
                trials = [trial_of(trial) for trial in frozen if "spec" in trial.user_attrs]
                maximize = study.directions == [StudyDirection.MAXIMIZE]
                self._standing = (now, frozen, standing_of(self.folder, self.reader.location.name, trials, maximize, study.user_attrs))
            return self._standing[2]

    def overlay(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What is laid over the study's system attributes: the note, and evidence of the look."""
        prefix, own = note_str_key_prefix(None), ""
        if note_ver_key(None) in stored:
            own = concat_body({key: value for key, value in stored.items() if key.startswith(prefix)}, None)
        text = own
        if not self._write or not own:
            told = note_of(self.standing(), self.reader.location.studies_dir)
            text = f"{own}\n\n---\n\n{told}" if own else told
        note = {note_ver_key(None): stored.get(note_ver_key(None), 0)} | split_body(text, None)
        return self._trial_notes(stored) | note | dict(item.as_attribute() for item in self.evidence()[0])


    def _trial_notes(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Notes on trials, which in the study's own database are kept under their own numbers."""
        found = ((_TRIAL_NOTE.fullmatch(key), value) for key, value in stored.items())
        return {f"dashboard:{(self.number << TRIAL_BITS) + int(match[1])}:{match[2]}": value for match, value in found if match}


class ShownAttrs(Mapping):
    """System attributes of a study: what is laid over them is made when one of it is asked for, since lists of studies ask for none of it."""

    def __init__(self, shown: ShownStudy, stored: Mapping[str, Any]) -> None:
        self._shown, self._stored, self._whole = shown, stored, None

    def _all(self) -> Mapping[str, Any]:
        if self._whole is None:
            own = {key: value for key, value in self._stored.items() if key.startswith("study:")}  # names of the objectives
            self._whole = own | self._shown.overlay(self._stored)
        return self._whole

    def __getitem__(self, key: str) -> Any:
        """See `Mapping`."""
        return self._all()[key] if key.startswith(("dashboard:", "artifacts:")) else self._stored[key]

    def __iter__(self) -> Iterator[str]:
        """See `Mapping`."""
        return iter(self._all())

    def __len__(self) -> int:
        """See `Mapping`."""
        return len(self._all())


def _study_facts(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader wants of a study's attributes."""
    facts = {key: attrs[key] for key in ("corpus", "metric", "prefer") if attrs.get(key) is not None}
    if isinstance(attrs.get("elapsed_seconds"), int | float):
        facts["minutes_searched"] = round(attrs["elapsed_seconds"] / 60, 1)
    return facts


def _trial_facts(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader wants of a trial's attributes, as numbers and words that its table can be sorted by."""
    outcome, spec = attrs.get("outcome") or {}, attrs.get("spec") or {}
    facts = {key: attrs[key] for key in ("family", "end", "reason", "confirms", "retry_of") if attrs.get(key) is not None}
    facts |= {key: outcome[key] for key in _FACTS if isinstance(outcome.get(key), int | float)}
    if outcome.get("interval"):
        facts["interval"] = "–".join(f"{end:.3f}" for end in outcome["interval"])
    cost = outcome.get("cost") or {}
    seconds = cost.get("wall_seconds") or outcome.get("seconds")
    if seconds is not None:
        facts["seconds"] = round(seconds, 1)
    facts |= {key: cost[key] for key in ("energy_kwh", "peak_ram_mib") if isinstance(cost.get(key), int | float)}
    if spec.get("warm_start_of"):
        facts["warm_start_of"] = spec["warm_start_of"]
    return facts
