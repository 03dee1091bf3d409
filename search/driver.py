"""Puts a search together and runs it: study, proposer, scheduler, loop, engine, and the two ways a user may stop it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.artifacts import KEPT_TRIALS, TRIALS, Tidied, keep_best_artifacts
from search.checkpoints import Checkpoints
from search.config import SearchConfig
from search.depot import require_depot
from search.engines import Engine
from search.engines.inline import InlineEngine
from search.errors import SearchError
from search.lease import Lease
from search.location import locate
from search.loop import Loop
from search.rules import Confirmation, Limits, Monitor, Rules, Saving, SpecParts
from search.sampling import Proposer
from search.schedule import brackets, rungs
from search.schedulers import Scheduler
from search.schedulers.hyperband import Hyperband
from search.schedulers.ladder import EpochLadder, Ladder, SecondsLadder
from search.schedulers.promotion import AshaPromotion
from search.schedulers.stopping import Asha, RunAll
from search.stop_signals import stoppable
from search.study import StudyOwner
from search.thrift import Thrift, declared_work
from search.trial import Trial
from search.warm_sources import Sources, settle
from search.warm_start import declared_defaults
from search.worker import Workplace


@dataclass(frozen=True)
class Finished:
    """How a run ended.

    Attributes
    ----------
    trials : list of Trial
    stop_reason : str or None
        None where the study's totals were reached or nothing was left to do.
    interrupted, failing : bool
        The user stopped it; it stopped itself because trials kept failing.
    trouble : str or None
        Why not everything could be removed that nobody needs any more.
    cost : dict or None
        Of the study over all its runs (`search.accounts`), as far as it could be measured.
    """

    trials: list[Trial]
    stop_reason: str | None
    interrupted: bool
    failing: bool
    trouble: str | None = None
    cost: dict[str, Any] | None = None


def drive(
    config: SearchConfig,
    *,
    studies_dir: Path,
    place: Workplace,
    fingerprint: Mapping[str, Any],
    sections: Mapping[str, Mapping[str, Any]],
    precision: str,
    screen: Callable[[dict[str, Any]], Mapping[str, Any]],
    watching: Callable[[StudyOwner], AbstractContextManager[Monitor]],
    address: str | None = None,
    about: Mapping[str, str] | None = None,
    folds: int = 1,
    defaults: Mapping[str, Any] | None = None,
    blocked: Collection[str] = (),
    sources: Sources | None = None,
    lease: Lease | None = None,
) -> Finished:
    """Run or go on with a study until its totals are met or somebody stops it. The caller holds the lease.

    Parameters
    ----------
    config : SearchConfig
    studies_dir : Path
    place : Workplace
        What workers build their objective from.
    fingerprint : mapping, JSON-able
        What a resume must match.
    sections : mapping
        Family to the task's sections that go into each specification.
    precision : str
        Resolved: never "auto".
    screen : callable
        (spec) -> declared cost; raises with ``reason_code = "refused"``.
    watching : callable
        (StudyOwner) -> context manager that yields the :class:`~search.loop.Monitor` to tell what happens.
    address : str, optional
        Of an existing Ray cluster.
    about : mapping, optional
        Shown with the study in its dashboard.
    folds : int
        On how many folds each trial is scored; 1 where it is a hold-out part.
    defaults : mapping, optional
        What a study did that was made before a key of the fingerprint existed.
    blocked : collection of str
        Families that are not to be tried in this run.
    sources : Sources, optional
        The studies that a new one begins from (`search.warm_sources.read_sources`).
    lease : Lease, optional
        The caller's; it says where the study is, and is asked before each write.

    Raises
    ------
    LeaseLost
        Another driver has the study now: this one has stopped writing.
    SearchError
        If the study was made with other settings, no worker can be started, or a trial of a blocked family waits to go on.
    """
    maximize = config.objective.direction == "maximize"
    location = locate(studies_dir, config.study, config.storage) if lease is None else lease.location
    depot = require_depot(config.artifacts, location.folder)
    kept = max(KEPT_TRIALS, config.confirm.top if config.confirm is not None else 0)
    place = replace(place, trials_dir=f"{depot.root}/{TRIALS}")
    owner = StudyOwner(location, maximize=maximize, fingerprint=fingerprint, defaults=defaults, lease=lease, energy=config.energy, trains_here=config.engine == "inline")
    owner.describe(about or {})
    owner.note_confirmation(None if config.confirm is None else config.confirm.model_dump())
    owner.note_preference(config.prefer)
    budget = config.budget
    parts = spec_parts(config, sections=sections, precision=precision, screen=screen, folds=folds)
    checkpoints = Checkpoints(depot, int(config.resources.checkpoints_gib * 2**30))
    try:
        _require_none_waits(owner, blocked)
        with watching(owner) as monitor:
            owner.storage.note = owner.spent.accounts.note = monitor.note
            warm = settle(owner, sources, fingerprint, config.sampler)
            for text in warm.told if sources is not None else ():
                monitor.note(text)
            if config.try_defaults:
                warm = replace(warm, queue=(*warm.queue, *declared_defaults(config.families)))
            thrift = Thrift(lambda family, sampled: declared_work(parts, family, sampled)) if config.frugal else None
            proposer = Proposer(config.families, config.sampler, config.seed, maximize, blocked=blocked, warm=warm, thrift=thrift, ladder=make_ladder(config))
            limits = Limits(budget.trials, budget.minutes, budget.epochs, budget.kwh, budget.kg_co2)
            owner.spent.accounts.is_limited = limits.kwh is not None or limits.kg_co2 is not None
            rules = make_rules(config, maximize, folds, tuple(blocked))
            for family in blocked:
                rules.scheduler.exhausted(family)
            tidied = Tidied(monitor, depot, owner.trials.values(), maximize, kept)
            loop = Loop(owner, proposer, rules, parts, limits, config.objective.metric, tidied, checkpoints)
            interrupted = _run(loop, make_engine(config, address), place)
    finally:
        owner.close()
        if owner.storage.given_up is None:  # else they may be another driver's
            keep_best_artifacts(depot, list(owner.trials.values()), maximize, kept)
        trouble = depot.settle()
    return Finished(list(owner.trials.values()), loop.stop_reason, interrupted, loop.keeps_failing, trouble, owner.spent.accounts.total)


def spec_parts(
    config: SearchConfig,
    *,
    sections: Mapping[str, Mapping[str, Any]],
    precision: str,
    screen: Callable[[dict[str, Any]], Mapping[str, Any]],
    folds: int = 1,
) -> SpecParts:
    """What specifications of trials are made of; parameters as of `drive`."""
    return SpecParts(
        epochs=config.budget.max_epochs,
        seed=config.seed,
        precision=precision,
        resolve=lambda family, sampled: config.families[family].resolve(sampled),
        sections=sections,
        screen=screen,
        folds=folds,
        repeats=config.repeats,
        backend=config.backend,
    )


def _require_none_waits(owner: StudyOwner, blocked: Collection[str]) -> None:
    waiting = [t for t in (*owner.waiting(), *owner.paused()) if t.family in blocked]
    if waiting:
        numbers = ", ".join(str(t.number) for t in waiting[:5]) + (" …" if len(waiting) > 5 else "")
        raise SearchError(
            f"study '{owner.name}': trial {numbers} of family {waiting[0].family} waits to go on, but that family can't be had here: bring back what it "
            "needs, or take another study name"
        )


def _run(loop: Loop, engine: Engine, place: Workplace) -> bool:
    """Run the engine; whatever ends it, no trial is left running. True if the user stopped it."""
    with stoppable(loop) as stops:
        try:
            engine.run(loop, place)
        except KeyboardInterrupt:
            loop.stop("stopped by the user")
        finally:
            for trial in loop.running:
                if trial.end is None:  # else the interrupt came while its end was written: that arrived, or the trial is an orphan of the next run
                    loop.lost(trial.number, "stopped in an epoch")
    return bool(stops)


def make_rules(config: SearchConfig, maximize: bool, folds: int, blocked: tuple[str, ...] = ()) -> Rules:
    """Who goes on, as the space file says."""
    budget, between = config.budget, None
    steps = folds * config.repeats - 1
    if steps and config.scheduler != "none":
        between = Asha(tuple(range(budget.max_epochs, budget.max_epochs + steps)), budget.reduction_factor, maximize)
    confirm = config.confirm
    confirmation = None if confirm is None else Confirmation(confirm.top, confirm.folds, blocked)
    return Rules(make_scheduler(config, maximize), between, confirmation, make_saving(config), config.budget.resource == "seconds")


def make_saving(config: SearchConfig) -> Saving:
    """When trials save their state: at each rung below the last, and every few minutes."""
    if not config.resources.checkpoints_gib:
        return Saving()
    budget = config.budget
    if budget.resource == "seconds":
        return Saving(frozenset(), 60 * config.resources.checkpoint_minutes, make_ladder(config))
    bounds = (budget.min_epochs, budget.max_epochs, budget.reduction_factor)
    levels = {level for plan in brackets(*bounds) for level in plan.levels} if config.scheduler == "hyperband" else set(rungs(*bounds))
    return Saving(frozenset(levels - {budget.max_epochs}), 60 * config.resources.checkpoint_minutes)


def make_scheduler(config: SearchConfig, maximize: bool) -> Scheduler:
    """The scheduler that the space file names."""
    budget = config.budget
    bounds = (budget.min_epochs, budget.max_epochs, budget.reduction_factor)
    if config.scheduler == "hyperband":
        return Hyperband(brackets(*bounds), tuple(config.families), maximize)
    if config.scheduler == "asha_promotion":
        return AshaPromotion(rungs(*bounds), budget.reduction_factor, maximize)
    return Asha(make_ladder(config), budget.reduction_factor, maximize) if config.scheduler == "asha" else RunAll()


def make_ladder(config: SearchConfig) -> Ladder:
    """Rungs of trials that are compared one by one: in epochs, or in seconds of training."""
    budget = config.budget
    if budget.resource == "seconds":
        return SecondsLadder(budget.min_seconds, budget.reduction_factor, budget.min_epochs)
    return EpochLadder(rungs(budget.min_epochs, budget.max_epochs, budget.reduction_factor))


def make_engine(config: SearchConfig, address: str | None) -> Engine:
    """The engine that the space file or the command line names."""
    if config.engine == "inline":
        return InlineEngine()
    from search.engines.ray_engine import RayEngine  # Ray takes a second to import; the inline engine does without

    return RayEngine(config.workers, config.resources, address)
