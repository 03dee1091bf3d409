"""The CNN itself, in Keras layers that every backend has.

One list of layers is applied twice: to the scaled input, ending in probabilities (the core, which is what is saved), and to the augmented
input, ending in logits (what is trained). The two share all weights, so the core never contains augmentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from genre_models.augmentation import augmentation_layers
from genre_models.batch_norm import Settler, applied, applied_in_training
from genre_models.families.cnn import block_filters, pool_size
from genre_models.fitted import POLICIES, Network

_LARGEST_SEED = 2**31


def build(
    params: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, *, input_dtype: str, seed: int, precision: str = "float32"
) -> Network:
    """Build the network.

    Parameters
    ----------
    params : mapping
        Every declared parameter of the family.
    input_shape : (height, width, channels)
    n_classes : int
    input_dtype : {"uint8", "float16", "float32"}
        Of the features as cached; uint8 is scaled to 0..1 inside the network.
    seed : int
        Of dropout and augmentation. Weights follow from `keras.utils.set_random_seed`.
    precision : {"float32", "bfloat16", "float16"}
        What layers compute in; weights, augmentation and output stay in float32.

    Returns
    -------
    Network
    """
    seeds = iter(np.random.SeedSequence(seed).generate_state(32) % _LARGEST_SEED)
    policy = POLICIES[precision]
    augmentation = augmentation_layers(params, seeds)
    body = [*_blocks(params, policy, seeds), *_head(params, n_classes, policy, seeds)]
    inputs = keras.Input(tuple(input_shape), dtype=input_dtype, name="features")
    scaled = layers.Rescaling(1 / 255, dtype="float32", name="scale")(inputs) if input_dtype == "uint8" else inputs
    logits = applied_in_training(body, applied(augmentation, scaled))
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(applied(body, scaled))
    core = keras.Model(inputs, probabilities, name="cnn")
    trainer = keras.Model(inputs, layers.Activation("linear", dtype="float32", name="logits")(logits), name="cnn_training")
    settler = None
    if params["batch_norm"] and params["batch_norm_statistics"] == "measured":
        settler = Settler.of(inputs, scaled, body)
    return Network(core, trainer, settler)


def _blocks(params: Mapping[str, Any], policy: str, seeds) -> list[layers.Layer]:
    pool = layers.MaxPooling2D if params["pooling"] == "max" else layers.AveragePooling2D
    stack: list[layers.Layer] = []
    for k, filters in enumerate(block_filters(params), start=1):
        stack.append(layers.Conv2D(filters, params["kernel"], padding="same", dtype=policy, name=f"conv{k}"))
        stack.append(layers.Activation(params["activation"], dtype=policy, name=f"activation{k}"))
        stack.append(pool(pool_size(params), dtype=policy, name=f"pool{k}"))
        if params["batch_norm"]:
            place = -1 if params["batch_norm_place"] == "before_pool" else len(stack)
            norm = layers.BatchNormalization(momentum=params["batch_norm_momentum"], dtype=policy, name=f"batch_norm{k}")
            stack.insert(place, norm)
        if params["dropout"] > 0:
            stack.append(layers.Dropout(params["dropout"], seed=int(next(seeds)), dtype=policy, name=f"dropout{k}"))
    return stack


def _head(params: Mapping[str, Any], n_classes: int, policy: str, seeds) -> list[layers.Layer]:
    flat = layers.Flatten if params["head"] == "flatten" else layers.GlobalAveragePooling2D
    stack: list[layers.Layer] = [flat(dtype=policy, name=params["head"])]

    def drop(name: str) -> None:
        if params["dense_dropout"] > 0:
            stack.append(layers.Dropout(params["dense_dropout"], seed=int(next(seeds)), dtype=policy, name=name))

    if params["dense_units"]:
        if params.get("dense_dropout_place", "every") == "every":
            drop("dense_dropout")
        stack.append(layers.Dense(params["dense_units"], activation=params["activation"], dtype=policy, name="dense"))
    drop("output_dropout")
    stack.append(layers.Dense(n_classes, dtype=policy, name="output"))
    return stack
