"""The transfer families: what a head on a pretrained network costs, and training it. Keras is imported only where a network is built.

The parameters are in `transfer_declaration`, the networks in `transfer_network`. The head is trained on the trunk's output at the cut,
which is computed once for all trials; fine-tuning then trains the trunk's last blocks too, on its output at the boundary before them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genre_models.errors import ConfigurationRefused
from genre_models.families.declaration import Cost, parse_widths
from genre_models.trunks.facts import boundary

if TYPE_CHECKING:
    from genre_models.fitted import Data, Fitted, Network

_SLOTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 1}
_BYTES, _MIB = 4, 2**20
_ARRAYS = 3  # of a layer's output that training holds at once: before and after the activation, and a gradient


def boundary_of(params: Mapping[str, Any], trunk: Mapping[str, Any] | None) -> str | None:
    """The layer of the trunk after which fine-tuning trains it; None without fine-tuning.

    Raises
    ------
    ConfigurationRefused
        Where there are not as many blocks before the cut, or nothing is known of the trunk.
    """
    if params["fine_tune_blocks"] == 0:
        return None
    if trunk is None:
        raise ConfigurationRefused("fine_tune_blocks: nothing is known of the trunk's blocks, so none can be trained: set it to 0")
    return boundary(trunk, params["cut"], params["fine_tune_blocks"])


def estimate(params: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, trunk: Mapping[str, Any] | None = None) -> Cost:
    """Cost of a configuration by arithmetic alone.

    Parameters
    ----------
    params : mapping
        Every declared parameter.
    input_shape : (channels,) or (height, width, channels)
        Of the trunk's output at the cut, pooled if it is to be.
    n_classes : int
    trunk : mapping
        Facts of the trunk.

    Returns
    -------
    Cost
        `parameters` are the trainable ones at the end, exactly as Keras counts them: of the head, and with fine-tuning of the unfrozen
        blocks without their batch norm. `gflops` likewise: of the head, or of what comes after the boundary.

    Raises
    ------
    ConfigurationRefused
        Where there are not as many blocks to be trained.
    """
    before = math.prod(input_shape)
    weights = macs = 0
    held = 2 * before  # as cached, and standardised
    hidden = parse_widths(params["head_units"])
    for number, units in enumerate((*hidden, n_classes)):
        norm = params["batch_norm"] and number < len(hidden)
        weights += (before + 1) * units + (2 * units if norm else 0)
        macs += before * units
        held += units * (_ARRAYS + (2 if norm else 0)) + (before if params["dropout"] > 0 else 0)
        before = units
    gflops = 2 * macs / 1e9
    begin = boundary_of(params, trunk)
    if begin is not None:
        at_cut, at_boundary = trunk["layers"][params["cut"]], trunk["layers"][begin]
        weights += at_cut["tunable"] - at_boundary["tunable"]
        gflops += at_cut["gflops"] - at_boundary["gflops"]
        held += math.prod(at_boundary["shape"]) + _ARRAYS * sum(_tail_sizes(trunk, begin, params["cut"]))
    copies = 3 + _SLOTS[params["optimizer"]]  # the weights, their gradients, the best so far, the optimizer's
    return Cost(parameters=weights, gflops=gflops, memory_mib=_BYTES * (weights * copies + params["batch_size"] * held) / _MIB)


def _tail_sizes(facts: Mapping[str, Any], begin: str, cut: str) -> Iterator[int]:
    """Numbers in the output of each layer after the boundary, the cut included."""
    names = list(facts["layers"])
    for name in names[names.index(begin) + 1 : names.index(cut) + 1]:
        yield math.prod(facts["layers"][name]["shape"])


def builder(params: Mapping[str, Any], data: Data) -> Callable[..., Network]:
    """What builds the head that `fit` trains first.

    Raises
    ------
    ConfigurationRefused
        Where blocks of the trunk are to be trained too: that is a second network, on other items.
    """
    if boundary_of(params, data.trunk.facts) is not None:
        raise ConfigurationRefused(f"fine_tune_blocks: found {params['fine_tune_blocks']}; fine-tuning goes on with another network, and only a head can be had alone: set it to 0")
    from genre_models.families.transfer_network import Networks

    return Networks(data, None).head


def fit(
    params: Mapping[str, Any],
    data: Data,
    *,
    epochs: int,
    seed: int,
    report: Callable[..., str],
    resume: str | None = None,
    precision: str = "float32",
    learning_rates: Sequence[float] | None = None,
) -> Fitted:
    """Build and train one configuration; parameters, result and errors as `genre_models.training.train`.

    Parameters
    ----------
    data : Data
        Its features are the trunk's output at the cut; `trunk` is the network (`genre_models.trunks.handle.TrunkHandle`), and
        ``at(layer)`` the same tracks with the trunk's output there.
    Raises
    ------
    ConfigurationRefused
        Where there are not as many blocks to be trained.
    """
    begin = boundary_of(params, data.trunk.facts)
    from genre_models.families.transfer_network import Networks
    from genre_models.fitted import Switch
    from genre_models.training import train

    networks = Networks(data, begin)
    switch = None
    if begin is not None:
        switch = Switch(params["fine_tune_after"], params["fine_tune_factor"], lambda: data.at(begin), networks.with_tail)
    return train(
        networks.head, params, data, epochs=epochs, seed=seed, report=report, resume=resume, precision=precision,
        learning_rates=learning_rates, switch=switch,
    )
