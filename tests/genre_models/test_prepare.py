"""What leaves for the workers: everything of the development tracks, nothing of the held-out ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genre_models.errors import HeldOutError
from genre_models.features.store import FeatureStore
from genre_models.prepare import TaskData, open_task
from genre_models.settings import DataSettings, FeatureSettings
from tests import tiny_study

FEATURES = {"cnn": FeatureSettings(image_size=tiny_study.SIZE)}
OBJECTIVE = {"metric": "val_accuracy", "direction": "maximize"}


def opened(folder: Path, seed: int = 0, source: Path | None = None) -> TaskData:
    return open_task(DataSettings(source=str(source or folder / "music")), FEATURES, seed, folder / "cache", workers=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_study.make_corpus(tmp_path / "music")
    return tmp_path


def test_no_held_out_track_is_in_what_workers_get(folder: Path) -> None:
    data = opened(folder)
    sent = json.dumps(data.task(OBJECTIVE, {}))
    assert data.split.test
    for track in data.split.test:
        assert track.id not in sent and str(track.path) not in sent and track.content not in sent
    assert {t["id"] for t in data.task(OBJECTIVE, {})["tracks"]} == {t.id for t in (*data.split.train, *data.split.validation)}


def test_held_out_files_are_not_read_after_the_scan(folder: Path) -> None:
    data = opened(folder)
    for track in data.split.test:
        Path(track.path).unlink()
        Path(track.path).mkdir()  # whoever opens it now, fails
    decoded, cached, failed = data.prepare_features(workers=1)
    assert (decoded, cached, failed) == (len(data.development), 0, {})
    store = FeatureStore(data.cache_dir, data.corpus.kind, data.features["cnn"], data.development)
    with pytest.raises(HeldOutError, match=data.split.test[0].id):
        store.features([data.split.test[0].id])


def test_nothing_of_a_held_out_track_is_in_the_cache(folder: Path) -> None:
    data = opened(folder)
    data.prepare_features(workers=1)
    index = "".join(path.read_text() for path in (folder / "cache").glob("features-*/index.jsonl"))
    assert all(row["content"] in index for row in data.development)
    assert not any(track.content in index for track in data.split.test)


def test_the_second_pass_decodes_nothing_and_the_seed_only_deals_validation(folder: Path) -> None:
    first = opened(folder)
    first.prepare_features(workers=1)
    again = opened(folder)
    assert again.fingerprint() == first.fingerprint()
    assert again.prepare_features(workers=1)[0] == 0
    other = opened(folder, seed=1)
    assert other.split.split_id == first.split.split_id
    assert other.fingerprint()["validation"] != first.fingerprint()["validation"]


def test_a_corpus_that_moved_is_the_same_corpus(folder: Path) -> None:
    first = opened(folder)
    (folder / "music").rename(folder / "elsewhere")
    assert opened(folder, source=folder / "elsewhere").fingerprint() == first.fingerprint()
