"""Batch norm: in training by TensorFlow's fused kernel, and statistics that fit the weights they are used with. Imports Keras.

Models that are kept have Keras' own layers alone: what is here shares those layers' weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from genre_models.batches import even_batches
from genre_models.fitted import Data
from genre_models.framework import fused_batch_norm, runs_compiled
from genre_models.segments import grid_windows, items_of, segments_of

SETTLING_ITEMS = 128  # each epoch: a mean and a variance of each channel, over as many tracks or windows and all their positions
FINAL_SETTLING_ITEMS = 4096  # once, for a model that is kept and that no validation watches
FEWEST_SETTLED_TOGETHER = 16


def applied(stack: Sequence[layers.Layer], x: Any) -> Any:
    """Layers one after the other."""
    for layer in stack:
        x = layer(x)
    return x


def applied_in_training(stack: Sequence[layers.Layer], x: Any) -> Any:
    """Layers one after the other, for what is trained: the same outputs and weights, batch norm in fewer passes over the items (`TrainedNorm`)."""
    return applied([TrainedNorm(layer) if isinstance(layer, layers.BatchNormalization) else layer for layer in stack], x)


class _OtherNorm(layers.Layer):
    """A batch norm layer in another use.

    Parameters
    ----------
    norm : keras.layers.BatchNormalization
        Over the last axis. Its weights are this layer's.
    """

    use = ""

    def __init__(self, norm: layers.BatchNormalization, **kwargs: Any) -> None:
        super().__init__(name=f"{norm.name}_{self.use}", dtype=norm.dtype_policy, **kwargs)
        self.norm = norm

    def build(self, shape):
        if not self.norm.built:
            self.norm.build(shape)


class TrainedNorm(_OtherNorm):
    """Computes a training step by the backend's fused kernel, where it has one; Keras computes batch norm from single operations.

    What that saves is measured in docs/benchmarks.md, "What is not training".
    """

    use = "trained"

    def call(self, items, training: bool = False):
        if not (training and self.norm.trainable):
            return self.norm(items, training=False)
        outputs, mean, variance = _normalised(items, self.norm)
        for average, now in ((self.norm.moving_mean, mean), (self.norm.moving_variance, variance)):
            average.assign(average * self.norm.momentum + now * (1 - self.norm.momentum))
        return outputs


class MeasuredNorm(_OtherNorm):
    """Always takes the moments of its batch, and tells them.

    Returns
    -------
    (outputs, mean, variance)
        Items as the layer would give them in training; mean and variance float32 [shape=(channels,)].
    """

    use = "measured"

    def call(self, items):
        return _normalised(items, self.norm)


def _normalised(items: Any, norm: layers.BatchNormalization) -> tuple[Any, Any, Any]:
    """Items normalised by the moments of their batch, and these, as `keras.layers.BatchNormalization` computes them in training."""
    if (found := fused_batch_norm(items, norm.gamma, norm.beta, norm.epsilon)) is not None:
        return found
    wide = ops.cast(items, "float32")  # sums over many positions overflow or round away in half the bits
    last = len(items.shape) - 1
    mean, variance = ops.moments(wide, axes=list(range(last)))
    outputs = ops.batch_normalization(wide, mean, variance, axis=last, offset=norm.beta, scale=norm.gamma, epsilon=norm.epsilon)
    return ops.cast(outputs, norm.compute_dtype), mean, variance


@dataclass(frozen=True)
class Settler:
    """A network that measures the moments of its batch norm layers.

    Attributes
    ----------
    model : keras.Model
        From features as cached to a mean and a variance of each layer in turn.
    norms : list of keras.layers.BatchNormalization
    """

    model: keras.Model
    norms: list[layers.BatchNormalization]

    @staticmethod
    def of(inputs: Any, x: Any, stack: Sequence[layers.Layer]) -> Settler:
        """Of layers that take `x`, a function of `inputs`; nothing is dropped."""
        norms, moments = [], []
        for layer in stack:
            if isinstance(layer, layers.BatchNormalization):
                x, mean, variance = MeasuredNorm(layer)(x)
                norms.append(layer)
                moments += [mean, variance]
            elif not isinstance(layer, layers.Dropout):
                x = layer(x)
        model = keras.Model(inputs, moments, name="settler")
        model.jit_compile = runs_compiled()
        return Settler(model, norms)


def settle(settler: Settler, data: Data, batch_size: int, seed: int, epoch: int, items: int = SETTLING_ITEMS) -> None:
    """Set the means and variances of batch norm to averages over some training items, neither augmented nor with anything dropped.

    The running averages of training lag behind the weights when an epoch has few steps, and were taken with dropout on, which a max pool
    turns into another mean. On 709 real GTZAN images at 64 x 64, dropout 0.2, 14 epochs, one seed: validation accuracy 0.12 to 0.43 and
    0.29 at the end with running averages, 0.35 to 0.70 and 0.67 at the end with measured ones, from the very same weights.

    Parameters
    ----------
    settler : Settler
    data : Data
    batch_size : int
    seed, epoch : int
        They choose the items: tracks, or windows of them on their grid.
    items : int
        At most so many.

    Source
    ------
    Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3 (PreciseBN), arXiv:2105.07576.
    """
    ids, _ = items_of(data, data.train_ids)
    chosen = np.random.default_rng([seed, epoch, 1]).permutation(len(ids) * segments_of(data))[:items]
    shape = even_batches(len(chosen), max(batch_size, FEWEST_SETTLED_TOGETHER))
    told = [settler.model.predict_on_batch(grid_windows(data, ids, rows)) for rows in np.resize(chosen, shape)]
    averages = [np.mean(each, axis=0) for each in zip(*told, strict=True)]
    for norm, mean, variance in zip(settler.norms, averages[::2], averages[1::2], strict=True):
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
