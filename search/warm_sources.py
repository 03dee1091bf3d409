"""The studies that a new one is to begin from: reading them, refusing those that have nothing for it, keeping what was taken.

What was taken is kept with the study, in one write before its first trial. So it is the same however the search is killed and gone on with, with
the sources changed or removed since, and with `warm_start` given again or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from search.config import SearchConfig
from search.errors import StudyError
from search.fingerprint import diff_fingerprints
from search.location import Location
from search.study import StudyOwner
from search.study_view import StudyView, read_study, warm_start_of
from search.warm_start import Taken, WarmStart, known_of, queue_of, take_from

#: Samplers that learn from trials of other studies.
LEARNING = ("tpe", "gp")


@dataclass(frozen=True)
class Sources:
    """What was read of them.

    Attributes
    ----------
    warm : WarmStart
        Without what is told.
    views : tuple of StudyView
    taken : tuple of Taken
        By study.
    """

    warm: WarmStart
    views: tuple[StudyView, ...]
    taken: tuple[Taken, ...]


def read_sources(config: SearchConfig, location: Location) -> Sources | None:
    """Read the studies that the file or the command line names; None where there are none, or they were taken over before.

    Parameters
    ----------
    config : SearchConfig
    location : Location
        Of the study that is to begin.

    Raises
    ------
    StudyError
        If one is not there, is this study, searches for something else, has nothing that fits this space or scores that are no result; or if this study has begun without
        it.
    """
    names = tuple(dict.fromkeys(config.warm_start))
    if not names:
        return None
    if config.study in names:
        raise StudyError(f"warm_start: study '{config.study}' can't begin from itself: name other studies, or start another one with --study NAME")
    has_trials, record = warm_start_of(location)
    if record is not None and set(record["studies"]) == set(names):
        return None
    if record is not None or has_trials:
        begun = "without a warm start" if record is None else f"from {', '.join(record['studies'])}"
        raise StudyError(
            f"warm_start: study '{config.study}' has begun {begun}, and can't begin again from {', '.join(names)}: leave warm_start out to go on "
            "with it, or start another study with --study NAME"
        )
    views = tuple(read_study(location.studies_dir, name) for name in names)
    for view in views:
        if view.run.get("caveat"):
            raise StudyError(f"warm_start: study '{view.name}': {view.run['caveat']}: nothing can be learned from them; leave it out")
        _require_same_objective(view, config)
    maximize = config.objective.direction == "maximize"
    taken = tuple(take_from(view.name, view.trials, config.families, maximize) for view in views)
    for view, each in zip(views, taken, strict=True):
        if not each.finished:
            why = f": {_reasons(each)}" if each.passed_over else ""
            raise StudyError(f"warm_start: study '{view.name}' has nothing to begin from, none of its finished trials fits this space{why}; leave it out")
    return Sources(WarmStart(names, queue_of(taken), known_of(taken)), views, taken)


def settle(owner: StudyOwner, sources: Sources | None, fingerprint: Mapping[str, Any], sampler: str) -> WarmStart:
    """What the study has taken over, or takes over now: from then on it is kept with it.

    Parameters
    ----------
    owner : StudyOwner
    sources : Sources or None
        As :func:`read_sources` returned them.
    fingerprint : mapping
        Of this study: what differs is told.
    sampler : str
    """
    record = owner.warm_start()
    if record is None and sources is not None:
        told = tuple(_told(view, each, fingerprint) for view, each in zip(sources.views, sources.taken, strict=True))
        summary = summary_of(sources.warm, sampler)
        record = replace(sources.warm, told=(*told, summary)).record()
        owner.describe({"warm start": f"from {', '.join(sources.warm.studies)}: {summary}"})
        owner.keep_warm_start(record)
    return WarmStart.of(record)


def summary_of(warm: WarmStart, sampler: str) -> str:
    """What is done with what was taken over, in a line."""
    few = len(warm.queue) == 1
    first = f"{len(warm.queue) or 'no'} configuration{'' if few else 's'} of these studies {'is' if few else 'are'} tried first"
    learns = f"the sampler learns from {len(warm.known)} of their trials" if sampler in LEARNING else f"sampler {sampler} learns from none of their trials"
    return f"{first}; {learns}"


def _require_same_objective(view: StudyView, config: SearchConfig) -> None:
    own = config.objective
    if (view.metric, view.direction) != (own.metric, own.direction):
        raise StudyError(
            f"warm_start: study '{view.name}' is to {view.direction} {view.metric}, this one to {own.direction} {own.metric}: what was good there need not be "
            "good here; leave it out"
        )


def _told(view: StudyView, taken: Taken, fingerprint: Mapping[str, Any]) -> str:
    differing = _differing(view.fingerprint, fingerprint)
    other = f" (other {', '.join(differing)})" if differing else " (same data and budget)"
    text = f"warm start from '{view.name}'{other}: {len(taken.finished)} finished trials fit, {len(taken.full)} of them with the full budget"
    return f"{text}; {len(taken.passed_over)} passed over: {_reasons(taken)}" if taken.passed_over else text


def _reasons(taken: Taken) -> str:
    """The most frequent reasons, with counts."""
    counts = Counter(taken.passed_over)
    told = [f"{reason} ({count})" for reason, count in counts.most_common(3)]
    return "; ".join(told + ([f"and {len(counts) - 3} more reasons"] if len(counts) > 3 else []))


def _differing(source: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """What else than the searched space differs between two studies: ``data``, ``features``, ``budget``, …"""
    found = [key for key in own if key not in ("families", "objective") and key in source and diff_fingerprints({key: source[key]}, {key: own[key]})]
    for name, family in own.get("families", {}).items():
        for section, value in family.items():
            theirs = source.get("families", {}).get(name, {}).get(section)
            if isinstance(value, Mapping) and isinstance(theirs, Mapping) and section not in found and diff_fingerprints(theirs, value):
                found.append(section)
    return found
