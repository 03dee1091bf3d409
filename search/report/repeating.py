"""How to do it again: the commands, exactly, and what they were run with. Pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import StudyError
from search.peers import FITTED, PEERS
from search.selection import Statistics
from search.study_view import StudyView, select_winner
from search.trial import Trial


def commands(view: StudyView, folder: Path, winner: Trial | None, prefer: str | None = "") -> dict[str, str]:
    """Command lines by what they are for: ``search``, ``look``, ``report``, ``dashboard`` and, where there is a winner, ``replay``.

    Paths are relative where the study lies below the working directory, as the program prints them. `prefer` is what a look has to be asked for with, as
    `preference_of_look` gives it: where that is None, the command would be refused and is left out.
    """
    study = study_words(view, folder)
    name, studies = study[:2], study[2:]
    needed = environment_words(view)
    search = ["python", "-m", "search.run", "--space", str(shown_folder(folder) / "space.yaml"), *name, *_data(view), *_engine(view), *_given(view), *studies]
    found = {
        "search": needed + _line(search),
        "look": needed + _line(["python", "scripts/final_eval.py", *name, *studies, *(["--prefer", *prefer.split()] if prefer else [])]),
        "report": _line(["python", "scripts/report.py", *name, *studies]),
        "dashboard": _line(["python", "-m", "search.dashboard", *studies]),
    }
    if prefer is None:
        del found["look"]
    if winner is not None and not set(FITTED) & set(search):  # what ``model.fit`` trained is not replayed
        found["replay"] = needed + _line([*search, "--replay", str(winner.number)])
    return found


def environment_words(view: StudyView) -> str:
    """The variables that a study's search was run with and can't be run without, as they stand before a command; empty where there are none."""
    return "".join(f"{name}={shlex.quote(value)} " for name, value in view.run.get("environment", {}).items())


def study_words(view: StudyView, folder: Path) -> list[str]:
    """What names a study to every command that has ``--study`` and ``--studies-dir``."""
    parent = shown_folder(folder).parent
    return ["--study", view.name, *([] if parent == Path("studies") else ["--studies-dir", str(parent)])]


def preference_of_look(view: StudyView, winner: Trial | None, looks: Sequence[Mapping[str, Any]], statistics: Statistics | None) -> str | None:
    """With which ``--prefer`` the command that looks shows the newest look; empty where it needs none.

    None where every way of asking is refused or not known: another trial was looked at than the winner, and what it was preferred by is not on record or leads
    to another trial by now.
    """
    if winner is None or not looks or any(look["trial"] == winner.number for look in looks):
        return ""
    prefer = looks[-1].get("prefer")
    if not prefer:
        return None
    try:
        found = select_winner(view.name, view.trials, view.maximize, view.confirm, prefer, statistics).winner.trial.number
    except (StudyError, ValueError):  # no winner by that rule, or no statistics to find it with
        return None
    return prefer if found == looks[-1]["trial"] else None


def _data(view: StudyView) -> list[str]:
    source, seed = view.run.get("data", {}).get("source"), view.run.get("seed")
    sources = source if isinstance(source, list) else [] if source is None else [source]
    wanted = view.run.get("data", {}).get("input")
    named = [*(["--data", *map(str, sources)] if sources else []), *(["--input", wanted] if wanted not in (None, "auto") else [])]
    return [*named, *(["--seed", str(seed)] if seed is not None else [])]


def _engine(view: StudyView) -> list[str]:
    """The tool that searched, where it was another: a study of one is not gone on with by another."""
    engine = view.run.get("engine")
    return ["--engine", engine] if engine in PEERS else []


def _given(view: StudyView) -> list[str]:
    """What the command line may have laid over the file besides, which the file that is kept does not say; how much was to be searched is left out."""
    run, words = view.run, []
    if run.get("data", {}).get("split") == "naive":
        words += ["--split", "naive"]
    for key in ("storage", "artifacts"):
        words += [] if run.get(key) is None else [f"--{key}", run[key]]
    return words if view.prefer == run.get("prefer_in_file", "best") else [*words, "--prefer", *view.prefer.split()]


def _line(words: Sequence[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def shown_folder(folder: Path) -> Path:
    """A folder as it is told: relative below the working directory."""
    return Path(os.path.relpath(folder)) if folder.is_relative_to(Path.cwd()) else folder


def facts(view: StudyView, of_split: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """What the study was run with: names and values; `of_split` are those of how it was dealt, which its task knows."""
    run, told = view.run, []
    tracks = run.get("tracks", {})
    if tracks:
        parts = f"{tracks.get('train', 0):,} train, {tracks.get('validation', 0):,} validation, {tracks.get('held_out', 0):,} held out"
        told.append(("tracks", parts))
    told += of_split
    told += [(name, str(run[key])) for name, key in (("source", "source"), ("seed", "seed"), ("split", "split_id"), ("corpus", "corpus_fingerprint"), ("engine", "engine"), ("backend", "backend"), ("precision", "precision")) if run.get(key) is not None]
    told += [("folds", str(view.run["data"]["validation"]["folds"]))] if _folds(run) else []
    codes = {name: parts["code"] for name, parts in view.fingerprint.get("families", {}).items() if isinstance(parts, dict) and "code" in parts}
    told += [("code of one's own", ", ".join(f"{name} SHA-256 {sha256}" for name, sha256 in codes.items()))]
    machine = run.get("machine", {})
    if machine:
        told.append(("machine", f"{machine.get('platform')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB"))
    versions = {"python": run.get("python"), **run.get("versions", {})}
    told.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)))
    return [(name, value) for name, value in told if value]


def corpus_in_words(view: StudyView) -> str:
    """Name and size of the corpus, such as ``gtzan, 709 tracks, 10 classes``; empty where nothing is recorded."""
    run = view.run
    source = str(run.get("source", ""))
    name = Path(source.partition(":")[2] or source).name or source
    counts = [(sum(run.get("tracks", {}).values()), "tracks"), (len(run.get("labels", ())), "classes")]
    return ", ".join([*([name] if name else []), *(f"{n:,} {what}" for n, what in counts if n)])


def _folds(run: dict[str, Any]) -> int | None:
    validation = run.get("data", {}).get("validation")
    return validation.get("folds") if isinstance(validation, dict) else None
