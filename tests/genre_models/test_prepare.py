"""What leaves for the workers: everything of the development tracks, nothing of the held-out ones."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from genre_models.errors import CorpusError, HeldOutError
from genre_models.features.store import FeatureStore
from genre_models.prepare import open_task
from genre_models.task_data import TaskData
from genre_models.settings import DataSettings, FeatureSettings
from tests import tiny_study

FEATURES = {"cnn": FeatureSettings(image_size=tiny_study.SIZE)}
OBJECTIVE = {"metric": "val_accuracy", "direction": "maximize"}


def opened(folder: Path, seed: int = 0, source: Path | None = None, fold_counts: tuple[int, ...] = (), **data: object) -> TaskData:
    settings = DataSettings(source=str(source or folder / "music"), **data)
    return open_task(settings, FEATURES, seed, folder / "cache", fold_counts=fold_counts, workers=1)


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


def test_what_a_study_was_begun_without_it_goes_on_without_and_what_it_had_it_must_have(folder: Path) -> None:
    """Else trials of one study would be scored on different tracks, and nobody would know."""
    data = opened(folder)
    gone, other = data.development[0], data.development[5]
    content = Path(gone["path"]).read_bytes()
    Path(gone["path"]).write_bytes(b"no picture")
    assert data.prepare_features(workers=1)[2].keys() == {gone["id"]}
    kept = json.loads(json.dumps(data.dealt_with()))
    assert kept["left_out"].keys() == {gone["id"]}
    Path(gone["path"]).write_bytes(content)
    earlier = {"corpus_fingerprint": data.scan.fingerprint, "data": {"on_two_sides": "refuse"}, **kept}
    again = open_task(DataSettings(source=str(folder / "music")), FEATURES, 0, folder / "cache", workers=1, earlier=earlier)
    assert again.prepare_features(workers=1)[2] == kept["left_out"], "it is there again, but no trial before had it"
    shutil.rmtree(next((folder / "cache").glob("features-*")))
    Path(other["path"]).write_bytes(b"no picture")
    with pytest.raises(CorpusError, match=rf"{other['id']}: the study was trained and scored with it, but now no features can be made: .*--study NAME"):
        again.prepare_features(workers=1)


def test_each_development_track_has_a_fold_of_each_deal_that_the_run_needs(folder: Path) -> None:
    plain, data = opened(folder), opened(folder, validation={"folds": 4})
    for task in (plain.task(OBJECTIVE, {}), plain.task(OBJECTIVE, {}, fold_counts=(1,))):
        assert all("folds" not in track for track in task["tracks"]), "without folds a task is as it was"
    tracks = data.task(OBJECTIVE, {}, fold_counts=(3, 1))["tracks"]
    assert all(track["folds"].keys() == {"3", "4"} for track in tracks)
    assert {track["id"]: track["folds"]["4"] for track in tracks} == data.folds(4)
    assert all((track["part"] == "validation") == (track["folds"]["4"] == 0) for track in tracks)
    assert {track["folds"]["3"] for track in tracks} == {0, 1, 2}
    assert data.task(OBJECTIVE, {})["tracks"] == [track | {"folds": {"4": track["folds"]["4"]}} for track in tracks]
    confirmed = plain.task(OBJECTIVE, {}, fold_counts=(4,))["tracks"]
    assert {track["id"]: track["folds"]["4"] for track in confirmed} == data.folds(4), "confirming deals as validating does"
    held_out = {track.id for track in data.split.test}
    assert held_out == {track.id for track in plain.split.test}
    assert not held_out & {track["id"] for track in tracks}


def test_the_fingerprint_has_the_folds_that_validate_and_no_others(folder: Path) -> None:
    plain = opened(folder)
    assert plain.fingerprint().keys() == {"content", "split_id", "train", "validation"}, "as studies of before folds have it"
    assert opened(folder, fold_counts=(3,)).fingerprint() == plain.fingerprint()
    four = opened(folder, validation={"folds": 4}).fingerprint()
    assert four == opened(folder, validation={"folds": 4}).fingerprint()
    others = [opened(folder, validation={"folds": 3}).fingerprint(), opened(folder, seed=1, validation={"folds": 4}).fingerprint()]
    assert all(other["folds"] != four["folds"] for other in others)
    assert {found["split_id"] for found in (four, *others)} == {plain.split.split_id}


def test_fingerprints_of_class_folders_are_as_they_ever_were(folder: Path) -> None:
    data = opened(folder)

    def digest(text: str) -> str:
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    assert data.scan.fingerprint == digest(json.dumps([[row.id, row.content] for row in data.scan.rows]))
    for part in ("train", "validation"):
        assert data.fingerprint()[part] == digest("\n".join(row.id for row in getattr(data.split, part)))


def test_too_few_tracks_for_the_folds_asked_for_are_said_at_once(folder: Path) -> None:
    with pytest.raises(CorpusError, match="class 'blues': 9 folds need at least 9 .* there are 8 .*take 8 folds or fewer"):
        opened(folder, fold_counts=(9,))
    with pytest.raises(CorpusError, match="class 'blues': 9 folds"):
        opened(folder).task(OBJECTIVE, {}, fold_counts=(9,))


def test_a_corpus_that_moved_is_the_same_corpus(folder: Path) -> None:
    first = opened(folder)
    (folder / "music").rename(folder / "elsewhere")
    assert opened(folder, source=folder / "elsewhere").fingerprint() == first.fingerprint()
