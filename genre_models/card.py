"""The card of a model: what it is for, what it was trained and scored on, what it costs, what it can't do, how to use and repeat it.

Source
------
The sections follow M. Mitchell et al., "Model cards for model reporting", FAT* 2019, arXiv:1810.03993, in short.
"""

from __future__ import annotations

import shlex

from genre_models.card_facts import cost_rows, data_lines, naive_line
from genre_models.comparison import families_card
from genre_models.metrics import interval_text
from genre_models.sound_networks import NETWORKS

_INPUTS = {"audio": "log-mel spectrograms", "image": "images", "handcrafted": "handcrafted features of the sound", "table": "rows of a table"}
_INPUTS |= {name: f"what {network.meaning} makes of the sound" for name, network in NETWORKS.items()}


def card(metrics: dict, pipeline: dict) -> str:
    """A short account of the model in Markdown.

    Parameters
    ----------
    metrics : dict
        As in ``metrics.json``.
    pipeline : dict
        ``pipeline.json`` of the model.
    """
    about = pipeline.get("about")
    title = f"# {metrics['family']} from study {metrics['study']}, trial {metrics['trial']}"
    demo = "\n\n**demo**: trained and scored on synthesised music. The numbers say nothing about real genres.\n" if metrics["demo"] else "\n"
    packages = ", ".join(f"{name} {version}" for name, version in pipeline["versions"].items())
    return f"""{title}{naive_line(about)}{demo}
Tells {len(metrics["labels"])} classes of {"images" if pipeline["kind"] == "image" else "tracks"} apart: {", ".join(metrics["labels"])}.

## Model

- {_trained(metrics, pipeline)}; {pipeline["parameters"]:,} parameters.
- Input: {_input_in_words(pipeline)}{_of_a_track(pipeline)}.
- Model: {_files(metrics, pipeline)}, features and labels: `model/pipeline.json`.
- Made with {packages}{_backend(pipeline)}.

## Intended use

For sorting, browsing and studying tracks like those it was trained on. Every answer is one of the classes above, also for music that is none of them. Not for decisions about
people (artists' pay, rights, who wrote what).

## Data

{_points(data_lines(about, metrics, pipeline))}

## Scores

| score on {metrics["n_tracks"]} held-out tracks | value | 95 % interval |
|---|---|---|
| accuracy | {metrics["accuracy"]:.3f} | {interval_text(metrics["accuracy_ci95"])} |
| macro F1 | {metrics["macro_f1"]:.3f} | {interval_text(metrics["macro_f1_ci95"])} |
| log loss | {metrics["log_loss"]:.3f} nats | {interval_text(metrics["log_loss_ci95"])} |
| calibration error | {metrics["ece"]:.3f} (15 bins) | |
{_calibration_rows(metrics)}
Intervals count {_counted(metrics)}. {_look(metrics)}. In the search, on validation tracks, the trial scored {_scored(metrics)}: such scores chose
the model, so they flatter it{_worth_in_card(metrics)}; the table above is the honest one, for tracks like these. {_weakest(metrics)}
{families_card(metrics)}
## Costs

{_table(cost_rows(metrics, pipeline))}

## Limits

{_points(_limits(metrics, pipeline))}

## Use and repeat

    {_NEWLINE.join(_commands(metrics, pipeline))}

The first shows this look and evaluates nothing; the last trains the trial once more and compares the curves.{_loaded_by(pipeline)}
"""


_NEWLINE = "\n    "


def _backend(pipeline: dict) -> str:
    """What a Keras network was trained on; models of before there was a choice do not say."""
    return f"; trained and evaluated on Keras' backend {pipeline['backend']}" if pipeline.get("backend") else ""


def _own_code(pipeline: dict) -> dict | None:
    """What is said of the family's own file, where that loads the model."""
    code = pipeline.get("code")
    return None if code is None or code["model"] is None else code


def _files(metrics: dict, pipeline: dict) -> str:
    code = _own_code(pipeline)
    files = {metrics["model"]: metrics["model_sha256"]} if code is None else code["model"]
    return ", ".join(f"`model/{name}` (SHA-256 `{sha256}`)" for name, sha256 in files.items())


def _loaded_by(pipeline: dict) -> str:
    code = _own_code(pipeline)
    if code is None:
        return ""
    return f" No code lies in this folder: the model is loaded by its family's file\n`{code['file']}`, and only where that has SHA-256 `{code['sha256']}`."


def _scored(metrics: dict) -> str:
    validation = metrics["validation_accuracy"]
    scored = "nothing on record" if validation is None else f"{validation:.3f}{mean_over(metrics)}"
    confirmed = metrics.get("confirmed")
    if confirmed is not None:
        scored += f"; of the best few,\nall trained again on {confirmed['folds']} folds, it had the best score, {again(confirmed)}"
    return scored


def _look(metrics: dict) -> str:
    return f"Look {metrics['look']} at split `{metrics['split_id']}`" + (f"; looked again because: {metrics['reason']}" if metrics["reason"] else "")


def _weakest(metrics: dict) -> str:
    """The class that is found least often, where there are any tracks of it."""
    found = [(told["recall"], label) for label, told in metrics["per_class"].items() if told["support"]]
    if not found:
        return ""
    recall, label = min(found)
    return f"Least often found is {label}: {recall:.0%} of its tracks."


def _limits(metrics: dict, pipeline: dict) -> list[str]:
    lines = ["Other recordings (old, live, another loudness or encoder, another tradition) may be told apart worse than these; nothing here says by how much."]
    settings = pipeline.get("input", pipeline)["features"]
    if pipeline.get("input", pipeline)["kind"] in ("audio", "handcrafted", *NETWORKS):
        lines.append(f"It hears the first {settings['clip_seconds']:g} s of a track and no more.")
    if metrics["accuracy_ci95"] is None or metrics["accuracy_ci95"][1] - metrics["accuracy_ci95"][0] > 0.1:
        lines.append(f"{metrics['n_tracks']} tracks are few: models whose scores differ by less than the interval's width can't be ranked by them.")
    lines.append("A genre is what the corpus calls one; people who label tracks disagree, and the model repeats the labels it was given.")
    return lines


def _commands(metrics: dict, pipeline: dict) -> list[str]:
    """As the composition root handed them over; of looks of before, those of a study in ``./studies`` that its space file says all of."""
    study, look = metrics["study"], metrics["look"]
    name = shlex.quote(study)
    plain = {
        "look": f"python scripts/final_eval.py --study {name}",
        "replay": f"python -m search.run --space {shlex.quote(f'studies/{study}/space.yaml')} --study {name} --replay {metrics['trial']}",
        "study": f"--study {name}",
        "final": shlex.quote(f"studies/{study}/final"),
    }
    told = (pipeline.get("about") or {}).get("commands") or plain
    model = told["study"] if look == 1 else f"--model {told['final']}/look-{look}"
    if _own_code(pipeline) is None:
        found = [told["look"], f"python scripts/predict.py {model} FILE…", f"python scripts/export.py {model} --to onnx", told["replay"]]
    else:
        found = [told["look"], f"{told.get('environment', '')}python scripts/predict.py {model} FILE…", told["replay"]]
    return [each for each in found if each]  # another tool's training is not replayed


def _points(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


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
    which = "the items of those folds" if metrics.get("confirmed") else "those tracks"
    return f" (by resampling {which}, it was worth {found['value']:.3f}, {interval_text(found['interval'])})"


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


def _of_a_track(pipeline: dict) -> str:
    segments = pipeline.get("segments", 1)
    return f", {segments} windows of a track, whose mean is the answer" if segments > 1 else ""


def mean_over(metrics: dict) -> str:
    parts = metrics.get("validated_by", "hold-out")  # looks of before folds do not say
    return "" if parts == "hold-out" else f" (mean over {parts})"


def again(confirmed: dict) -> str:
    """The confirmed score: an accuracy, or another metric with the accuracy beside it."""
    if confirmed["metric"] == "val_accuracy":
        return f"{confirmed['value']:.3f}"
    accuracy = confirmed["val_accuracy"]
    return f"{confirmed['metric']} {confirmed['value']:.3f}" + ("" if accuracy is None else f" (accuracy {accuracy:.3f})")
