"""The last touches on a Keras model before it is saved for good: it computes in float32, with batch statistics of its final weights.

Imports Keras inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from genre_models.training_data import DevelopmentData

BATCH = 64
MOST_TRACKS = 4096  # a mean and a variance of each channel need no more


def finish(path: Path, data: DevelopmentData, seed: int) -> None:
    """Rewrite a saved model in place.

    Parameters
    ----------
    path : Path
        A ``.keras`` file, trained in any precision.
    data : DevelopmentData
        What it was trained on.
    seed : int
        Of the order in which tracks are passed through; see `settle_batch_norm`.
    """
    import keras

    model = in_float32(keras.saving.load_model(path, compile=False, safe_mode=True))
    settle_batch_norm(model, data, seed)
    model.save(path)


def in_float32(model: keras.Model) -> keras.Model:
    """The same weights, which are float32 already, in layers that compute in float32 too.

    So what a file predicts depends on no machine's bfloat16, and whoever loads it gets the scores of the evaluation.
    """
    import keras

    def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.InputLayer):
            return layer  # its type is that of the features, not of any computation
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    plain = keras.models.clone_model(model, clone_function=rebuilt)
    plain.set_weights(model.get_weights())
    return plain


def settle_batch_norm(model: keras.Model, data: DevelopmentData, seed: int) -> bool:
    """Set moving means and variances to averages over the training tracks, as they are: not augmented, nothing dropped.

    The running averages that training leaves lag behind the weights where steps are few or large. Measured on the demo corpus: a network
    that was right about 0.63 of its tracks in training was right about 0.14 of the same tracks afterwards, and 0.72 with statistics measured
    anew. A search would pick another epoch by its validation score; the retrain validates nothing, so nobody would notice.

    Parameters
    ----------
    model : keras.Model
        From features as cached to probabilities; changed in place.
    data : DevelopmentData
        Its training tracks, at most `MOST_TRACKS`, are passed through once.
    seed : int
        Of the order: batches must mix the classes.

    Returns
    -------
    bool
        Whether there was anything to set.

    Source
    ------
    Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3 (PreciseBN), arXiv:2105.07576.
    """
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    if not norms:
        return False
    before = [layer.momentum for layer in norms], [layer.rate for layer in drops]
    for layer in drops:
        layer.rate = 0.0
    order = np.random.default_rng(seed).permutation(len(data.train_ids))[:MOST_TRACKS]
    steps = -(-len(order) // BATCH)
    for step, rows in enumerate(np.array_split(order, steps)):
        for layer in norms:
            layer.momentum = step / (step + 1)  # turns the running average into a plain one
        model(data.features([data.train_ids[row] for row in rows]), training=True)
    for layers, name, values in ((norms, "momentum", before[0]), (drops, "rate", before[1])):
        for layer, value in zip(layers, values, strict=True):
            setattr(layer, name, value)
    return True
