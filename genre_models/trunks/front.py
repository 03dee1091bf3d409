"""From features as they are cached to what a trunk takes: pixels, three channels, its size, its own preprocessing. Imports Keras.

Built-in layers with fixed weights only, so that a saved model loads in safe mode and starts from the cached features. Values are pixels
from 0 to 255 throughout, in float32, until the trunk's preprocessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

_LUMA = np.array([299, 587, 114], np.float32) / 1000  # of red, green, blue: ITU-R 601, as Pillow's
_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)  # of ImageNet, as keras.applications' "caffe"
_MEAN_RGB, _DEVIATION_RGB = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # and its "torch"
DELTA_WIDTH = 9
DELTA_GAINS = (12.0, 16.0)
"""Pixels that a rise of one pixel a frame (or frame squared) adds to the middle, 127.5, of the delta and delta-delta channels. So chosen,
about one value in a hundred of a few GTZAN tracks is cut off."""


def add_front(features: Any, channels: str, normalise: str, side: int, preprocessing: str) -> Any:
    """Apply the front to features.

    Parameters
    ----------
    features : keras.KerasTensor [shape=(n, height, width, 1 or 3)]
        uint8 from 0 to 255, or floats: log-mel spectrograms.
    channels : {"repeat", "colour", "delta"}
        ``repeat``: grey three times, an RGB item as its luma. ``colour``: an RGB item as it is, a grey one in matplotlib's magma colours.
        ``delta``: grey, its delta and its delta-delta along the width, as ``librosa.feature.delta(width=9, mode="nearest")`` of order 1 and
        2, times `DELTA_GAINS`, about 127.5.
    normalise : {"unit", "item"}
        How floats were normalised: ``unit`` is taken times 255; ``item`` (mean 0, variance 1) from -2..2, what lies beyond is cut off.
    side : int
        Height and width of the output. Larger items are averaged over whole blocks first, so that nothing aliases, then resized bilinearly.
    preprocessing : {"caffe", "tf", "torch", "none"}

    Returns
    -------
    keras.KerasTensor [shape=(n, side, side, 3), dtype=float32]
    """
    x = _pixels(features, normalise)
    if channels == "repeat":
        x = _sized(_grey(x), side)  # before it is three times as much
        x = layers.Concatenate(dtype="float32", name="front_repeat")([x, x, x])
    else:
        x = _sized(_with_deltas(_grey(x)) if channels == "delta" else _coloured(x), side)
    return _preprocessed(x, preprocessing)


def _pixels(x: Any, normalise: str) -> Any:
    if "int" in keras.backend.standardize_dtype(x.dtype):
        return layers.Rescaling(1.0, dtype="float32", name="front_pixels")(x)
    scale, offset = (255.0, 0.0) if normalise == "unit" else (255.0 / 4, 127.5)
    x = layers.Rescaling(scale, offset, dtype="float32", name="front_pixels")(x)
    return layers.ReLU(max_value=255.0, dtype="float32", name="front_clip")(x)


def _grey(x: Any) -> Any:
    return _fixed(x, "front_grey", _LUMA.reshape(1, 1, 3, 1)) if x.shape[-1] == 3 else x


def _coloured(x: Any) -> Any:
    if x.shape[-1] == 3:
        return x
    import matplotlib

    table = 255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3].astype(np.float32)
    x = layers.Rescaling(1.0, 0.5, dtype="float32", name="front_round")(x)  # the lookup cuts off
    lookup = layers.Embedding(256, 3, dtype="float32", trainable=False, name="front_magma")
    looked_up = lookup(x)
    lookup.set_weights([table])
    return layers.Reshape((*x.shape[1:3], 3), dtype="float32", name="front_colour")(looked_up)


def _with_deltas(x: Any) -> Any:
    width, half = x.shape[2], DELTA_WIDTH // 2
    ends = []
    for end, cut in (("first", (0, width - 1)), ("last", (width - 1, 0))):  # beyond the ends, their values go on
        column = layers.Cropping2D(((0, 0), cut), dtype="float32", name=f"front_{end}")(x)
        ends.append(layers.UpSampling2D((1, half), dtype="float32", name=f"front_{end}_repeated")(column))
    longer = layers.Concatenate(axis=2, dtype="float32", name="front_longer")([ends[0], x, ends[1]])
    kernels = np.stack([gain * delta_kernel(order) for order, gain in enumerate(DELTA_GAINS, 1)], axis=-1)
    deltas = _fixed(longer, "front_deltas", kernels.reshape(1, DELTA_WIDTH, 1, 2), np.full(2, 127.5, np.float32))
    deltas = layers.ReLU(max_value=255.0, dtype="float32", name="front_deltas_clip")(deltas)
    return layers.Concatenate(dtype="float32", name="front_delta")([x, deltas])


def delta_kernel(order: int) -> np.ndarray:
    """Weights of the 9 columns about a place whose sum is the derivative of the polynomial of that order that fits them best.

    Source
    ------
    A. Savitzky and M. J. E. Golay (1964), "Smoothing and differentiation of data by simplified least squares procedures", Analytical
    Chemistry 36(8), doi:10.1021/ac60214a047.
    """
    place = np.arange(DELTA_WIDTH) - DELTA_WIDTH // 2
    fitting = np.linalg.pinv(np.vander(place, order + 1, increasing=True))
    return (fitting[order] * order).astype(np.float32)  # the derivative of x^2 of order 2 is 2, of x of order 1 is 1


def _sized(x: Any, side: int) -> Any:
    blocks = tuple(max(1, size // side) for size in x.shape[1:3])
    if max(blocks) > 1:
        x = layers.AveragePooling2D(blocks, padding="same", dtype="float32", name="front_average")(x)
    if tuple(x.shape[1:3]) != (side, side):
        x = layers.Resizing(side, side, interpolation="bilinear", dtype="float32", name="front_size")(x)
    return x


def _preprocessed(x: Any, preprocessing: str) -> Any:
    if preprocessing == "caffe":
        return _fixed(x, "front_caffe", np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -_MEAN_BGR)
    if preprocessing == "tf":
        return layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="front_tf")(x)
    if preprocessing == "torch":
        scale, offset = 1 / (255 * _DEVIATION_RGB), -_MEAN_RGB / _DEVIATION_RGB
        return layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32", name="front_torch")(x)
    return x


def _fixed(x: Any, name: str, kernel: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """A convolution whose weights are given and stay."""
    size: Sequence[int] = kernel.shape[:2]
    layer = layers.Conv2D(kernel.shape[-1], size, use_bias=bias is not None, trainable=False, dtype="float32", name=name)
    y = layer(x)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return y
