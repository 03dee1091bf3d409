from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_models.corpus import open_corpus
from genre_models.corpus.fma_table import read_table
from genre_models.errors import CorpusError
from genre_models.grouping import read_groups
from genre_models.prepare import open_task
from genre_models.scan import Scan, look_at, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.split import deal, name_split
from genre_models.split_lists import read_official
from tests.genre_models.fma_tables import COLUMNS, row, write_table

FEATURES = {"cnn": FeatureSettings(sr=8000, n_fft=512, hop_length=256, n_mels=16, clip_seconds=0.3)}


def put_files(tree: Path, *ids: int, suffix: str = ".mp3") -> None:
    for id in ids:
        name = f"{id:06d}"
        (tree / name[:3]).mkdir(parents=True, exist_ok=True)
        (tree / name[:3] / f"{name}{suffix}").write_bytes(b"x" + name.encode())


def ids_of(corpus) -> list[str]:
    return [track.id for track in corpus.tracks]


@pytest.fixture
def fma(tmp_path: Path) -> Path:
    """Two genres in fma_small and fma_medium, with something wrong of each kind."""
    rows = [
        row(2, "Hip-Hop", 1),
        row(5, "Rock", 2, "validation"),
        row(10, "Rock", 2, "validation"),
        row(140, "", 3),  # no root genre
        row(141, "Rock", 4, "test"),  # no file
        row(98565, "Hip-Hop", 5, "test"),
        row(1000, "Folk", 6, "training", "medium"),
        row(1001, "Folk", 7, "test", "large"),  # not in either tree
    ]
    write_table(tmp_path / "fma" / "fma_metadata" / "tracks.csv", rows)
    put_files(tmp_path / "fma" / "fma_small", 2, 5, 10, 140, 98565, 7777)
    (tmp_path / "fma" / "fma_small" / "README.txt").write_text("x")
    put_files(tmp_path / "fma" / "fma_medium", 2, 5, 10, 140, 98565, 1000)
    return tmp_path / "fma"


def test_tracks_are_what_has_a_row_a_genre_and_a_file(fma: Path) -> None:
    shutil.rmtree(fma / "fma_medium")
    corpus = open_corpus(f"fma:{fma}")
    assert ids_of(corpus) == ["000002", "000005", "000010", "098565"]
    assert (corpus.labels, corpus.kind, corpus.name, corpus.demo) == (("Hip-Hop", "Rock"), "audio", "fma_small", False)
    assert corpus.source == f"fma:{fma}"
    first = corpus.tracks[0]
    assert (first.path, first.official_part, first.group) == (fma / "fma_small" / "000" / "000002.mp3", "train", "artist 1")
    notes = "\n".join(corpus.notes)
    assert "1 tracks have no root genre in tracks.csv and are left out: 000140" in notes
    assert "1 tracks of tracks.csv have no audio file in fma_small and are left out: 000141\n" in notes  # not those of larger subsets
    assert "1 audio files are not in tracks.csv and are left out: 007777" in notes
    assert not any("\n" in note for note in corpus.notes)


def test_of_several_trees_the_largest_is_taken_or_the_subsets_own(fma: Path) -> None:
    largest = open_corpus(f"fma:{fma}")
    assert (largest.name, "001000" in ids_of(largest)) == ("fma_medium", True)
    assert "taking fma_medium, not fma_small" in largest.notes[0]
    small = open_corpus(f"fma:{fma}", subset="small")
    assert (small.name, ids_of(small)) == ("fma_small", ["000002", "000005", "000010", "098565"])
    shutil.rmtree(fma / "fma_small")
    nested = open_corpus(f"fma:{fma}", subset="small")
    assert (nested.name, ids_of(nested)) == ("fma_medium (small)", ids_of(small))
    assert "1 audio files are no tracks of the subset and are left out (data.subset: small)" in nested.notes
    assert ids_of(open_corpus(f"fma:{fma}", subset="large")) == ids_of(open_corpus(f"fma:{fma}", subset="full")) == ids_of(largest)


@pytest.mark.parametrize("layout", ["numbered folders beside fma_metadata", "tree in it, table beside it", "tree itself"])
def test_other_places_for_tree_and_table(fma: Path, tmp_path: Path, layout: str) -> None:
    expected = ids_of(open_corpus(f"fma:{fma}", subset="small"))
    if layout == "numbered folders beside fma_metadata":
        for folder in (fma / "fma_small").iterdir():
            shutil.move(folder, fma / folder.name)
        shutil.rmtree(fma / "fma_small")
        found = open_corpus(f"fma:{fma}")
    elif layout == "tree in it, table beside it":
        shutil.rmtree(fma / "fma_medium")
        shutil.move(fma / "fma_metadata" / "tracks.csv", fma / "tracks.csv")
        found = open_corpus(f"fma:{fma}")
    else:
        found = open_corpus(f"fma:{fma / 'fma_small'}")
    assert ids_of(found) == expected


def test_converted_files_are_taken_before_mp3(fma: Path) -> None:
    put_files(fma / "fma_small", 2, suffix=".flac")
    corpus = open_corpus(f"fma:{fma}", subset="small")
    assert [track.path.suffix for track in corpus.tracks] == [".flac", ".mp3", ".mp3", ".mp3"]
    assert "1 tracks have several files, of which the lossless is taken: 000002" in corpus.notes[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda fma: shutil.rmtree(fma / "fma_metadata"), "FMA's table is missing.*unpack fma_metadata.zip"),
        (lambda fma: [shutil.rmtree(fma / f"fma_{name}") for name in ("small", "medium")], "no audio: .*unpack fma_small.zip"),
        (lambda fma: shutil.rmtree(fma), "no such folder; give data.source .or --data. a folder with fma_small"),
        (lambda fma: write_table(fma / "fma_metadata" / "tracks.csv", [row(77, "Rock")]), "none of its 6 audio files is a track of"),
        (lambda fma: write_table(fma / "fma_metadata" / "tracks.csv", [row(2, "Rock")]), "only one class"),
        (
            lambda fma: write_table(fma / "fma_metadata" / "tracks.csv", [], [c for c in COLUMNS if c != ("track", "genre_top")]),
            r"is not FMA's table: its first two rows name no column \(track, genre_top\)",
        ),
        (lambda fma: (fma / "fma_metadata" / "tracks.csv").write_text("track_id,genre\n2,Rock\n"), r"no column \(set, split\), \(set, su"),
        (lambda fma: (fma / "fma_metadata" / "tracks.csv").write_text(""), "is not FMA's table"),
        (lambda fma: (fma / "fma_metadata" / "tracks.csv").write_bytes(b"\xff\xfe\x00"), "can't be read as FMA's table"),
        (lambda fma: write_table(fma / "fma_metadata" / "tracks.csv", [{None: "two"}]), "line 4: a row must begin with a track's nu.*'two'"),
    ],
)
def test_what_is_no_fma_is_one_clear_error(fma: Path, spoil, message: str) -> None:
    spoil(fma)
    with pytest.raises(CorpusError, match=message) as caught:
        open_corpus(f"fma:{fma}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_fma_is_audio(fma: Path) -> None:
    with pytest.raises(CorpusError, match="FMA is audio"):
        open_corpus(f"fma:{fma}", "image")


def test_fma_named_as_a_plain_folder_is_not_taken_for_classes(fma: Path) -> None:
    for folder in (fma, fma / "fma_small"):
        with pytest.raises(CorpusError, match=f"has FMA's layout, not class folders: write data.source: fma:{folder}$"):
            open_corpus(str(folder))


def test_a_row_is_read_whatever_is_in_its_texts(tmp_path: Path) -> None:
    long = row(3, "Rock") | {("artist", "bio"): "x" * 300_000}  # beyond the csv module's own limit
    before = csv.field_size_limit()
    rows = list(read_table(write_table(tmp_path / "tracks.csv", [row(2, "Old-Time / Historic", 7, "test", "large"), long])))
    assert rows[0] == ("000002", "test", "large", "Old-Time / Historic", "7", "")
    assert [each.id for each in rows] == ["000002", "000003"]
    assert csv.field_size_limit() == before


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve artists of two genres with three real mp3 tones each, the first of them broken, and an official split by artist."""
    tmp_path = tmp_path_factory.mktemp("playing")
    for id in (10 * artist + i + 1 for artist in range(12) for i in range(3)):
        y = 0.3 * np.sin(2 * np.pi * (200 + 10 * id) * np.arange(4000) / 8000)
        path = tmp_path / "fma" / "fma_small" / "000" / f"{id:06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, y, 8000, format="MP3")
    (tmp_path / "fma" / "fma_small" / "000" / "000001.mp3").write_bytes(b"ID3 broken")
    write_table(tmp_path / "fma" / "fma_metadata" / "tracks.csv", playing_rows())
    return tmp_path / "fma"


def playing_rows() -> list[dict]:
    rows = []
    for artist in range(12):
        part = "test" if artist % 4 == 0 else "validation" if artist % 4 == 1 else "training"
        for i in range(3):
            id = 10 * artist + i + 1
            rows.append(row(id, ("Rock", "Folk")[artist // 4 % 2], artist, part))
    return rows


@pytest.fixture(scope="module")
def scan(playing: Path) -> Scan:
    return scan_corpus(open_corpus(f"fma:{playing}"), playing.parent / "cache", 1)


def test_the_official_split_is_dealt_as_published_and_survives_run_json(playing: Path, scan: Scan) -> None:
    settings = DataSettings(source=f"fma:{playing}", subset="small", split="official")
    data = open_task(settings, FEATURES, 0, playing.parent / "cache", workers=1)
    assert data.scan.rows == scan.rows
    again = DataSettings.model_validate(json.loads(json.dumps(settings.model_dump(mode="json"))))
    assert again == settings
    split = data.split
    parts = {part: {int(track.id) // 10 % 4 for track in getattr(split, part)} for part in ("train", "validation", "test")}
    assert parts == {"train": {2, 3}, "validation": {1}, "test": {0}}
    assert (len(split.train), len(split.validation), len(split.test)) == (18, 9, 8)
    assert split.notes == ("the split is the corpus's own, as published",)
    other = open_task(again, FEATURES, 7, playing.parent / "cache", workers=1)
    assert other.split.split_id == split.split_id == name_split(split.test)
    assert other.fingerprint() == data.fingerprint()  # no seed deals anything


@pytest.mark.parametrize(("part", "artists"), [("train", (2, 6)), ("validation", (1, 5)), ("test", (4, 8))])
def test_two_tracks_that_swap_their_genres_make_another_corpus(playing: Path, tmp_path: Path, part: str, artists: tuple[int, int]) -> None:
    rows = playing_rows()
    swapped = [next(row for row in rows if row[None] == 10 * artist + 2) for artist in artists]
    genres = [row["track", "genre_top"] for row in swapped]
    for each, genre in zip(swapped, reversed(genres), strict=True):
        each["track", "genre_top"] = genre
    (tmp_path / "fma_small").symlink_to(playing / "fma_small")
    write_table(tmp_path / "fma_metadata" / "tracks.csv", rows)
    before, after = (
        open_task(DataSettings(source=f"fma:{folder}", split="official"), FEATURES, 0, playing.parent / "cache", workers=2)
        for folder in (playing, tmp_path)
    )
    assert set(genres) == {"Rock", "Folk"}
    assert before.scan.fingerprint != after.scan.fingerprint, "scripts/final_eval.py compares this one"
    kept, changed = before.fingerprint(), after.fingerprint()
    differing = {"train": {"train"}, "validation": {"validation"}, "test": {"split_id"}}[part]
    assert {key for key in kept if kept[key] != changed[key]} == {"content"} | differing


def test_a_random_deal_keeps_an_artists_tracks_together(playing: Path, scan: Scan, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("track,group\n000002.mp3,label\nfma_small/000/000021.mp3,label\n")
    assert read_groups(str(groups), scan.rows)[0] == {"000002": "label", "000021": "label"}
    for seed in range(4):
        split = deal(scan, DataSettings(source=f"fma:{playing}", split_seed=seed), seed)
        tied = deal(scan, DataSettings(source=f"fma:{playing}", split_seed=seed, groups=str(groups)), seed)
        for dealt in (split, tied):
            where: dict[int, set[str]] = {}
            for part in ("train", "validation", "test"):
                for track in getattr(dealt, part):
                    where.setdefault(int(track.id) // 10, set()).add(part)
            assert all(len(parts) == 1 for parts in where.values())
        assert where[0] == where[2]
    assert Counter(row.label for row in split.train).keys() == {"Rock", "Folk"}


def test_lists_name_fma_tracks_by_number_or_file(playing: Path, scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("000011\nfma_small/000/000021.mp3\n000/000051.wav\n61\n")
    (tmp_path / "test.txt").write_text("12\n000041\n999999\n")
    lists = {part: str(tmp_path / f"{part}.txt") for part in ("train", "test")}
    with pytest.raises(CorpusError, match=r"an artist lies on two sides: artist 1: 000011 \(train\) = 000012 \(test\)"):
        deal(scan, DataSettings(source=f"fma:{playing}", split=lists), 0)
    split = deal(scan, DataSettings(source=f"fma:{playing}", split=lists, on_two_sides="warn"), 0)
    assert {track.id for track in (*split.train, *split.validation)} == {"000011", "000021", "000051", "000061"}
    assert [track.id for track in split.test] == ["000012", "000041"]
    assert any("1 of 3 tracks have no readable file" in note for note in split.notes)
    assert any("WARNING" in note and "000012 (test)" in note for note in split.notes)  # an artist on both sides


def test_an_official_split_needs_each_class_in_each_part(scan: Scan) -> None:
    without = [row for row in scan.rows if row.label != "Folk" or row.official_part != "test"]
    with pytest.raises(CorpusError, match="its test part has no readable track of class 'Folk'; take another data.subset"):
        read_official(without)
    with pytest.raises(CorpusError, match="published without a split; leave data.split out"):
        read_official([replace(row, official_part=None) for row in scan.rows])


def test_real_clip_under_its_number(real_data: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "fma_metadata" / "tracks.csv", [row(2, "Hip-Hop"), row(3, "Rock")])
    put_files(tmp_path / "fma_small", 3)
    shutil.copy(real_data / "formats" / "fma_000002.mp3", tmp_path / "fma_small" / "000" / "000002.mp3")
    facts = look_at(str(open_corpus(f"fma:{tmp_path}").tracks[0].path), "audio")
    assert (facts["sr"], facts["channels"]) == (44_100, 2)
    assert facts["duration_seconds"] == pytest.approx(29.98, abs=0.01)
