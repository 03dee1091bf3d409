"""Windows of tracks: cut by hand, averaged by track, always on the track's side of the split."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_models import segments
from genre_models.errors import ConfigurationRefused
from genre_models.training_data import DevelopmentData

LABELS = ("low", "high")


class Store:
    """Tracks whose columns hold their own place, and whose channel 1 holds the track's number."""

    def __init__(self, n: int, width: int, dtype: str = "uint8") -> None:
        self.shape, self.dtype, self.asked = (4, width, 2), np.dtype(dtype), set()
        self.x = np.zeros((n, *self.shape), dtype)
        self.x[..., 0] = np.arange(width)
        self.x[..., 1] = np.arange(n)[:, None, None]

    def features(self, ids):
        self.asked |= set(ids)
        return self.x[[int(id) for id in ids]]


def data_of(n: int = 9, width: int = 20, count: int = 3, n_train: int = 6, dtype: str = "uint8") -> DevelopmentData:
    tracks = [{"id": str(i), "label": LABELS[i % 2], "part": "train" if i < n_train else "validation"} for i in range(n)]
    return DevelopmentData(Store(n, width, dtype), LABELS, tracks, segments=count)


def test_a_trials_own_number_goes_before_the_features() -> None:
    features = {"segments": 4}
    assert segments.segment_count({"params": {"segments": 2}, "features": features}) == 2
    assert segments.segment_count({"params": {"segments": 0}, "features": features}) == 4
    assert segments.segment_count({"params": {}, "features": features}) == 4
    assert segments.segment_count({"params": {}, "features": {}}) == 1  # a study from before


@given(st.integers(1, 60), st.integers(1, 200))
def test_windows_are_equal_and_refused_where_they_would_be_empty(count: int, width: int) -> None:
    if count > width:
        with pytest.raises(ConfigurationRefused, match=f"{count} windows can't be cut from {width} columns"):
            segments.window_shape((4, width, 1), count)
        return
    height, columns, channels = segments.window_shape((4, width, 1), count)
    assert (height, channels) == (4, 1) and width - count < columns * count <= width


@given(st.integers(1, 5), st.integers(1, 3), st.data())
def test_the_grid_cuts_what_slices_cut(count: int, channels: int, drawn: st.DataObject) -> None:
    width = drawn.draw(st.integers(count, 17))
    tracks = np.random.default_rng(0).integers(0, 256, (3, 4, width, channels), dtype=np.uint8)
    w = width // count
    by_hand = np.stack([track[:, w * k : w * (k + 1)] for track in tracks for k in range(count)])
    np.testing.assert_array_equal(segments.cut(tracks, count), by_hand)
    rows, places = np.divmod(np.arange(3 * count), count)
    np.testing.assert_array_equal(segments.windows_at(tracks, rows, places * w, w), by_hand)


def test_windows_start_where_they_are_told_to() -> None:
    data = data_of()
    assert (data.input_shape, data.track_shape) == ((4, 6, 2), (4, 20, 2))
    found = data.windows(["5", "0", "5"], [14, 0, 3])
    np.testing.assert_array_equal(found[..., 0], np.broadcast_to(np.array([14, 0, 3])[:, None, None] + np.arange(6), (3, 4, 6)))
    assert found[:, 0, 0, 1].tolist() == [5, 0, 5]
    assert found.flags["C_CONTIGUOUS"]


def test_the_grid_numbers_windows_track_by_track() -> None:
    found = segments.grid_windows(data_of(), ("7", "2"), [0, 2, 3, 5])
    assert found[:, 0, 0].tolist() == [[0, 7], [12, 7], [0, 2], [12, 2]]
    whole = segments.grid_windows(data_of(count=1), ("7", "2"), [1])
    assert whole.shape == (1, 4, 20, 2) and whole[0, 0, 0, 1] == 2


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_a_track_gets_the_mean_of_all_its_windows(batch_size: int) -> None:
    from genre_models.fitted import predict

    def says(batch: np.ndarray) -> np.ndarray:
        """Each window's probability follows from its track and its place."""
        p = ((batch[:, 0, 0, 1] + 1.0) * (batch[:, 0, 0, 0] + 1.0) / 200).astype(np.float32)
        return np.stack([p, 1 - p], axis=1)

    data = data_of()
    p = predict(SimpleNamespace(predict_on_batch=says), data, data.validation_ids, batch_size)
    expected = [(i + 1) * np.mean([1, 7, 13]) / 200 for i in (6, 7, 8)]
    np.testing.assert_allclose(p, np.stack([expected, 1 - np.array(expected)], axis=1), rtol=1e-6)
    assert predict(SimpleNamespace(predict_on_batch=says), data, (), batch_size).shape == (0, 2)


def test_probabilities_of_one_window_are_left_alone() -> None:
    p = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    assert segments.by_track(p, 1) is p
    np.testing.assert_allclose(segments.by_track(p[:4], 2), (p[:4:2] + p[1:4:2]) / 2)
