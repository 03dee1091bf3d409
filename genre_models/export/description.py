"""What an exported file holds beside the weights: labels, how a track becomes an array, where the model comes from. Plain values.

As JSON under ``description`` in ONNX's metadata, as ``description.json`` in the archive at the end of a TensorFlow Lite file and in ``assets.extra`` of a SavedModel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genre_models.durable import sha256_file
from genre_models.export import INPUT, OUTPUT
from genre_models.features import USED_SETTINGS
from genre_models.sound_networks import NETWORKS

if TYPE_CHECKING:
    from genre_models.saved_model import SavedModel

DESCRIPTION, LABELS = "description.json", "labels.txt"
_VALUES = {
    "image": "pixels from 0 to 255",
    "audio": "log-mel spectrogram, low frequencies first: {normalise}",
    "handcrafted": "518 statistics of the sound, as in the FMA data set",
    **{name: f"mean of {network.size} numbers that {network.meaning} makes of each second" for name, network in NETWORKS.items()},
    "table": "the table's columns as they are, in the order of `columns`",
}
_NORMALISED = {"unit": "0 is 80 dB below the loudest point or less, 1 the loudest point", "item": "mean 0 and variance 1 in each track"}


def describe(model: SavedModel) -> dict[str, Any]:
    """What a user of the exported file needs to know, in plain values."""
    pipeline, settings = model.pipeline, model.input["features"]
    used = {name: settings[name] for name in USED_SETTINGS.get(model.kind, ())}
    scored = model.metrics or {}
    return {
        "schema": 1,
        "study": pipeline["study"],
        "trial": pipeline["trial"],
        "family": model.family,
        "demo": bool(pipeline.get("demo")),
        "labels": list(model.labels),
        "kind": model.kind,
        "features": used,
        "columns": model.input["table"]["columns"] if model.kind == "table" else None,
        "input": {"name": INPUT, "dtype": "float32", "shape": [None, *input_shape(model)], "values": _VALUES[model.kind].format(
            normalise=_NORMALISED.get(settings.get("normalise", "unit")))},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": [None, len(model.labels)]},
        "segments": model.segments,
        "temperature": model.temperature,
        "held_out": {key: scored[key] for key in ("accuracy", "accuracy_ci95", "n_tracks", "split_id") if key in scored} or None,
        "source": {"file": model.file.name, "sha256": sha256_file(model.file)},
        "versions": pipeline.get("versions", {}),
    }  # fmt: skip


def input_shape(model: SavedModel) -> tuple[int, ...]:
    """Shape of one item as the model takes it: a window, a vector, a row."""
    from genre_models.features import feature_shape
    from genre_models.segments import window_shape

    if model.kind == "table":
        return (len(model.input["table"]["columns"]),)
    shape = feature_shape(model.kind, model.input["features"])
    return shape if len(shape) == 1 else window_shape(shape, model.segments)


def as_text(description: dict[str, Any]) -> str:
    """The description as JSON."""
    return json.dumps(description, indent=1) + "\n"


def labels_text(description: dict[str, Any]) -> str:
    """A class a line, in the order of the probabilities."""
    return "".join(f"{label}\n" for label in description["labels"])
