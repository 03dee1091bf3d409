"""Finished trials as choices see them: sweeps among the trainings behind the rows, and small studies of our own where there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from genre_models.durable import write_text
from scripts.replication.plan import KERNELS, PLATEAUS, RATES, SEEDS, kernel, plateau, rate
from scripts.replication.runs import LISTS, RANDOM
from search.errors import SearchError
from search.item_scores import ItemScores, item_scores
from search.trial import Trial

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = {
    "kernel": [lambda split, seed, size=size: kernel(size, split, seed) for size in KERNELS],
    "learning rate": [lambda split, seed, value=value: rate(value, split, seed) for value in RATES],
    "plateau": [lambda split, seed, pair=pair: plateau(pair, split, seed) for pair in PLATEAUS],
}


@dataclass(frozen=True)
class Deal:
    """Settings that were scored on the same tracks.

    Attributes
    ----------
    names : tuple of str
        A setting each.
    settings : tuple of tuple of np.ndarray
        As `scripts.replication.faults_choice` takes them.
    folds : tuple of int
    groups : np.ndarray or None
    restored : tuple of int or None
        Of each setting the epoch with the lowest validation loss, from 0, which early stopping restores; None where tracks lie in folds.
    """

    names: tuple[str, ...]
    settings: tuple[tuple[np.ndarray, ...], ...]
    folds: tuple[int, ...]
    groups: np.ndarray | None
    restored: tuple[int, ...] | None = None

    @property
    def at_restored(self) -> Deal:
        """The same with that epoch alone."""
        parts = tuple((setting[0][epoch : epoch + 1],) for setting, epoch in zip(self.settings, self.restored, strict=True))
        return replace(self, settings=parts, restored=None)

    def alone(self, place: int) -> Deal:
        """One of the settings."""
        return Deal(self.names[place : place + 1], self.settings[place : place + 1], self.folds, self.groups)


def finished(studies_dir: Path, name: str) -> list[Trial]:
    """A study's trials that ran to their end, by number; none where there is no such study yet."""
    from search.study_view import read_study

    if not (studies_dir / name / "study.db").is_file():
        return []
    return [trial for trial in read_study(studies_dir, name).trials if trial.state == "COMPLETE"]


def sweeps_of(studies_dir: Path | None) -> dict[tuple[str, str], list[Deal]]:
    """Of each sweep and split behind the rows the deals (one a seed) of which at least two settings are done."""
    found: dict[tuple[str, str], list[Deal]] = {}
    if studies_dir is None:
        return found
    for split in (RANDOM, LISTS):
        for sweep, runs in SWEEPS.items():
            for seed in SEEDS:
                studies = [run(split, seed).study for run in runs]
                trials = {study: done[0] for study in studies if (done := finished(studies_dir, study))}
                deal = deal_of(trials)
                if deal is not None:
                    found.setdefault((sweep, split), []).append(deal)
    return found


def deal_of(trials: Mapping[str, Trial]) -> Deal | None:
    """Those of some trials that were scored on the same tracks as the first, epoch by epoch; None where fewer than two were."""
    scored = {name: items for name, trial in trials.items() if (items := item_scores(trial)) is not None and _is_hits(items)}
    if not scored:
        return None
    first = next(iter(scored.values()))
    same = {name: items for name, items in scored.items() if (items.order, items.folds) == (first.order, first.folds)}
    if len(same) < 2:
        return None
    parts = tuple(items.parts[: len(first.folds)] for items in same.values())  # of the first repeat
    return Deal(tuple(same), parts, first.folds, first.groups, _restored([trials[name] for name in same], parts))


def _restored(trials: Sequence[Trial], parts: Sequence[Sequence[np.ndarray]]) -> tuple[int, ...] | None:
    curves = [[row.get("val_loss", np.inf) for row in trial.outcome.get("history", ())] for trial in trials]
    if any(len(setting) > 1 or len(setting[0]) != len(curve) for setting, curve in zip(parts, curves, strict=True)):
        return None
    return tuple(int(np.argmin(curve)) for curve in curves)


def _is_hits(items: ItemScores) -> bool:
    return all(part.dtype == bool for part in items.parts) and len(items.parts) >= len(items.folds)


def run_study(name: str, space: Mapping[str, Any], folder: Path, minutes: float) -> list[Trial]:
    """A small study with so many minutes over all runs, alone in one process; goes on where it stopped.

    Returns
    -------
    list of Trial
        Those that ran to their end.

    Raises
    ------
    SearchError
        The command failed; with its last words.
    """
    done = finished(folder / "studies", name)
    if len(done) >= space["budget"]["trials"]:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / f"{name}.yaml", folder / f"{name}.log"
    write_text(file, yaml.safe_dump({"study": name, "engine": "inline", **space}, sort_keys=False, width=140))
    command = [sys.executable, "-m", "search.run", "--space", str(file), "--studies-dir", str(folder / "studies"), "--minutes", f"{minutes:g}"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with log.open("w", encoding="utf-8") as output:
        environment = {**os.environ, "PYTHONPATH": paths}
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment, check=False)
    done = finished(folder / "studies", name)
    if ended.returncode and not done:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        why = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")
        raise SearchError(f"study {name} ended with {ended.returncode}: {why.removeprefix('error: ')}; the rest is in {log}")
    return done


def data_section(source: str, **more: Any) -> dict[str, Any]:
    """``data:`` of a space file; of GTZAN its images, as the reports have it."""
    return {"source": source, **({"input": "image"} if source.startswith("gtzan:") else {}), **more}

