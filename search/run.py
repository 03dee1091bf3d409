"""``python -m search.run --space FILE``: start a study, or go on with it.

A composition root: the one place of this package that knows both the engine and the task (genre_models).
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from genre_models import resampling
from genre_models.errors import GenreModelsError
from genre_models.families import FAMILIES
from genre_models.families.own import add_own_families, environment_of, own_code
from genre_models.framework import missing_backend, overridden_backend, require_backend
from genre_models.objective import METRICS, resolve_precision, screen
from genre_models.precision import has_gpu
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.terminal import PlainConsole
from search import command_line
from search.command_line import overrides, studies_folder
from search.config import load_space
from search.demands import confirming_folds, folds_of, memory_mib, unavailable_families
from search.errors import SearchError
from search.peers import FITTED, PEERS, require_possible
from search.telling import corpus_text, other_versions, read_run, tell_corpus, tell_results, write_run

if TYPE_CHECKING:
    import argparse

    from genre_models.task_data import TaskData
    from search.config import SearchConfig
    from search.location import Location
    from search.progress import Stages

#: What workers build their objective with.
FACTORY = "genre_models.objective:build"
#: What a tool that trains with Keras' own ``model.fit`` builds.
FITTING = "genre_models.compilable:build"
#: Sections of a space file that are the task's.
SECTIONS = {"data": DataSettings, "features": FeatureSettings}
_IDLE_GPU = (
    "note: this machine has a GPU, but trials are given none (resources.gpus is 0), so they train on the processor; "
    "resources: {gpus: 1} gives each a GPU, a fraction lets several share one"
)

__all__ = ["SECTIONS", "main", "overrides", "parser"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return command_line.parser(FAMILIES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    console = PlainConsole(width=None if sys.stdout.isatty() else 160, emoji=False)  # a log has no edge to wrap at
    try:
        add_own_families()
        if options.describe is not None:
            return _describe(options.describe, console)
        if options.space is None:
            raise SearchError("--space FILE is missing: which space is to be searched? Try --space spaces/cnn.yaml")
        config = load_space(options.space, FAMILIES, SECTIONS, overrides(options), metrics=METRICS)
        _require_engine(config, options.address)
        studies_dir = studies_folder(options)
        if options.replay is not None:
            return _replay(config, studies_dir, options.replay, console)
        return _dry_run(config, studies_dir, console) if options.dry_run else _search(config, studies_dir, options.address, console)
    except (SearchError, GenreModelsError) as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(f"error: {error}", markup=False, highlight=False)
        return error.exit_code
    except OSError as error:  # a folder that can't be written, a full disk, where nobody had a better word for it
        told = f"error: {error}; nothing that was recorded is lost: put that right, then run the same command again"
        Console(stderr=True, soft_wrap=True, emoji=False).print(told, markup=False, highlight=False)
        return SearchError.exit_code
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; run the same command again to go on", markup=False)
        return 130


def _describe(name: str, console: Console) -> int:
    from search.describe import describe_family

    if name not in FAMILIES:
        raise SearchError(f"--describe {name}: no such family; there are: {', '.join(FAMILIES)}")
    console.print(describe_family(FAMILIES[name]))
    return 0


def _require_engine(config: SearchConfig, address: str | None) -> None:
    """Refuse what another tool, where one is to search, can't do; before anything is computed."""
    require_possible(config, folds_of(config), address)
    if config.engine not in FITTED:
        return
    from genre_models.compilable import not_compilable

    lines = []
    for name, space in config.families.items():
        values = {key: space.values(key) for key in space.defaults}
        lines += not_compilable(name, values, config.family_sections[name]["features"].model_dump())
    if lines:
        raise SearchError(f"{config.path}: engine {config.engine} can't do that:\n" + "\n".join(dict.fromkeys(lines)))


def _search(config: SearchConfig, studies_dir: Path, address: str | None, console: Console) -> int:
    """Everything from an empty folder to the leaderboard."""
    from genre_models.worker_files import add_worker_files
    from search.depot import require_depot
    from search.driver import drive
    from search.lease import hold_lease
    from search.location import locate
    from search.peer_driver import drive_peer
    from search.progress import Stages, watch_study
    from search.study_view import require_match
    from search.warm_sources import read_sources
    from search.worker import Needed, Workplace

    require_backend(config.backend)
    if note := overridden_backend(config.backend):
        console.print(note, markup=False, highlight=False)
    if has_gpu() and not config.gives_gpus:
        console.print(_IDLE_GPU, markup=False, highlight=False)
    location = locate(studies_dir, config.study, config.storage)
    with location.kept_from_children(), hold_lease(location) as lease:
        folder = location.folder
        require_depot(config.artifacts, folder)
        precision = _settled_precision(config, location, console)
        sources = read_sources(config, location)
        with Stages(console) as stages:
            folds = confirming_folds(config)
            data = _open(config, studies_dir, stages, folds)
            tell_corpus(data, console)
            doubts = _tell_doubts(data, config, location, console)
            fingerprint = fingerprint_of(config, data, precision)
            require_match(location, fingerprint, defaults_of(config))
            task = _task(config, data, console, stages, folds)
            blocked = unavailable_families(config, data, console)
            possible = [pair for family, wanted in data.inputs.items() if family not in blocked for pair in wanted]
            needs = tuple(Needed(*each) for each in add_worker_files(task, possible))
        write_run(folder, config, data, task, precision, doubts, environment_of(config.families))
        shared = {
            "place": Workplace(FITTING if config.engine in FITTED else FACTORY, task, str(folder / "trials"), config.resources.cpus, needs=needs),
            "fingerprint": fingerprint,
            "sections": {family: {"features": data.features[family]} for family in config.families},
            "precision": precision,
            "screen": lambda spec: screen(spec, task),
            "watching": lambda owner: watch_study(console, owner, config.budget),
            "about": {"corpus": corpus_text(data.corpus, data.caveat)} | ({"caveat": data.caveat} if data.caveat else {}),
            "defaults": defaults_of(config),
            "blocked": blocked,
            "lease": lease,
        }
        if config.engine in PEERS:
            finished = drive_peer(config, **shared)
        else:
            finished = drive(config, **shared, studies_dir=studies_dir, address=address, folds=folds_of(config), sources=sources)
        code = tell_results(location, config, finished, data.corpus, console, resampling, data.caveat)
    _write_report(location, config, data, console)  # out here, where the variable that names a database can be read again
    return code


def _settled_precision(config: SearchConfig, location: Location, console: Console) -> str:
    """What `precision: auto` stands for: what the study has; of a new one whatever this machine trains networks faster in."""
    from genre_models.precision_probe import faster_precision, user_cache
    from search.study_view import fingerprint_recorded

    recorded = fingerprint_recorded(location).get("precision")
    if config.precision == "auto" and recorded is not None:
        return recorded

    def measure() -> str:
        if not any(FAMILIES[name].has_epochs for name in config.families):
            return "float32"  # classifiers have no say in it
        return faster_precision(user_cache(), config.backend, lambda line: console.print(line, markup=False, highlight=False))

    return resolve_precision(config.precision, measure=measure, gpus=config.gives_gpus)


def _tell_doubts(data: TaskData, config: SearchConfig, location: Location, console: Console) -> list[str]:
    """What the scan says against the corpus and against its split, in short; scripts/doctor.py and scripts/audit.py have the rest."""
    from genre_models.audit import audit_split
    from genre_models.doctor import short_notes

    notes = short_notes(data.scan, data.corpus)
    for note in notes:
        console.print(f"doctor: {note}", markup=False, highlight=False)
    warnings = audit_split(data.split, data.cache_dir, briefly=True).warnings
    for warning in warnings:
        console.print(f"audit: {warning}", markup=False, highlight=False)
    if warnings:
        words = ["python", "scripts/audit.py", "--study", config.study, *_in_folder(location)]
        console.print(f"audit: the whole answer: {shlex.join(words)}", markup=False, highlight=False)
    return [*notes, *warnings]


def _in_folder(location: Location) -> list[str]:
    folder = location.folder.parent
    return [] if folder == Path("studies").resolve() else ["--studies-dir", str(folder)]


def _write_report(location: Location, config: SearchConfig, data: TaskData, console: Console) -> None:
    """The study as one page. The search is done and recorded by now, so whatever is in the way of the page fails nothing."""
    from genre_models.evidence import ValidationEvidence, read_looks
    from genre_models.seal import looked_at_by_others
    from genre_models.split_words import cautioned, split_facts
    from search.report import gather_evidence, write_report
    from search.report.verdict import selection_of
    from search.study_view import read_study

    try:
        view = read_study(location.folder.parent, location.name, config.storage)
        selected = selection_of(view, resampling)
        make = ValidationEvidence(lambda: (data.development, data.corpus.kind))
        troubles = gather_evidence(view, selected[0], location.folder, make, GenreModelsError)
        looks = cautioned(read_looks(location.folder / "final"), view.run)
        others = looked_at_by_others(location.folder.parent / ".seals", view.run.get("split_id"), view.name)
        about = {"of_split": split_facts(view.run), "looked_at_by": others}
        path = write_report(view, location.folder, statistics=resampling, looks=looks, troubles=troubles, selected=selected, **about)
        console.print(f"report:      {Path(os.path.relpath(path)) if path.is_relative_to(Path.cwd()) else path}", markup=False, highlight=False)
    except Exception as error:
        told = f"note: no report was written ({type(error).__name__}: {error}); {shlex.join(['python', 'scripts/report.py', '--study', location.name, *_in_folder(location)])} tries again"
        console.print(told, markup=False, highlight=False)


def _replay(config: SearchConfig, studies_dir: Path, number: int, console: Console) -> int:
    """One trial again, in this process; exit code 1 where its curve differs."""
    if config.engine in FITTED:
        raise SearchError(f"--replay {number}: Keras' fit trained it, which is not replayed; leave --engine {config.engine} out for a study of this program's own")
    from search.location import locate
    from search.progress import Stages
    from search.replay import replay, trial_to_replay
    from search.study_view import read_study, require_match
    from search.worker import Workplace, build_objective

    require_backend(config.backend)
    view = read_study(studies_dir, config.study, config.storage)
    trial = trial_to_replay(view, number)
    location = locate(studies_dir, config.study, config.storage)
    precision = _settled_precision(config, location, console)
    with Stages(console) as stages:
        folds = (trial.spec.get("folds", 1),)
        data = _open(config, studies_dir, stages, folds)
        require_match(location, fingerprint_of(config, data, precision), defaults_of(config))
        task = _task(config, data, console, stages, folds)
    for line in other_versions(view.run):
        console.print(line, markup=False, highlight=False)
    objective = build_objective(Workplace(FACTORY, task, "", config.resources.cpus))
    replayed = replay(objective, trial, config.objective.metric, console)
    if not replayed.differing:
        console.print(f"the same: all {len(replayed.recorded)} epochs of trial {number} came out as recorded")
        return 0
    console.print(f"not the same: {len(replayed.differing)} of {len(replayed.recorded)} epochs differ; other versions, another processor or a GPU may do that")
    return 1


def _open(config: SearchConfig, studies_dir: Path, progress: Stages, folds: Collection[int]) -> TaskData:
    """The task's data; `folds` are the numbers of folds it may be asked for."""
    from genre_models.prepare import open_task

    features = {family: sections["features"] for family, sections in config.family_sections.items()}
    values = {name: {key: space.values(key) for key in space.defaults} for name, space in config.families.items()}
    earlier = read_run(studies_dir / config.study)
    cache_dir = studies_dir / ".cache"
    return open_task(
        config.sections["data"], features, config.seed, cache_dir, values=values, progress=progress, fold_counts=folds, earlier=earlier
    )


def _task(config: SearchConfig, data: TaskData, console: Console, progress: Stages, folds: Collection[int]) -> dict[str, Any]:
    """Compute the features that are missing, and describe the development tracks to the workers."""
    started = time.monotonic()
    decoded, cached, failed = data.prepare_features(progress=progress)
    for note in data.notes():
        console.print(note, markup=False, highlight=False)
    told = f"features: {decoded} files decoded, {cached} taken from the cache, {time.monotonic() - started:.1f} s"
    console.print(told, markup=False, highlight=False)
    for track, reason in failed.items():
        console.print(f"left out: {track}: {reason}", markup=False, highlight=False)
    task = data.task(config.objective.model_dump(), {"gflops": config.resources.gflops, "memory_mib": memory_mib(config)}, folds)
    task["tracks"] = [row for row in task["tracks"] if row["id"] not in failed]
    task["backend"] = config.backend
    if own := add_own_families():
        task["own_families"] = own
    unavailable_families(config, data)
    started = time.monotonic()
    before = set(data.unavailable)
    data.prepare_networks(task, progress)
    if set(data.unavailable) > before:  # nothing has been computed yet
        unavailable_families(config, data)
        data.prepare_networks(task, progress)
    if task["trunks"]:
        names = ", ".join(dict.fromkeys(key.partition("|")[0] for key in task["trunks"]))
        told = f"pretrained networks: {names}: weights loaded, outputs of all development tracks in the cache, {time.monotonic() - started:.1f} s"
        console.print(told, markup=False, highlight=False)
    return task


def fingerprint_of(config: SearchConfig, data: TaskData, precision: str) -> dict[str, Any]:
    """What a resumed study must match: the file's part with everything resolved, and the tracks by content, wherever they lie."""
    parts = config.fingerprint_parts()
    parts.pop("features")
    parts["data"] = data.fingerprint()
    parts["precision"] = precision
    for family in data.features:
        parts["families"][family]["features"] = data.fingerprint_features(family)
        if own_code(family) is not None:
            parts["families"][family]["code"] = own_code(family)
    return parts


def defaults_of(config: SearchConfig) -> dict[str, Any]:
    """What a study did that was made before a parameter or a feature setting existed."""
    defaults = config.fingerprint_defaults()
    for family in defaults["families"].values():
        family["features"] = FeatureSettings().model_dump(mode="json")
    return defaults


def _dry_run(config: SearchConfig, studies_dir: Path, console: Console) -> int:
    from genre_models.errors import CorpusError
    from search.dry_run import dry_run

    if missing := missing_backend(config.backend):
        console.print(f"note: {missing}, before this space can be searched", markup=False, highlight=False)
    return dry_run(config, studies_dir, console, partial(_open, config, studies_dir, folds=confirming_folds(config)), screen, CorpusError)


if __name__ == "__main__":
    sys.exit(main())
