"""The rows of the four GTZAN reports: their claims, and what finished runs say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from genre_models import resampling
from scripts.replication import plan
from scripts.replication.results import Outcome, Row
from scripts.replication.runs import LISTS, RANDOM, Corpus, Run
from scripts.replication.sweeps import learning_rates, plateaus, sizes, stopping
from scripts.replication.trainings import Cut, Training, pooled, read_run, rows_of, view_of
from scripts.replication.verdicts import Score, claimed, difference, is_better, same_accuracy, score, signed

WORDS = {RANDOM: "random", LISTS: "fault-filtered lists"}
#: n of G19's test tracks is not said: what is left of about 1,000 after "slightly over 800".
_G19_N = 200


def gtzan(studies_dir: Path, corpus: Corpus) -> list[Row]:
    """All rows of G01 to G21 that claim something, as far as their runs have ended."""

    def each(outcome_of: Callable[[str], Outcome]) -> list[Outcome]:
        return [outcome_of(split) for split in corpus.splits]

    def accuracy(runs_of: Callable[[str], Sequence[Run]], theirs: Score | None, hits_of: Callable[[Training], np.ndarray]) -> list[Outcome]:
        return each(lambda split: _accuracy(studies_dir, split, runs_of(split), theirs, hits_of))

    scratch, folds, twin = claimed(0.55, 200), claimed(0.445544, 505), claimed(0.60, _G19_N)
    return [
        Row("G02", "CNN from scratch, 0.55", str(scratch), "g02-scratch-cnn", accuracy(lambda split: [plan.scratch(split, seed) for seed in plan.SEEDS], scratch, Training.restored)),
        Row("G03, G04", "VGG16 0.67, 12 points over the CNN", str(claimed(0.67, 200)), "g03-vgg16", [_needs("ImageNet weights of VGG16")]),
        Row("G06", "handcrafted features beat both networks", "no number", "g06-table-30s", each(lambda split: _handcrafted(studies_dir, split))),
        Row("G08", "a pretrained network such as VGGish", "no number", "g08-vggish", [_needs("a file with VGGish")]),
        Row("G11", "the base CNN of the sweeps", "in plots only", "g11-base-cnn", accuracy(lambda split: [plan.base(split, seed) for seed in plan.SEEDS], None, _base_restored)),
        Row("G12", "kernels: 7 > 5 > 3", "no number", "g12-kernel", each(lambda split: sizes(studies_dir, split, WORDS[split]))),
        Row("G13", "rates: 1e-4 best, 1e-3 reasonable, 0.1 and 0.01 diverge", "no number", "g13-learning-rate", each(lambda split: learning_rates(studies_dir, split, WORDS[split]))),
        Row("G14", "plateaus: (0.1, 5) best; the gap grows with both", "no number", "g14-plateau", each(lambda split: plateaus(studies_dir, split, WORDS[split]))),
        Row("G15", "val_accuracy with patience 10, 15, 20 stops at 23, 38, 82; val_loss at 83; val_loss with high patience best", "epochs", "g15-early-stopping", each(lambda split: stopping(studies_dir, split, WORDS[split]))),
        Row("G18", "two convolutions in PyTorch, mean of five folds 0.4455", str(folds), "g18-two-conv-pytorch", accuracy(lambda split: [plan.two_conv(split)], folds, lambda training: training.last)),
        Row("G19", "its Keras twin, 0.60 within 5 epochs", f"{twin} (n taken as what is left of 1,000)", "g19-two-conv-keras", each(lambda split: _twin(studies_dir, split, twin))),
    ]


def _needs(what: str) -> Outcome:
    return Outcome("", f"not run: needs {what}", "", "cannot tell")


def _base_restored(training: Training) -> np.ndarray:
    return training.restored(training.stops("val_loss", 15))


def _accuracy(studies_dir: Path, split: str, runs: Sequence[Run], theirs: Score | None, hits_of: Callable[[Training], np.ndarray]) -> Outcome:
    done, cut = sort_out(studies_dir, runs)
    if not done:
        return Outcome(WORDS[split], told_cut(cut), "", "not run" if not cut else "cannot tell")
    hits = [hits_of(training) for training in done]
    ours = score(*pooled(done, hits))
    told = str(ours) + (f"; seeds {', '.join(f'{each.mean():.3f}' for each in hits)}" if len(hits) > 1 else "")
    told += f"; {told_cut(cut)}" if cut else ""
    if theirs is None:
        return Outcome(WORDS[split], told, "", "no number to compare")
    return Outcome(WORDS[split], told, signed(*difference(ours, theirs)), same_accuracy(ours, theirs))


def _twin(studies_dir: Path, split: str, theirs: Score) -> Outcome:
    found = _accuracy(studies_dir, split, [plan.twin(split)], theirs, lambda training: training.last)
    training = read_run(studies_dir, plan.twin(split))
    if not isinstance(training, Training):
        return found
    by_epoch = [part.mean() for part in training.parts[0]]
    early = f"; after 5 epochs {by_epoch[4]:.3f}, best {max(by_epoch):.3f} at epoch {int(np.argmax(by_epoch)) + 1}" if len(by_epoch) >= 5 else ""
    return Outcome(found.split, found.ours + early, found.difference, found.verdict)


def _handcrafted(studies_dir: Path, split: str) -> Outcome:
    """The best classical model, at what it is worth after having been chosen, against the scratch CNN on the tracks that both were scored on."""
    view = view_of(studies_dir, plan.table(split))
    full = [] if view is None else [trial for trial in view.trials if trial.is_full]
    if not full:
        return Outcome(WORDS[split], "", "", "not run")
    selection = view.selection(resampling)
    winner, expected = selection.winner.trial, selection.expected
    worth = Score(expected.expected, expected.interval, winner.outcome["n_validation"]) if expected is not None else Score(winner.value, None)
    told = f"{winner.params['classical/model']}, best of {len(full)}: {worth} after the optimism of choosing"
    file = studies_dir / plan.table(split).study / "trials" / f"{winner.number:04d}" / "validation.csv"
    hits = {row["track"]: row["label"] == row["predicted"] for row in rows_of(file)}
    networks, _ = sort_out(studies_dir, [plan.scratch(split, seed) for seed in plan.SEEDS])
    found = [_against(hits, training) for training in networks if training.ids is not None]
    if not found:
        return Outcome(WORDS[split], told, "", "cannot tell")
    first, second, groups = (np.concatenate([each[place] for each in found]) for place in range(3))
    numbers = np.unique(groups, return_inverse=True)[1]
    paired = resampling.compare_paired(first, second, numbers)
    return Outcome(WORDS[split], told, f"minus G02 here {signed(paired.difference, paired.interval)}, p = {paired.p_value:.3f}", is_better(paired))


def _against(hits: dict[str, bool], training: Training) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits of the classical model and of a network on the tracks that have both, and the tracks."""
    network = training.restored()
    both = [place for place, id in enumerate(training.ids) if id in hits]
    return np.array([hits[training.ids[p]] for p in both]), network[both], np.array([training.ids[p] for p in both])


def sort_out(studies_dir: Path, runs: Sequence[Run]) -> tuple[list[Training], list[Cut]]:
    """Runs that ended as they should, and those that their box ended."""
    found = [read_run(studies_dir, run) for run in runs]
    return [each for each in found if isinstance(each, Training)], [each for each in found if isinstance(each, Cut)]


def told_cut(cut: Sequence[Cut]) -> str:
    """Which runs the box ended, in words; "" where it ended none."""
    return ", ".join(f"seed {each.run.seed} cut by the box " + (f"after epoch {each.epoch}" if each.epoch else "before it began") for each in cut)


def reconstructed(rows: Sequence[Row], presets: Path) -> Iterator[tuple[str, str]]:
    """What each row's preset says it had to choose, by row."""
    for row in rows:
        text = (presets / f"{row.preset}.yaml").read_text(encoding="utf-8") if row.preset else ""
        words = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
        _, found, rest = words.partition("Reconstructed")
        if found:
            yield row.id, rest.partition(":")[2].partition("Done otherwise")[0].partition("Weights:")[0].strip()
