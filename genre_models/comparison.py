"""The best of each family beside the winner, on the same held-out tracks.

Owns: how two models' answers to the same tracks are compared, the shape of ``also`` in ``metrics.json``, and how it reads in a terminal and on
the card. The models were chosen by validation, before the look; what is compared here chooses nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from genre_models.calibration import calibration
from genre_models.metrics import as_list, final_metrics, interval_text
from genre_models.parts import describe_parts
from genre_models.resampling.paired import compare_paired

if TYPE_CHECKING:
    import numpy as np

    from genre_models.final import Evaluation
    from genre_models.retrain import Expected

_SCORES = ("n_tracks", "n_groups", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "log_loss", "log_loss_ci95", "ece")
CAUTION = "All were chosen in validation. To take another model by this table would be choosing by held-out scores."


@dataclass(frozen=True)
class Compared:
    """A model that was looked at beside the winner: what it said, its ``pipeline.json``, and what its validation score was worth among its family."""

    evaluation: Evaluation
    pipeline: dict
    expected: Expected | None = None


def compare(winner: Evaluation, other: Compared) -> dict:
    """What ``metrics.json`` says of one other family's best.

    Parameters
    ----------
    winner : Evaluation
        Of the same tracks.
    other : Compared

    Returns
    -------
    dict
        JSON-able: family, trial, validation_accuracy, validated_by, epochs, the scores, and ``compared``: how many tracks only this model had
        right (``wins``) and only the winner (``losses``), the difference of the accuracies with its paired 95 % interval, the p-value of the exact
        sign-flip test over groups of tracks (McNemar's where each stands alone), and whether the two can't be told apart (``tie``): the interval
        includes 0, or the test gives more than 0.05.
    """
    found, pipeline = other.evaluation, other.pipeline
    scores = final_metrics(found.labels, found.y_true, found.p, found.groups)
    calibrated = calibration(found.y_true, found.p, pipeline.get("temperature"), found.groups)
    return {
        "family": pipeline["spec"]["family"],
        "trial": pipeline["trial"],
        "validation_accuracy": pipeline["validation_accuracy"],
        "validated_by": describe_parts(pipeline["spec"]) or "hold-out",
        "expected": None if other.expected is None else asdict(other.expected),
        "epochs": pipeline["epochs"],
        "parameters": pipeline["parameters"],
        **{key: scores[key] for key in _SCORES},
        "calibration": {key: calibrated[key] for key in ("temperature", "log_loss", "ece")},
        "compared": _paired(_right(found), _right(winner), winner.groups),
    }


def families_table(metrics: dict) -> list[str]:
    """The best of each family for a terminal, the winner first; no line where nothing was looked at beside it."""
    if not metrics.get("also"):
        return []
    width = max(len("family"), *(len(name) for name, _ in _entries(metrics)))
    lines = [
        f"the best of each family, on the same {metrics['n_tracks']} held-out tracks",
        f"{'family':{width}}  trial  validation  expected  held-out  95 % interval   against the winner",
    ]
    for name, entry in _entries(metrics):
        validated, against, interval = _validated(entry), _against(entry), interval_text(entry["accuracy_ci95"])
        lines.append(f"{name:{width}}  {entry['trial']:5d}  {validated:>10}  {_expected(entry):>8}  {entry['accuracy']:8.3f}  {interval:14}  {against}".rstrip())
    return [*lines, "a tie: the paired 95 % interval of the difference includes 0, or an exact paired test can't tell them apart", CAUTION]


def families_card(metrics: dict) -> str:
    """The same in Markdown; empty where nothing was looked at beside the winner."""
    if not metrics.get("also"):
        return ""
    rows = []
    for name, entry in _entries(metrics):
        f1 = f"{entry['macro_f1']:.3f} ({interval_text(entry['macro_f1_ci95'])})"
        accuracy = f"{entry['accuracy']:.3f} ({interval_text(entry['accuracy_ci95'])})"
        rows.append(f"| {name} | {entry['trial']} | {_validated(entry)} | {_expected(entry)} | {accuracy} | {f1} | {_against(entry) or '-'} |")
    body = "\n".join(rows)
    return f"""
The best of each family, each trained again on the same development tracks and scored in the same look:

| family | trial | validation | expected after choosing | held-out accuracy (95 %) | macro F1 (95 %) | against the winner (paired 95 % interval) |
|---|---|---|---|---|---|---|
{body}

A tie: the interval of the difference includes 0, or an exact paired test can't tell them apart. {CAUTION}
"""


def _entries(metrics: dict) -> list[tuple[str, dict]]:
    return [(f"{metrics['family']} (winner)", metrics), *((entry["family"], entry) for entry in metrics["also"])]


def _validated(entry: dict) -> str:
    return "-" if entry["validation_accuracy"] is None else f"{entry['validation_accuracy']:.3f}"


def _expected(entry: dict) -> str:
    return "-" if entry.get("expected") is None else f"{entry['expected']['value']:.3f}"


def _against(entry: dict) -> str:
    if "compared" not in entry:
        return ""
    said = entry["compared"]
    between = "" if said["difference_ci95"] is None else " [{:+.3f}, {:+.3f}]".format(*said["difference_ci95"])
    verdict = "a tie" if said["tie"] else "better" if said["difference"] > 0 else "worse"
    return f"{verdict}: {said['difference']:+.3f}{between}, {said['wins']} won, {said['losses']} lost"


def _right(evaluation: Evaluation) -> np.ndarray:
    return evaluation.p.argmax(axis=1) == evaluation.y_true


def _paired(ours: np.ndarray, winners: np.ndarray, groups: np.ndarray | None) -> dict:
    found = compare_paired(ours, winners, groups)
    return {
        "wins": found.wins,
        "losses": found.losses,
        "difference": found.difference,
        "difference_ci95": as_list(found.interval),
        "p_value": found.p_value,
        "tie": found.is_tie,
    }
