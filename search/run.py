"""``python -m search.run --space FILE``: start a study, or go on with it.

A composition root: the one place of this package that knows both the engine and the task (genre_models).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console

from genre_models import resampling
from genre_models.errors import GenreModelsError
from genre_models.families import FAMILIES
from genre_models.families.own import add_own_families, own_code
from genre_models.objective import METRICS, resolve_precision, screen
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.terminal import PlainConsole
from search.config import load_space
from search.errors import SearchError
from search.telling import corpus_text, other_versions, read_run, tell_corpus, tell_results, write_run
from search.worker import available_cores

if TYPE_CHECKING:
    from genre_models.prepare import TaskData
    from search.config import SearchConfig
    from search.location import Location
    from search.progress import Stages

EPILOG = """examples:
  python -m search.run --space spaces/cnn.yaml                       the demo corpus, or go on with that study
  python -m search.run --space spaces/cnn.yaml --data gtzan:~/gtzan  your GTZAN; the study is named cnn-gtzan
  python -m search.run --space spaces/cnn.yaml --data ~/music --minutes 60
  python -m search.run --space spaces/all.yaml --data ~/music        networks, pretrained networks and classifiers in one study
  python -m search.run --space spaces/cnn.yaml --dry-run             what would be searched, and how long it may take
  python -m search.run --describe cnn                                every parameter of a family

Run the same command again to go on with a study: after it was stopped, killed, or to give it a larger budget.
Watch it live:    python -m search.dashboard                         all studies in the browser, read-only
When it is done:  python scripts/final_eval.py --study best
exit codes: 0 done; 1 a replayed trial differs; 2 bad input; 130 stopped by the user"""

#: What workers build their objective with.
FACTORY = "genre_models.objective:build"
#: Sections of a space file that are the task's.
SECTIONS = {"data": DataSettings, "features": FeatureSettings}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m search.run",
        description="Search a space of models on a folder of music. Trials train on one part of the tracks and are compared on another; "
        "the held-out tracks are not touched.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--space", type=Path, metavar="FILE", help="the space file (YAML): what is searched, on which data, for how long")
    p.add_argument("--data", metavar="SOURCE", nargs="+", help="instead of the file's: demo, a folder of class folders, gtzan:FOLDER, or fma:FOLDER; several make one corpus")
    p.add_argument("--study", metavar="NAME", help="name of the study (default: the file's; with --data, SPACE-FOLDER)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--storage", metavar="env:NAME", help="keep the trials in the PostgreSQL database whose URL the environment variable NAME holds (default: SQLite in the study's folder)")
    p.add_argument("--artifacts", metavar="PLACE", help="where artifacts and checkpoints lie: a folder, or a URL such as s3://bucket/prefix (default: the study's folder)")
    p.add_argument("--engine", choices=("ray", "inline"), help="ray: parallel workers; inline: this process alone")
    p.add_argument("--workers", type=int, metavar="N", help="trials at a time (default: what the machine offers; of a cluster a fair share, which follows nodes and searches that come and go)")
    p.add_argument("--address", metavar="WHERE", help="an existing Ray cluster: auto (this machine is one of its nodes), HOST:PORT of its head, or ray://HOST:PORT (default: as RAY_ADDRESS says, else a Ray of its own on this machine)")
    p.add_argument("--trials", type=int, metavar="N", help="total trials of the study, over all its runs")
    p.add_argument("--minutes", type=float, metavar="M", help="total minutes of the study, over all its runs")
    p.add_argument("--epochs", type=int, metavar="N", help="total epochs of the study, over all its runs and trials")
    p.add_argument("--kwh", type=float, metavar="E", help="total energy of the study in kWh, over all its runs")
    p.add_argument("--kg-co2", type=float, metavar="C", help="total emissions of the study in kg of CO2 equivalents, over all its runs (needs energy.country_iso_code in the file)")
    p.add_argument("--prefer", nargs="+", metavar=("RULE", "X"), help="who wins: best (default), or cheapest-within X: the cheapest at most X worse than the best; X = ties: of those a paired test can't tell from it; then, if you like, by COST: seconds, energy, latency, parameters, memory, …")
    p.add_argument("--split", choices=("naive",), help="naive: deal the segments of development tracks one by one, to see how much that flatters; no result, and the study is named NAME-naive")
    p.add_argument("--seed", type=int, metavar="N", help="of validation split, sampler and training")
    p.add_argument("--warm-start", metavar="STUDY", nargs="+", help="a new study tries the best configurations of these studies first, and its sampler learns from their trials")
    p.add_argument("--replay", type=int, metavar="N", help="train trial N of the study again, alone, and compare its curve with the recorded one; writes nothing")
    p.add_argument("--dry-run", action="store_true", help="show the space, the rungs, the epochs and an estimate of time; train nothing")
    p.add_argument("--describe", metavar="FAMILY", help=f"show a family's parameters and leave ({', '.join(FAMILIES)})")
    return p


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
        if options.replay is not None:
            return _replay(config, _studies_dir(options), options.replay, console)
        if options.dry_run:
            return _dry_run(config, _studies_dir(options), console)
        return _search(config, _studies_dir(options), options.address, console)
    except (SearchError, GenreModelsError) as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(f"error: {error}", markup=False, highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; run the same command again to go on", markup=False)
        return 130


def overrides(options: argparse.Namespace) -> dict[str, object]:
    """The command line's values, laid over the file."""
    given = {
        "data.source": options.data if options.data is None or len(options.data) > 1 else options.data[0],
        "data.split": options.split,
        "study": options.study,
        "engine": options.engine,
        "workers": options.workers,
        "budget.trials": options.trials,
        "budget.minutes": options.minutes,
        "budget.epochs": options.epochs,
        "budget.kwh": options.kwh,
        "budget.kg_co2": options.kg_co2,
        "prefer": None if options.prefer is None else " ".join(options.prefer),
        "seed": options.seed,
        "warm_start": options.warm_start,
        "storage": options.storage,
        "artifacts": options.artifacts,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if options.data not in (None, ["demo"]) and options.study is None:
        # So that the first corpus of the user's own does not collide with the demo's study.
        folder = Path(options.data[0].partition(":")[2] or options.data[0]).expanduser().resolve()
        given["study"] = f"{options.space.stem}-{_as_name(folder.name)}"
    if options.split is not None and options.study is None:
        given["study"] = f"{given.get('study', options.space.stem)}-{options.split}"
    return given


def _as_name(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)


def _studies_dir(options: argparse.Namespace) -> Path:
    return options.studies_dir.expanduser().resolve()


def _describe(name: str, console: Console) -> int:
    from search.describe import describe_family

    if name not in FAMILIES:
        raise SearchError(f"--describe {name}: no such family; there are: {', '.join(FAMILIES)}")
    console.print(describe_family(FAMILIES[name]))
    return 0


def _search(config: SearchConfig, studies_dir: Path, address: str | None, console: Console) -> int:
    """Everything from an empty folder to the leaderboard."""
    from genre_models.worker_files import add_worker_files
    from search.depot import require_depot
    from search.driver import drive
    from search.lease import hold_lease
    from search.location import locate
    from search.progress import Stages, watch_study
    from search.study_view import require_match
    from search.warm_sources import read_sources
    from search.worker import Needed, Workplace

    location = locate(studies_dir, config.study, config.storage)
    with location.kept_from_children(), hold_lease(location) as lease:
        folder = location.folder
        require_depot(config.artifacts, folder)
        precision = resolve_precision(config.precision)
        sources = read_sources(config, location)
        with Stages(console) as stages:
            folds = confirming_folds(config)
            data = _open(config, studies_dir, stages, folds)
            tell_corpus(data, console)
            doubts = _tell_doubts(data, config, console)
            fingerprint = fingerprint_of(config, data, precision)
            require_match(location, fingerprint, defaults_of(config))
            task = _task(config, data, console, stages, folds)
            blocked = unavailable_families(config, data, console)
            possible = [pair for family, wanted in data.inputs.items() if family not in blocked for pair in wanted]
            needs = tuple(Needed(*each) for each in add_worker_files(task, possible))
        write_run(folder, config, data, task, precision, doubts)
        finished = drive(
            config,
            studies_dir=studies_dir,
            place=Workplace(FACTORY, task, str(folder / "trials"), config.resources.cpus, needs),
            fingerprint=fingerprint,
            sections={family: {"features": data.features[family]} for family in config.families},
            precision=precision,
            screen=lambda spec: screen(spec, task),
            watching=lambda owner: watch_study(console, owner, config.budget),
            address=address,
            about={"corpus": corpus_text(data.corpus, data.caveat)} | ({"caveat": data.caveat} if data.caveat else {}),
            folds=folds_of(config),
            defaults=defaults_of(config),
            blocked=blocked,
            sources=sources,
            lease=lease,
        )
        code = tell_results(location, config, finished, data.corpus, console, resampling, data.caveat)
    _write_report(location, config, data, console)  # out here, where the variable that names a database can be read again
    return code


def _tell_doubts(data: TaskData, config: SearchConfig, console: Console) -> list[str]:
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
        console.print(f"audit: the whole answer: python scripts/audit.py --study {config.study}", markup=False, highlight=False)
    return [*notes, *warnings]


def _write_report(location: Location, config: SearchConfig, data: TaskData, console: Console) -> None:
    """The study as one page. The search is done and recorded by now, so whatever is in the way of the page fails nothing."""
    from genre_models.evidence import ValidationEvidence, read_looks
    from search.report import gather_evidence, write_report
    from search.report.verdict import selection_of
    from search.study_view import read_study

    try:
        view = read_study(location.folder.parent, location.name, config.storage)
        selected = selection_of(view, resampling)
        make = ValidationEvidence(lambda: (data.development, data.corpus.kind))
        troubles = gather_evidence(view, selected[0], location.folder, make, GenreModelsError)
        looks = read_looks(location.folder / "final")
        path = write_report(view, location.folder, statistics=resampling, looks=looks, troubles=troubles, selected=selected)
        console.print(f"report:      {Path(os.path.relpath(path)) if path.is_relative_to(Path.cwd()) else path}", markup=False, highlight=False)
    except Exception as error:
        told = f"note: no report was written ({type(error).__name__}: {error}); scripts/report.py --study {location.name} tries again"
        console.print(told, markup=False, highlight=False)


def _replay(config: SearchConfig, studies_dir: Path, number: int, console: Console) -> int:
    """One trial again, in this process; exit code 1 where its curve differs."""
    from search.location import locate
    from search.progress import Stages
    from search.replay import replay, trial_to_replay
    from search.study_view import read_study, require_match
    from search.worker import Workplace, build_objective

    view = read_study(studies_dir, config.study, config.storage)
    trial = trial_to_replay(view, number)
    with Stages(console) as stages:
        folds = (trial.spec.get("folds", 1),)
        data = _open(config, studies_dir, stages, folds)
        require_match(locate(studies_dir, config.study, config.storage), fingerprint_of(config, data, resolve_precision(config.precision)), defaults_of(config))
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


def unavailable_families(config: SearchConfig, data: TaskData, console: Console | None = None) -> tuple[str, ...]:
    """Families that this run does without; with a console it is told.

    Raises
    ------
    SearchError
        The file does not allow that, or no family would be left.
    """
    if not data.unavailable:
        return ()
    reasons = "\n".join(data.unavailable.values())
    if not config.skip_unavailable:
        more = "; or set skip_unavailable: true, and the other families go on" if len(data.unavailable) < len(config.families) else ""
        raise SearchError(f"{config.path}: {reasons}{more}")
    if len(data.unavailable) == len(config.families):
        raise SearchError(f"{config.path}: none of its families can be had here:\n{reasons}")
    for family, reason in data.unavailable.items() if console is not None else ():
        told = reason if family in reason.partition(":")[0] else f"{family}: {reason}"
        console.print(f"left out: {told}", markup=False, highlight=False)
    return tuple(data.unavailable)


def confirming_folds(config: SearchConfig) -> tuple[int, ...]:
    """Numbers of folds that confirmations need: none, or one.

    Raises
    ------
    SearchError
        If the trials are scored on the very same folds already.
    """
    if config.confirm is None:
        return ()
    if config.confirm.folds == folds_of(config):
        raise SearchError(
            f"{config.path}: confirm.folds: found {config.confirm.folds}, as in data.validation: the same folds would be trained again, to the same "
            "scores; take another number"
        )
    return (config.confirm.folds,)


def folds_of(config: SearchConfig) -> int:
    """Folds that each trial is scored on; 1 where validation is a hold-out part."""
    return getattr(config.sections["data"].validation, "folds", None) or 1


def memory_mib(config: SearchConfig) -> float:
    """Memory a trial may use, in MiB: the file's, or a worker's share of what the machine has free."""
    if config.resources.memory_gib is not None:
        return 1024 * config.resources.memory_gib
    workers = config.workers or max(1, available_cores() // config.resources.cpus)
    return 0.8 * psutil.virtual_memory().available / 2**20 / (1 if config.engine == "inline" else workers)


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
    """Show what would be searched. A corpus that is there gives an estimate of time; one that is not is no error."""
    from genre_models.errors import CorpusError
    from search.describe import describe_space
    from search.estimate import typical_cost
    from search.location import locate
    from search.plan import plan_text
    from search.progress import Stages
    from search.warm_sources import read_sources, summary_of

    sources = read_sources(config, locate(studies_dir, config.study, config.storage))
    console.print(describe_space(config))
    if sources is not None:
        console.print(f"warm start from {', '.join(sources.warm.studies)}: {summary_of(sources.warm, config.sampler)}", markup=False, highlight=False)
    try:
        with Stages(console) as stages:
            data = _open(config, studies_dir, stages, confirming_folds(config))
    except CorpusError as error:
        console.print(plan_text(config, folds_of(config)), markup=False, highlight=False)
        console.print(f"no estimate of time, the corpus can't be read: {error}", markup=False, highlight=False)
        return 0
    tell_corpus(data, console)
    task = data.task(config.objective.model_dump(), {"gflops": config.resources.gflops, "memory_mib": memory_mib(config)})
    with Stages(console) as stages:
        data.prepare_tables()
        task["tables"] = data.tables
        data.prepare_networks(task, stages, only_facts=True)
    for family in data.features:
        if family not in data.unavailable:
            console.print(f"{family}: {data.describe_items(family, task)}", markup=False, highlight=False)
    unavailable_families(config, data, console)
    features = {family: {"features": settings} for family, settings in data.features.items()}
    costs = typical_cost(config, features, lambda spec: screen(spec, task), tuple(data.unavailable))
    console.print(plan_text(config, folds_of(config), costs), markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
