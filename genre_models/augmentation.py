"""Layers that change training items at random and pass everything through at inference.

They are layers, so they run inside the graph on whatever device trains, with a generator of their own whose state belongs to a snapshot.
All take and give items [shape=(batch, height, width, channels)], mel bands as rows and frames as columns, in float32: positions counted in
bfloat16 would be wrong from 257 on. They must not end up in a saved model (see `families/cnn_network.py`).

Beside them `masked` and `mixed`, functions on the batches that go into the graph, for draws that are made outside of it
(see `training_items.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras import layers, ops


class _TrainingOnly(layers.Layer):
    """A layer that draws from its own generator in training, in the subclass's ``change(items)``, and does nothing otherwise."""

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, items, training: bool = False):
        return self.change(items) if training else items

    def compute_output_shape(self, input_shape):
        return input_shape

    def uniform(self, shape):
        """Numbers in [0, 1) [shape=shape, dtype=float32]."""
        return keras.random.uniform(shape, dtype="float32", seed=self.generator)


class SpecAugment(_TrainingOnly):
    """Mask bands of frequency and stretches of time with the mean of the item's channel.

    Parameters
    ----------
    frequency_mask, time_mask : int
        Largest mask, in rows and in columns (F and T in the paper); a mask is 0 to that many wide, never more than the item.
    masks : int
        How many of each (m_F and m_T).
    seed : int

    Source
    ------
    D. S. Park et al. (2019), "SpecAugment: A simple data augmentation method for automatic speech recognition", section 2, frequency and
    time masking, arXiv:1904.08779. The paper masks with 0 after normalising to mean 0, "equivalent to setting it to the mean value"; our
    items have another mean, so the mean itself is used. No time warping.
    """

    def __init__(self, frequency_mask: int, time_mask: int, masks: int, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.frequency_mask, self.time_mask, self.masks = frequency_mask, time_mask, masks

    def change(self, items):
        rows = self._masked(ops.shape(items)[0], items.shape[1], self.frequency_mask)
        columns = self._masked(ops.shape(items)[0], items.shape[2], self.time_mask)
        masked = ops.logical_or(rows[:, :, None], columns[:, None, :])[..., None]
        return ops.where(masked, ops.mean(items, axis=(1, 2), keepdims=True), items)

    def _masked(self, batch, length: int, largest: int):
        """Where `masks` masks lie on an axis, bool [shape=(batch, length)]."""
        largest = min(largest, length)
        drawn = self.uniform((batch, self.masks, 2))
        # The product may round up to largest + 1, hence the minimum.
        size = ops.minimum(ops.floor(drawn[..., 0] * (largest + 1)), largest)
        start = ops.floor(drawn[..., 1] * (length - size + 1))
        place = ops.arange(length, dtype="float32")
        inside = ops.logical_and(place >= start[..., None], place < (start + size)[..., None])
        return ops.any(inside, axis=1)


class TimeShift(_TrainingOnly):
    """Roll an item along time; what leaves at one end comes in at the other.

    Parameters
    ----------
    fraction : float
        Largest shift to either side, as a part of the width.
    seed : int
    """

    def __init__(self, fraction: float, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.fraction = fraction

    def change(self, items):
        batch, (_, height, width, channels) = ops.shape(items)[0], items.shape
        largest = int(self.fraction * width)
        shift = ops.floor(self.uniform((batch, 1)) * (2 * largest + 1)) - largest
        source = ops.mod(ops.arange(width, dtype="float32")[None] - shift, width)
        # One gather of whole columns over all items: far cheaper than one index per value.
        source = ops.cast(source, "int32") + width * ops.arange(batch, dtype="int32")[:, None]
        columns = ops.reshape(ops.transpose(items, (0, 2, 1, 3)), (-1, height * channels))
        rolled = ops.take(columns, ops.reshape(source, (-1,)), axis=0)
        return ops.transpose(ops.reshape(rolled, (-1, width, height, channels)), (0, 2, 1, 3))


class Gain(_TrainingOnly):
    """Multiply what lies above an item's floor (its smallest value) by one random factor.

    Parameters
    ----------
    largest : float
        The factor lies in 1 - largest to 1 + largest.
    seed : int
    """

    def __init__(self, largest: float, seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.largest = largest

    def change(self, items):
        factor = 1 + self.largest * (2 * self.uniform((ops.shape(items)[0], 1, 1, 1)) - 1)
        floor = ops.min(items, axis=(1, 2, 3), keepdims=True)
        return floor + (items - floor) * factor


def masked(items, rows, columns, fill: str):
    """Items with bands masked.

    Parameters
    ----------
    items : array [shape=(batch, height, width, channels)]
    rows, columns : array of bool [shape=(batch, height) and (batch, width)]
        What is masked of each item.
    fill : {"mean", "zero"}
        What the masks hold: the mean of the item's channel, or 0.

    Returns
    -------
    tensor of the shape and type of `items`
    """
    items = ops.convert_to_tensor(items)
    hidden = ops.logical_or(ops.convert_to_tensor(rows)[:, :, None], ops.convert_to_tensor(columns)[:, None, :])[..., None]
    value = ops.mean(ops.cast(items, "float32"), axis=(1, 2), keepdims=True)
    return ops.where(hidden, _as_stored(value if fill == "mean" else ops.zeros_like(value), items), items)


def mixed(items, weight: float, partner):
    """Each item mixed with another of the batch.

    Parameters
    ----------
    items : array [shape=(batch, height, width, channels)]
    weight : float
        Proportion of the item itself, 0 to 1.
    partner : array of int [shape=(batch,)]
        Number of the other item.

    Returns
    -------
    tensor of the shape and type of `items`
        Bytes are rounded: half a level of 256 at most.
    """
    items = ops.convert_to_tensor(items)
    wide = ops.cast(items, "float32")
    return _as_stored(weight * wide + (1 - weight) * ops.take(wide, ops.convert_to_tensor(partner, dtype="int32"), axis=0), items)


def _as_stored(values, items):
    dtype = keras.backend.standardize_dtype(items.dtype)
    return ops.cast(ops.round(values) if "int" in dtype else values, dtype)


def augmentation_layers(params: Mapping[str, Any], seeds: Iterator[int]) -> list[layers.Layer]:
    """Augmentation of a configuration, in the order it is applied; what would do nothing is left out.

    Parameters
    ----------
    params : mapping
        ``spec_augment``, ``frequency_mask``, ``time_mask``, ``masks``, ``time_shift``, ``gain``, ``noise``.
    seeds : iterator of int
        One is taken for each layer, whether it is used or not, so that a layer's draws do not depend on the others.

    Returns
    -------
    list of keras.layers.Layer
        Masks come last: they hide noise too.
    """
    shift_seed, gain_seed, noise_seed, mask_seed = (int(next(seeds)) for _ in range(4))
    stack: list[layers.Layer] = []
    if params["time_shift"] > 0:
        stack.append(TimeShift(params["time_shift"], shift_seed, name="time_shift"))
    if params["gain"] > 0:
        stack.append(Gain(params["gain"], gain_seed, name="gain"))
    if params["noise"] > 0:
        stack.append(layers.GaussianNoise(params["noise"], seed=noise_seed, dtype="float32", name="noise"))
    if params["spec_augment"] and (params["frequency_mask"] or params["time_mask"]):
        stack.append(SpecAugment(params["frequency_mask"], params["time_mask"], params["masks"], mask_seed, name="spec_augment"))
    return stack
