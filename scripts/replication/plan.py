"""Which trainings each row of the GTZAN reports needs. Rows that share a training name the same run; it is in the box of the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.replication.runs import DEMO, Corpus, Run

SEEDS = (0, 1, 2)
KERNELS, RATES, PLATEAUS = (3, 5, 7), (0.1, 0.01, 0.001, 0.0001), ((0.1, 5), (0.3, 10), (0.5, 15))
#: Of the base network: the setting of each sweep that it is itself.
BASE_KERNEL, BASE_RATE, BASE_PLATEAU = 7, 0.0001, (0.3, 10)


def base(split: str, seed: int) -> Run:
    """The base network trained to its last epoch: every stopping rule is read off its curve."""
    return _base_with("base", split, seed, early_stopping=False, early_stopping_monitor=None, early_stopping_patience=None)


def kernel(size: int, split: str, seed: int) -> Run:
    """A setting of the kernel sweep."""
    return base(split, seed) if size == BASE_KERNEL else _base_with(f"kernel-{size}", split, seed, kernel=size)


def rate(value: float, split: str, seed: int) -> Run:
    """A setting of the learning rate sweep."""
    return base(split, seed) if value == BASE_RATE else _base_with(f"rate-{value:g}", split, seed, learning_rate=value)


def plateau(pair: tuple[float, int], split: str, seed: int) -> Run:
    """A setting of the plateau sweep."""
    if pair == BASE_PLATEAU:
        return base(split, seed)
    return _base_with(f"plateau-{pair[0]:g}-{pair[1]}", split, seed, plateau_factor=pair[0], plateau_patience=pair[1])


def _base_with(name: str, split: str, seed: int, **changes: Any) -> Run:
    return Run(name, "g11-base-cnn", split, seed, {f"families.cnn.{key}": value for key, value in changes.items()})


def scratch(split: str, seed: int) -> Run:
    """The lab report's CNN from scratch."""
    return Run("g02", "g02-scratch-cnn", split, seed)


def two_conv(split: str) -> Run:
    """The network of two convolutions, in five folds where the tracks are dealt."""
    return Run("g18", "g18-two-conv-pytorch", split)


def twin(split: str) -> Run:
    """Its twin with dropout, without folds."""
    return Run("g19", "g19-two-conv-keras", split)


def table(split: str) -> Run:
    """Classical models on the table of handcrafted features."""
    return Run("g06", "g06-table-30s", split)


def gtzan_rows(corpus: Corpus) -> list[tuple[str, Sequence[Run]]]:
    """The rows in the order in which they are run, each with its runs; sweeps by setting, so that each has a box. Further seeds come after all first ones."""
    splits = corpus.splits
    seeded = [(split, seed) for seed in SEEDS for split in splits]
    rows: list[tuple[str, Sequence[Run]]] = [("G06", [table(split) for split in splits])] if corpus.table is not None else []
    rows += [("G15", [base(split, 0) for split in splits])]
    rows += [(f"G12 {size}x{size}", [kernel(size, split, 0) for split in splits]) for size in KERNELS]
    rows += [("G02", [scratch(split, seed) for split, seed in seeded])]
    rows += [("G13", [rate(value, split, 0) for value in RATES for split in splits])]
    rows += [("G15", [base(split, seed) for split, seed in seeded])]
    rows += [(f"G12 {size}x{size}", [kernel(size, split, seed) for split, seed in seeded]) for size in KERNELS]
    rows += [("G19", [twin(split) for split in splits]), ("G18", [two_conv(split) for split in splits])]
    rows += [(f"G14 {pair}", [plateau(pair, split, 0) for split in splits]) for pair in PLATEAUS]
    return rows


#: Of the FMA presets, what is made small so that they can be seen to run: configurations, and epochs where they have any. Held-out tracks stay held out.
_SMALL: dict[str, dict[str, Any]] = {
    "f03-feedforward-sizes": {"budget.max_epochs": 5},
    "f13-kostrzewa": {"budget.max_epochs": 1},
    "f14-hyperband": {"budget.max_epochs": 3, "budget.trials": 4},
    "f15-tuned-cnn": {"budget.max_epochs": 1},
    "f17-kostrzewa-copies": {"budget.max_epochs": 1},
    "f18-tuned-copies": {"budget.max_epochs": 1},
    "f20-vgg16-fc2": {"budget.trials": 3},
    "f23-cuts": {"budget.trials": 4},
    "f27-vgg16-rbf": {},
    "f28-resnet50-rbf": {},
}


def fma_run(preset: str) -> Run:
    """A preset of the FMA slides on the embedded corpus; pretrained networks with weights drawn at random, folds in threes."""
    changes = dict(_SMALL[preset])
    if preset >= "f20":
        changes |= {"features.weights": "random", "data.validation": {"folds": 3}}
    return Run(preset.partition("-")[0], preset, DEMO, 0, changes)


def fma_rows() -> list[tuple[str, Sequence[Run]]]:
    """A row for each preset of the FMA slides."""
    return [(preset.partition("-")[0].upper(), [fma_run(preset)]) for preset in _SMALL]
