"""Networks as files of other runtimes: one float32 input, float32 throughout. Imports Keras and TensorFlow inside functions."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.errors import GenreModelsError
from genre_models.export import INPUT, OUTPUT
from genre_models.export.description import DESCRIPTION, LABELS, as_text, labels_text
from genre_models.keras_model import with_float32_input

if TYPE_CHECKING:
    import keras
    import onnx

OPSET = 17


def load_network(path: Path) -> keras.Model:
    """A saved network in float32, from a float32 input of the name that exports have."""
    import keras

    return with_float32_input(keras.saving.load_model(path, compile=False, safe_mode=True), INPUT)


def to_saved_model(network: keras.Model, folder: Path, description: dict[str, Any]) -> None:
    """Write a SavedModel; the description goes where TensorFlow keeps what is a user's, ``assets.extra``."""
    network.export(str(folder), format="tf_saved_model", verbose=False, input_signature=_signature(network))
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / DESCRIPTION).write_text(as_text(description), encoding="utf-8")
    (extra / LABELS).write_text(labels_text(description), encoding="utf-8")


def to_tflite(network: keras.Model, path: Path, description: dict[str, Any]) -> None:
    """Write a TensorFlow Lite file of built-in operations; the description is in the archive at its end, where such files keep what goes with them.

    Raises
    ------
    GenreModelsError
        The network has an operation that TensorFlow Lite lacks.
    """
    import tensorflow as tf

    try:
        target = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
        network.export(str(path), format="litert", verbose=False, input_signature=_signature(network), target_spec=target)
    except Exception as error:  # the converter raises what its parts raise
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line or "ops:" in line] or [type(error).__name__]
        raise GenreModelsError(f"TensorFlow Lite can't express this network ({lines[0][:200]}); take --to onnx or --to saved_model") from error
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(DESCRIPTION, as_text(description))
        archive.writestr(LABELS, labels_text(description))


def to_onnx(network: keras.Model, path: Path) -> onnx.ModelProto:
    """A network as an ONNX model; `path` is written on the way.

    Raises
    ------
    GenreModelsError
        tf2onnx can't convert it.
    """
    import onnx

    try:
        network.export(str(path), format="onnx", verbose=False, input_signature=_signature(network), opset_version=OPSET)
        model = onnx.load(path)
    except Exception as error:  # the converter raises what its parts raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise GenreModelsError(f"tf2onnx can't convert this network ({said}); take --to saved_model") from error
    rename_ends(model, INPUT, OUTPUT)
    return model


def _signature(network: keras.Model) -> list[Any]:
    import tensorflow as tf

    return [tf.TensorSpec((None, *network.inputs[0].shape[1:]), tf.float32, name=INPUT)]


def rename_ends(model: onnx.ModelProto, name_in: str, name_out: str) -> None:
    """Give the one input and the one output of a graph their names."""
    renamed = {model.graph.input[0].name: name_in, model.graph.output[0].name: name_out}
    model.graph.input[0].name, model.graph.output[0].name = name_in, name_out
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
