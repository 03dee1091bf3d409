"""The trainings behind the rows: a preset, what is changed in it, the tracks it is run on, and the seed.

A change is always one of the row's own (another kernel), or one that lets a training be shared: early stopping alters nothing before it stops, so a base
network trained to its last epoch tells what each stopping rule would have given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from search.problems import Problems
from search.space_file import read_space_file

PRESETS = Path(__file__).resolve().parents[2] / "spaces" / "references"
#: The corpus' own random deal; published lists of training and validation tracks; and the embedded corpus instead, to see that a preset runs.
RANDOM, LISTS, DEMO = "random", "lists", "demo"


@dataclass(frozen=True)
class Corpus:
    """What the rows are run on.

    Attributes
    ----------
    source : str
        As `data.source` of a space file.
    table : str or None
        File with handcrafted features of the same tracks.
    lists : (str, str) or None
        Files with the training and the validation tracks of a published split.
    """

    source: str
    table: str | None = None
    lists: tuple[str, str] | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that rows are run on."""
        return (RANDOM,) if self.lists is None else (RANDOM, LISTS)


@dataclass(frozen=True)
class Run:
    """One study.

    Attributes
    ----------
    name : str
        What it is, without split and seed.
    preset : str
        File name below ``spaces/references``, without its ending.
    split : {"random", "lists", "demo"}
    seed : int
        Of validation split and training.
    changes : mapping of dotted key to value
        Laid over the preset; what is None there is taken out.
    """

    name: str
    preset: str
    split: str = RANDOM
    seed: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def study(self) -> str:
        """Name of its study."""
        return f"{self.name}-{self.split}-{self.seed}"

    def space(self, corpus: Corpus) -> str:
        """Its space file: the preset on this corpus, each training on one core in one process, in the precision that every machine has."""
        corpus = Corpus("demo") if self.split == DEMO else corpus
        problems = Problems(PRESETS / f"{self.preset}.yaml", {})
        _, space = read_space_file(PRESETS / f"{self.preset}.yaml", problems)
        problems.raise_if_any()
        given = {"study": self.study, "seed": self.seed, "engine": "inline", "precision": "float32", "data.source": corpus.source, **self.changes}
        for key, value in given.items():
            _lay(space, key, value)
        data = space["data"]
        for key in ("subset", "split"):  # of FMA, which this corpus may not be
            if not corpus.source.startswith("fma:"):
                data.pop(key, None)
        if not corpus.source.startswith("gtzan:"):
            data.pop("input", None)
        if self.split == LISTS:
            for key in ("test_fraction", "validation"):
                data.pop(key, None)
            data["split"] = dict(zip(("train", "validation"), corpus.lists, strict=True))
        if "table" in space.get("features", {}):
            space["features"]["table"] = corpus.table
        head = f"# {self.preset}.yaml as scripts/replicate.py runs it.\n"
        return head + yaml.safe_dump(space, sort_keys=False, width=140)


def _lay(space: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        space = space.setdefault(parent, {})
    if value is None:
        space.pop(last, None)
    else:
        space[last] = value
