"""The last touch on a Keras model before it is saved for good: it computes in float32. Imports Keras inside functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras


def rewrite_in_float32(path: Path) -> None:
    """Rewrite a saved model, trained in any precision, in place."""
    import keras

    in_float32(keras.saving.load_model(path, compile=False, safe_mode=True)).save(path)


def in_float32(model: keras.Model) -> keras.Model:
    """The same weights, which are float32 already, in layers that compute in float32 too.

    So what a file predicts depends on no machine's bfloat16, and whoever loads it gets the scores of the evaluation.
    """
    import keras

    def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.InputLayer):
            return layer  # its type is that of the features, not of any computation
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    if all(layer.compute_dtype == "float32" for layer in _leaves(model)):
        return model
    plain = keras.models.clone_model(model, clone_function=rebuilt, recursive=True)
    plain.set_weights(model.get_weights())
    for layer in _leaves(plain):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # a normalisation computes with a copy of its weights, made when it was built
    return plain


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers that compute, those of models within the model included."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif not isinstance(layer, keras.layers.InputLayer):  # its type is that of the features, not of any computation
            yield layer


def with_float32_input(model: keras.Model, name: str) -> keras.Model:
    """The same layers, in float32, behind an input of that name that takes float32, whatever type the features are kept in.

    Normalisations hold what they learned outside their weights, where converters do not find it; here it stands in layers of constants.
    """
    import keras

    model = in_float32(model)
    inputs = keras.Input(model.inputs[0].shape[1:], dtype="float32", name=name)
    given = [inputs] if isinstance(model.input, list) else inputs
    cloned = keras.models.clone_model(model, input_tensors=given, clone_function=_in_constants)
    return keras.Model(inputs, cloned.outputs[0])  # of one tensor, not of a list of one


def _in_constants(layer: keras.layers.Layer) -> keras.layers.Layer:
    import keras
    import numpy as np

    if not isinstance(layer, keras.layers.Normalization) or layer.invert:
        return layer
    mean, variance = keras.ops.convert_to_numpy(layer.mean), keras.ops.convert_to_numpy(layer.variance)
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    shifted, scaled = keras.layers.Rescaling(1.0, -mean, dtype="float32"), keras.layers.Rescaling(1 / deviation, dtype="float32")
    return keras.Sequential([shifted, scaled], name=f"{layer.name}_constants")
