"""Running a network from a file: ``.keras`` in Keras' safe mode, ``.tflite`` in TensorFlow Lite. A file is data: nothing in it is run as Python.

What a file takes is read off its input's shape: patches (batch, 96, 64) with or without a last 1; windows of samples (batch, n); one window (n,); or a
clip of any length (None,). Its embedding is the output whose last side is the network's size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.archives import require_sound_archive
from genre_models.audio import Undecodable
from genre_models.errors import TrunkUnavailable
from genre_models.memory import MIB, bounded_growth
from genre_models.sound_networks import BANDS, NETWORKS, PATCH_FRAMES, SR, SUFFIXES, UNREADABLE, SoundNetwork, hash_of_network
from genre_models.sound_networks.patches import padded, patches, windows

_LEAST_SAMPLES, _MOST_SAMPLES = 1_600, 60 * SR  # of a window of fixed size
_BATCH = 64
_GROWTH_MIB, _GROWTH_PER_MIB = 512, 6  # what loading a file may take, as of a saved model: it may declare, or unpack to, anything
Run = Callable[[np.ndarray], np.ndarray]


def embed(y: np.ndarray, name: str, file: str, sha256: str) -> np.ndarray:
    """The vector of a clip.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples of 16 kHz, -1 to 1.
    name : str
        Of the network.
    file : str
    sha256 : str
        Of the file, as it must be.

    Returns
    -------
    np.ndarray [shape=(size,), dtype=float32]
        Mean of the embeddings of its patches.

    Raises
    ------
    TrunkUnavailable
        The file can't be had, or is no such network.
    Undecodable
        The network gives something that is not finite.
    """
    rows = open_network(name, file, sha256)(y)
    vector = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise Undecodable(f"is sound of which {name} makes no finite numbers")
    return vector


@lru_cache(maxsize=2)
def open_network(name: str, file: str, sha256: str) -> Run:
    """A function from a clip's samples to the embeddings of its patches [shape=(n_patches, size)]; parameters and errors as of `embed`."""
    path = Path(file)
    if path.suffix not in SUFFIXES:
        raise TrunkUnavailable(f"{path}: the name of a file with {name} must end in {' or '.join(SUFFIXES)}; correct features.weights")
    found = hash_of_network(file)
    if found == UNREADABLE:
        raise TrunkUnavailable(f"{path}: there is no file with {name} that can be read; correct features.weights")
    if found != sha256:
        raise TrunkUnavailable(f"{path}: has SHA-256 {found[:12]}…, but {sha256[:12]}… is wanted: put the file of {name} back, or correct features.weights")
    shape, run = _of_keras(path) if path.suffix == ".keras" else _of_tflite(path)
    return _fed(NETWORKS[name], path, shape, run)


def check_network(name: str, file: str, sha256: str) -> str | None:
    """Why a file is not the network it should be, in one line; None where a second of silence goes through it. To be called in a process of its own."""
    try:
        embed(np.zeros(SR, np.float32), name, file, sha256)
    except (TrunkUnavailable, Undecodable) as error:
        return str(error) if isinstance(error, TrunkUnavailable) else f"{file}: of silence {error}"
    return None


def _fed(network: SoundNetwork, path: Path, shape: tuple[int | None, ...], run: Callable[[np.ndarray], Sequence[np.ndarray]]) -> Run:
    """The network behind its front: what `run` takes follows from the shape of its input."""

    def pick(outputs: Sequence[np.ndarray]) -> np.ndarray:
        of_size = [out for out in outputs if out.shape[-1:] == (network.size,)]
        if len(of_size) != 1:
            found = ", ".join(str(out.shape) for out in outputs)
            raise TrunkUnavailable(f"{path}: {network.name} must have one output of {network.size} numbers, but its outputs have the shapes {found}")
        return np.asarray(of_size[0], np.float32).reshape(-1, network.size)

    def in_batches(items: np.ndarray) -> np.ndarray:
        return np.concatenate([pick(run(items[start : start + _BATCH])) for start in range(0, len(items), _BATCH)])

    if shape[1:] in ((PATCH_FRAMES, BANDS), (PATCH_FRAMES, BANDS, 1)):
        return lambda y: in_batches(patches(y, network).reshape(-1, *shape[1:]))
    if len(shape) == 2 and shape[1] is not None and _LEAST_SAMPLES <= shape[1] <= _MOST_SAMPLES:
        return lambda y: in_batches(windows(y, network, shape[1]))
    if len(shape) == 1 and (shape[0] is None or shape[0] >= _LEAST_SAMPLES):
        return lambda y: np.concatenate([pick(run(each)) for each in ([padded(y, network)] if shape[0] is None else windows(y, network, shape[0]))])
    told = " x ".join("any" if side is None else str(side) for side in shape)
    raise TrunkUnavailable(
        f"{path}: takes items of shape {told}, but a file with {network.name} must take (batch, {PATCH_FRAMES}, {BANDS}), log-mel patches, or samples of {SR} Hz"
    )


def _of_keras(path: Path) -> tuple[tuple[int | None, ...], Callable[[np.ndarray], Sequence[np.ndarray]]]:
    from genre_models.framework import import_keras

    import_keras()
    import keras

    try:
        require_sound_archive(path)
        with _bounded(path):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the part that failed raises
        raise TrunkUnavailable(f"{path}: can't be loaded as a Keras model in safe mode: {_first_line(error)}") from error
    if len(model.inputs) != 1:
        raise TrunkUnavailable(f"{path}: takes {len(model.inputs)} inputs; one is wanted")

    def run(items: np.ndarray) -> list[np.ndarray]:
        outputs = model(items, training=False)
        outputs = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return [keras.ops.convert_to_numpy(out) for out in outputs]

    return tuple(model.inputs[0].shape), run


def _of_tflite(path: Path) -> tuple[tuple[int | None, ...], Callable[[np.ndarray], Sequence[np.ndarray]]]:
    interpreter = _interpreter(path)
    given = interpreter.get_input_details()
    if len(given) != 1 or given[0]["dtype"] is not np.float32:
        kinds = ", ".join(str(np.dtype(each["dtype"])) for each in given)
        raise TrunkUnavailable(f"{path}: one input of float32 is wanted, but it takes {kinds or 'none'}; of quantised networks take the float one")
    place, declared = given[0]["index"], tuple(int(side) for side in given[0]["shape_signature"])
    shape = tuple(None if side == -1 or (len(declared) == 1 and side == 1) else side for side in declared)

    def run_one(items: np.ndarray) -> list[np.ndarray]:
        if tuple(interpreter.get_input_details()[0]["shape"]) != items.shape:
            interpreter.resize_tensor_input(place, items.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(place, items)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]).copy() for each in interpreter.get_output_details()]

    def run(items: np.ndarray) -> list[np.ndarray]:
        if shape[0] is None or len(shape) == 1:
            return run_one(items)
        one_by_one = [run_one(item[None]) for item in items]
        return [np.concatenate([np.atleast_2d(out) for out in outputs]) for outputs in zip(*one_by_one, strict=True)]

    return shape, run


def _interpreter(path: Path) -> Any:
    from genre_models.framework import import_keras

    import_keras()  # quietly; it brings TensorFlow
    import warnings

    import tensorflow as tf

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it will move to a package of its own
            make = tf.lite.Interpreter  # loads a part of TensorFlow, which is not the file's doing
            with _bounded(path):
                interpreter = make(model_path=str(path), num_threads=1)
                interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        raise TrunkUnavailable(f"{path}: can't be loaded as a TensorFlow Lite model: {_first_line(error)}") from error
    return interpreter


def _bounded(path: Path) -> AbstractContextManager[None]:
    return bounded_growth(_GROWTH_MIB + _GROWTH_PER_MIB * path.stat().st_size / MIB)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
