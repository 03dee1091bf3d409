"""The feed-forward network, in Keras layers that every backend has, and how vectors come out of a pretrained network.

As in `cnn_network` one list of layers is applied twice: ending in probabilities (the core) and in logits (what is trained).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from genre_models.batch_norm import Settler, applied, applied_in_training
from genre_models.families.declaration import parse_widths
from genre_models.fitted import POLICIES, Network

_LARGEST_SEED = 2**31


def build(
    params: Mapping[str, Any],
    input_shape: Sequence[int],
    n_classes: int,
    *,
    input_dtype: str,
    seed: int,
    precision: str = "float32",
    scale: tuple[np.ndarray, np.ndarray] | None = None,
    trunk: Any = None,
) -> Network:
    """Build the network.

    Parameters
    ----------
    params : mapping
        Every declared parameter of the family.
    input_shape : (d,)
    n_classes : int
    input_dtype : {"float16", "float32"}
        Of the vectors as cached.
    seed : int
        Of dropout. Weights follow from `keras.utils.set_random_seed`.
    precision : {"float32", "bfloat16", "float16"}
        What hidden layers compute in; weights, scaling and output stay in float32.
    scale : (mean, deviation), each [shape=(d,)], optional
        What features are standardised by.
    trunk : TrunkHandle, optional
        The network that the vectors come from: the saved model begins with it.

    Returns
    -------
    Network
    """
    seeds = iter(np.random.SeedSequence(seed).generate_state(32) % _LARGEST_SEED)
    body = _body(params, n_classes, POLICIES[precision], seeds)
    if scale is not None:
        mean, deviation = scale
        body.insert(0, layers.Normalization(mean=mean, variance=np.square(deviation), dtype="float32", name="standardise"))
    probabilities = layers.Softmax(dtype="float32", name="probabilities")
    inputs = keras.Input(tuple(input_shape), dtype=input_dtype, name="features")
    core = keras.Model(inputs, probabilities(applied(body, inputs)), name="feedforward")
    logits = layers.Activation("linear", dtype="float32", name="logits")(applied_in_training(body, inputs))
    settler = None
    if params["batch_norm"]:
        settler = Settler.of(inputs, inputs, body)

    def finish(trained: keras.Model) -> keras.Model:
        whole = vector_trunk(trunk)
        return keras.Model(whole.inputs, probabilities(applied(body, whole.output)), name="feedforward_whole")

    return Network(core, keras.Model(inputs, logits, name="feedforward_training"), settler, None if trunk is None else finish)


def vector_trunk(trunk: Any) -> keras.Model:
    """A pretrained network from base features to a vector: a map is laid out as one, as the families on vectors have it.

    Parameters
    ----------
    trunk : TrunkHandle
    """
    whole = trunk.whole()
    if len(whole.output.shape) == 2:
        return whole
    return keras.Model(whole.inputs, layers.Flatten(dtype="float32", name="vector")(whole.output))


def _body(params: Mapping[str, Any], n_classes: int, policy: str, seeds) -> list[layers.Layer]:
    stack: list[layers.Layer] = []

    def drop(part: float, name: str) -> None:
        if part > 0:
            stack.append(layers.Dropout(part, seed=int(next(seeds)), dtype=policy, name=name))

    drop(params["input_dropout"], "input_dropout")
    for k, units in enumerate(parse_widths(params["units"]), start=1):
        stack.append(layers.Dense(units, dtype=policy, name=f"dense{k}"))
        stack.append(layers.Activation(params["activation"], dtype=policy, name=f"activation{k}"))
        if params["batch_norm"]:
            stack.append(layers.BatchNormalization(dtype=policy, name=f"batch_norm{k}"))
        drop(params["dropout"], f"dropout{k}")
    stack.append(layers.Dense(n_classes, dtype=policy, name="output"))
    return stack
