"""The engines that are compared, and the command line of each: everything but the engine is the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from search.errors import SearchError

#: Trials never end a run, time does.
MANY_TRIALS = 100_000


@dataclass(frozen=True)
class Engine:
    """One way to search.

    Attributes
    ----------
    name : str
    module : str
        What ``python -m`` starts.
    words : tuple of str
        Of the command line, besides those that all get.
    changes : mapping
        Keys of the space file that are not as the file has them, by dotted name.
    trials_at_once : bool
        Whether it trains as many trials at a time as there are cores, each on one; otherwise one at a time, on all.
    total_minutes : bool
        Whether ``--minutes`` counts over all runs of a study; otherwise over one.
    """

    name: str
    module: str = "search.run"
    words: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    trials_at_once: bool = True
    total_minutes: bool = True

    def command(self, space: Path, source: str, study: str, studies_dir: Path, minutes: float, seed: int) -> list[str]:
        """The words that start it, or go on with it."""
        places = ["--space", str(space), "--data", source, "--study", study, "--studies-dir", str(studies_dir)]
        return [sys.executable, "-m", self.module, *places, "--minutes", f"{minutes:g}", "--seed", str(seed), *self.words]


_AUTO, _FLOAT32 = {"precision": "auto"}, {"precision": "float32"}
_PEER = _FLOAT32 | {"energy.measure": False}  # who takes another tool has no meter beside it; ours runs as it is shipped
_OURS = ("--engine", "ray", "--trials", str(MANY_TRIALS))

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("ours", words=_OURS, changes=_AUTO),
        Engine("ours-float32", words=_OURS, changes=_FLOAT32),
        Engine("keras-tuner", words=("--engine", "keras-tuner", "--trials", str(MANY_TRIALS)), changes=_PEER, trials_at_once=False),
        Engine("ray-tune", words=("--engine", "ray-tune", "--trials", str(MANY_TRIALS)), changes=_PEER),
        Engine("ray-tune-reuse", words=("--engine", "ray-tune-reuse", "--trials", str(MANY_TRIALS)), changes=_PEER),
        Engine("ray-tune-fit", words=("--engine", "ray-tune-fit", "--trials", str(MANY_TRIALS)), changes=_PEER),
        Engine("optuna", module="scripts.peers.plain_optuna", changes=_PEER, trials_at_once=False, total_minutes=False),
        Engine("optuna-defaults", module="scripts.peers.plain_optuna", words=("--defaults",), changes=_PEER, trials_at_once=False, total_minutes=False),
    )
}

def is_ours(name: str) -> bool:
    """True of our own engine and its variants; the others are peers."""
    return name == "ours" or name.startswith("ours-")


def variant(words: Sequence[str]) -> Engine:
    """Our engine with other keys in its space file: a name, then ``KEY=VALUE`` with dotted keys and values as YAML has them.

    Raises
    ------
    SearchError
        A word is of another form, or the name is taken.
    """
    name, *pairs = words
    if f"ours-{name}" in ENGINES:
        raise SearchError(f"--ours-with {name}: there is an engine ours-{name} already, take another name")
    if not pairs or not all("=" in pair for pair in pairs):
        raise SearchError(f"--ours-with {' '.join(words)}: must be a name and KEY=VALUE, such as: frugal frugal=true")
    changes = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}
    return Engine(f"ours-{name}", words=_OURS, changes=_AUTO | changes)


def write_space(original: Path, changes: Mapping[str, Any], target: Path) -> None:
    """A copy of a space file with some keys changed.

    Raises
    ------
    SearchError
        The file can't be read, or holds no mapping.
    """
    try:
        space = yaml.safe_load(original.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SearchError(f"--space {original}: can't be read: {error}") from error
    if not isinstance(space, dict):
        raise SearchError(f"--space {original}: must be a space file, a mapping of keys")
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = space
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    target.write_text(yaml.safe_dump(space, sort_keys=False), encoding="utf-8")


def chosen(names: Sequence[str]) -> list[Engine]:
    """Engines by name.

    Raises
    ------
    SearchError
        There is none of that name.
    """
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        raise SearchError(f"--engines {' '.join(unknown)}: no such engine; there are: {', '.join(ENGINES)}")
    return [ENGINES[name] for name in names]
