"""Augmentation layers: silent at inference, bounded, different between items and steps, reproducible by seed."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models.families import FAMILIES

OFF = FAMILIES["cnn"].defaults()
ALL = OFF | {"spec_augment": True, "frequency_mask": 5, "time_mask": 7, "masks": 2, "time_shift": 0.25, "gain": 0.3, "noise": 0.1}


def stack(params, seed=0):
    from genre_models.augmentation import augmentation_layers

    return augmentation_layers(params, iter(range(seed, seed + 4)))


@pytest.fixture
def items():
    return np.random.default_rng(0).random((6, 16, 24, 1)).astype(np.float32)


def each_layer():
    return {"time_shift": 0, "gain": 1, "noise": 2, "spec_augment": 3}.items()


@pytest.mark.parametrize(("name", "place"), each_layer())
def test_layers_do_nothing_at_inference(name, place, items):
    layer = stack(ALL)[place]
    assert layer.name == name
    for inactive in ({}, {"training": False}):
        np.testing.assert_array_equal(layer(items, **inactive), items)
    assert not np.array_equal(layer(items, training=True), items)


@pytest.mark.parametrize(("name", "place"), each_layer())
def test_draws_differ_between_steps_and_items_and_follow_the_seed(name, place):
    same = np.tile(np.random.default_rng(1).random((1, 16, 24, 1)).astype(np.float32), (8, 1, 1, 1))

    def two_steps(seed):
        layer = stack(ALL, seed)[place]
        return np.stack([layer(same, training=True) for _ in range(2)])

    first, again, other = two_steps(3), two_steps(3), two_steps(30)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])
    assert any(not np.array_equal(first[0, 0], item) for item in first[0, 1:])
    assert first.shape == (2, 8, 16, 24, 1) and first.dtype == np.float32


def test_nothing_asked_for_is_no_layer():
    assert stack(OFF) == []
    assert stack(OFF | {"spec_augment": True, "frequency_mask": 0, "time_mask": 0}) == []


def test_a_layer_draws_the_same_whether_others_are_on(items):
    alone = stack(OFF | {"spec_augment": True, "frequency_mask": 5, "time_mask": 7, "masks": 2})[0]
    np.testing.assert_array_equal(alone(items, training=True), stack(ALL)[3](items, training=True))


@pytest.mark.parametrize("masks", [1, 3])
def test_masks_are_whole_bands_of_bounded_size_at_the_mean(masks):
    items = np.random.default_rng(0).random((200, 16, 24, 1)).astype(np.float32)
    layer = stack(OFF | {"spec_augment": True, "frequency_mask": 5, "time_mask": 7, "masks": masks})[0]
    changed = np.asarray(layer(items, training=True))
    masked = changed != items
    rows, columns = masked[..., 0].all(axis=2), masked[..., 0].all(axis=1)
    np.testing.assert_array_equal(masked[..., 0], rows[:, :, None] | columns[:, None, :])  # bands and nothing else
    assert rows.sum(axis=1).max() <= 5 * masks and columns.sum(axis=1).max() <= 7 * masks
    assert rows.sum(axis=1).min() == 0 or masks > 1  # a mask may be 0 wide
    mean = np.broadcast_to(items.mean(axis=(1, 2, 3), keepdims=True), items.shape)
    np.testing.assert_allclose(changed[masked], mean[masked], rtol=1e-5)
    if masks == 1:  # uniform from 0 to the largest
        assert set(rows.sum(axis=1)) == set(range(6)) and set(columns.sum(axis=1)) == set(range(8))
        assert rows.any(axis=0).all() and columns.any(axis=0).all()


def test_masks_larger_than_the_item_are_cut():
    items = np.random.default_rng(0).random((20, 4, 6, 1)).astype(np.float32)
    layer = stack(OFF | {"spec_augment": True, "frequency_mask": 27, "time_mask": 100, "masks": 4})[0]
    assert np.isfinite(np.asarray(layer(items, training=True))).all()


def test_time_shift_rolls_and_is_bounded():
    items = np.zeros((300, 4, 20, 2), np.float32)
    items[:, :, 10, :] = np.arange(1, 9).reshape(4, 2)
    rolled = np.asarray(stack(OFF | {"time_shift": 0.25})[0](items, training=True))
    places = rolled[:, 0, :, 0].argmax(axis=1)
    assert set(places) == set(range(5, 16))
    for item, place in zip(rolled, places):
        np.testing.assert_array_equal(item, np.roll(items[0], place - 10, axis=1))


def test_gain_keeps_the_floor_and_is_bounded(items):
    changed = np.asarray(stack(OFF | {"gain": 0.3})[0](items, training=True))
    floor = items.min(axis=(1, 2, 3), keepdims=True)
    factor = ((changed - floor).max(axis=(1, 2, 3)) / (items - floor).max(axis=(1, 2, 3)))
    assert (0.7 <= factor).all() and (factor <= 1.3).all()
    np.testing.assert_allclose(changed.min(axis=(1, 2, 3)), floor.ravel(), atol=1e-6)


def test_layers_run_in_a_compiled_graph_with_any_batch_size(items):
    import keras

    inputs = keras.Input((16, 24, 1), dtype="uint8")
    x = inputs
    for layer in stack(ALL):
        x = layer(x)
    assert x.shape == (None, 16, 24, 1)
    model = keras.Model(inputs, x)
    model.jit_compile = False
    for n in (1, 3):
        assert model.predict_on_batch(np.zeros((n, 16, 24, 1), np.uint8)).shape == (n, 16, 24, 1)
