"""Puts a search together that another tool drives, and runs it: the study, its totals, the tool. As `search.driver`, with less to decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from search.config import SearchConfig
from search.driver import Finished, spec_parts
from search.lease import Lease
from search.peer_study import PeerOwner, PeerStudy
from search.peers import own_ways
from search.rules import Limits, Monitor
from search.stop_signals import stoppable
from search.study import StudyOwner
from search.worker import Workplace


class PeerEngine(Protocol):
    """Another tool."""

    def run(self, study: PeerStudy, place: Workplace) -> None:
        """Return when a total of the study is reached or the tool is done."""
        ...


def drive_peer(
    config: SearchConfig,
    *,
    place: Workplace,
    fingerprint: Mapping[str, Any],
    sections: Mapping[str, Mapping[str, Any]],
    precision: str,
    screen: Callable[[dict[str, Any]], Mapping[str, Any]],
    watching: Callable[[StudyOwner], AbstractContextManager[Monitor]],
    about: Mapping[str, str],
    defaults: Mapping[str, Any],
    blocked: Collection[str],
    lease: Lease,
) -> Finished:
    """Run the tool that `config.engine` names, or let it go on, until the study's totals are met or somebody stops it.

    Parameters
    ----------
    config : SearchConfig
    place : Workplace
        Its factory makes what the tool trains with.
    fingerprint, defaults : mapping
        As of `search.driver.drive`.
    sections, precision, screen
        As of `search.driver.drive`.
    watching : callable
        (StudyOwner) -> context manager that yields the monitor.
    about : mapping
        Shown with the study in its dashboard.
    blocked : collection of str
        Families that are not to be tried in this run.
    lease : Lease
        The caller's.

    Raises
    ------
    SearchError
        The study was made with other settings, or the tool can't go on with it.
    """
    maximize, budget = config.objective.direction == "maximize", config.budget
    families = {name: space for name, space in config.families.items() if name not in blocked}
    owner = PeerOwner(lease.location, maximize=maximize, fingerprint=fingerprint, defaults=defaults, lease=lease, energy=config.energy)
    try:
        owner.describe({**about, "engine": config.engine})
        owner.note_preference(config.prefer)
        with watching(owner) as monitor:
            owner.storage.note = owner.spent.accounts.note = monitor.note
            monitor.note(own_ways(config.engine))
            limits = Limits(budget.trials, budget.minutes, budget.epochs, budget.kwh, budget.kg_co2)
            owner.spent.accounts.is_limited = limits.kwh is not None or limits.kg_co2 is not None
            parts = spec_parts(config, sections=sections, precision=precision, screen=screen)
            study = PeerStudy(owner, families, parts, limits, config.objective.metric, monitor, config.engine)
            interrupted = _run(study, make_peer(config, families, lease.location.folder), place)
    finally:
        owner.close()
    reason = study.stop_reason or study.failing
    return Finished(list(owner.trials.values()), reason, interrupted, study.failing is not None, None, owner.spent.accounts.total)


def _run(study: PeerStudy, engine: PeerEngine, place: Workplace) -> bool:
    """Run the tool; whatever ends it, no trial is left running. True if the user stopped it."""
    with stoppable(study) as stops:
        try:
            engine.run(study, place)
        except KeyboardInterrupt:
            study.stop("stopped by the user")
        finally:
            study.abandon("stopped in an epoch")
    return bool(stops)


def make_peer(config: SearchConfig, families: Mapping[str, Any], folder: Path) -> PeerEngine:
    """The tool that the space file or the command line names."""
    budget = config.budget
    if config.engine == "keras-tuner":
        from search.engines.keras_tuner_engine import KerasTunerEngine  # loads Keras

        return KerasTunerEngine(families, budget.max_epochs, budget.reduction_factor, config.seed, folder)
    from search.engines.ray_tune_engine import RayTuneEngine

    return RayTuneEngine(families, config, folder)
