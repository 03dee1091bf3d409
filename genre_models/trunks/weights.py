"""Weights of a trunk from files: which layers a file has, and putting them in. Imports Keras inside functions; h5py with it.

A file is data: ``.keras`` is loaded in safe mode, the others are read array by array, nothing is unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.archives import require_sound_archive
from genre_models.durable import sha256_file
from genre_models.errors import TrunkUnavailable
from genre_models.memory import MIB, bounded_growth
from genre_models.trunks.facts import parents_of

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, Sequence[Any]]
SUFFIXES = (".weights.h5", ".h5", ".keras")


@contextmanager
def open_arrays(path: Path) -> Iterator[tuple[Arrays, bool]]:
    """Open a file of weights.

    Parameters
    ----------
    path : Path

    Yields
    ------
    (mapping of str to sequence of array, bool)
        Arrays of each layer that has any, and whether they go by the layers' own names; otherwise by class and place (see `saved_names`).

    Raises
    ------
    TrunkUnavailable
        If it can't be read, or is no file of weights.
    """
    if not path.name.endswith(SUFFIXES):
        raise TrunkUnavailable(f"{path}: the name of a file of weights must end in one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise TrunkUnavailable(f"{path}: there is no such file of weights; correct features.weights")
    if path.suffix == ".keras":
        yield _of_model(path), True
        return
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise TrunkUnavailable(f"{path}: is no HDF5 file, or a broken one ({error}); get it again") from error
    with file:
        try:
            found = _of_file(file)
        except Exception as error:  # h5py raises whatever the part that is not as it should be leads to
            raise TrunkUnavailable(f"{path}: its layers can't be read ({_first_line(error)}); get it again") from error
        if found is None:
            raise TrunkUnavailable(f"{path}: holds no layers; it must be saved by save_weights of a keras.applications network")
        yield found


def hash_of_file(weights: str) -> str:
    """SHA-256 of a file of weights; TrunkUnavailable where it can't be read."""
    path = Path(weights).expanduser()
    try:
        return sha256_file(path)
    except OSError as error:
        reason = error.strerror or error
        raise TrunkUnavailable(f"{path}: the file of weights can't be read ({reason}); correct features.weights") from error


def _of_file(file: Any) -> tuple[Arrays, bool] | None:
    group = file["model_weights"] if "model_weights" in file else file  # a whole model of Keras 2 has them one level down
    found = (_of_keras_2(group), True) if "layer_names" in group.attrs else (_of_keras_3(group["layers"]), False) if "layers" in group else None
    for array in () if found is None else (each for of_layer in found[0].values() for each in of_layer):
        tuple(array.shape)
    return found


def _of_keras_2(group: Any) -> Arrays:
    named = {_text(name): group[_text(name)] for name in group.attrs["layer_names"]}
    arrays = {name: [layer[_text(weight)] for weight in layer.attrs["weight_names"]] for name, layer in named.items()}
    return {name: of_layer for name, of_layer in arrays.items() if of_layer}


def _of_keras_3(group: Any) -> Arrays:
    arrays = {name: layer["vars"] for name, layer in group.items() if "vars" in layer}
    return {name: [of_layer[key] for key in sorted(of_layer, key=int)] for name, of_layer in arrays.items() if len(of_layer)}


def _of_model(path: Path) -> Arrays:
    import keras

    try:
        require_sound_archive(path)
        with bounded_growth(512 + 6 * path.stat().st_size / MIB):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the part that failed raises
        raise TrunkUnavailable(f"{path}: can't be loaded as a Keras model in safe mode: {_first_line(error)}") from error
    arrays: dict[str, list[Any]] = {}
    inside = [model]
    while inside:
        for layer in inside.pop().layers:
            if hasattr(layer, "layers"):
                inside.append(layer)
            elif layer.weights:
                arrays.setdefault(layer.name, layer.get_weights())
    return arrays


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def saved_names(network: keras.Model) -> list[str]:
    """Names of a network's layers in a ``.weights.h5``: the class, numbered from the second on, in the order of the layers."""
    counts: dict[str, int] = {}
    names = []
    for layer in network.layers:
        kind = _snake_case(type(layer).__name__)
        names.append(f"{kind}_{counts[kind]}" if counts.get(kind) else kind)
        counts[kind] = counts.get(kind, 0) + 1
    return names


def _snake_case(name: str) -> str:
    """As Keras spells a class in its files: Conv2D is conv2d, ZeroPadding2D is zero_padding2d, ReLU is re_lu."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))).lower()


def put_weights(network: keras.Model, path: Path, cuts: Sequence[str], name: str) -> str:
    """Put a file's weights into a network, as far as the file goes.

    Parameters
    ----------
    network : keras.Model
    path : Path
    cuts : sequence of str
        Layers that the file must reach.
    name : str
        Of the trunk, for messages.

    Returns
    -------
    str
        Last layer that the file covers, with all that leads there.

    Raises
    ------
    TrunkUnavailable
        If the file can't be read, is of another network, or ends before a cut.
    """
    with open_arrays(path) as (arrays, by_name):
        names = [layer.name for layer in network.layers] if by_name else saved_names(network)
        found = {layer.name: arrays[key] for layer, key in zip(network.layers, names, strict=True) if layer.weights and key in arrays}
        if by_name:
            found = {**_of_numbered_names(network, arrays), **found}
        _check_shapes(network, found, path, name)
        covered = _covered(network, found)
        if beyond := [cut for cut in cuts if cut not in covered]:
            last = next((layer.name for layer in reversed(network.layers) if layer.name in covered and covered[layer.name]), None)
            reach = f"covers it up to {last} only" if last else f"has no weights of its first layers (it has {_some(arrays)})"
            raise TrunkUnavailable(
                f"{path}: {name} is to be cut at {beyond[0]}, but the file {reach}: cut there or before, or set features.weights to a file "
                "that goes further"
            )
        for layer in network.layers:
            if layer.name in found and layer.name in covered:
                try:
                    layer.set_weights([array[()] for array in found[layer.name]])
                except (OSError, ValueError, TypeError) as error:
                    raise TrunkUnavailable(f"{path}: the weights of layer {layer.name} can't be read ({_first_line(error)}); get the file again") from error
        return next(layer.name for layer in reversed(network.layers) if layer.name in covered)


def _of_numbered_names(network: keras.Model, arrays: Arrays) -> dict[str, Sequence[Any]]:
    """Arrays of layers without a name of their own, which Keras numbers through a program: taken where there is one on both sides."""

    def numbered(names: Iterable[str], kind: str) -> list[str]:
        return [name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)]

    weighted = {layer.name: _snake_case(type(layer).__name__) for layer in network.layers if layer.weights}
    both = ((numbered(weighted, kind), numbered(arrays, kind)) for kind in set(weighted.values()))
    return {ours[0]: arrays[theirs[0]] for ours, theirs in both if len(ours) == len(theirs) == 1}


def _check_shapes(network: keras.Model, found: Arrays, path: Path, name: str) -> None:
    for layer in network.layers:
        have = [tuple(array.shape) for array in found.get(layer.name, ())]
        want = [tuple(weight.shape) for weight in layer.weights]
        if layer.name in found and have != want:
            side = network.input_shape[1]
            raise TrunkUnavailable(
                f"{path}: layer {layer.name} has arrays of shapes {have}, but those of {name} at {side} x {side} pixels are {want}: the "
                "file is of another network, or (for dense layers) of another features.trunk_side"
            )


def _covered(network: keras.Model, found: Arrays) -> dict[str, bool]:
    """Layers whose output the file settles, and whether anything of the file goes into it."""
    covered: dict[str, bool] = {}
    for layer in network.layers:
        before = [operation.name for operation in parents_of(layer)]
        if all(parent in covered for parent in before) and (layer.name in found or not layer.weights):
            covered[layer.name] = layer.name in found or any(covered[parent] for parent in before)
    return covered


def _some(arrays: Arrays) -> str:
    names = list(arrays)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") if names else "none"
