"""The CNN family: what a configuration costs, and training it. Keras is imported only where a network is built.

The parameters are in `cnn_declaration`, the network in `cnn_network`. Sizes are (height, width, channels) with mel bands as rows and frames
as columns; convolutions keep the size ("same"), pools divide it and drop what is left over ("valid").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genre_models.errors import ConfigurationRefused
from genre_models.families.cnn_declaration import MOST_BLOCKS
from genre_models.families.declaration import Cost, parse_widths

if TYPE_CHECKING:
    from genre_models.fitted import Data, Fitted, Network

MOST_FILTERS = 512
_SLOTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 1}
_BYTES, _MIB = 4, 2**20
# Arrays of a block that training holds at once: at full size the activation and a gradient under way, with batch norm there its output and
# another gradient, with gelu the terms it is made of; at the pooled size the outputs, the dropout mask and a gradient. So chosen, they come
# within a third of the resident memory measured on a CPU for networks of 60 to 1,000 MiB.
_FULL_SIZE_ARRAYS, _POOLED_ARRAYS = 2, 4
_NORM_ARRAYS, _GELU_ARRAYS = 2, 3


def block_filters(params: Mapping[str, Any]) -> tuple[int, ...]:
    """Filters of each block.

    Parameters
    ----------
    params : mapping
        ``filters_per_layer``, or where that is "" ``depth``, ``filters``, ``filter_growth`` and, for single blocks, ``filters_1`` and so on.

    Returns
    -------
    tuple of int
        Block k (from 1) has its own number where that is given, and else ``round(filters * filter_growth ** (k - 1))``, at most 512.

    Raises
    ------
    ConfigurationRefused
        Where there are more than 6 blocks.
    """
    widths = parse_widths(params["filters_per_layer"])
    if len(widths) > MOST_BLOCKS:
        found = f"filters_per_layer: {params['filters_per_layer']!r} has {len(widths)} blocks"
        raise ConfigurationRefused(f"{found}; 1 to {MOST_BLOCKS} may be given")
    if widths:
        return widths
    grown = (min(MOST_FILTERS, round(params["filters"] * params["filter_growth"] ** k)) for k in range(params["depth"]))
    return tuple(params.get(f"filters_{block}") or filters for block, filters in enumerate(grown, start=1))


def pool_size(params: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the pools; refused unless `pool` has two numbers of 1 or more."""
    size = parse_widths(params["pool"])
    if len(size) != 2 or min(size) < 1:
        raise ConfigurationRefused(f'pool: {params["pool"]!r} must be "height-width", two numbers of 1 or more, such as "2-2"')
    return size


def block_sizes(params: Mapping[str, Any], input_shape: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width before each block, and after the last.

    Parameters
    ----------
    params : mapping
    input_shape : (height, width, channels)

    Raises
    ------
    ConfigurationRefused
        Where a pool is larger than what it pools; the message names the block and the sizes.
    """
    height, width = pool_size(params)
    depth = len(block_filters(params))
    sizes = [(int(input_shape[0]), int(input_shape[1]))]
    for block in range(1, depth + 1):
        before = sizes[-1]
        after = before[0] // height, before[1] // width
        if min(after) < 1:
            raise ConfigurationRefused(
                f"block {block} of {depth}: pool {height}x{width} (height x width) does not fit what is left of the "
                f"{input_shape[0]}x{input_shape[1]} input, {before[0]}x{before[1]}: take fewer blocks, smaller pools or larger features"
            )
        sizes.append(after)
    return sizes


def estimate(params: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> Cost:
    """Cost of a configuration by arithmetic alone.

    Parameters
    ----------
    params : mapping
        Every declared parameter.
    input_shape : (height, width, channels)
    n_classes : int

    Returns
    -------
    Cost
        `parameters` are the trainable ones, exactly as Keras counts them. `gflops` counts convolutions and dense layers. `memory_mib` is
        for training in float32 and comes on top of the runtime's own 0.7 GiB or so.

    Raises
    ------
    ConfigurationRefused
        Where the network can't be built at that input size.
    """
    sizes, filters = block_sizes(params, input_shape), block_filters(params)
    norm_before = params["batch_norm"] and params["batch_norm_place"] == "before_pool"
    full_size = _FULL_SIZE_ARRAYS + (_NORM_ARRAYS if norm_before else 0) + (_GELU_ARRAYS if params["activation"] == "gelu" else 0)
    weights = macs = activations = 0
    before = int(input_shape[2])
    for (height, width), pooled, n in zip(sizes, sizes[1:], filters):
        kernel = params["kernel"] ** 2 * before * n
        weights += kernel + n + (2 * n if params["batch_norm"] else 0)
        macs += kernel * height * width
        activations += n * (full_size * height * width + _POOLED_ARRAYS * pooled[0] * pooled[1])
        before = n
    if params["head"] == "flatten":
        before *= sizes[-1][0] * sizes[-1][1]
    for units in (*([params["dense_units"]] if params["dense_units"] else []), n_classes):
        weights += (before + 1) * units
        macs += before * units
        before = units
    copies = 3 + _SLOTS[params["optimizer"]]  # the weights, their gradients, the best so far, the optimizer's
    image = 3 * input_shape[0] * input_shape[1] * input_shape[2]  # as cached, scaled, augmented
    memory = _BYTES * (weights * copies + params["batch_size"] * (activations + image)) / _MIB
    return Cost(parameters=weights, gflops=2 * macs / 1e9, memory_mib=memory)


def builder(params: Mapping[str, Any], data: Data) -> Callable[..., Network]:
    """What builds the network that `fit` trains (`genre_models.families.cnn_network.build`).

    Raises
    ------
    ConfigurationRefused
        Where it can't be built at that input size.
    """
    block_sizes(params, data.input_shape)  # says what is wrong before Keras is there to say it worse
    from genre_models.families.cnn_network import build

    return build


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

    Raises
    ------
    ConfigurationRefused
        Where the network can't be built at that input size.
    """
    build = builder(params, data)
    from genre_models.training import train

    return train(
        build, params, data, epochs=epochs, seed=seed, report=report, resume=resume, precision=precision, learning_rates=learning_rates
    )
