"""What a run says at its beginning and its end, and keeps for those who come later: ``run.json``, the leaderboard.

Reads of the task only what it is given: names, counts, texts.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console

from search.depot import place_of
from search.errors import SearchError, StudyError
from search.worker import available_cores

if TYPE_CHECKING:
    from search.config import SearchConfig
    from search.driver import Finished
    from search.location import Location
    from search.selection import Selection, Statistics
    from search.trial import Trial

#: Packages whose versions a run records.
VERSIONS = ("tensorflow", "keras", "keras-tuner", "ray", "optuna", "librosa", "numpy", "scikit-learn", "codecarbon")


def tell_corpus(data: Any, console: Console) -> None:
    """Say what was found, what was left out and why, and how it was dealt."""
    corpus, split = data.corpus, data.split
    unreadable = [row for row in data.scan.rows if not row.readable]
    lines = [f"corpus: {corpus.name}: {len(data.scan.rows) - len(unreadable)} readable {corpus.kind} tracks, {len(split.labels)} classes"]
    lines += [*corpus.notes, *split.notes]
    if unreadable:
        lines.append("1 file can't be decoded and is left out:" if len(unreadable) == 1 else f"{len(unreadable)} files can't be decoded and are left out:")
        lines += [f"  {row.path}: {row.reason}" for row in unreadable[:10]]
        lines += [f"  … and {len(unreadable) - 10} more"] if len(unreadable) > 10 else []
    held_out = f"{len(split.test)} held out (sealed, split {split.split_id})" if split.test else "none held out (the lists name no test tracks)"
    lines.append(f"split: {len(split.train)} train, {len(split.validation)} validation, {held_out}")
    console.print("\n".join(lines), markup=False, highlight=False)


def corpus_text(corpus: Any, caveat: str | None = None) -> str:
    """The corpus as it is named beside scores; with `caveat`, why they are no result."""
    name = "demo (music made by this program)" if corpus.demo else corpus.name
    return f"{name}; {caveat}" if caveat else name


def write_run(folder: Path, config: SearchConfig, data: Any, task: dict[str, Any], precision: str, doubts: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
    """Keep the space file as run, and ``run.json``: what a later evaluation needs to deal the same split.

    `doubts` are what was found against the data, `environment` the variables that the study can't be gone on with without.
    """
    run = {
        "schema": 1,
        "study": config.study,
        "metric": config.objective.metric,
        "data": config.sections["data"].model_dump(mode="json"),
        "source": str(data.corpus.source),
        "features": data.features,
        "seed": config.seed,
        "kind": data.corpus.kind,
        "demo": data.corpus.demo,
        "labels": list(data.split.labels),
        "corpus_fingerprint": data.scan.fingerprint,
        "split_id": data.split.split_id,
        **data.dealt_with(),
        "tracks": {"train": len(data.split.train), "validation": len(data.split.validation), "held_out": len(data.split.test)},
        "limits": task["limits"],
        "doctor": list(doubts),
        "prefer_in_file": config.prefer_in_file,
        **({"environment": dict(environment)} if environment else {}),
        "backend": config.backend,
        "engine": config.engine,
        "artifacts": config.artifacts,
        "storage": config.storage,
        "precision": precision,
        "energy": config.energy.model_dump(),
        "versions": {name: version(name) for name in dict.fromkeys((*VERSIONS, config.backend))},
        "python": platform.python_version(),
        "machine": {"platform": platform.platform(), "cores": available_cores(), "memory_gib": round(psutil.virtual_memory().total / 2**30, 1)},
    }
    for name, text in (("space.yaml", config.source_text), ("run.json", json.dumps(run, indent=1) + "\n")):
        temporary = folder / f".{name}.tmp"
        with _writing(folder / name):
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder / name)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SearchError(
            f"{file}: can't be written: {error.strerror or error}; nothing that was recorded is lost: free space on the disk that holds {file.parent}, or make it "
            "writable, then run the same command again"
        ) from error


def read_run(folder: Path) -> dict[str, Any] | None:
    """``run.json`` of a study's folder; None where there is none yet."""
    file = folder / "run.json"
    if not file.is_file():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise SearchError(f"{file}: can't be read ({error}); put it back, or remove the study's folder to begin anew") from error


def tell_results(
    location: Location, config: SearchConfig, finished: Finished, corpus: Any, console: Console, statistics: Statistics, caveat: str | None = None
) -> int:
    """The leaderboard, the winner and its doubts, where things are, and what to do next; returns the exit code. With `caveat` all say why they are no result."""
    from search.cost_text import front_lines, total_line
    from search.leaderboard import print_leaderboard, write_leaderboard
    from search.winner import ahead_lines, unconfirmed_lines, winner_lines

    folder, maximize = location.folder, config.objective.direction == "maximize"
    selection = _selection(config, finished.trials, statistics)
    with _writing(folder / "leaderboard.csv"):
        write_leaderboard(folder / "leaderboard.csv", finished.trials, maximize, config.objective.metric, corpus_text(corpus, caveat), selection)
    if finished.stop_reason:
        console.print(f"stopped: {finished.stop_reason}", markup=False, highlight=False)
    else:
        more = "; to go on, give the study more with --trials" if config.sampler != "grid" else ""
        console.print(f"done: {sum(t.counts for t in finished.trials)} trials{more}", markup=False, highlight=False)
    if any(t.is_full for t in finished.trials):
        title = f"study {config.study}{' (demo corpus)' if corpus.demo else ''}: trials with the full budget{f'; {caveat}' if caveat else ''}"
        print_leaderboard(console, finished.trials, maximize, config.objective.metric, title=title, selection=selection)
        more = () if selection is None else (*ahead_lines(selection, finished.trials), *unconfirmed_lines(selection, finished.trials))
        for line in () if selection is None else (*winner_lines(selection, config.objective.metric), *more):
            console.print(line, markup=False, highlight=False)
        for line in front_lines(finished.trials, maximize, config.objective.metric):
            console.print(line, markup=False, highlight=False)
    else:
        console.print("no trial has had the full budget yet; run the command again to go on, with a larger --minutes if those are used up", markup=False)
    if (told := total_line(finished.cost)) is not None:
        console.print(told, markup=False, highlight=False)
    shown = Path(os.path.relpath(folder)) if folder.is_relative_to(Path.cwd()) else folder
    studies = "" if shown.parent == Path("studies") else f" --studies-dir {shlex.quote(str(shown.parent))}"
    console.print(f"all trials:  {shown}/leaderboard.csv", markup=False, highlight=False)
    if config.artifacts is not None and any(t.is_full for t in finished.trials):
        console.print(f"artifacts:   {place_of(config.artifacts, folder)}/trials", markup=False, highlight=False)
    if finished.trouble is not None:
        console.print(f"note: what nobody needs any more could not all be removed: {finished.trouble}", markup=False, highlight=False)
    console.print(f"dashboard:   python -m search.dashboard{studies}", markup=False, highlight=False)
    if caveat:
        console.print(f"never:       a look at held-out tracks with this study. {caveat}", markup=False, highlight=False)
    elif any(t.is_full for t in finished.trials):  # else there is no winner to look at
        console.print(f"next:        python scripts/final_eval.py --study {config.study}{studies}", markup=False, highlight=False)
    if finished.failing:
        return SearchError.exit_code
    return 130 if finished.interrupted else 0


def _selection(config: SearchConfig, trials: list[Trial], statistics: Statistics) -> Selection | None:
    """The winner among the trials, or None where there is none yet, as before the last confirmation."""
    from search.study_view import select_winner

    confirm = None if config.confirm is None else config.confirm.model_dump()
    try:
        return select_winner(config.study, trials, config.objective.direction == "maximize", confirm, config.prefer, statistics)
    except StudyError:
        return None


def other_versions(run: Mapping[str, Any]) -> list[str]:
    """What has changed since the study's last run, a line each."""
    now = {name: version(name) for name in (*VERSIONS, run.get("backend", VERSIONS[0]))} | {"python": platform.python_version()}
    before = {**run.get("versions", {}), "python": run.get("python")}
    return [f"note: {name} was {before[name]}, now {now[name]}" for name in now if before.get(name) not in (None, now[name])]
