"""Fault: epochs and settings chosen on the test tracks, whose score is then reported (G10-G15). The same choice, asked on tracks that had no say in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genre_models.resampling import expect_chosen
from scripts.replication.faults_choice import SPLITS, halves, told
from scripts.replication.faults_studies import Deal, data_section, deal_of, run_study, sweeps_of
from scripts.replication.faults_words import accuracy, interval_text, table_text

STUDY = "faults-validating"


def space(source: str) -> dict[str, Any]:
    """Where no sweep behind the rows is done: a small one of kernels, in three folds."""
    return {
        "data": data_section(source, test_fraction=0.2, validation={"folds": 3}),
        "features": {"image_size": [32, 32], "n_mels": 32, "hop_length": 2048, "clip_seconds": 6.0},
        "budget": {"max_epochs": 20, "trials": 3},
        "scheduler": "none",
        "sampler": "grid",
        "families": {
            "cnn": {
                "filters_per_layer": "16-32", "kernel": {"choice": [3, 5, 7]}, "batch_norm": False, "dropout": 0.25, "head": "flatten", "dense_units": 64,
                "optimizer": "adam", "learning_rate": 0.001, "batch_size": 32, "schedule": "constant", "early_stopping": False,
            }
        },
    }  # fmt: skip


def measure(data: str, folder: Path, minutes: float, studies_dir: Path | None = None) -> dict[str, Any]:
    """Optimism of each sweep, and of the best epoch of one setting alone.

    Parameters
    ----------
    data : str
        As `data.source` of a space file.
    folder : Path
        Where a study of our own is kept.
    minutes : float
        Of that study, over all runs.
    studies_dir : Path, optional
        Trainings behind the rows; where it has a sweep with two settings done, nothing is trained.

    Returns
    -------
    dict
        ``rows``: what is chosen, by which tracks, both scores, their difference and its interval.
    """
    found = sweeps_of(studies_dir)
    if not found:
        deal = deal_of({f"kernel {trial.spec['params']['kernel']}": trial for trial in run_study(STUDY, space(data), folder, minutes)})
        found = {} if deal is None else {("kernel, small networks", "folds"): [deal]}
    rows = []
    for (sweep, split), deals in found.items():
        rows.append(_row(f"{sweep}: epoch and setting", split, deals))
        if all(deal.restored is not None for deal in deals):
            rows.append(_row(f"{sweep}: setting alone, each at its lowest loss", split, [deal.at_restored for deal in deals]))
    for (sweep, split), deals in list(found.items())[:1]:
        rows.append(_row(f"epoch alone ({deals[0].names[-1]})", split, [deal.alone(len(deal.names) - 1) for deal in deals]))
    return {"rows": rows, "wanted": None if rows else "no two settings were done in time"}


def _row(what: str, split: str, deals: list[Deal]) -> dict[str, Any]:
    row = told([halves(deal.settings, deal.folds, deal.groups, seed) for seed, deal in enumerate(deals)])
    first = deals[0]
    best = max(range(len(first.settings)), key=lambda place: sum(part.mean(axis=1).max() for part in first.settings[place]))
    whole = expect_chosen(first.settings, best, first.folds, first.groups)
    bootstrap = None if whole is None else {"score": whole.score, "expected": whole.expected}
    return row | {"what": what, "split": split, "settings": len(first.names), "epochs": max(len(part) for setting in first.settings for part in setting), "whole": bootstrap}


def render(found: Mapping[str, Any]) -> str:
    """Lines of the page."""
    if not found["rows"]:
        return f"Not measured: {found['wanted']}."
    lines = [
        [
            each["what"], each["split"], f"{each['settings']} x {each['epochs']}", f"{each['deciding']:.0f}",
            accuracy(each["chosen_by"]), accuracy(each["apart"]), f"**{interval_text(each['difference'], each['interval'])}**",
            f"{each['tracks']} ({each['deals']})", "" if each["whole"] is None else f"{accuracy(each['whole']['score'])}, {accuracy(each['whole']['expected'])}",
        ]
        for each in found["rows"]
    ]  # fmt: skip
    head = ["chosen", "split", "settings x epochs", "tracks it is chosen by", "score on these", "score on others", "flatters by (95 %)"]
    head += ["tracks in all (deals)", "all tracks: score, worth"]
    return (
        "Claimed: the sweeps' accuracies, on the tracks that stopped the training and ranked the settings; no numbers are printed. Here every validation track is dealt "
        f"into halves, the best epoch and setting are chosen on one, and the very same weights are asked on both, for {SPLITS} random halvings both ways; the interval "
        "makes every choice again without each twentieth of the tracks. The report restored the epoch of the lowest loss and showed the best accuracies: what it gained "
        "lies between the two rows of each sweep. The last column is the whole set's best score, and what the bootstrap of the search's own report says that it is worth "
        "(first deal).\n\n" + table_text(head, lines) + "\n\nThe report chose by 200 tracks; what is gained falls with their number."
    )
