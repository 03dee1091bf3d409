"""The networks of the transfer families: a head on the trunk's output at the cut; for fine-tuning the trunk's last blocks and the head.

The layers of the head are made once and serve both networks, so the second begins where the first was. Batch norm of the trunk keeps the
statistics it came with: batches of a few hundred tracks can't give better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from genre_models.batch_norm import Settler, applied, applied_in_training
from genre_models.families.declaration import parse_widths
from genre_models.fitted import POLICIES, Data, Network
from genre_models.moments import channel_moments

_LARGEST_SEED = 2**31


class Networks:
    """Both networks of one training.

    Parameters
    ----------
    data : Data
        Of the first phase, with `trunk`.
    boundary : str or None
        The layer after which the second phase trains the trunk.
    """

    def __init__(self, data: Data, boundary: str | None) -> None:
        self._data, self._boundary = data, boundary
        self._stack: list[layers.Layer] = []
        self._softmax: layers.Layer | None = None
        self._policy, self._is_measured = "float32", False

    def head(
        self,
        params: Mapping[str, Any],
        input_shape: Sequence[int],
        n_classes: int,
        *,
        input_dtype: str,
        seed: int,
        precision: str = "float32",
    ) -> Network:
        """The network of the first phase; parameters as of `genre_models.families.cnn_network.build`, of the trunk's output."""
        seeds = iter(np.random.SeedSequence(seed).generate_state(32) % _LARGEST_SEED)
        moments = channel_moments(self._data) if params["standardise"] else None
        self._stack = _head(params, tuple(input_shape), n_classes, moments, POLICIES[precision], seeds)
        self._softmax = layers.Softmax(dtype="float32", name="probabilities")
        self._policy, self._is_measured = POLICIES[precision], params["batch_norm"] and bool(params["head_units"])
        inputs = keras.Input(tuple(input_shape), dtype=input_dtype, name="features")
        return self._network(inputs, inputs, inputs, self._whole)

    def with_tail(self, first: Network, data: Data) -> Network:
        """The network of the second phase, on the trunk's output at the boundary: the blocks after it, pooling, the first one's head."""
        trunk = self._data.trunk
        tail, pool = trunk.tail(self._boundary, self._policy), trunk.pool()
        dtype = data.features(data.train_ids[:1]).dtype.name
        inputs = keras.Input(tuple(data.input_shape), dtype=dtype, name="features")
        trained, settled = applied(pool, tail(inputs)), applied(pool, tail(inputs, training=False))

        def finish(core: keras.Model) -> keras.Model:
            whole = trunk.whole()
            for layer in tail.layers:
                if layer.weights:
                    whole.get_layer(layer.name).set_weights(layer.get_weights())
            return self._to_probabilities(whole.inputs, whole.output)

        return self._network(inputs, trained, settled, finish)

    def _whole(self, core: keras.Model) -> keras.Model:
        whole = self._data.trunk.whole()
        return self._to_probabilities(whole.inputs, whole.output)

    def _to_probabilities(self, inputs: Any, x: Any) -> keras.Model:
        return keras.Model(inputs, self._softmax(applied(self._stack, x)), name="transfer")

    def _network(self, inputs: Any, x: Any, settled: Any, finish: Callable[[keras.Model], keras.Model]) -> Network:
        """The network whose head takes `x`, a function of `inputs`; `settled` is the same without dropout."""
        core = self._to_probabilities(inputs, x)
        logits = layers.Activation("linear", dtype="float32", name="logits")(applied_in_training(self._stack, x))
        settler = None
        if self._is_measured:
            settler = Settler.of(inputs, settled, self._stack)
        return Network(core, keras.Model(inputs, logits, name="transfer_training"), settler, finish)


def _head(
    params: Mapping[str, Any],
    input_shape: tuple[int, ...],
    n_classes: int,
    moments: tuple[np.ndarray, np.ndarray] | None,
    policy: str,
    seeds: Iterator[Any],
) -> list[layers.Layer]:
    stack: list[layers.Layer] = []
    if moments is not None:
        stack.append(layers.Normalization(axis=-1, mean=moments[0], variance=moments[1], dtype="float32", name="head_standardise"))
    if len(input_shape) > 1:
        stack.append(layers.Flatten(dtype=policy, name="head_flatten"))
    units = parse_widths(params["head_units"])
    for k, width in enumerate((*units, n_classes), start=1):
        if params["dropout"] > 0:
            stack.append(layers.Dropout(params["dropout"], seed=int(next(seeds)), dtype=policy, name=f"head_dropout{k}"))
        if k > len(units):
            stack.append(layers.Dense(width, dtype=policy, name="head_output"))
            break
        stack.append(layers.Dense(width, dtype=policy, name=f"head_dense{k}"))
        if params["batch_norm"]:
            stack.append(layers.BatchNormalization(dtype=policy, name=f"head_norm{k}"))
        stack.append(layers.Activation(params["activation"], dtype=policy, name=f"head_activation{k}"))
    return stack
