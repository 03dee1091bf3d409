"""Building a trunk with its weights. Importing this module imports Keras.

Nothing here leaves a trace in the global random states: Python's is put back as it was (Keras draws default seeds from it), NumPy's and
Keras' own are not touched.
"""

from __future__ import annotations

import difflib
import os
import random
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np

from genre_models.errors import SettingsError, TrunkUnavailable
from genre_models.trunks.registry import TRUNKS, Trunk
from genre_models.trunks.weights import hash_of_file, put_weights

_SEED = 20_141  # of weights: random
# Standard deviations that EfficientNet's ImageNet weights divide by a second time, by their root (keras.applications.efficientnet).
_EFFICIENTNET_DEVIATION = np.array([0.229, 0.224, 0.225])


def load_trunk(name: str, weights: str, side: int, cut: str, sha256: str | None = None) -> keras.Model:
    """Load a pretrained network up to a layer.

    Parameters
    ----------
    name : str
        A key of `genre_models.trunks.registry.TRUNKS`.
    weights : str
        ``"imagenet"``: downloaded by Keras, which checks its hash. ``"random"``: of a fixed seed, the same at every size and cut.
        Otherwise a file: ``.weights.h5`` (which may end at a layer), ``.h5`` (as keras.applications has them), ``.keras``.
    side : int
        Height and width of its input, pixels.
    cut : str
        Layer whose output the model has. The dense layers at the end of a network are built only where it is one of them.
    sha256 : str or None
        Of the file, as it must be.

    Returns
    -------
    keras.Model
        Preprocessed pixels [shape=(n, side, side, 3), dtype=float32] to the output of the cut; nothing of it is trainable.

    Raises
    ------
    TrunkUnavailable
        If there are no weights, or not up to the cut.
    SettingsError
        If there is no such layer, or it can't be had at that size.
    """
    return load_outputs(name, weights, side, [cut], sha256)


def load_outputs(name: str, weights: str, side: int, cuts: Sequence[str], sha256: str | None = None) -> keras.Model:
    """As `load_trunk` with several outputs, in the order of `cuts`."""
    network, _ = load_network(name, weights, side, cuts, sha256)
    outputs = [network.get_layer(cut).output for cut in cuts]
    model = keras.Model(network.input, outputs[0] if len(outputs) == 1 else outputs, name=name)
    model.trainable = False
    return model


def load_network(name: str, weights: str, side: int, cuts: Sequence[str], sha256: str | None = None) -> tuple[keras.Model, str]:
    """The network with all its layers, of which those that lead to the cuts have their weights, and the last layer that has.

    Parameters and errors as `load_trunk`.
    """
    trunk = TRUNKS[name]
    cuts_of_top = [cut for cut in cuts if needs_top(trunk, cut)]
    top = bool(cuts_of_top)
    if weights == "imagenet":
        network = _downloaded(trunk, side, cuts_of_top)
        return network, network.layers[-1].name
    network = build_network(trunk, side, top)
    if weights == "random":
        _draw_weights(network)
        return network, network.layers[-1].name
    path = Path(weights).expanduser()
    covers = put_weights(network, path, cuts, name)
    if sha256 is not None and (found := hash_of_file(weights)) != sha256:
        raise TrunkUnavailable(f"{path}: has SHA-256 {found[:12]}…, but the study began with {sha256[:12]}…: put that file back")
    if trunk.application.startswith("EfficientNetB"):
        _scale_as_for_imagenet(network)
    return network, covers


def build_network(trunk: Trunk, side: int | None, top: bool) -> keras.Model:
    """A trunk with weights as Keras draws them; with `side` None at the size it was made for."""
    with _pythons_random_state_kept():
        return _application(trunk, side, top, None)


def symbolic_network(trunk: Trunk, side: int | None, top: bool) -> keras.Model:
    """A trunk whose variables have shapes but no values: as large as it may be, it takes no memory. It can't be run."""
    waiting = keras.src.backend.common.global_state.get_global_attribute("uninitialized_variables", [], set_to_default=True)
    before = len(waiting)
    with keras.StatelessScope(initialize_variables=False):
        network = build_network(trunk, side, top)
    del waiting[before:]  # else Keras would make up their values as soon as some other scope ends
    return network


def needs_top(trunk: Trunk, cut: str) -> bool:
    """Whether a cut is one of the layers that only the network with its classifier has; SettingsError where there is no such layer."""
    without, whole = _layer_names(trunk, False), _layer_names(trunk, True)
    if cut in without:
        return False
    if cut not in whole:
        near = difflib.get_close_matches(cut, dict.fromkeys((*trunk.cuts, *without, *whole)), 3)
        meant = f"did you mean {' or '.join(near)}? The " if near else "the "
        raise SettingsError(f"cut: {trunk.name} has no layer {cut!r}: {meant}usual cuts are {', '.join(trunk.cuts)}")
    return True


@lru_cache(maxsize=32)
def _layer_names(trunk: Trunk, top: bool) -> tuple[str, ...]:
    layers = symbolic_network(trunk, None if top else 64, top).layers
    return tuple(layer.name for layer in layers if not isinstance(layer, keras.layers.InputLayer))


def _application(trunk: Trunk, side: int | None, top: bool, weights: str | None) -> keras.Model:
    pooling = "avg" if not top and "avg_pool" in trunk.cuts else None
    shape = None if side is None else (side, side, 3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")  # weights do not depend on it
        return getattr(keras.applications, trunk.application)(include_top=top, weights=weights, input_shape=shape, pooling=pooling)


def _downloaded(trunk: Trunk, side: int, cuts_of_top: Sequence[str]) -> keras.Model:
    top = bool(cuts_of_top)
    if top and side != (made_for := symbolic_network(trunk, None, True).input_shape[1]):
        raise SettingsError(
            f"features.trunk_side: {side}, but {cuts_of_top[0]} of {trunk.name} with ImageNet weights takes {made_for}: set "
            f"features.trunk_side: {made_for} or take an earlier cut, such as {trunk.cuts[0]}"
        )
    try:
        with _pythons_random_state_kept():
            return _application(trunk, side, top, "imagenet")
    except Exception as error:  # Keras raises a bare Exception for a failed download, and whatever the network layer raises
        raise TrunkUnavailable(_unavailable(trunk, top, str(error))) from error


def _unavailable(trunk: Trunk, top: bool, reason: str) -> str:
    url = re.search(r"URL fetch failure on (\S+): ", reason)
    file = url[1].rpartition("/")[2] if url else f"the file of {trunk.application} {'with' if top else 'without'} top"
    where = f" from {url[1]}" if url else " from where keras.applications has its weights"
    why = (reason.rpartition(" -- ")[2] if url else reason).strip().splitlines() or ["no reason given"]
    return (
        f"{trunk.name}: its ImageNet weights could not be downloaded ({why[0]}): get {file}{where} on a machine with a network, and put it "
        f"into {os.environ.get('KERAS_HOME', '~/.keras')}/models, or anywhere and set features.weights: FILE (for this trunk alone "
        f"features.weights: {{{trunk.name}: FILE}})"
    )


def _draw_weights(network: keras.Model) -> None:
    """Kernels as He et al. (2015, arXiv:1502.01852) draw them for rectifiers, from a layer's name alone; the rest stays as it is."""
    for layer in network.layers:
        rng = np.random.default_rng([_SEED, zlib.crc32(layer.name.encode())])
        for weight in layer.weights:
            if weight.name.endswith("kernel"):
                by_channel = isinstance(layer, keras.layers.DepthwiseConv2D)
                fan_in = np.prod(weight.shape[:2] if by_channel else weight.shape[:-1])
                weight.assign(rng.standard_normal(weight.shape, np.float32) * np.float32(np.sqrt(2 / fan_in)))


def _scale_as_for_imagenet(network: keras.Model) -> None:
    # Keras adds a layer for this where it loads ImageNet weights itself; here it goes into the variance, which is the same.
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, count = layer.get_weights()
            layer.set_weights([mean, variance * _EFFICIENTNET_DEVIATION.reshape(variance.shape[-1:]), count])
            layer.finalize_state()


@contextmanager
def _pythons_random_state_kept() -> Iterator[None]:
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
