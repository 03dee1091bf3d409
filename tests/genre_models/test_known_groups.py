"""Artists and albums: from FMA's table, from tags, from neither; and what a split makes of them."""

from __future__ import annotations

import errno
import json
import struct
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import mutagen
import mutagen.id3 as id3
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from mutagen.mp3 import MP3
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from genre_models.corpus import open_corpus
from genre_models.errors import CorpusError
from genre_models.known_groups import KnownGroups, artists_on_two_sides, find_known_groups, names_of
from genre_models.parallel import Lost
from genre_models.prepare import open_task
from genre_models.scan import Scan, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.split import deal
from genre_models.tags import Tags, read_tags, tags_of
from tests.genre_models.fma_tables import COLUMNS, row, write_table
from tests.genre_models.test_split import make_row

FEATURES = {"cnn": FeatureSettings(sr=8000, n_fft=512, hop_length=256, n_mels=16, clip_seconds=0.3)}


def write_tagged(path: Path, number: int = 0, **tags: str) -> Path:
    """Half a second of a noise of its own, with tags of its format's kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.2 * np.random.default_rng(number).standard_normal(4000), 8000)
    if path.suffix in (".mp3", ".wav"):
        file = (MP3 if path.suffix == ".mp3" else WAVE)(path)
        file.add_tags()
        frames = {"artist": id3.TPE1, "albumartist": id3.TPE2, "album": id3.TALB}
        for name, text in tags.items():
            file.tags.add(frames[name](encoding=3, text=[text]))
    else:
        file = (FLAC if path.suffix == ".flac" else OggVorbis)(path)
        file.update(tags)
    if tags:
        file.save()
    return path


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac", ".ogg"])
def test_tags_are_read_of_every_format_that_has_them(tmp_path: Path, suffix: str) -> None:
    path = write_tagged(tmp_path / f"a{suffix}", artist="Ann  Ö", albumartist="Ann & Co", album="\x1b\u202eFirst")
    assert tags_of(str(path)) == {"artist": "Ann Ö", "album_artist": "Ann & Co", "album": "First"}
    assert tags_of(str(write_tagged(tmp_path / f"b{suffix}"))) == {}


@pytest.mark.parametrize(
    ("tags", "artist", "album"),
    [
        (Tags("Ann", None, "Hits"), "artist ann", "album hits by ann"),
        (Tags("ANN  feat. Bob", "Ann", "Hits"), "artist ann", "album hits by ann"),
        (Tags("Ann (ft. Bob)", None, None), "artist ann", None),
        (Tags("Featherstone", None, None), "artist featherstone", None),
        (Tags("Ann feat. Bob", None, "Hits"), "artist ann", "album hits by ann"),
        (Tags("Ann", " ANN  ft. Bob", "Hits"), "artist ann", "album hits by ann"),
        (Tags("Little Feat", None, "Dixie"), "artist little feat", "album dixie by little feat"),
        (Tags("Ann", "Various Artists", "Ten Years"), "artist ann", "album ten years by various artists"),
        (Tags("Various Artists", "Ann", None), "artist ann", None),
        (Tags("Unknown", None, "Hits"), None, "album hits by unknown"),
        (Tags(None, None, "Unknown Album"), None, None),
        (Tags(), None, None),
    ],
)
def test_names_are_the_same_however_they_are_written(tags: Tags, artist: str | None, album: str | None) -> None:
    assert names_of(tags) == (artist, album)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six artists with three files each and an album of their own; in one class two files without a word, and an album without artist."""
    folder = tmp_path_factory.mktemp("tagged") / "music"
    number = 0
    for label in ("folk", "rock"):
        for artist in range(6):
            for i in range(3):
                number += 1
                write_tagged(folder / label / f"{artist}{i}.flac", number, artist=f"{label} {artist}", album="Live" if i else "Studio")
    write_tagged(folder / "rock" / "silent.flac", 97)
    write_tagged(folder / "rock" / "mute.flac", 98)
    for i in range(2):
        write_tagged(folder / "rock" / f"nobody{i}.flac", 99 + i, album="Nameless")
    return folder


@pytest.fixture(scope="module")
def scan(tagged: Path) -> Scan:
    return scan_corpus(open_corpus(str(tagged)), tagged.parent / "cache", 1)


def test_groups_by_artist_and_what_stands_in(tagged: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tagged.parent / "cache"
    known = find_known_groups(scan, "artist", cache, 1)
    assert known.notes == (
        "groups by artist, from the tags of the files: 36 of 40 tracks, 12 artists, the largest folk 0 with 3 tracks; "
        "2 of unknown artist go by their album; 2 say neither: of these only copies stay together",
    )
    for seed in range(3):
        split = deal(scan, DataSettings(groups="artist", split_seed=seed), seed, known=known)
        sides = defaultdict(set)
        for side in ("train", "validation", "test"):
            for track in getattr(split, side):
                sides[track.id[:-1]].add(side)
        assert all(len(found) == 1 for name, found in sides.items() if name[-1].isdigit() or name.endswith("nobody"))
    monkeypatch.setattr("genre_models.tags.run_jobs", lambda function, jobs, workers: (found for found in ()))  # from the cache
    assert find_known_groups(scan, "artist", cache, 1) == known
    by_album = find_known_groups(scan, "album", cache, 1)
    assert len({name for id, name in by_album.group_of.items() if id.startswith("folk")}) == 12, "'Live' of another artist is another album"


def test_artists_that_a_split_tears_are_counted(scan: Scan, tagged: Path) -> None:
    names = {id: names_of(tags) for id, tags in read_tags([row for row in scan.rows], tagged.parent / "cache", 1).items()}
    sides = {"train": [row for row in scan.rows if not row.id.startswith("rock/5")], "test": [row for row in scan.rows if row.id.endswith(("52", "51"))]}
    assert artists_on_two_sides(names, sides) == {"artist folk 5": ["train", "test"]}


def test_a_study_keeps_the_groups_it_began_with(tagged: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, settings = tagged.parent / "cache", DataSettings(source=str(tagged), groups="artist", near_duplicates="ignore")
    first = open_task(settings, FEATURES, 0, cache, workers=1)
    run = {"corpus_fingerprint": scan.fingerprint, "data": settings.model_dump(mode="json"), **first.dealt_with()}
    monkeypatch.setattr("genre_models.prepare.find_known_groups", None)  # nothing is looked for
    again = open_task(settings, FEATURES, 0, cache, workers=1, earlier=json.loads(json.dumps(run)))
    assert (again.split, again.fingerprint()) == (first.split, first.fingerprint())
    monkeypatch.undo()
    auto = open_task(settings.model_copy(update={"groups": "auto"}), FEATURES, 0, cache, workers=1, earlier=run)
    assert auto.known_groups is None and "known_groups" not in auto.dealt_with()
    assert {len(group) for group in auto.split.groups} == {1}


def test_a_corpus_that_knows_no_artist_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    for label in ("folk", "rock"):
        for i in range(3):
            write_tagged(tmp_path / "plain" / label / f"{i}.flac", i + 10 * ord(label[0]))
    with pytest.raises(CorpusError, match="data.groups: artist: of none of the 6 readable tracks .*their tags say nothing.*columns track,group.*recording"):
        open_task(DataSettings(source=str(tmp_path / "plain"), groups="artist"), FEATURES, 0, tmp_path / "cache", workers=1)
    images = Scan(tuple(make_row(f"rock/{i}") for i in range(3)), "f", "image")
    with pytest.raises(CorpusError, match="images have no tags"):
        find_known_groups(images, "album", tmp_path)


def test_fma_by_artist_album_and_recording(tmp_path: Path) -> None:
    table = [row(100 * artist + 10 * i + 1, ("Rock", "Folk")[artist % 2], artist, album=artist if i < 2 else -1 if i == 2 else 99) for artist in range(8) for i in range(4)]
    write_table(tmp_path / "fma" / "tracks.csv", table)
    for each in table:
        path = tmp_path / "fma" / "000" / f"{each[None]:06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(each[None]).encode())
    corpus = open_corpus(f"fma:{tmp_path / 'fma'}")
    assert {(track.group, track.album) for track in corpus.tracks[:4]} == {("artist 0", "album 0"), ("artist 0", None), ("artist 0", "album 99")}
    rows = tuple(replace(make_row(track.id), label=track.label, group=track.group, album=track.album) for track in corpus.tracks)
    scan = Scan(rows, "f")
    artists, albums = (find_known_groups(scan, by, tmp_path) for by in ("artist", "album"))
    assert len(set(artists.group_of.values())) == 8
    assert artists.group_of == {row.id: row.group for row in rows}
    assert set(albums.group_of.values()) == {f"album {n}" for n in (*range(8), 99)} | {f"artist {n}" for n in range(8)}
    assert "24 of 32 tracks, 9 albums, the largest 99 with 8 tracks; 8 of unknown album go by their artist" in albums.notes[0]
    assert {len(group) for group in deal(scan, DataSettings(groups="recording"), 0).groups} == {1}
    of_artists = deal(scan, DataSettings(groups="artist"), 0, known=artists)
    auto = deal(scan, DataSettings(), 0)
    assert (of_artists.train, of_artists.validation, of_artists.test) == (auto.train, auto.validation, auto.test), "auto keeps FMA's artists together"


def test_a_table_without_albums_is_fmas_table(tmp_path: Path) -> None:
    without = [column for column in COLUMNS if column[0] != "album"]
    write_table(tmp_path / "tracks.csv", [row(1, "Rock", 1, album=5), row(2, "Folk", 2, album=6)], without)
    for id in (1, 2):
        (tmp_path / "000").mkdir(exist_ok=True)
        (tmp_path / "000" / f"{id:06d}.mp3").write_bytes(b"x")
    assert [track.album for track in open_corpus(f"fma:{tmp_path}").tracks] == [None, None]


def bomb(path: Path) -> Path:
    """An mp3 whose artist is compressed: 2 MiB that unfold to 2 GiB."""
    import zlib

    packer = zlib.compressobj(9)
    packed = b"\3" + b"".join(packer.compress(bytes(2**20)) for _ in range(2048)) + packer.flush()
    body = struct.pack(">I", 2**31) + packed

    def syncsafe(n: int) -> bytes:
        return bytes((n >> shift) & 0x7F for shift in (21, 14, 7, 0))

    frame = b"TPE1" + syncsafe(len(body)) + b"\0\x09" + body  # compressed, with the length of what is inside
    path.write_bytes(b"ID3\4\0\0" + syncsafe(len(frame)) + frame + path.read_bytes())
    return path


@pytest.mark.slow
def test_tags_that_unfold_to_gigabytes_say_nothing_and_take_no_gigabytes(tmp_path: Path) -> None:
    import resource

    music = tmp_path / "music"
    for i in range(3):
        write_tagged(music / "folk" / f"{i}.mp3", i, artist="Ann")
    bomb(music / "folk" / "1.mp3")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    rows = [replace(make_row(f"folk/{i}"), path=music / "folk" / f"{i}.mp3") for i in range(3)]
    found = read_tags(rows, tmp_path, 1)
    assert [found[f"folk/{i}"].artist for i in range(3)] == ["Ann", None, "Ann"]
    assert max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) < 1.2 * 2**20 or before > 2**20  # KiB


def test_what_could_not_be_asked_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tagged(tmp_path / "a.mp3", artist="Ann")
    rows = [replace(make_row("a"), path=path)]
    away = path.rename(tmp_path / "away.mp3")
    assert read_tags(rows, tmp_path, 1)["a"] == Tags()
    away.rename(path)
    with monkeypatch.context() as patch:  # killed for memory, say
        patch.setattr("genre_models.tags.run_jobs", lambda function, jobs, workers: ((number, Lost("the process died")) for number, _ in enumerate(jobs)))
        assert read_tags(rows, tmp_path, 1)["a"] == Tags()
    assert read_tags(rows, tmp_path, 1)["a"] == Tags("Ann")
    path.unlink()
    assert read_tags(rows, tmp_path, 1)["a"] == Tags("Ann"), "it is known by its content"


def test_a_disk_that_fails_is_told_from_tags_that_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(error: Exception, how: str):
        def fail(_: str) -> None:
            if how == "raised":
                raise error
            try:
                raise error
            except Exception as cause:
                if how == "chained":
                    raise mutagen.MutagenError(cause) from cause
                raise mutagen.MutagenError(cause)  # noqa: B904 (as the library does)

        return fail

    for how in ("raised", "chained", "in handling"):
        monkeypatch.setattr(mutagen, "File", failing(OSError(errno.EIO, "Input/output error"), how))
        with pytest.raises(OSError, match="Input/output error"):
            tags_of("a.mp3")
        for broken in (OSError(errno.EINVAL, "Invalid argument"), ValueError("broken"), MemoryError()):  # a seek before its beginning; a frame that unfolds to anything
            monkeypatch.setattr(mutagen, "File", failing(broken, how))
            assert tags_of("a.mp3") == {}


def test_damaged_tags_and_a_damaged_cache_say_nothing(tmp_path: Path) -> None:
    path = write_tagged(tmp_path / "a.mp3", artist="Ann")
    data = bytearray(path.read_bytes())
    for start in range(0, 60, 3):
        broken = bytearray(data)
        broken[start : start + 3] = b"\xff\xff\xff"
        path.write_bytes(broken)
        assert set(tags_of(str(path))) <= {"artist"}
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "v1.json").write_text('{"x": {"artist": "A", "boo": 1}}')
    path.write_bytes(data)
    assert read_tags([replace(make_row("a"), path=path)], tmp_path, 1)["a"] == Tags("Ann")
    assert KnownGroups("artist", {}).as_data() == {"by": "artist", "groups": {}, "notes": []}
