"""What a look leaves in its folder: numbers, predictions, pictures and a card.

Owns: the shapes of ``metrics.json``, ``predictions.csv`` and ``card.md``. Each file is written whole or not at all.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from genre_models.comparison import compare, families_card, families_table
from genre_models.durable import write_text, write_whole
from genre_models.metrics import final_metrics
from genre_models.parts import describe_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from genre_models.comparison import Compared
    from genre_models.final import Evaluation
    from genre_models.retrain import Winner

SCHEMA = 1
IN_THE_RECEIPT = ("accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "log_loss", "ece", "n_tracks")
MODEL_FILES = ("model.keras", "model.skops")
_INPUTS = {"audio": "log-mel spectrograms", "image": "images", "handcrafted": "handcrafted features of the sound", "table": "rows of a table"}


def model_hash(models: Mapping[str, str]) -> tuple[str, str]:
    """Name and SHA-256 of the winner's model file among those on a receipt."""
    return next((name, models[name]) for name in MODEL_FILES if name in models)


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
        **final_metrics(evaluation.labels, evaluation.y_true, evaluation.p),
        "validation_accuracy": winner.validation_accuracy,
        "validated_by": describe_parts(pipeline["spec"]) or "hold-out",
        "confirmed": None if winner.confirmed is None else asdict(winner.confirmed),
        "epochs": pipeline["epochs"],
        "train_seconds": pipeline["train_seconds"],
        "peak_ram_evaluation_mib": round(evaluation.peak_ram_mib, 1),
        "energy_kwh": None,
        "emissions_kg": None,
        "model": name,
        "model_sha256": sha256,
        "also": [compare(evaluation, one) for one in also],
    }


def write_verdict(
    folder: Path, evaluation: Evaluation, metrics: dict, pipeline: dict, search_history: Sequence[dict], also: Sequence[Compared] = ()
) -> None:
    """Write all files of a look but its model.

    Parameters
    ----------
    folder : Path
        ``studies/NAME/final`` or a later look's folder in it.
    evaluation : Evaluation
    metrics : dict
        From `collect`.
    pipeline : dict
        ``pipeline.json`` of the model.
    search_history : sequence of dict
        Epochs of the winning trial.
    also : sequence of Compared
        What was looked at beside it; its predictions are written too.
    """
    from genre_models import plots

    write_whole(folder / "predictions.csv", lambda path: _write_predictions(path, evaluation))
    for one in also:
        name = f"predictions-{one.pipeline['spec']['family']}.csv"
        write_whole(folder / name, lambda path, said=one.evaluation: _write_predictions(path, said))
    write_whole(folder / "confusion.png", lambda path: plots.draw_confusion(path, metrics))
    write_whole(folder / "curves.png", lambda path: plots.draw_curves(path, metrics, search_history, pipeline["history"]))
    if also:
        write_whole(folder / "families.png", lambda path: plots.draw_families(path, metrics))
    write_text(folder / "card.md", card(metrics, pipeline))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")  # last: where it is, the others are


def _write_predictions(path: Path, evaluation: Evaluation) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["track", "label", "predicted", *(f"p_{label}" for label in evaluation.labels)])
        for track, truth, p in zip(evaluation.track_ids, evaluation.y_true, evaluation.p, strict=True):
            writer.writerow([track, evaluation.labels[truth], evaluation.labels[p.argmax()], *(f"{value:.6g}" for value in p)])


def card(metrics: dict, pipeline: dict) -> str:
    """A short account of the model in Markdown: what it is, what it was trained and scored on, and how to repeat that."""
    (low, high), (f1_low, f1_high) = metrics["accuracy_ci95"], metrics["macro_f1_ci95"]
    validation = metrics["validation_accuracy"]
    scored = "nothing on record" if validation is None else f"{validation:.3f}{_mean_over(metrics)}"
    confirmed = metrics.get("confirmed")
    if confirmed is not None:
        scored += f"; of the best few,\nall trained again on {confirmed['folds']} folds, it had the best score, {_again(confirmed)}"
    title = f"# {metrics['family']} from study {metrics['study']}, trial {metrics['trial']}"
    demo = "\n\n**demo**: trained and scored on synthesised music. The numbers say nothing about real genres.\n" if metrics["demo"] else "\n"
    look = f"Look {metrics['look']} at split `{metrics['split_id']}`" + (f"; looked again because: {metrics['reason']}" if metrics["reason"] else "")
    packages = ", ".join(f"{name} {version}" for name, version in pipeline["versions"].items())
    return f"""{title}{demo}
Tells {len(metrics["labels"])} classes of {"tracks" if pipeline["kind"] == "table" else pipeline["kind"]} apart: {", ".join(metrics["labels"])}.

| score on {metrics["n_tracks"]} held-out tracks | value | 95 % interval |
|---|---|---|
| accuracy | {metrics["accuracy"]:.3f} | {low:.3f} to {high:.3f} |
| macro F1 | {metrics["macro_f1"]:.3f} | {f1_low:.3f} to {f1_high:.3f} |
| log loss | {metrics["log_loss"]:.3f} nats | |
| calibration error | {metrics["ece"]:.3f} (15 bins) | |

{look}. In the search, on validation tracks, the trial scored {scored}: such scores chose
the model, so they flatter it; the table above is the honest one, for tracks like these.
{families_card(metrics)}
- {_trained(metrics, pipeline)}; {pipeline["parameters"]:,} parameters.
- Input: {_input_in_words(pipeline)}.
- Model: `model/{metrics["model"]}` (SHA-256 `{metrics["model_sha256"]}`), features and labels: `model/pipeline.json`.
- Memory while evaluating: at most {metrics["peak_ram_evaluation_mib"]:.0f} MiB, this process as a whole.
- Made with {packages}.
- To see it again: `python scripts/final_eval.py --study {metrics["study"]}`; it shows this look and evaluates nothing.
"""


def _trained(metrics: dict, pipeline: dict) -> str:
    tracks, seconds = f"all {pipeline['n_tracks']} development tracks", f"in {metrics['train_seconds']:.0f} s"
    if metrics["epochs"] is None:
        return f"Fitted to {tracks} {seconds}, without validation"
    return f"Trained on {tracks} for {metrics['epochs']} epochs {seconds}, with the trial's\n  learning rates and without validation"


def _input_in_words(pipeline: dict) -> str:
    found = pipeline.get("input", {})  # models of before other inputs do not say
    said, trunk = _INPUTS[found.get("kind", pipeline["kind"])], found.get("trunk")
    if found.get("table"):
        said += f" (`{found['table']['path']}`, SHA-256 `{found['table']['sha256']}`)"
    if trunk:
        weights = trunk["weights"] if trunk["sha256"] is None else f"of SHA-256 `{trunk['sha256']}`"
        said += f", through {trunk['trunk']} up to {trunk['cut']} (weights {weights})"
    return said


def table(metrics: dict) -> str:
    """The verdict for a terminal.

    Parameters
    ----------
    metrics : dict
        As in ``metrics.json``.
    """
    (low, high), (f1_low, f1_high), validation = metrics["accuracy_ci95"], metrics["macro_f1_ci95"], metrics["validation_accuracy"]
    demo = "  (demo: synthesised music)" if metrics["demo"] else ""
    lines = [
        f"accuracy  {metrics['accuracy']:.3f}  95 % interval {low:.3f} to {high:.3f}  on {metrics['n_tracks']} held-out tracks{demo}",
        f"macro F1  {metrics['macro_f1']:.3f}  95 % interval {f1_low:.3f} to {f1_high:.3f}",
        f"log loss  {metrics['log_loss']:.3f}  calibration error {metrics['ece']:.3f}",
    ]
    if validation is not None:
        lines.append(f"validation said {validation:.3f}{_mean_over(metrics)}: {_compare(validation, low, high)}")
    confirmed = metrics.get("confirmed")
    if confirmed is not None:
        accuracy = confirmed["val_accuracy"]
        compared = "" if accuracy is None else f": {_compare(accuracy, low, high)}"
        lines.append(f"confirmed on {confirmed['folds']} folds, which chose the model: {_again(confirmed)}{compared}")
    width = max(len("class"), *(len(label) for label in metrics["labels"]))
    lines += ["", f"{'class':{width}}  precision  recall     f1  tracks  most often taken for"]
    for row, label in enumerate(metrics["labels"]):
        scores = metrics["per_class"][label]
        wrong = [(count, metrics["labels"][i]) for i, count in enumerate(metrics["confusion"][row]) if i != row and count]
        count, taken = max(wrong, key=lambda pair: pair[0], default=(0, "-"))
        mistaken = f"{taken} ({count})" if count else "-"
        lines.append(f"{label:{width}}  {scores['precision']:9.3f}  {scores['recall']:6.3f}  {scores['f1']:5.3f}  {scores['support']:6d}  {mistaken}")
    others = families_table(metrics)
    return "\n".join([*lines, "", *others] if others else lines)


def _mean_over(metrics: dict) -> str:
    parts = metrics.get("validated_by", "hold-out")  # looks of before folds do not say
    return "" if parts == "hold-out" else f" (mean over {parts})"


def _again(confirmed: dict) -> str:
    """The confirmed score: an accuracy, or another metric with the accuracy beside it."""
    if confirmed["metric"] == "val_accuracy":
        return f"{confirmed['value']:.3f}"
    accuracy = confirmed["val_accuracy"]
    return f"{confirmed['metric']} {confirmed['value']:.3f}" + ("" if accuracy is None else f" (accuracy {accuracy:.3f})")


def _compare(validation: float, low: float, high: float) -> str:
    if validation > high:
        return "higher than the interval, as scores that a choice was made by tend to be"
    return "inside the interval" if validation >= low else "lower than the interval; retraining on more tracks may have helped"
