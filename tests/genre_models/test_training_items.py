"""What an epoch trains on: every window once, crops, masked copies and mixtures by hand, and all of them exactly repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models.batches import epoch_batches
from genre_models.copies import CopyMasks
from genre_models.families import FAMILIES, cnn
from genre_models.training_data import DevelopmentData
from tests.genre_models.test_segments import data_of

OFF = FAMILIES["cnn"].defaults() | {"batch_size": 5}
COPIED = OFF | {"copies": 2, "copy_frequency_mask": 3, "copy_time_mask": 4, "copy_masks": 2}


def epoch(params: dict, data: DevelopmentData, number: int = 1, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Items and targets of a whole epoch."""
    from genre_models.training_items import TrainingItems

    items, targets = zip(*TrainingItems(data, params, seed).batches(number))
    return np.concatenate([np.asarray(batch) for batch in items]), np.concatenate(targets)


@pytest.mark.parametrize("count", [1, 3])
def test_without_any_of_it_an_epoch_is_every_window_once_in_the_order_of_the_batches(count: int) -> None:
    data = data_of(count=count)
    items, targets = epoch(OFF, data)
    numbers = epoch_batches(6 * count, 5, 7, 1).ravel()
    assert set(zip(items[:, 0, 0, 1], items[:, 0, 0, 0])) == {(track, 20 // count * k) for track in range(6) for k in range(count)}
    np.testing.assert_array_equal(items[:, 0, 0, 1], numbers // count)
    np.testing.assert_array_equal(targets, np.eye(2, dtype=np.float32)[numbers // count % 2])
    assert items.dtype == np.uint8 and targets.dtype == np.float32


def test_a_default_trial_gets_the_arrays_of_the_store_themselves() -> None:
    from genre_models.training_items import TrainingItems

    data = data_of(count=1)
    for (items, targets), rows in zip(TrainingItems(data, OFF, 3).batches(2), epoch_batches(6, 5, 3, 2), strict=True):
        assert isinstance(items, np.ndarray)
        np.testing.assert_array_equal(items, data.features([str(row) for row in rows]))
        np.testing.assert_array_equal(targets, np.eye(2, dtype=np.float32)[rows % 2])


def test_only_training_tracks_are_trained_on_whatever_is_on() -> None:
    params = COPIED | {"random_crop": True, "mixup": 0.4, "copy_frequency_mask": 0, "copy_time_mask": 0}
    tracks = epoch(params | {"mixup": 0.0}, data_of())[0][..., 1]
    assert set(tracks.ravel()) == set(range(6))
    assert epoch(params, data_of())[0][..., 1].max() <= 5


def test_crops_lie_anywhere_inside_the_track_and_follow_seed_epoch_and_item() -> None:
    data, params = data_of(n=200, n_train=200), OFF | {"random_crop": True}
    starts = [epoch(params, data, number, seed)[0][:, 0, 0, 0] for number, seed in ((1, 7), (1, 7), (2, 7), (1, 8))]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2]) and not np.array_equal(starts[0], starts[3])
    found, times = np.unique(starts[0], return_counts=True)
    assert found.tolist() == list(range(15))  # 20 columns, windows of 6
    assert times.min() > 0.5 * times.mean() and times.max() < 1.5 * times.mean()
    np.testing.assert_array_equal(*(epoch(OFF | {"random_crop": crop}, data_of(count=1))[0] for crop in (True, False)))


# Tracks of several items


class Rows:
    """Track i has rows "i#0" to "i#(i % 3)", as a table may; row k of it is [i, k, 0]."""

    labels, input_shape = ("even", "odd", "unused"), (3,)
    train_ids, validation_ids = tuple("012345"), tuple("6789")

    def items_of(self, ids):
        pairs = [(f"{id}#{k}", place) for place, id in enumerate(ids) for k in range(int(id) % 3 + 1)]
        return [item for item, _ in pairs], np.array([place for _, place in pairs])

    def features(self, ids):
        return np.array([[*map(float, id.split("#")), 0.0] for id in ids], np.float32)

    def targets(self, ids):
        return np.array([int(id.partition("#")[0]) % 2 for id in ids])


def test_every_row_of_a_training_track_is_an_item_with_its_tracks_target() -> None:
    items, targets = epoch({"batch_size": 4}, Rows())
    assert {tuple(item) for item in items} == {(track, k, 0) for track in range(6) for k in range(track % 3 + 1)} and len(items) == 12
    np.testing.assert_array_equal(targets.argmax(axis=1), items[:, 0] % 2)


def test_a_track_scores_the_mean_of_its_rows() -> None:
    import keras

    from genre_models.fitted import predict

    inputs = keras.Input((3,))
    core = keras.Model(inputs, keras.layers.Softmax()(inputs))
    data, ids = Rows(), ("8", "6", "7")  # of 3, 1 and 2 rows
    p = predict(core, data, ids, batch_size=4)
    rows = [np.exp([[int(id), k, 0] for k in range(int(id) % 3 + 1)]) for id in ids]
    np.testing.assert_allclose(p, [(row / row.sum(axis=1, keepdims=True)).mean(axis=0) for row in rows], rtol=1e-5)
    assert p.dtype == np.float32 and predict(core, data, (), batch_size=4).shape == (0, 3)


# Copies


def test_an_item_and_its_copies_are_masked_alike_in_every_epoch() -> None:
    data = data_of(dtype="float16")
    first, second = (epoch(COPIED, data, number)[0] for number in (1, 2))
    numbers = [epoch_batches(54, 5, 7, number).ravel() for number in (1, 2)]
    assert set(numbers[0]) == set(range(54))
    n_changed = 0
    for number in range(54):
        items = np.concatenate([first[numbers[0] == number], second[numbers[1] == number]])
        assert (items == items[0]).all()
        original = data.windows([str(number % 18 // 3)], [6 * (number % 3)])[0]
        is_changed = (items[0] != original).any()
        assert is_changed <= (number >= 18)
        n_changed += is_changed
    assert n_changed > 30


@pytest.mark.parametrize("fill", ["mean", "zero"])
@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_masks_are_bands_of_the_item_at_its_mean_or_at_zero(fill: str, dtype: str) -> None:
    from genre_models.augmentation import masked

    items = np.random.default_rng(0).integers(1, 256, (6, 4, 9, 2)).astype(dtype)
    rng = np.random.default_rng(1)
    rows, columns = rng.random((6, 4)) < 0.3, rng.random((6, 9)) < 0.3
    found = np.asarray(masked(items, rows, columns, fill))
    hidden = np.broadcast_to((rows[:, :, None] | columns[:, None, :])[..., None], items.shape)
    assert found.dtype == items.dtype
    np.testing.assert_array_equal(found[~hidden], items[~hidden])
    expected = np.broadcast_to(items.mean(axis=(1, 2), dtype="float64", keepdims=True), items.shape) * (fill == "mean")
    np.testing.assert_allclose(found[hidden], expected[hidden], atol=0.51 if dtype == "uint8" else 0.13)


@settings(deadline=None)
@given(st.integers(0, 27), st.integers(0, 100), st.integers(1, 4), st.integers(0, 2**63))
def test_masks_have_at_most_their_size_and_originals_none(frequency: int, time: int, masks: int, seed: int) -> None:
    params = {"copies": 2, "copy_frequency_mask": frequency, "copy_time_mask": time, "copy_masks": masks}
    rows, columns = CopyMasks(params, 10, (16, 50, 1), seed).at(np.arange(30))
    assert rows.shape == (30, 16) and columns.shape == (30, 50)
    assert not rows[:10].any() and not columns[:10].any()
    assert rows.sum(axis=1).max() <= min(16, masks * frequency) and columns.sum(axis=1).max() <= min(50, masks * time)


def test_masks_of_very_wide_items_do_not_wrap() -> None:
    params = {"copies": 1, "copy_frequency_mask": 0, "copy_time_mask": 70_000, "copy_masks": 1}
    columns = CopyMasks(params, 40, (2, 70_000, 1), 0).at(np.arange(40, 80))[1]
    edges = np.abs(np.diff(columns.astype(int), axis=1, prepend=0, append=0)).sum(axis=1)
    assert set(edges) <= {0, 2}, "one band each"
    assert columns.sum(axis=1).max() > 2**15 and columns[:, 2**15 :].any(axis=1).mean() > 0.5


def test_masks_are_uniform_and_do_not_depend_on_the_number_of_copies() -> None:
    params = {"copies": 3, "copy_frequency_mask": 3, "copy_time_mask": 100, "copy_masks": 1}
    rows, columns = CopyMasks(params, 500, (8, 6, 1), 0).at(np.arange(500, 2000))
    for masked, largest in ((rows, 3), (columns, 6)):
        times = np.bincount(masked.sum(axis=1))
        assert len(times) == largest + 1 and times.min() > 0.75 * times.mean()
        assert masked.any(axis=0).all()
    fewer = CopyMasks(params | {"copies": 1}, 500, (8, 6, 1), 0).at(np.arange(500, 1000))
    np.testing.assert_array_equal(fewer[0], rows[:500])
    np.testing.assert_array_equal(fewer[1], columns[:500])
    assert not np.array_equal(rows[:500], rows[500:1000])


# Mixup


def test_items_and_targets_are_mixed_alike() -> None:
    """Each track is all of one value here, so that what is in an item tells what its target must be."""
    tracks = [{"id": str(i), "label": f"{i}", "part": "train"} for i in range(12)]

    class Flat:
        shape, dtype = (2, 3, 12), np.dtype("float16")

        def features(self, ids):
            return np.stack([np.broadcast_to(np.eye(12, dtype=np.float16)[int(id)], self.shape) for id in ids])

    data = DevelopmentData(Flat(), [f"{i}" for i in range(12)], tracks)
    weights = []
    for number in range(1, 60):
        items, targets = epoch(OFF | {"mixup": 1.0, "batch_size": 12}, data, number)
        np.testing.assert_allclose(items[:, 0, 0], targets, atol=1e-3)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        assert (targets > 0).sum(axis=1).max() <= 2 and items.dtype == np.float16
        weights += [set(np.round(targets[targets > 0], 3)) - {1.0}]
    assert all(len(pair) <= 2 for pair in weights)  # one proportion a step
    drawn = [min(pair) for pair in weights if pair]
    assert len(drawn) > 50 and np.mean(drawn) == pytest.approx(0.25, abs=0.08)  # of Beta(1, 1), the smaller part
    same = [epoch(OFF | {"mixup": 1.0}, data, 3)[1] for _ in range(2)]
    np.testing.assert_array_equal(*same)


def test_bytes_are_mixed_to_the_nearest_byte() -> None:
    from genre_models.augmentation import mixed

    items = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 1), dtype=np.uint8)
    partner = np.random.default_rng(1).permutation(8)
    found = np.asarray(mixed(items, np.float32(0.3), partner))
    assert found.dtype == np.uint8
    assert np.abs(found - (0.3 * items + 0.7 * items[partner].astype(float))).max() <= 0.5 + 1e-4


def test_accuracy_of_mixed_targets_is_the_part_that_is_right() -> None:
    from genre_models.training import hit_share

    targets = np.array([[1, 0, 0], [0.3, 0.7, 0], [0.3, 0.7, 0], [0, 0, 1]], np.float32)
    scores = np.array([[2, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
    np.testing.assert_allclose(np.asarray(hit_share(targets, scores)), [1, 0.7, 0.3, 0])


# Training


def stripes(count: int) -> DevelopmentData:
    """The stripes of `test_training` behind a real `DevelopmentData`."""
    from tests.genre_models.test_training import Stripes

    source = Stripes(train=12, validation=6)
    source.shape, source.dtype = source.input_shape, np.dtype("uint8")
    tracks = [{"id": f"t{i}", "label": Stripes.labels[i % 3], "part": "train" if i < 12 else "validation"} for i in range(18)]
    return DevelopmentData(source, Stripes.labels, tracks, segments=count)


@pytest.mark.slow
def test_a_paused_trial_with_all_of_it_goes_on_as_if_it_had_not_been_paused(tmp_path) -> None:
    params = COPIED | {"depth": 2, "filters": 4, "batch_size": 16, "learning_rate": 1e-2, "random_crop": True, "mixup": 0.4, "copies": 1}
    params |= {"spec_augment": True, "time_mask": 2, "frequency_mask": 2}
    data = stripes(3)

    def run(report, resume=None):
        fitted = cnn.fit(params, data, epochs=3, seed=7, report=report, resume=resume)
        return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in fitted.history], fitted

    def pause_at_2(number, metrics, snapshot):
        snapshot(str(tmp_path))
        return "pause" if number == 2 else "continue"

    whole, fitted = run(lambda *given: "continue")
    assert run(pause_at_2)[0] == whole[:2]
    resumed, again = run(lambda *given: "continue", str(tmp_path))
    assert resumed == whole and len({epoch["loss"] for epoch in whole}) == 3
    np.testing.assert_array_equal(again.predict(data.validation_ids), fitted.predict(data.validation_ids))

    assert fitted.core.input_shape == (None, 16, 8, 1)
    x, truth = data.features(data.validation_ids), data.targets(data.validation_ids)
    p = np.mean([fitted.core.predict_on_batch(x[:, :, start : start + 8]) for start in (0, 8, 16)], axis=0)
    np.testing.assert_allclose(fitted.predict(data.validation_ids), p, atol=1e-6)
    best = whole[fitted.best_epoch - 1]
    assert best["val_accuracy"] == np.mean(p.argmax(axis=1) == truth)  # of 6 tracks, not of 18 windows
    assert best["val_loss"] == pytest.approx(-np.log(p[np.arange(6), truth]).mean(), rel=1e-5)
    assert all(0 < epoch["accuracy"] < 1 for epoch in whole)
