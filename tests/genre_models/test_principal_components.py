"""Principal components: what scikit-learn finds, in blocks; kept for all trials of a split; of training items only."""

from __future__ import annotations

import numpy as np
import portalocker
import pytest

from genre_models import principal_components, vectors
from genre_models.errors import CacheError, TrainingDiverged
from genre_models.principal_components import find_components, training_components
from genre_models.vectors import mean_and_deviation
from tests.genre_models.vectors_data import Clouds


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK_BYTES", 4 * 12 * 7)  # 7 vectors of 12 numbers


@pytest.mark.usefixtures("small_blocks")
def test_mean_and_deviation_are_numpys_whatever_the_blocks(tmp_path):
    data = Clouds(tmp_path, dtype="float16")
    data._x[:, 5] = 3.3
    x = data.features(data.train_ids).astype(np.float64)
    mean, deviation = mean_and_deviation(data, data.train_ids)
    assert np.allclose(mean, x.mean(axis=0), atol=1e-5)
    assert np.allclose(np.delete(deviation, 5), np.delete(x.std(axis=0), 5), rtol=1e-5)
    assert deviation[5] == 1


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("d", [12, 90], ids=["fewer features than items", "more features than items"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
def test_components_are_those_of_scikit_learn(tmp_path, standardise, d, share):
    from sklearn.decomposition import PCA

    data = Clouds(tmp_path, d=d)
    x = data.features(data.train_ids).astype(np.float64)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) if standardise else 1)
    expected = PCA(share, svd_solver="full").fit(x)
    found = find_components(data, data.train_ids, standardise)
    first = found.first(share)
    assert len(first) == expected.n_components_
    assert np.allclose(np.abs((first * expected.components_).sum(axis=1)), 1, atol=1e-3)
    assert np.allclose(found.variances[: len(first)], expected.explained_variance_, rtol=1e-4)
    assert np.allclose(first @ first.T, np.eye(len(first)), atol=1e-4)


def test_they_are_found_once_for_all_shares_and_orders(tmp_path, monkeypatch):
    data = Clouds(tmp_path)
    first = training_components(data, True)
    monkeypatch.setattr(principal_components, "find_components", lambda *_: pytest.fail("found again"))
    other = Clouds(tmp_path)
    other.train_ids = other.train_ids[::-1]
    assert np.array_equal(training_components(other, True).directions, first.directions)


def test_other_tracks_scales_or_numbers_have_their_own(tmp_path):
    data, fewer, other = Clouds(tmp_path), Clouds(tmp_path, train=50, validation=40), Clouds(tmp_path)
    other._x[3] += 1  # as of another corpus whose tracks have the same names
    for one, standardise in ((data, True), (data, False), (fewer, True), (other, True)):
        training_components(one, standardise)
    assert len(list(tmp_path.glob("pca-*/components.npz"))) == 4


def test_only_training_items_are_read(tmp_path):
    data = Clouds(tmp_path, rows=2)
    training_components(data, True)
    assert {item.partition("#")[0] for asked in data.asked for item in asked} == set(data.train_ids)


def test_a_torn_file_is_made_again(tmp_path):
    found = training_components(Clouds(tmp_path), True)
    (path,) = tmp_path.glob("pca-*/components.npz")
    path.write_bytes(path.read_bytes()[:300])
    assert np.array_equal(training_components(Clouds(tmp_path), True).directions, found.directions)


def test_items_that_are_all_the_same_have_components_too(tmp_path):
    data = Clouds(tmp_path)
    data._x[:] = 4
    assert np.isfinite(training_components(data, True).directions).all()


def test_errors_name_the_item_and_the_folder(tmp_path):
    data = Clouds(tmp_path)
    data._x[7, 0] = np.inf
    with pytest.raises(TrainingDiverged, match="t7"):
        training_components(data, False)
    (tmp_path / "a file").write_text("")
    with pytest.raises(CacheError, match="a file.*can't be written"):
        training_components(Clouds(tmp_path / "a file"), False)


def test_without_locks_nothing_is_kept(tmp_path, monkeypatch):
    def refuse(*_):
        raise portalocker.LockException("[Errno 37] No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(CacheError, match=r"pca-\w+: the file system has no locks .*No locks available.*--studies-dir"):
        training_components(Clouds(tmp_path), False)
    assert not list(tmp_path.glob("pca-*/components.npz"))
