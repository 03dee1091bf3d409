"""Fault: the best of nine test scores is the headline (F05). What the report's own table says of it, and the same choice among nine networks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.replication.faults_choice import thirds, told
from scripts.replication.faults_published import SIZES, SIZES_TESTED_ON, best_of_nine
from scripts.replication.faults_studies import data_section, deal_of, run_study
from scripts.replication.faults_words import accuracy, interval_text, table_text

STUDY = "faults-choosing"


def space(source: str, table: str | None) -> dict[str, Any]:
    """F03's nine sizes in five folds, on a table of features where there is one, else on the handcrafted features of the sound."""
    return {
        "data": data_section(source, test_fraction=0.2, validation={"folds": 5}),
        "features": {"table": table} if table is not None else {"sr": 22050},
        "budget": {"max_epochs": 60, "trials": len(SIZES)},
        "scheduler": "none",
        "sampler": "grid",
        "families": {
            "feedforward": {
                "input": "table" if table is not None else "handcrafted", "standardise": True, "units": {"choice": [units for units, *_ in SIZES.values()]},
                "activation": "relu", "dropout": 0.0, "optimizer": "adam", "learning_rate": 0.001, "batch_size": 32,
                "early_stopping": True, "early_stopping_monitor": "val_loss", "early_stopping_patience": 3,
            }
        },
    }  # fmt: skip


def measure(data: str, folder: Path, minutes: float, table: str | None = None) -> dict[str, Any]:
    """The report's table with its arithmetic, and the optimism of the same choice here.

    Parameters
    ----------
    data : str
        As `data.source` of a space file.
    folder : Path
        Where the study is kept.
    minutes : float
        Of it, over all runs.
    table : str, optional
        File with features of the tracks; a GTZAN folder's own is found.

    Returns
    -------
    dict
        ``published`` and ``here``, which is None where fewer than two sizes were done in time.
    """
    table = table or table_of(data)
    trials = run_study(STUDY, space(data, table), folder, minutes)
    deal = deal_of({trial.spec["params"]["units"]: trial for trial in trials})
    here = None if deal is None else told([thirds(deal.settings, deal.folds, deal.groups)]) | {"sizes": len(deal.names)}
    return {"published": asdict(best_of_nine()), "here": here, "features": "table" if table is not None else "handcrafted"}


def table_of(data: str) -> str | None:
    """The usual table in a GTZAN folder; None where there is none."""
    file = Path(data.removeprefix("gtzan:")) / "features_30_sec.csv"
    return str(file) if data.startswith("gtzan:") and file.is_file() else None


def render(found: Mapping[str, Any]) -> str:
    """Lines of the page."""
    nine, here = found["published"], found["here"]
    best = max(validation for _, validation, _ in SIZES.values())
    notes = {row: "highest test score: the headline" for row, (*_, test) in SIZES.items() if test == nine["by_test"]}
    notes |= {row: "highest validation score" for row, (_, validation, _) in SIZES.items() if validation == best}
    rows = [[row, units, accuracy(validation), accuracy(test), notes.get(row, "")] for row, (units, validation, test) in SIZES.items()]
    published = (
        f"Claimed: {accuracy(nine['by_test'])}, the best of nine test scores (n = {SIZES_TESTED_ON}). The report's own table, chosen by validation: "
        f"{accuracy(nine['by_validation'])}.\n\n"
        + table_text(["row", "units", "validation", "test", ""], rows)
        + f"\n\nThe nine test scores have a standard deviation of {nine['deviation']:.4f}; one score of {SIZES_TESTED_ON} tracks has "
        f"{nine['by_chance']:.4f} by chance alone, so the table does not show that any two differ. The best of nine equally good networks is above its worth by "
        f"{nine['optimism_as_spread']:.3f} (with the spread that the nine have) to {nine['optimism']:.3f} (were they tested on tracks of their own). Validation "
        f"and test scores go together with a correlation of {nine['correlation']:+.2f}."
    )
    if here is None:
        return f"{published}\n\nHere: not measured, fewer than two sizes were done in time."
    return (
        f"{published}\n\nHere, {here['sizes']} sizes on the {found['features']} features in five folds, {here['tracks']} development tracks; epochs chosen on a "
        f"third of them, the size on another ({here['deciding']:.0f} tracks), the last third asked: {accuracy(here['chosen_by'])} on the tracks that the size was "
        f"chosen by, {accuracy(here['apart'])} on the others, **{interval_text(here['difference'], here['interval'])}**; chosen by validation, the test score is "
        f"{accuracy(here['validated'])}."
    )
