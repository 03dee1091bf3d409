"""The naive split: segments dealt one by one, within development tracks alone, and marked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_models.errors import ConfigurationRefused, SettingsError
from genre_models.families import FAMILIES
from genre_models.naive import ItemsApart, deal_items, item_groups, item_names, naive_data, require_families_with_segments, track_and_number
from genre_models.objective import screen
from genre_models.prepare import open_task
from genre_models.task_data import TaskData
from genre_models.settings import DataSettings, FeatureSettings
from scripts.final_request import caveat_of, choose_study, read_request
from search.errors import StudyError
from search.run import overrides, parser
from search.study_view import read_study
from tests import tiny_study
from tests.genre_models.test_segments import data_of

OBJECTIVE = {"metric": "val_accuracy", "direction": "maximize"}


def tracks_of(**sizes: int) -> list[dict]:
    return [{"id": f"{label}/{i}", "label": label, "group": i} for label, n in sizes.items() for i in range(n)]


def names_of(tracks: list[dict], segments: int) -> tuple[list[str], list[str]]:
    return [f"{track['id']}#{n}" for track in tracks for n in range(1, segments + 1)], [track["label"] for track in tracks for _ in range(segments)]


@given(st.integers(2, 12), st.integers(2, 12), st.integers(2, 6), st.integers(0, 99), st.randoms())
def test_each_segment_is_in_one_fold_and_classes_are_dealt_evenly(rock: int, jazz: int, segments: int, seed: int, order) -> None:
    names, labels = names_of(tracks_of(rock=rock, jazz=jazz), segments)
    dealt = [deal_items(names, labels, seed, folds=3, fold=fold) for fold in range(3)]
    assert (np.sum(dealt, axis=0) == 1).all()
    for places in (slice(0, rock * segments), slice(rock * segments, None)):
        sizes = [int(each[places].sum()) for each in dealt]
        assert max(sizes) - min(sizes) <= 1
    shuffled = list(range(len(names)))
    order.shuffle(shuffled)
    again = deal_items([names[i] for i in shuffled], [labels[i] for i in shuffled], seed, folds=3, fold=1)
    assert (again == dealt[1][shuffled]).all()


def test_a_holdout_takes_its_part_of_each_class_and_tears_tracks() -> None:
    names, labels = names_of(tracks_of(rock=30, jazz=20), 6)
    dealt = deal_items(names, labels, 0, holdout=0.25)
    assert (int(dealt[:180].sum()), int(dealt[180:].sum())) == (45, 30)
    torn = sum(0 < row.sum() < 6 for row in dealt.reshape(50, 6))
    assert torn > 35, "most tracks lie on both sides"
    assert (deal_items(names, labels, 1, holdout=0.25) != dealt).any()


def test_items_are_the_windows_of_tracks() -> None:
    data = data_of(n=9, width=20, count=3)
    names, owners = item_names(data, [str(i) for i in range(9)])
    assert owners.tolist() == [i // 3 for i in range(27)]
    apart = ItemsApart(data, names, deal_items(names, ["x"] * 27, 0, holdout=0.3))
    assert len(apart.train_ids) + len(apart.validation_ids) == 27 and not set(apart.train_ids) & set(apart.validation_ids)
    assert apart.input_shape == data.input_shape == (4, 6, 2)
    windows = apart.features(["7#2", "0#1", "7#3"])
    assert (windows[:, 0, 0, 0].tolist(), windows[:, 0, 0, 1].tolist()) == ([6, 0, 12], [7, 0, 7])
    assert apart.targets(["7#2", "0#1"]).tolist() == data.targets(["7", "0"]).tolist()
    assert track_and_number("a#b#12") == ("a#b", 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("naive")
    tiny_study.make_corpus(folder / "music")
    return folder


def opened(folder: Path, segments: int = 4, **data: object) -> TaskData:
    features = {"cnn": FeatureSettings(image_size=tiny_study.SIZE, segments=segments)}
    return open_task(DataSettings(source=str(folder / "music"), **data), features, 0, folder / "cache", workers=1)


def test_held_out_tracks_are_those_of_the_honest_split_and_in_nothing_that_workers_get(folder: Path) -> None:
    honest, naive = opened(folder), opened(folder, split="naive")
    assert (naive.split.test, naive.split.split_id) == (honest.split.test, honest.split.split_id)
    sent = json.dumps(naive.task(OBJECTIVE, {}))
    assert all(track.id not in sent and track.content not in sent for track in naive.split.test)
    naive.prepare_features(workers=1)
    task = naive.task(OBJECTIVE, {})
    spec = {"family": "cnn", "params": {"segments": 0}, "features": naive.features["cnn"]}
    data = naive_data(spec, task, None)
    held_out = {track.id for track in naive.split.test}
    owners = Counter(track_and_number(id)[0] for id in (*data.train_ids, *data.validation_ids))
    assert owners == {row["id"]: 4 for row in naive.development} and not held_out & set(owners)
    both = {track_and_number(id)[0] for id in data.train_ids} & {track_and_number(id)[0] for id in data.validation_ids}
    assert len(both) > len(owners) / 3
    groups = item_groups(spec, task)
    assert set(groups) == {*data.train_ids, *data.validation_ids}
    assert len(set(groups.values())) == len(naive.split.groups), "all segments of a track, and of what belongs to it, count as one"


def test_it_is_marked_and_no_honest_study_can_go_on_as_one(folder: Path) -> None:
    honest, naive = opened(folder), opened(folder, split="naive")
    assert naive.split.notes[-1].startswith("NAIVE SPLIT: segments of one track lie in train and validation; these scores are no result")
    assert (honest.caveat, "caveat" in honest.dealt_with(), "naive" in honest.task(OBJECTIVE, {})) == (None, False, False)
    assert naive.dealt_with()["caveat"] == naive.caveat
    assert naive.fingerprint() == honest.fingerprint() | {"split": "naive"}


def test_what_has_no_segments_is_refused_before_anything_is_computed(folder: Path) -> None:
    with pytest.raises(SettingsError, match="families.cnn has one a track: write segments: 6"):
        opened(folder, segments=1, split="naive")
    features = {"mobilenet": FeatureSettings().model_dump()}
    with pytest.raises(SettingsError, match="families.mobilenet takes whole tracks"):
        require_families_with_segments({}, features)
    with pytest.raises(SettingsError, match="families.classical takes whole tracks.*input: table"):
        require_families_with_segments({"classical": {"input": ["table", "handcrafted"]}}, {"classical": {}})
    require_families_with_segments({"classical": {"input": ["table"]}}, {"classical": {}})
    require_families_with_segments({"cnn": {"segments": [1, 3]}}, {"cnn": FeatureSettings().model_dump()})
    spec = {"family": "cnn", "params": {"segments": 1}, "features": FeatureSettings().model_dump()}
    with pytest.raises(ConfigurationRefused, match="segments: 1 window a track"):
        screen(spec, {"naive": {"seed": 0, "holdout": 0.2}, "kind": "image", "labels": ["a", "b"]})


def test_the_flag_names_a_study_of_its_own() -> None:
    def given(*words: str) -> dict:
        return overrides(parser().parse_args(["--space", "spaces/cnn.yaml", *words]))

    assert given("--split", "naive") == {"data.split": "naive", "study": "cnn-naive"}
    assert given("--split", "naive", "--data", "gtzan:/music/gtzan")["study"] == "cnn-gtzan-naive"
    assert given("--split", "naive", "--study", "mine")["study"] == "mine"
    assert "study" not in given()


def test_no_look_with_such_a_study_and_it_is_never_the_best(folder: Path, tmp_path: Path) -> None:
    from rich.console import Console

    spec = tiny_study.make_spec()
    spec["features"]["segments"] = 4
    for name, values, split in (("honest", (0.5,), None), ("flattering", (0.9,), "naive")):
        tiny_study.make_study(tmp_path, name, folder / "music", values, spec=spec, split=split)
    assert caveat_of(read_study(tmp_path, "flattering")) and caveat_of(read_study(tmp_path, "honest")) is None
    with pytest.raises(StudyError, match="study 'flattering': NAIVE SPLIT.*may look at held-out tracks"):
        read_request(tmp_path, "flattering", None)
    console = Console(record=True, width=200)
    assert choose_study(tmp_path, "best", console) == "honest"
    assert "passed over: study 'flattering': NAIVE SPLIT" in console.export_text()


def write_rows(path: Path, rows_a_track: int) -> Path:
    """Two classes of twenty tracks, each at a place of its own that its rows share and that says nothing of its class."""
    rng = np.random.default_rng(0)
    places = rng.normal(0, 1, (40, 6))
    with path.open("w") as file:
        file.write("filename,a,b,c,d,e,f,label\n")
        for track in range(40):
            label = ("folk", "rock")[track % 2]
            for row in range(rows_a_track):
                numbers = ",".join(f"{value:.4f}" for value in places[track] + rng.normal(0, 0.02, 6))
                file.write(f"{label}.{track:05d}.{row}.wav,{numbers},{label}\n" if rows_a_track > 1 else f"{label}.{track:05d}.wav,{numbers},{label}\n")
    return path


def test_rows_of_a_table_are_dealt_one_by_one_and_a_track_is_known_by_its_others(tmp_path: Path) -> None:
    from genre_models.families.classical import fit

    def task_of(rows_a_track: int, **more: object) -> tuple[TaskData, dict]:
        source = f"table:{write_rows(tmp_path / f'{rows_a_track}.csv', rows_a_track)}"
        values = {"classical": {name: [value] for name, value in params.items()}}
        data = open_task(DataSettings(source=source, **more), {"classical": FeatureSettings()}, 0, tmp_path / "cache", values=values, workers=1)
        data.prepare_features()
        return data, data.task(OBJECTIVE, {})

    params = FAMILIES["classical"].defaults() | {"input": "table", "model": "forest", "forest_trees": 50}
    naive, task = task_of(6, split="naive")
    spec = {"family": "classical", "params": params, "features": naive.features["classical"]}
    screen(spec, task)
    data = naive_data(spec, task, None)
    assert len(data.validation_ids) == 2 * round(0.2 * len(naive.development) * 3) and len(data.train_ids) + len(data.validation_ids) == 6 * len(naive.development)
    fitted = fit(params, data, epochs=1, seed=0, report=lambda *_: "continue")
    right = fitted.predict(data.validation_ids).argmax(axis=1) == data.targets(data.validation_ids)
    assert right.mean() > 0.9, "a row is known by the others of its track"
    honest, task = task_of(6)
    from genre_models.sources import development_data

    whole = development_data(spec, task, task["tracks"])
    fitted = fit(params, whole, epochs=1, seed=0, report=lambda *_: "continue")
    right = fitted.predict(whole.validation_ids).argmax(axis=1) == whole.targets(whole.validation_ids)
    assert right.mean() < 0.85, "and there is nothing else to know it by"
    with pytest.raises(SettingsError, match="1.csv has one row a track"):
        task_of(1, split="naive")
