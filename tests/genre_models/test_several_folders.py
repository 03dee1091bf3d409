from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from genre_models.corpus import open_corpus
from genre_models.errors import CorpusError
from genre_models.prepare import open_task
from genre_models.scan import scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.track_names import TrackNames
from tests import tiny_study


def touch(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return str(root)


def ids_of(corpus) -> list[str]:
    return [track.id for track in corpus.tracks]


def test_classes_are_joined_and_shared_ids_get_their_folders_name(tmp_path: Path) -> None:
    first = touch(tmp_path / "first", "rock/a.wav", "rock/b.wav", "jazz/a.wav")
    second = touch(tmp_path / "second", "rock/a.mp3", "folk/a.wav")
    corpus = open_corpus([first, second])
    assert ids_of(corpus) == ["folk/a", "jazz/a", "rock/a@first", "rock/a@second", "rock/b"]
    assert (corpus.labels, corpus.name, corpus.source) == (("folk", "jazz", "rock"), "first + second", f"{first}, {second}")
    assert [track.label for track in corpus.tracks] == ["folk", "jazz", "rock", "rock", "rock"]
    assert any("1 ids lie in more than one folder" in note and "rock/a@FOLDER" in note for note in corpus.notes)
    assert ids_of(open_corpus([second, first])) == ids_of(corpus)  # no id depends on the order


def test_one_folder_in_a_list_is_that_folder(tmp_path: Path) -> None:
    folder = touch(tmp_path / "music", "rock/a.wav", "jazz/a.wav")
    assert open_corpus([folder]).tracks == open_corpus(folder).tracks


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [touch(tmp_path / place / "music", "rock/a.wav", "jazz/b.wav") for place in ("x", "y")]
    corpus = open_corpus(folders)
    assert ids_of(corpus) == ["jazz/b@music.1", "jazz/b@music.2", "rock/a@music.1", "rock/a@music.2"]
    with pytest.raises(CorpusError, match="two files would have the id jazz/b@music.1.*rename it"):
        open_corpus([*folders, touch(tmp_path / "z", "jazz/b@music.1.wav")])


def test_gtzan_may_be_one_of_them(tmp_path: Path) -> None:
    gtzan = touch(tmp_path / "gtzan", "genres_original/rock/rock.00001.wav", "images_original/rock/rock00001.png")
    mine = touch(tmp_path / "mine", "rock/x.wav", "Jazz/x.wav", "jazz/y.wav")
    corpus = open_corpus([f"gtzan:{gtzan}", mine])
    assert (corpus.kind, ids_of(corpus)) == ("audio", ["Jazz/x", "jazz/y", "rock/rock.00001", "rock/x"])
    assert "4 audio files and 1 images: taking the audio files" in corpus.notes[0]
    assert any("differ in case only are not joined: Jazz and jazz" in note for note in corpus.notes)
    with pytest.raises(CorpusError, match=f"{mine}: has no images .3 audio files., but the others .* take it off .* set data.input: audio"):
        open_corpus([f"gtzan:{gtzan}", mine], "image")


@pytest.mark.parametrize(
    ("files", "sources", "message"),
    [
        (("a/rock/x.wav", "a/jazz/x.wav"), ["a", "missing"], "missing: no such folder"),
        (("a/rock/x.wav", "a/jazz/x.wav", "b/.keep"), ["a", "b"], "b: the folder is empty"),
        (("a/rock/x.wav", "a/jazz/x.wav"), ["a", "./a"], "names the folder .*a twice, as a and as ./a; take one of them off"),
        (
            ("a/genres_original/rock/x.wav", "a/genres_original/jazz/x.wav"),
            ["gtzan:a", "a/genres_original"],
            "the file .*a/genres_original/jazz/x.wav is listed twice, by gtzan:a and by a/genres_original, .*; take one of them off",
        ),
        (("a/rock/x.wav", "b/rock/y.wav"), ["a", "b"], "a, .*b: only one class with audio files .rock."),
        (("a/rock/x.wav", "b/genres_original/rock/y.wav"), ["a", "b"], "b: has GTZAN's layout, .* write data.source: gtzan:"),
        (("a/rock/x.wav", "b/genres_original/notes.txt"), ["a", "gtzan:b"], "b: no files in the class folders of genres_original/"),
    ],
)
def test_a_list_that_cannot_be_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], sources: list[str], message: str
) -> None:
    touch(tmp_path, *files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=message) as caught:
        open_corpus(sources)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("linked", ["rock", "rock/a.wav"])
def test_a_link_to_a_file_of_another_folder_is_found(tmp_path: Path, linked: str) -> None:
    first = touch(tmp_path / "first", "rock/a.wav", "jazz/a.wav")
    second = touch(tmp_path / "second", "folk/b.wav")
    (tmp_path / "second" / linked).parent.mkdir(exist_ok=True)
    (tmp_path / "second" / linked).symlink_to(tmp_path / "first" / linked)
    with pytest.raises(CorpusError, match=f"the file {first}/rock/a.wav is listed twice, by {first} and by {second}, .*remove the link"):
        open_corpus([first, second])


def test_a_rendered_demo_on_the_list_is_said(tmp_path: Path) -> None:
    from genre_models.demo import MARKER

    first = touch(tmp_path / "first", "rock/a.wav", MARKER)
    corpus = open_corpus([first, touch(tmp_path / "second", "jazz/a.wav")])
    assert corpus.demo and "say nothing about real genres" in corpus.notes[0]


def test_names_with_a_folder_are_found(tmp_path: Path) -> None:
    names = TrackNames(["rock/a@first", "rock/a@second", "jazz/b"])
    assert names.find("rock/a@first.wav") == names.find("a@first") == "rock/a@first"
    assert names.find("rock/a") is None  # which of them?
    assert names.find("music/jazz/b.mp3") == "jazz/b"


def test_a_name_that_ends_in_a_number_is_no_other_one_with_a_suffix() -> None:
    names = TrackNames(["rock/song", "rock/song.3"])
    assert names.find("rock/song.2") is None and names.find("rock/song.3.wav") == "rock/song.3"
    assert names.find("rock/song.xyz") == names.find("song.mp3") == "rock/song"


def test_accents_are_the_same_however_a_system_writes_them() -> None:
    taken_apart = unicodedata.normalize("NFD", "rock/Björk é")
    names = TrackNames([taken_apart, unicodedata.normalize("NFC", "jazz/Café")])
    assert names.find(unicodedata.normalize("NFC", taken_apart)) == names.find(taken_apart + ".wav") == taken_apart, "the corpus's own spelling stays"
    assert names.find(unicodedata.normalize("NFD", "jazz/Café.flac")) == unicodedata.normalize("NFC", "jazz/Café")


def test_a_list_survives_run_json_and_knows_what_was_scanned_alone(tmp_path: Path) -> None:
    folders = [str(tiny_study.make_corpus(tmp_path / name, per_class=5, seed=seed)) for seed, name in enumerate(("first", "second"))]
    features = {"cnn": FeatureSettings(image_size=tiny_study.SIZE)}
    settings = DataSettings(source=folders)
    scan_corpus(open_corpus(folders[0]), tmp_path / "cache", 1)
    data = open_task(settings, features, 0, tmp_path / "cache", workers=1)
    assert (data.scan.decoded, data.scan.cached) == (15, 15)
    kept = json.loads(json.dumps({"data": settings.model_dump(mode="json"), "source": data.corpus.source}))
    assert kept["source"] == ", ".join(folders)
    again = open_task(DataSettings.model_validate(kept["data"]), features, 0, tmp_path / "cache", workers=1)
    assert (again.scan.decoded, again.fingerprint()) == (0, data.fingerprint())
    assert all("@" in row["id"] for row in again.development)
    turned = open_task(DataSettings(source=folders[::-1]), features, 0, tmp_path / "cache", workers=1)
    assert turned.fingerprint() == data.fingerprint()
