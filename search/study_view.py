"""A study as those read it who do not write it: final evaluation, reports, a driver before it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from search.confirm import finalists, next_to_confirm
from search.database import described, in_words, reads_one_moment
from search.errors import StudyError
from search.fingerprint import diff_fingerprints, grown
from search.location import Location, locate
from search.preference import read_preference, recorded_preference
from search.selection import Selection, Statistics, contenders
from search.storage import StudyStorage
from search.study_file import trouble_of
from search.trial import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)


def require_match(location: Location, fingerprint: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse a study of that name that was made with other settings, before any work is done; a new name is fine.

    Raises
    ------
    StudyError
        With the differing keys and the ways out.
    """
    attrs = _attrs_of(location)
    refuse_stranger(location, attrs)
    if attrs is not None:
        refuse_mismatch(location.name, attrs.get("fingerprint"), fingerprint, defaults)


def fingerprint_recorded(location: Location) -> dict[str, Any]:
    """What a study's trials have in common, as it was recorded; empty where there is no study yet."""
    return dict((_attrs_of(location) or {}).get("fingerprint") or {})


def warm_start_of(location: Location) -> tuple[bool, dict[str, Any] | None]:
    """Whether a study has trials yet, and what it keeps of the studies that it began from (`search.warm_start`), if it did."""
    if location.variable is None and not location.database_file.is_file():
        return False, None
    storage = StudyStorage(location)
    try:
        with in_words(location, "read"):
            found = next((s for s in storage.get_all_studies() if s.study_name == location.name), None)
            return (False, None) if found is None else (storage.get_n_trials(found._study_id) > 0, found.system_attrs.get("warm_start"))
    finally:
        storage.engine.dispose()


def _attrs_of(location: Location) -> dict[str, Any] | None:
    """The study's attributes; None if it is not in its database."""
    if location.variable is None and not location.database_file.is_file():
        return None
    storage = StudyStorage(location)
    try:
        with in_words(location, "read"):
            return next((s.user_attrs for s in storage.get_all_studies() if s.study_name == location.name), None)
    finally:
        storage.engine.dispose()


def refuse_stranger(location: Location, attrs: Mapping[str, Any] | None) -> None:
    """Raise a StudyError where the folder remembers a study, and the database that its variable names today has not that one."""
    memory = location.remembered()
    if location.variable is None or memory is None or (attrs or {}).get("identity") == memory["study"]:
        return
    found = "has no study of that name" if attrs is None else "has another study of that name"
    raise StudyError(
        f"study '{location.name}': {described(location)} {found} than the one that {location.folder} belongs to: let {location.variable} hold the URL of the "
        "database that it was in, start another study with --study NAME, or remove that folder"
    )


class StudyView:
    """A study as read, for those who do not write it.

    Attributes
    ----------
    name, metric : str
    maximize : bool
    run : dict
        ``run.json``: what the composition root wrote about the run.
    trials : list of Trial
    elapsed_seconds : float
        Searched so far, over all runs.
    confirm : dict or None
        ``{"top", "folds"}`` where the best are to be confirmed before there is a winner.
    fingerprint : dict
        What its trials have in common (`search.fingerprint`).
    prefer : str
        Which of those near the best wins (`search.preference`).
    cost : dict or None
        What the study took over all its runs, what no trial used too, in the shape of a trial's cost (`search.trial_cost`); None where it was not measured.
    distributions : dict
        Optuna's distribution of each parameter that a trial has, by its name in the study; as of the newest trial.
    """

    def __init__(
        self,
        name: str,
        maximize: bool,
        metric: str | None,
        run: dict[str, Any],
        trials: list[Trial],
        elapsed_seconds: float = 0.0,
        confirm: dict[str, int] | None = None,
        fingerprint: Mapping[str, Any] | None = None,
        prefer: str = "best",
        distributions: Mapping[str, BaseDistribution] | None = None,
        cost: Mapping[str, Any] | None = None,
    ) -> None:
        self.cost = None if cost is None else dict(cost)
        self.distributions = dict(distributions or {})
        self.fingerprint = dict(fingerprint or {})
        self.name, self.maximize, self.metric, self.run, self.trials = name, maximize, metric, run, trials
        self.elapsed_seconds, self.confirm, self.prefer = elapsed_seconds, confirm, prefer

    @property
    def direction(self) -> str:
        """ "maximize" or "minimize"."""
        return "maximize" if self.maximize else "minimize"

    def selection(self, statistics: Statistics | None = None) -> Selection:
        """The winner and what is known of it (`select_winner`)."""
        return select_winner(self.name, self.trials, self.maximize, self.confirm, self.prefer, statistics)

    def winner(self, statistics: Statistics | None = None) -> Trial:
        """The trial that wins, among those with the full budget; `statistics` are needed where ``prefer`` asks who ties with the best.

        Raises
        ------
        StudyError
            If there is none; the message counts what there is.
        """
        return self.selection(statistics).winner.trial


def select_winner(
    name: str,
    trials: list[Trial],
    maximize: bool,
    confirm: Mapping[str, int] | None = None,
    prefer: str = "best",
    statistics: Statistics | None = None,
) -> Selection:
    """Choose among the trials that had the full budget; equally good ones go by their number.

    With `confirm` (``{"top", "folds"}``) among the confirmed ones, by that score; with `prefer` not the best, but the cheapest near it.

    Raises
    ------
    StudyError
        If none had the full budget, or a confirmation is still to be done.
    """
    if not finalists(trials, 1, maximize):
        counts = {state: sum(t.state == state for t in trials) for state in ("PRUNED", "FAIL", "RUNNING", "WAITING")}
        told = ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "no trials yet"
        raise StudyError(f"study '{name}': no trial has had the full budget ({told}); run the search again to go on")
    if confirm is not None:
        waiting = next_to_confirm(trials, confirm["top"], confirm["folds"], maximize)
        if waiting is not None or any(t.confirms is not None and t.end is None for t in trials):
            raise StudyError(f"study '{name}': its best trials are still being confirmed; run the search again to finish that")
    folds = None if confirm is None else confirm["folds"]
    return Selection(contenders(trials, maximize, folds), maximize, statistics, read_preference(prefer), folds)


def list_studies(studies_dir: Path) -> list[str]:
    """Names of the studies in a folder; of those on PostgreSQL that the folder knows of, there or not."""
    local = [p.parent.name for p in _local_files(studies_dir) if trouble_of(p) is None]
    return sorted({*local, *(p.parent.name for p in studies_dir.glob("*/storage.json"))})


def damaged_studies(studies_dir: Path) -> dict[str, str]:
    """Folders with a ``study.db`` in which their study is not to be found, by name, and why."""
    found = {p.parent.name: trouble_of(p) for p in _local_files(studies_dir)}
    return {name: why for name, why in sorted(found.items()) if why is not None}


def _local_files(studies_dir: Path) -> list[Path]:
    return [p for p in studies_dir.glob("*/study.db") if not p.parent.name.startswith(".")]


def read_study(studies_dir: Path, name: str, storage: str | None = None) -> StudyView:
    """Read a study without writing to it.

    Parameters
    ----------
    studies_dir : Path
    name : str
    storage : str, optional
        As for `search.location.locate`: where its folder does not remember it.

    Raises
    ------
    StudyError
        If there is none of that name; the message lists those there are. Or its database can't be read.
    """
    location = locate(studies_dir, name, storage)
    if location.variable is None:
        if (trouble := trouble_of(location.database_file)) is not None:
            raise StudyError(f"study '{name}': {trouble}")
        if not location.database_file.is_file():
            raise _no_study(studies_dir, name)
    database = StudyStorage(location)
    reads_one_moment(database.engine)
    try:
        with in_words(location, "read"):
            known = {s.study_name: s.user_attrs for s in database.get_all_studies()}
            refuse_stranger(location, known.get(name))
            if name not in known:
                raise _no_study(studies_dir, name)
            attrs = known[name]
            study = optuna.load_study(study_name=name, storage=database)
            stored = database.get_all_trials(study._study_id)
            trials, distributions = [trial_of(t) for t in stored], {key: found for t in stored for key, found in t.distributions.items()}
            maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # what Optuna makes of rows that are damaged
        line = (str(error).splitlines() or [""])[0]
        raise StudyError(f"study '{name}': {described(location)} is damaged ({type(error).__name__}: {line}): put a copy of it in its place") from error
    finally:
        database.engine.dispose()
    run = _read_run(location.folder / "run.json")
    elapsed, confirm, prefer = attrs.get("elapsed_seconds", 0.0), attrs.get("confirm"), recorded_preference(attrs.get("prefer", "best"))
    return StudyView(name, maximize, attrs.get("metric"), run, trials, elapsed, confirm, attrs.get("fingerprint"), prefer, distributions, attrs.get("cost"))


def _read_run(file: Path) -> dict[str, Any]:
    """``run.json``; empty where there is none."""
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise StudyError(f"{file}: can't be read ({error}); put it back, or run the search command again, it writes the file") from error


def _no_study(studies_dir: Path, name: str) -> StudyError:
    known = ", ".join(list_studies(studies_dir)) or "none yet"
    return StudyError(f"no study '{name}' in {studies_dir} (there: {known}); start one with python -m search.run --space FILE")


def trial_of(frozen: FrozenTrial) -> Trial:
    """A stored trial as the driver knows it."""
    attrs = frozen.user_attrs
    if not isinstance(attrs.get("spec"), dict) or "family" not in attrs["spec"]:
        raise StudyError(f"trial {frozen.number} of the study has no specification: something else than this program made it; take another name with --study NAME")
    params = frozen.params or frozen.system_attrs.get("fixed_params", {})
    value = frozen.value if frozen.state.is_finished() else None
    return Trial(
        frozen.number,
        frozen.state.name,
        attrs["spec"],
        dict(params),
        dict(frozen.intermediate_values),
        attrs.get("end"),
        attrs.get("reason"),
        value,
        attrs.get("outcome", {}),
        frozen._trial_id,
        attrs.get("paused"),
        attrs.get("checkpoint"),
        attrs.get("bracket"),
        **{name: {int(epoch): seconds for epoch, seconds in attrs.get(name, {}).items()} for name in ("reported_at", "seconds")},
    )


def refuse_mismatch(name: str, stored: Mapping[str, Any] | None, fingerprint: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise a StudyError where a study was made with another fingerprint; it lists the differing keys and the ways out.

    Keys that the program has learned since take what `defaults` gives for the study.
    """
    if stored is None:
        return
    fingerprint = json.loads(json.dumps(fingerprint))
    stored = grown(stored, fingerprint, defaults)
    if not diff_fingerprints(stored, fingerprint):
        return
    lines = "\n".join(f"  {line}" for line in diff_fingerprints(stored, fingerprint))
    raise StudyError(
        f"study '{name}' was made with other settings, and its trials can't be compared with new ones:\n{lines}\n"
        "ways out: put the settings back; or start another study with --study NAME; or remove the study's folder"
    )
