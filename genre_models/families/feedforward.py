"""The feed-forward family: what a configuration costs, and training it. Keras is imported only where a network is built.

The parameters are in `feedforward_declaration`, the network in `feedforward_network`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from genre_models.errors import ConfigurationRefused
from genre_models.families.declaration import Cost, parse_widths

if TYPE_CHECKING:
    from genre_models.fitted import Fitted, Network
    from genre_models.vectors import VectorData

MOST_LAYERS = 12
_SLOTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 1}
_ARRAYS = 5  # of a hidden layer that training holds at once: output, activation, dropout mask, two gradients
_BYTES, _MIB = 4, 2**20


def estimate(params: Mapping[str, Any], input_shape: Sequence[int], n_classes: int, trunk: Mapping[str, Any] | None = None) -> Cost:
    """Cost of a configuration by arithmetic alone.

    Parameters
    ----------
    params : mapping
        Every declared parameter.
    input_shape : (d,)
    n_classes : int
    trunk : mapping, optional
        What is known of the network that vectors come from; they are cached, so it costs nothing here.

    Returns
    -------
    Cost
        `parameters` are the trainable ones, exactly as Keras counts them.

    Raises
    ------
    ConfigurationRefused
        More than 12 hidden layers.
    """
    units = parse_widths(params["units"])
    if len(units) > MOST_LAYERS:
        raise ConfigurationRefused(f"units: {params['units']!r} has {len(units)} layers; 1 to {MOST_LAYERS} may be given")
    sizes = (int(input_shape[0]), *units, n_classes)
    multiplied = sum(before * after for before, after in zip(sizes, sizes[1:]))
    weights = multiplied + sum(sizes[1:]) + (2 * sum(units) if params["batch_norm"] else 0)
    copies = 3 + _SLOTS[params["optimizer"]]  # the weights, their gradients, the best so far, the optimizer's
    memory = _BYTES * (weights * copies + params["batch_size"] * (3 * sizes[0] + _ARRAYS * sum(sizes[1:]))) / _MIB
    return Cost(parameters=weights, gflops=2 * multiplied / 1e9, memory_mib=memory)


def builder(params: Mapping[str, Any], data: VectorData) -> Callable[..., Network]:
    """What builds the network that `fit` trains (`genre_models.families.feedforward_network.build`), with the scale of these training items.

    Raises
    ------
    ConfigurationRefused
        As `estimate` does.
    TrainingDiverged
        A feature of a training item is not finite.
    """
    estimate(params, data.input_shape, len(data.labels))
    from genre_models.families.feedforward_network import build
    from genre_models.vectors import mean_and_deviation

    scale = mean_and_deviation(data, data.items_of(data.train_ids)[0]) if params["standardise"] else None
    return partial(build, scale=scale, trunk=data.trunk)


def fit(
    params: Mapping[str, Any],
    data: VectorData,
    *,
    epochs: int,
    seed: int,
    report: Callable[..., str],
    resume: str | None = None,
    precision: str = "float32",
    learning_rates: Sequence[float] | None = None,
) -> Fitted:
    """Build and train one configuration; parameters, result and errors as `genre_models.training.train`.

    Raises
    ------
    ConfigurationRefused
        As `estimate` does.
    TrainingDiverged
        Also where a feature of a training item is not finite.
    """
    build = builder(params, data)
    from genre_models.training import train

    return train(
        build,
        params,
        data,
        epochs=epochs,
        seed=seed,
        report=report,
        resume=resume,
        precision=precision,
        learning_rates=learning_rates,
    )
