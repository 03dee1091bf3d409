"""What a look leaves in its folder: numbers, predictions, pictures and a card.

Owns: the shapes of ``metrics.json`` and ``predictions.csv``, and how a look reads in a terminal; ``card.md`` is `genre_models.card`'s. Each file is written whole or not at all.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from genre_models.calibration import calibration
from genre_models.card import again, card, mean_over
from genre_models.card_facts import cost_rows
from genre_models.comparison import compare, families_table
from genre_models.durable import write_text, write_whole
from genre_models.measuring import together
from genre_models.metrics import final_metrics, interval_text
from genre_models.own_models import is_own_file
from genre_models.parts import describe_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from genre_models.comparison import Compared
    from genre_models.final import Evaluation
    from genre_models.retrain import Winner

SCHEMA = 2  # 1: no groups, intervals of classes and of the log loss, calibration or expectation
IN_THE_RECEIPT = ("accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "log_loss", "ece", "n_tracks")
MODEL_FILES = ("model.keras", "model.skops")


def model_hash(models: Mapping[str, str]) -> tuple[str, str]:
    """Name and SHA-256 of the winner's model file among those on a receipt; of several of a user's own family, the first by name."""
    return next((name, models[name]) for name in (*MODEL_FILES, *filter(is_own_file, sorted(models))) if name in models)


def collect(evaluation: Evaluation, pipeline: dict, look: dict, winner: Winner, also: Sequence[Compared] = ()) -> dict:
    """The content of ``metrics.json``.

    Parameters
    ----------
    evaluation : Evaluation
    pipeline : dict
        ``pipeline.json`` of the model.
    look : dict
        The receipt ``opened``.
    winner : Winner
        What its search said of it.
    also : sequence of Compared
        What was looked at beside it.
    """
    name, sha256 = model_hash(look["models"])
    return {
        "schema": SCHEMA,
        "study": pipeline["study"],
        "trial": pipeline["trial"],
        "family": pipeline["spec"]["family"],
        "demo": pipeline["demo"],
        "split_id": look["split_id"],
        "look": look["look"],
        "reason": look["reason"],
        "prefer": (pipeline.get("about") or {}).get("prefer"),
        **final_metrics(evaluation.labels, evaluation.y_true, evaluation.p, evaluation.groups),
        "calibration": calibration(evaluation.y_true, evaluation.p, pipeline.get("temperature"), evaluation.groups),
        "validation_accuracy": winner.validation_accuracy,
        "validated_by": describe_parts(pipeline["spec"]) or "hold-out",
        "confirmed": None if winner.confirmed is None else asdict(winner.confirmed),
        "expected": None if winner.expected is None else asdict(winner.expected),
        "backend": pipeline.get("backend"),
        "epochs": pipeline["epochs"],
        "train_seconds": pipeline["train_seconds"],
        "peak_ram_evaluation_mib": round(evaluation.peak_ram_mib, 1),
        "model": name,
        "model_sha256": sha256,
        "files": dict(look["models"]),
        "also": [compare(evaluation, one) for one in also],
    }


def costs(folder: Path, pipeline: dict, winner: Winner, evaluation: dict | None, latency: dict | None) -> dict:
    """What ``metrics.json`` says of costs.

    Parameters
    ----------
    folder : Path
        Of the model.
    pipeline : dict
        ``pipeline.json`` of the model; it has the cost of its training.
    winner : Winner
    evaluation : dict or None
        What the evaluation cost.
    latency : dict or None
        From `genre_models.latency`.
    """
    parts = {"retrain": pipeline.get("cost"), "evaluation": evaluation}
    return {
        "cost": parts,
        "energy_kwh": together(parts, "energy_kwh"),
        "emissions_kg": together(parts, "emissions_kg"),
        "latency": latency,
        "parameters": pipeline["parameters"],
        "gflops": winner.gflops,
        "disk_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def draw_pictures(folder: Path, metrics: dict, pipeline: dict, search_history: Sequence[dict]) -> None:
    """Draw a look's pictures; `search_history` are the epochs of the winning trial."""
    from genre_models import plots

    write_whole(folder / "confusion.png", lambda path: plots.draw_confusion(path, metrics))
    write_whole(folder / "curves.png", lambda path: plots.draw_curves(path, metrics, search_history, pipeline["history"]))
    write_whole(folder / "reliability.png", lambda path: plots.draw_reliability(path, metrics))
    if metrics["also"]:
        write_whole(folder / "families.png", lambda path: plots.draw_families(path, metrics))


def write_verdict(folder: Path, evaluation: Evaluation, metrics: dict, pipeline: dict, also: Sequence[Compared] = ()) -> None:
    """Write all files of a look but its model and its pictures.

    Parameters
    ----------
    folder : Path
        ``studies/NAME/final`` or a later look's folder in it.
    evaluation : Evaluation
    metrics : dict
        From `collect`.
    pipeline : dict
        ``pipeline.json`` of the model.
    also : sequence of Compared
        What was looked at beside it; its predictions are written too.
    """
    write_whole(folder / "predictions.csv", lambda path: _write_predictions(path, evaluation))
    for one in also:
        name = f"predictions-{one.pipeline['spec']['family']}.csv"
        write_whole(folder / name, lambda path, said=one.evaluation: _write_predictions(path, said))
    write_text(folder / "card.md", card(metrics, pipeline))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")  # last: where it is, the others are


def _write_predictions(path: Path, evaluation: Evaluation) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["track", "label", "predicted", *(f"p_{label}" for label in evaluation.labels)])
        for track, truth, p in zip(evaluation.track_ids, evaluation.y_true, evaluation.p, strict=True):
            writer.writerow([track, evaluation.labels[truth], evaluation.labels[p.argmax()], *(f"{value:.6g}" for value in p)])


def table(metrics: dict) -> str:
    """The verdict for a terminal.

    Parameters
    ----------
    metrics : dict
        As in ``metrics.json``.
    """
    interval, validation = metrics["accuracy_ci95"], metrics["validation_accuracy"]
    demo = "  (demo: synthesised music)" if metrics["demo"] else ""
    lines = [
        f"accuracy  {metrics['accuracy']:.3f}  95 % interval {interval_text(interval)}  on {metrics['n_tracks']} held-out tracks{_in_groups(metrics)}{demo}",
        f"macro F1  {metrics['macro_f1']:.3f}  95 % interval {interval_text(metrics['macro_f1_ci95'])}",
        f"log loss  {metrics['log_loss']:.3f}  calibration error {metrics['ece']:.3f}{_at_temperature(metrics)}",
    ]
    if validation is not None:
        lines.append(f"validation said {validation:.3f}{mean_over(metrics)}: {_compare(validation, interval)}{'' if metrics.get('confirmed') else _worth(metrics)}")
    confirmed = metrics.get("confirmed")
    if confirmed is not None:
        accuracy = confirmed["val_accuracy"]
        compared = "" if accuracy is None else f": {_compare(accuracy, interval)}"
        lines.append(f"confirmed on {confirmed['folds']} folds, which chose the model: {again(confirmed)}{compared}{_worth(metrics)}")
    width = max(len("class"), *(len(label) for label in metrics["labels"]))
    lines += ["", f"{'class':{width}}  precision  recall  95 % of recall     f1  tracks  most often taken for"]
    for row, label in enumerate(metrics["labels"]):
        scores = metrics["per_class"][label]
        wrong = [(count, metrics["labels"][i]) for i, count in enumerate(metrics["confusion"][row]) if i != row and count]
        count, taken = max(wrong, key=lambda pair: pair[0], default=(0, "-"))
        mistaken = f"{taken} ({count})" if count else "-"
        interval = interval_text(scores.get("recall_ci95"))
        lines.append(f"{label:{width}}  {scores['precision']:9.3f}  {scores['recall']:6.3f}  {interval:14}  {scores['f1']:5.3f}  {scores['support']:6d}  {mistaken}")
    others = families_table(metrics)
    lines += ["", *others] if others else []
    return "\n".join([*lines, "", *(f"{name}: {text}" for name, text in cost_rows(metrics, metrics))])


def _in_groups(metrics: dict) -> str:
    n = metrics.get("n_groups", metrics["n_tracks"])  # looks of before groups counted do not say
    return "" if n == metrics["n_tracks"] else f" in {n} groups"


def _at_temperature(metrics: dict) -> str:
    found = metrics.get("calibration") or {"temperature": None}
    return "" if found["temperature"] is None else f"  (at temperature {found['temperature']:.3g}: {found['log_loss']:.3f}, {found['ece']:.3f})"


def _worth(metrics: dict) -> str:
    found = metrics.get("expected")
    return "" if found is None else f"; by resampling it was worth {found['value']:.3f} ({interval_text(found['interval'])})"


def _compare(validation: float, interval: Sequence[float] | None) -> str:
    if interval is None:
        return "there is no interval to compare it with"
    low, high = interval
    if validation > high:
        return "higher than the interval, as scores that a choice was made by tend to be"
    return "inside the interval" if validation >= low else "lower than the interval; retraining on more tracks may have helped"
