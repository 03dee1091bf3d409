"""Batch norm as it is trained and measured: what Keras' own layer computes, in any backend and on any rank of items."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from genre_models.batch_norm import MeasuredNorm, Settler, TrainedNorm, applied_in_training

SHAPES = {"images": (6, 5, 7, 3), "vectors": (12, 3)}
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 0.05}


def two_norms(shape: tuple[int, ...], policy: str) -> tuple[keras.layers.BatchNormalization, keras.layers.BatchNormalization]:
    """Two layers of the same weights, none of them what it begins with."""
    norms = [keras.layers.BatchNormalization(momentum=0.7, epsilon=0.01, dtype=policy) for _ in range(2)]
    values = [np.linspace(low, high, shape[-1]) for low, high in ((0.5, 2), (-1, 1), (0.2, 0.9), (0.5, 3))]
    for norm in norms:
        norm.build((None, *shape[1:]))
        norm.set_weights(values)
    return norms[0], norms[1]


@pytest.mark.parametrize("policy", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_outputs_gradients_and_running_averages_are_those_of_keras(shape, policy):
    import tensorflow as tf

    theirs, kept = two_norms(shape, policy)
    ours, tolerance = TrainedNorm(kept), TOLERANCE[policy]
    rng = np.random.default_rng(0)
    x, weights = tf.constant(rng.normal(3, 2, shape), tf.float32), rng.normal(size=shape).astype(np.float32)
    found = []
    for layer in (theirs, ours):
        for training in (True, False, True):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.cast(layer(x, training=training), tf.float32)
                loss = tf.reduce_sum(weights * tf.tanh(y))
            found.append([y, *tape.gradient(loss, [x, *layer.trainable_variables])])
    for mine, their in zip(found[3:], found[:3], strict=True):
        for a, b in zip(mine, their, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=10 * tolerance)
    for a, b in zip(kept.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_images_take_the_fused_kernel():
    import tensorflow as tf

    norm = keras.layers.BatchNormalization()
    step = tf.function(lambda x: TrainedNorm(norm)(x, training=True))
    norm.build((None, 5, 7, 3))
    kernels = {node.type for node in step.get_concrete_function(tf.TensorSpec((6, 5, 7, 3))).graph.get_operations()}
    assert "FusedBatchNormV3" in kernels


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_moments_are_those_of_the_batch(shape):
    norm, _ = two_norms(shape, "float32")
    x = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
    before = norm.get_weights()
    y, mean, variance = MeasuredNorm(norm)(x)
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(mean, x.mean(axis=axes), rtol=1e-4)
    np.testing.assert_allclose(variance, x.var(axis=axes), rtol=1e-4)
    np.testing.assert_allclose(y, (x - x.mean(axis=axes)) / np.sqrt(x.var(axis=axes) + 0.01) * before[0] + before[1], rtol=1e-3, atol=1e-4)
    assert all((a == b).all() for a, b in zip(norm.get_weights(), before, strict=True))


def test_a_frozen_layer_stays_as_it_is():
    norm, _ = two_norms((6, 5, 7, 3), "float32")
    norm.trainable = False
    x, before = np.ones((6, 5, 7, 3), np.float32), norm.get_weights()
    np.testing.assert_allclose(TrainedNorm(norm)(x, training=True), norm(x, training=False))
    assert all((a == b).all() for a, b in zip(norm.get_weights(), before, strict=True))


def test_what_is_trained_and_measured_has_the_weights_of_the_plain_layers():
    inputs = keras.Input((5, 7, 3))
    body = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.BatchNormalization()]
    trained, settler = keras.Model(inputs, applied_in_training(body, inputs)), Settler.of(inputs, inputs, body)
    assert [id(v) for v in trained.trainable_variables] == [id(v) for layer in body for v in layer.trainable_variables]
    assert settler.norms == [body[1], body[3]] and len(settler.model.outputs) == 4
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in settler.model.layers)
