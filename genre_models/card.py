"""The card of a model: what it is, what it was trained and scored on, and how to repeat that."""

from __future__ import annotations

from genre_models.comparison import families_card
from genre_models.metrics import interval_text

_INPUTS = {"audio": "log-mel spectrograms", "image": "images", "handcrafted": "handcrafted features of the sound", "table": "rows of a table"}


def card(metrics: dict, pipeline: dict) -> str:
    """A short account of the model in Markdown: what it is, what it was trained and scored on, and how to repeat that."""
    validation = metrics["validation_accuracy"]
    scored = "nothing on record" if validation is None else f"{validation:.3f}{mean_over(metrics)}"
    confirmed = metrics.get("confirmed")
    if confirmed is not None:
        scored += f"; of the best few,\nall trained again on {confirmed['folds']} folds, it had the best score, {again(confirmed)}"
    title = f"# {metrics['family']} from study {metrics['study']}, trial {metrics['trial']}"
    demo = "\n\n**demo**: trained and scored on synthesised music. The numbers say nothing about real genres.\n" if metrics["demo"] else "\n"
    look = f"Look {metrics['look']} at split `{metrics['split_id']}`" + (f"; looked again because: {metrics['reason']}" if metrics["reason"] else "")
    packages = ", ".join(f"{name} {version}" for name, version in pipeline["versions"].items())
    return f"""{title}{demo}
Tells {len(metrics["labels"])} classes of {"tracks" if pipeline["kind"] == "table" else pipeline["kind"]} apart: {", ".join(metrics["labels"])}.

| score on {metrics["n_tracks"]} held-out tracks | value | 95 % interval |
|---|---|---|
| accuracy | {metrics["accuracy"]:.3f} | {interval_text(metrics["accuracy_ci95"])} |
| macro F1 | {metrics["macro_f1"]:.3f} | {interval_text(metrics["macro_f1_ci95"])} |
| log loss | {metrics["log_loss"]:.3f} nats | {interval_text(metrics["log_loss_ci95"])} |
| calibration error | {metrics["ece"]:.3f} (15 bins) | |
{_calibration_rows(metrics)}
Intervals count {_counted(metrics)}. {look}. In the search, on validation tracks, the trial scored {scored}: such scores chose
the model, so they flatter it{_worth_in_card(metrics)}; the table above is the honest one, for tracks like these.
{families_card(metrics)}
- {_trained(metrics, pipeline)}; {pipeline["parameters"]:,} parameters.
- Input: {_input_in_words(pipeline)}.
- Model: `model/{metrics["model"]}` (SHA-256 `{metrics["model_sha256"]}`), features and labels: `model/pipeline.json`.
- Memory while evaluating: at most {metrics["peak_ram_evaluation_mib"]:.0f} MiB, this process as a whole.
- Made with {packages}.
- To see it again: `python scripts/final_eval.py --study {metrics["study"]}`; it shows this look and evaluates nothing.
"""


def _calibration_rows(metrics: dict) -> str:
    found = metrics["calibration"]
    if found["temperature"] is None:
        return ""
    at = f"at temperature {found['temperature']:.3g}"
    rows = f"| log loss {at} | {found['log_loss']:.3f} nats | |\n| calibration error {at} | {found['ece']:.3f} | |\n"
    return rows + "\nThe temperature is that of the trial's validation predictions; the saved model's probabilities are not scaled by it, and no class changes.\n"


def _counted(metrics: dict) -> str:
    if metrics["n_groups"] == metrics["n_tracks"]:
        return "each track for itself"
    return f"{metrics['n_groups']} groups of tracks that go together (copies, artists), not tracks"


def _worth_in_card(metrics: dict) -> str:
    found = metrics.get("expected")
    if found is None:
        return ""
    return f" (by resampling those tracks, it was worth {found['value']:.3f}, {interval_text(found['interval'])})"


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


def mean_over(metrics: dict) -> str:
    parts = metrics.get("validated_by", "hold-out")  # looks of before folds do not say
    return "" if parts == "hold-out" else f" (mean over {parts})"


def again(confirmed: dict) -> str:
    """The confirmed score: an accuracy, or another metric with the accuracy beside it."""
    if confirmed["metric"] == "val_accuracy":
        return f"{confirmed['value']:.3f}"
    accuracy = confirmed["val_accuracy"]
    return f"{confirmed['metric']} {confirmed['value']:.3f}" + ("" if accuracy is None else f" (accuracy {accuracy:.3f})")
