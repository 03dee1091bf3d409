from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from genre_models import demo
from genre_models.corpus import open_corpus
from genre_models.errors import CorpusError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_class_folders_become_labels(tmp_path: Path) -> None:
    touch(tmp_path, "rock/a.wav", "rock/b.MP3", "rock/notes.txt", "jazz/c.flac", "jazz/.hidden.wav", ".git/x.wav", "readme.md")
    corpus = open_corpus(str(tmp_path))
    assert [track.id for track in corpus.tracks] == ["jazz/c", "rock/a", "rock/b"]
    assert (corpus.kind, corpus.labels, corpus.demo, corpus.notes) == ("audio", ("jazz", "rock"), False, ())
    assert all(track.path.is_absolute() for track in corpus.tracks)


def test_a_stem_keeps_its_dots(tmp_path: Path) -> None:
    touch(tmp_path, "rock/rock.00012.au", "jazz/jazz.00001.OGG")
    assert [track.id for track in open_corpus(str(tmp_path)).tracks] == ["jazz/jazz.00001", "rock/rock.00012"]


def test_of_two_files_with_one_id_the_lossless_stays(tmp_path: Path) -> None:
    touch(tmp_path, "rock/a.mp3", "rock/a.wav", "jazz/c.ogg", "jazz/c.flac")
    corpus = open_corpus(str(tmp_path))
    assert [track.path.name for track in corpus.tracks] == ["c.flac", "a.wav"]
    assert "2 files share the name" in corpus.notes[0]
    assert "a.mp3 (kept a.wav)" in corpus.notes[0]


def test_auto_takes_the_larger_kind_and_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "rock/a.wav", "rock/a.png", "jazz/b.jpg", "jazz/b.jpeg", "jazz/b.wav")
    corpus = open_corpus(str(tmp_path))
    assert corpus.kind == "image"
    assert "2 audio files: taking the images (data.input: audio takes the others)" in corpus.notes[0]
    assert open_corpus(str(tmp_path), "audio").kind == "audio"


def test_gtzan_layout(tmp_path: Path) -> None:
    touch(tmp_path, "genres_original/rock/rock.00001.wav", "genres_original/jazz/jazz.00001.wav", "genres_original/jazz/jazz.00002.wav")
    audio_only = open_corpus(f"gtzan:{tmp_path}")
    assert (audio_only.kind, len(audio_only.tracks), audio_only.notes) == ("audio", 3, ())
    # The images of the usual copy have no dot before the number.
    touch(tmp_path, *(f"images_original/{label}/{label}0000{i}.png" for label in ("rock", "jazz") for i in range(3)))
    both = open_corpus(f"gtzan:{tmp_path}")
    assert both.kind == "image"
    assert both.tracks[0].id == "jazz/jazz.00000"
    assert "taking the images" in both.notes[0]
    assert open_corpus(f"gtzan:{tmp_path}", "audio").tracks == audio_only.tracks


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    touch(tmp_path, "music/rock/a.wav", "music/jazz/b.wav")
    assert len(open_corpus("~/music").tracks) == 2


@pytest.mark.parametrize(
    ("files", "source", "input", "message"),
    [
        ((), "nowhere", "auto", "nowhere: no such folder; give data.source"),
        (("file.wav",), "file.wav", "auto", "file.wav: is a file"),
        (("empty/.keep",), "empty", "auto", "the folder is empty"),
        (("c/rock/a.wav",), "c", "auto", "only one class with audio files .rock., but at least 2"),
        (("c/a.wav", "c/b.wav"), "c", "auto", "sort them into one subfolder for each class"),
        (("c/rock/a.txt", "c/jazz/a.txt"), "c", "auto", "no wav flac au ogg mp3 png jpg jpeg files"),
        (("c/genres_original/rock/a.wav",), "c", "auto", "write data.source: gtzan:"),
        (("c/rock/a.wav", "c/jazz/a.wav"), "c", "image", "there are no images .2 audio files.; set data.input: audio"),
        (("c/rock/a.wav", "c/jazz/a.wav"), "gtzan:c", "auto", "has neither genres_original/ nor images_original/"),
    ],
)
def test_what_cannot_be_a_corpus_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], source: str, input: str, message: str
) -> None:
    touch(tmp_path, *files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=message) as caught:
        open_corpus(source, input)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_demo_is_rendered_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render = demo.render_demo
    monkeypatch.setattr(demo, "render_demo", partial(render, tracks_per_style=2, seconds=0.5, workers=1))
    corpus = open_corpus("demo", cache_dir=tmp_path)
    assert (corpus.demo, corpus.name, corpus.kind) == (True, "demo", "audio")
    assert len(corpus.tracks) == 2 * len(corpus.labels)
    assert corpus.tracks[0].path.is_relative_to(tmp_path)
    assert "say nothing about real genres" in corpus.notes[0]
    as_folder = open_corpus(str(corpus.tracks[0].path.parent.parent))
    assert (as_folder.demo, as_folder.tracks) == (True, corpus.tracks)


def test_demo_has_no_images(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the demo corpus is audio"):
        open_corpus("demo", "image", tmp_path)


def test_real_gtzan(real_data: Path) -> None:
    corpus = open_corpus(f"gtzan:{real_data / 'gtzan'}")
    assert (corpus.kind, len(corpus.tracks), len(corpus.labels)) == ("image", 709, 10)
    assert len(open_corpus(f"gtzan:{real_data / 'gtzan'}", "audio").tracks) == 8
