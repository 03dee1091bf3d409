"""The one-factor sweeps: settings by their shared trainings, pairs by the tracks they have in common, stopping rules read off one curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genre_models import resampling
from genre_models.resampling import Paired
from scripts.replication import plan
from scripts.replication.results import Outcome
from scripts.replication.runs import Run
from scripts.replication.trainings import Training, pooled, read_run
from scripts.replication.verdicts import AGREES, CANNOT_TELL, DIFFERS, all_of, is_better, score, signed

#: Of the base network: what early stopping watches, and how long it waits.
MONITOR, PATIENCE = "val_loss", 15
N_CLASSES = 10
PATIENCES, CLAIMED_STOPS = (10, 15, 20), {("val_accuracy", 10): 23, ("val_accuracy", 15): 38, ("val_accuracy", 20): 82}


def settled(training: Training) -> np.ndarray:
    """Tracks told right by the weights that the base network's stopping rule restores."""
    return training.restored(training.stops(MONITOR, PATIENCE))


def sizes(studies_dir: Path, split: str, words: str) -> Outcome:
    """Kernels of 3, 5 and 7: does a larger one beat a smaller one?"""
    found = {f"{size}x{size}": [plan.kernel(size, split, seed) for seed in plan.SEEDS] for size in plan.KERNELS}
    return _ordered(studies_dir, words, found, [("7x7", "5x5"), ("5x5", "3x3"), ("7x7", "3x3")])


def learning_rates(studies_dir: Path, split: str, words: str) -> Outcome:
    """Four rates: the smallest best, the largest two at chance."""
    found = {f"{rate:g}": _trained(studies_dir, [plan.rate(rate, split, 0)]) for rate in plan.RATES}
    if not all(found.values()):
        return _waiting(words, found)
    hits = {name: settled(trainings[0]) for name, trainings in found.items()}
    paired = resampling.compare_paired(hits["0.0001"], hits["0.001"], found["0.001"][0].groups)
    verdicts, told = [is_better(paired)], [_setting(name, found[name], [hits[name]]) for name in found]
    verdicts += [AGREES if _is_at_chance(found[name][0], hits[name]) else DIFFERS for name in ("0.1", "0.01")]
    return Outcome(words, "; ".join(told), f"1e-4 minus 1e-3 {_pair(paired)}", all_of(verdicts))


def plateaus(studies_dir: Path, split: str, words: str) -> Outcome:
    """Three pairs of factor and patience: their scores, and the gap between training and validation where they stop."""
    found = {f"({factor:g}, {patience})": _trained(studies_dir, [plan.plateau((factor, patience), split, 0)]) for factor, patience in plan.PLATEAUS}
    if not all(found.values()):
        return _waiting(words, found)
    hits = {name: settled(trainings[0]) for name, trainings in found.items()}
    gaps = {name: _gap(trainings[0]) for name, trainings in found.items()}
    first, *others = found
    pairs = [resampling.compare_paired(hits[first], hits[other], found[other][0].groups) for other in others]
    grows = AGREES if sorted(gaps.values()) == list(gaps.values()) else CANNOT_TELL  # one seed: no interval that could say it does not
    told = [f"{_setting(name, found[name], [hits[name]])}, gap {gaps[name]:.3f}" for name in found]
    differences = ", ".join(f"{first} minus {other} {_pair(pair)}" for other, pair in zip(others, pairs, strict=True))
    return Outcome(words, "; ".join(told), f"{differences}; the gap {'grows' if grows == AGREES else 'does not grow'} with both", all_of([*map(is_better, pairs), grows]))


def stopping(studies_dir: Path, split: str, words: str) -> Outcome:
    """Six stopping rules, read off each seed's one long curve."""
    trainings = _trained(studies_dir, [plan.base(split, seed) for seed in plan.SEEDS])
    if not trainings:
        return Outcome(words, "", "", "not run")
    told, verdicts = [], []
    rules = [(monitor, patience) for monitor in ("val_loss", "val_accuracy") for patience in PATIENCES]
    for monitor, patience in rules:
        stops = [training.stops(monitor, patience) for training in trainings]
        told.append(f"{monitor} {patience}: {', '.join('–' if stop is None else str(stop) for stop in stops)}")
        if (claim := CLAIMED_STOPS.get((monitor, patience))) is not None:
            ends = [stop or len(training.history) for stop, training in zip(stops, trainings, strict=True)]
            verdicts.append(AGREES if min(ends) <= claim <= max(ends) else DIFFERS)
    longest = len(trainings[0].history)
    gain = [pair for pair in [_patience_pays(trainings)] if pair is not None]
    differences = "".join(f"val_loss 20 minus val_accuracy 10 {_pair(pair)}" for pair in gain)
    return Outcome(words, f"stops after epoch (– is not within {longest}; a number for each seed): " + "; ".join(told), differences, all_of([*verdicts, *map(is_better, gain)]))


def _patience_pays(trainings: Sequence[Training]) -> Paired | None:
    """The most patient rule on the loss against the least patient on the accuracy, by the weights each restores."""
    patient = [training.restored(training.stops("val_loss", 20)) for training in trainings]
    hasty = []
    for training in trainings:
        accuracies = [row["val_accuracy"] for row in training.history[: training.stops("val_accuracy", 10)]]
        hasty.append(training.parts[0][int(np.argmax(accuracies))])
    first, groups, _ = pooled(trainings, patient)
    second, *_ = pooled(trainings, hasty)
    return resampling.compare_paired(first, second, groups)


def _ordered(studies_dir: Path, words: str, runs: dict[str, list[Run]], claims: Sequence[tuple[str, str]]) -> Outcome:
    """Settings with several seeds, and the pairs that were claimed to be in order."""
    found = {name: _trained(studies_dir, of) for name, of in runs.items()}
    if not all(found.values()):
        return _waiting(words, found)
    seeds = set.intersection(*({training.run.seed for training in trainings} for trainings in found.values()))
    found = {name: [training for training in trainings if training.run.seed in seeds] for name, trainings in found.items()}
    hits = {name: [settled(training) for training in trainings] for name, trainings in found.items()}
    told = [_setting(name, found[name], hits[name]) for name in found]
    pairs = {}
    for better, worse in claims:
        first, groups, _ = pooled(found[better], hits[better])
        second, *_ = pooled(found[worse], hits[worse])
        pairs[f"{better} minus {worse}"] = resampling.compare_paired(first, second, groups)
    return Outcome(words, "; ".join(told), "; ".join(f"{name} {_pair(pair)}" for name, pair in pairs.items()), all_of([is_better(pair) for pair in pairs.values()]))


def _setting(name: str, trainings: Sequence[Training], hits: Sequence[np.ndarray]) -> str:
    seeds = f" (seeds {', '.join(f'{hit.mean():.3f}' for hit in hits)})" if len(hits) > 1 else ""
    return f"{name}: {score(*pooled(trainings, hits))}{seeds}"


def _pair(pair: Paired) -> str:
    p_value = "p < 0.001" if pair.p_value < 0.0005 else f"p = {pair.p_value:.3f}"
    return f"{signed(pair.difference, pair.interval)}, {p_value}"


def _gap(training: Training) -> float:
    """Training minus validation accuracy in the epoch in which the network stops."""
    row = training.history[(training.stops(MONITOR, PATIENCE) or len(training.history)) - 1]
    return row["accuracy"] - row["val_accuracy"]


def _is_at_chance(training: Training, hits: np.ndarray) -> bool:
    """Whether a network that learned nothing may have scored this: its interval reaches down to a share of one class."""
    interval = score(hits, training.groups).interval
    return interval is None or interval[0] <= 1 / N_CLASSES


def _trained(studies_dir: Path, runs: Sequence[Run]) -> list[Training]:
    return [found for run in runs if isinstance(found := read_run(studies_dir, run), Training)]


def _waiting(words: str, found: dict[str, list[Training]]) -> Outcome:
    missing = ", ".join(name for name, trainings in found.items() if not trainings)
    return Outcome(words, f"not run or cut by the box: {missing}", "", CANNOT_TELL)
