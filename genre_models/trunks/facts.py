"""What a trunk costs, layer by layer, and where it can be parted: plain numbers, so that the driver and `estimate` need no Keras.

`facts_of` reads them off a Keras model; everything else here works on them. Counted is what leads to a layer's output, and nothing beside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genre_models.errors import ConfigurationRefused

if TYPE_CHECKING:
    import keras


def trunk_key(settings: Mapping[str, Any]) -> str:
    """Name under which `prepare_trunks` gives the facts of a trunk: everything of the settings that they depend on."""
    return f"{settings['trunk']}|{settings['weights']}|{settings['side']}"


def cut_shape(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of one item's output at the settings' cut: (d,) where it is a vector or pooled, else (height, width, channels)."""
    shape = tuple(facts["layers"][settings["cut"]]["shape"])
    return shape if len(shape) == 1 or settings["pooling"] == "flat" else shape[-1:]


def blocks_before(facts: Mapping[str, Any], cut: str) -> list[str]:
    """Block ends that lie strictly before a cut, first to last."""
    place = {name: number for number, name in enumerate(facts["layers"])}
    return [name for name in facts["blocks"] if place[name] < place[cut]]


def boundary(facts: Mapping[str, Any], cut: str, n: int) -> str:
    """The layer from which on `n` blocks before a cut are trained.

    Parameters
    ----------
    facts : mapping
    cut : str
    n : int
        From 1: what lies between the last block end before the cut, and the cut.

    Returns
    -------
    str

    Raises
    ------
    ConfigurationRefused
        Where there are not that many.
    """
    ends = blocks_before(facts, cut)
    if not 1 <= n <= len(ends):
        raise ConfigurationRefused(
            f"fine_tune_blocks: {n} blocks before {cut} were asked for, but {_at_most(len(ends))} can be trained there: take fewer, or "
            "a later cut"
        )
    return ends[-n]


def _at_most(n: int) -> str:
    return f"only {n}" if n else "none"


def facts_of(network: keras.Model, blocks: str, covers: str | None = None) -> dict[str, Any]:
    """Read the facts off a network.

    Parameters
    ----------
    network : keras.Model
        Its variables need no values.
    blocks : str
        As of `genre_models.trunks.registry.Trunk`.
    covers : str or None
        Last layer that the weights at hand reach; None for all. Those behind it are left out.

    Returns
    -------
    dict
        ``layers``: for each layer in order its ``shape`` (without the batch), the ``parameters`` of all layers that lead to its output, its
        own included (batch-norm statistics too, as ``count_params`` does), how many of them fine-tuning trains (``tunable``: all but batch
        norm's), and their ``gflops``: forward pass of one item, a multiplication and an addition counted as two, in convolutions and dense
        layers. ``blocks``: layers that match and through which everything flows, so that the network can be parted there. ``covers``.
    """
    place = {layer.name: number for number, layer in enumerate(network.layers)}
    parents = [sorted({place[operation.name] for operation in parents_of(layer)}) for layer in network.layers]
    last_use = {parent: child for child, of in enumerate(parents) for parent in of}
    parameters, gflops = [layer.count_params() for layer in network.layers], [_gflops(layer) for layer in network.layers]
    tunable = [_tunable(layer) for layer in network.layers]
    leading: list[set[int]] = []
    reach = 0  # the last layer that takes something from before the one looked at
    layers: dict[str, Any] = {}
    parts: list[str] = []
    for number, layer in enumerate(network.layers):
        leading.append({number}.union(*(leading[parent] for parent in parents[number])))
        if reach <= number and re.fullmatch(blocks, layer.name):
            parts.append(layer.name)
        reach = max(reach, last_use.get(number, 0))
        layers[layer.name] = {
            "shape": [int(side) for side in layer.output.shape[1:]],
            "parameters": sum(parameters[i] for i in leading[number]),
            "tunable": sum(tunable[i] for i in leading[number]),
            "gflops": sum(gflops[i] for i in leading[number]),
        }
        if layer.name == covers:
            break
    return {"layers": layers, "blocks": parts, "covers": covers or network.layers[-1].name}


def parents_of(layer: keras.layers.Layer) -> list[Any]:
    """Layers whose output a layer takes."""
    import keras

    if isinstance(layer, keras.layers.InputLayer):
        return []
    given = layer.input
    return [tensor._keras_history.operation for tensor in (given if isinstance(given, (list, tuple)) else [given])]


def _tunable(layer: keras.layers.Layer) -> int:
    import keras

    is_kept = isinstance(layer, (keras.layers.BatchNormalization, keras.layers.Normalization))
    return 0 if is_kept else layer.count_params()


def _gflops(layer: keras.layers.Layer) -> float:
    """Of one item, forward."""
    places = math.prod(layer.output.shape[1:-1])
    kernels = (weight for weight in layer.weights if weight.name.endswith("kernel"))  # of dense and of (depthwise, separable) convolutions
    return 2 * places * sum(math.prod(kernel.shape) for kernel in kernels) / 1e9
