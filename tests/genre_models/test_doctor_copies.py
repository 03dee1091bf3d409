"""Copies of a recording: what counts as one, and what a split does with it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genre_models.corpus import open_corpus
from genre_models.doctor import examine
from genre_models.errors import CorpusError
from genre_models.fingerprints import SameRecordings, find_same_recordings
from genre_models.fingerprints.codes import decode, encode, similarity
from genre_models.fingerprints.same_recording import join
from genre_models.prepare import open_task
from genre_models.scan import Scan, ScanRow, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.split import deal
from tests.genre_models.tunes import SR, as_mp3, make_tune, write


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six tunes, and copies of the first ones."""
    folder = tmp_path_factory.mktemp("music")
    for number, label in enumerate(("folk", "waltz")):
        for i in range(6):
            write(folder / label / f"{i}.wav", make_tune(10 * number + i))
    y = make_tune(0)
    write(folder / "folk" / "again.mp3", y, format="MP3", bitrate_mode="VARIABLE", compression_level=0.99)
    write(folder / "folk" / "vorbis.ogg", make_tune(1), format="OGG", subtype="VORBIS")
    write(folder / "folk" / "softer.wav", 0.25 * make_tune(2))
    write(folder / "folk" / "cut.wav", make_tune(3)[round(1.013 * SR) :])
    write(folder / "folk" / "other.flac", soundfile.read(folder / "folk" / "4.wav", dtype="int16")[0])
    shutil.copy(folder / "folk" / "5.wav", folder / "folk" / "same.wav")
    write(folder / "waltz" / "stray.wav", as_mp3(0.6 * make_tune(0)[: round(-1.5 * SR)]))
    return folder


@pytest.fixture(scope="module")
def found(music: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scan, SameRecordings, Path]:
    cache = tmp_path_factory.mktemp("cache")
    scan = scan_corpus(open_corpus(str(music)), cache, 2)
    return scan, find_same_recordings(scan, cache, 2), cache


def test_each_copy_is_found_and_no_other_pair(found: tuple[Scan, SameRecordings, Path]) -> None:
    _, same, _ = found
    assert same.sets == (
        ("folk/0", "folk/again", "waltz/stray"),
        ("folk/1", "folk/vorbis"),
        ("folk/2", "folk/softer"),
        ("folk/3", "folk/cut"),
        ("folk/4", "folk/other"),
        ("folk/5", "folk/same"),
    )
    how = {pair.other: pair.how for pair in same.pairs}
    assert (how["folk/same"], how["folk/other"], how["folk/softer"]) == ("bytes", "decoded", "near")
    (cut,) = (pair for pair in same.pairs if pair.other == "folk/cut")
    assert cut.shift_seconds == pytest.approx(1.013, abs=0.1)
    assert min(pair.similarity for pair in same.pairs) > 0.6


def test_a_second_look_decodes_nothing(found: tuple[Scan, SameRecordings, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scan, same, cache = found
    monkeypatch.setattr(soundfile, "SoundFile", None)
    again = find_same_recordings(scan, cache, 2)
    assert (again.computed, again.cached) == (0, same.computed) != (0, 0)
    assert again.pairs == same.pairs


def test_steady_tones_and_silence_are_not_taken_for_one_another(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    for i in range(4):
        write_tone(tmp_path / "a" / f"{i}.wav", hertz=440 + 3 * i, seconds=6)
        write(tmp_path / "b" / f"{i}.wav", np.zeros(6 * SR + i))
    scan = scan_corpus(open_corpus(str(tmp_path)), tmp_path / "cache", 1)
    assert find_same_recordings(scan, tmp_path / "cache", 1).pairs == ()


def test_what_went_after_the_scan_is_said_to_be_not_compared(tmp_path: Path) -> None:
    for label, i in itertools.product("ab", range(3)):
        write(tmp_path / label / f"{i}.wav", make_tune(10 * ord(label) + i, 2))
    scan = scan_corpus(open_corpus(str(tmp_path)), tmp_path / "cache", 1)
    (tmp_path / "a" / "1.wav").unlink()
    write(tmp_path / "b" / "2.wav", make_tune(99, 2))
    same = find_same_recordings(scan, tmp_path / "cache", 1)
    assert set(same.failed) == {"a/1", "b/2"}
    assert "changed since the scan" in same.failed["b/2"]


def picture(seed: int) -> Image.Image:
    """A spectrogram-like picture of blurred noise, 300 × 200 pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (50, 75), dtype=np.uint8)
    return Image.fromarray(noise).resize((300, 200), Image.Resampling.BICUBIC)


def test_pictures_saved_again_resized_brighter_and_cut(tmp_path: Path) -> None:
    for label, i in itertools.product("ab", range(5)):
        (tmp_path / label).mkdir(exist_ok=True)
        picture(ord(label) * 10 + i).save(tmp_path / label / f"{i}.png")
    first = [picture(ord("a") * 10 + i) for i in range(5)]
    first[0].save(tmp_path / "a" / "x0.jpg", quality=40)
    first[1].resize((190, 120)).save(tmp_path / "a" / "x1.png")
    first[2].point(lambda value: value * 0.7).save(tmp_path / "a" / "x2.png")
    first[3].crop((10, 0, 300, 200)).resize((300, 200)).save(tmp_path / "a" / "x3.png")
    framed = Image.new("RGB", (340, 250), "white")
    framed.paste(first[4], (20, 25))
    framed.save(tmp_path / "b" / "x4.png")
    scan = scan_corpus(open_corpus(str(tmp_path)), tmp_path / "cache", 1)
    same = find_same_recordings(scan, tmp_path / "cache", 1)
    assert same.sets == (("a/0", "a/x0"), ("a/1", "a/x1"), ("a/2", "a/x2"), ("a/3", "a/x3"), ("a/4", "b/x4"))


def test_tiny_pictures_of_noise_are_not_taken_for_one_another(images: Path, tmp_path: Path) -> None:
    scan = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 1)
    assert find_same_recordings(scan, tmp_path / "cache", 1).pairs == ()


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(-20, 20))
@settings(max_examples=30, deadline=None)
def test_a_code_agrees_with_itself_where_it_was_cut(seed: int, gain: int, shift: int) -> None:
    levels = np.random.default_rng(seed).normal(0, 3, (60, 33))
    whole = encode(levels, 2, 0.2)
    begin = max(0, shift)
    cut = encode(levels[begin:] + gain, 2, 0.2)
    assert similarity(whole, cut, begin) == (pytest.approx(1.0), len(cut))
    assert abs(similarity(whole, cut, begin + 5)[0]) < 0.5
    assert set(np.unique(decode(whole))) <= {-1.0, 0.0, 1.0}


def test_ties_join_through_others() -> None:
    assert join([("b", "c"), ("x", "y"), ("c", "a")]) == (("a", "b", "c"), ("x", "y"))


def make_rows(**sizes: int) -> list[ScanRow]:
    return [ScanRow(f"{label}/{i}", label, Path(f"/m/{label}/{i}.wav"), f"{label}{i}", 1, True) for label, n in sizes.items() for i in range(n)]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_copies_of_one_class_lie_on_one_side_and_those_of_several_nowhere(data: st.DataObject) -> None:
    rows = make_rows(rock=20, jazz=20)
    ids = data.draw(st.permutations([row.id for row in rows]))
    sets = [tuple(sorted(ids[3 * i : 3 * i + 2 + i % 2])) for i in range(data.draw(st.integers(1, 4)))]
    split = deal(Scan(tuple(rows), "f"), DataSettings(split_seed=data.draw(st.integers(0, 99))), 0, sets)
    parts = [{row.id for row in part} for part in (split.train, split.validation, split.test)]
    across = {id for ids in sets if len({id[0] for id in ids}) > 1 for id in ids}
    assert set(split.left_out) == across
    assert not across & set().union(*parts)
    assert sum(map(len, parts)) == 40 - len(across)
    for ids in sets:
        assert across.issuperset(ids) or sum(bool(part.intersection(ids)) for part in parts) == 1


def test_without_copies_the_deal_is_what_it_was() -> None:
    scan = Scan(tuple(make_rows(rock=20, jazz=20)), "f")
    assert deal(scan, DataSettings(), 3, ()) == deal(scan, DataSettings(), 3)


def test_lists_run_as_given_and_torn_copies_are_said(tmp_path: Path) -> None:
    rows = make_rows(rock=4, jazz=4)
    for part, numbers in (("train", (0, 1)), ("validation", (2,)), ("test", (3,))):
        (tmp_path / part).write_text("".join(f"{label}/{i}\n" for label in ("rock", "jazz") for i in numbers))
    lists = {part: str(tmp_path / part) for part in ("train", "validation", "test")}
    split = deal(Scan(tuple(rows), "f"), DataSettings(split=lists), 0, [("jazz/0", "rock/3")])
    assert (len(split.train), len(split.test), split.left_out) == (4, 2, ())
    assert any("copies of a recording" in note and "jazz/0 (train)" in note for note in split.notes)


def test_a_class_whose_tracks_are_copies_of_others_is_refused_in_words() -> None:
    rows = make_rows(rock=9, jazz=4)
    sets = [(f"jazz/{i}", f"rock/{i}") for i in range(2)]
    with pytest.raises(CorpusError, match="class 'jazz' has 2 readable tracks .*2 more are copies of tracks of other classes"):
        deal(Scan(tuple(rows), "f"), DataSettings(), 0, sets)


def test_a_search_groups_copies_unless_told_to_ignore_them(music: Path, found: tuple[Scan, SameRecordings, Path]) -> None:
    _, same, cache = found
    features = {"cnn": FeatureSettings()}
    grouped = open_task(DataSettings(source=str(music)), features, 0, cache, workers=2)
    assert grouped.same_recording == same.sets
    assert set(grouped.split.left_out) == {"folk/0", "folk/again", "waltz/stray"}
    sent = json.dumps(grouped.task({}, {}))
    assert "stray" not in sent
    ignoring = open_task(DataSettings(source=str(music), near_duplicates="ignore"), features, 0, cache, workers=2)
    assert (ignoring.same_recording, ignoring.split.left_out) == ((), ())


def test_a_study_keeps_the_copies_it_began_with(music: Path, found: tuple[Scan, SameRecordings, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scan, same, cache = found
    monkeypatch.setattr("genre_models.prepare.find_same_recordings", None)  # nothing is looked for
    settings, features = DataSettings(source=str(music)), {"cnn": FeatureSettings()}
    run = {"corpus_fingerprint": scan.fingerprint, "same_recording": [list(ids) for ids in same.sets[1:3]]}
    assert open_task(settings, features, 0, cache, earlier=run).same_recording == same.sets[1:3]
    old = open_task(settings, features, 0, cache, earlier={"corpus_fingerprint": scan.fingerprint})
    assert old.split == deal(scan, settings, 0)  # a study of before copies were looked for
    monkeypatch.undo()
    other = open_task(settings, features, 0, cache, workers=2, earlier={"corpus_fingerprint": "another corpus"})
    assert other.same_recording == same.sets


def test_copies_under_two_classes_are_harm(music: Path, found: tuple[Scan, SameRecordings, Path]) -> None:
    examination = examine(open_corpus(str(music)), found[2], 2)
    (across,) = (finding for finding in examination.findings if finding.severity == "harm")
    assert (across.kind, [row.id for row in across.cases[0].rows]) == ("copies-across", ["folk/0", "folk/again", "waltz/stray"])
    assert examination.verdict.startswith("1 thing would corrupt a result; ")
    kinds = {finding.kind: finding.count for finding in examination.findings}
    assert (kinds["copies-bytes"], kinds["copies-decoded"], kinds["copies-near"]) == (1, 1, 3)


@pytest.mark.slow
def test_the_real_pair_under_two_classes(real_data: Path, tmp_path: Path) -> None:
    for label in ("metal", "rock"):
        (tmp_path / "music").mkdir(exist_ok=True)
        (tmp_path / "music" / label).symlink_to(real_data / "gtzan" / "images_original" / label)
    examination = examine(open_corpus(str(tmp_path / "music")), tmp_path / "cache", 2)
    sets = {finding.kind: [tuple(row.id for row in case.rows) for case in finding.cases] for finding in examination.findings}
    assert sets["copies-across"] == [("metal/metal.00058", "rock/rock.00016")]
    assert sets["copies-bytes"] == [
        (f"metal/metal.{one:05d}", f"metal/metal.{other:05d}") for one, other in ((34, 94), (40, 61), (41, 62), (42, 63), (43, 64), (44, 65), (45, 66))
    ]
    assert "copies-near" not in sets


@pytest.mark.slow
def test_what_others_have_published_of_gtzan_is_found_on_the_real_images(real_data: Path, tmp_path: Path) -> None:
    examination = examine(open_corpus(f"gtzan:{real_data / 'gtzan'}"), tmp_path / "cache", 2)
    found = {finding.kind: finding for finding in examination.findings}
    assert (found["copies-across"].count, found["copies-bytes"].count) == (1, 9)
    assert found["gtzan-repetitions"].title.startswith("of the 41 published repetitions that are here, 41 were found")
    assert "gtzan-repetitions-unseen" not in found
    near = {tuple(row.id for row in case.rows) for case in found["copies-near"].cases}
    assert ("reggae/reggae.00007", "reggae/reggae.00059") in near
    assert len(near) == 33  # 31 of them published


@pytest.mark.slow
def test_a_published_repetition_that_is_not_seen_is_told(tmp_path: Path) -> None:
    for i in (34, 94, 1, 2):
        write(tmp_path / "genres_original" / "metal" / f"metal.{i:05d}.wav", make_tune(i, 3))
        write(tmp_path / "genres_original" / "rock" / f"rock.{i:05d}.wav", make_tune(100 + i, 3))
    write(tmp_path / "genres_original" / "jazz" / "jazz.00033.wav", make_tune(7, 3))
    (tmp_path / "genres_original" / "jazz" / "jazz.00054.wav").write_bytes(b"RIFFnothing")
    found = {finding.kind: finding for finding in examine(open_corpus(f"gtzan:{tmp_path}"), tmp_path / "cache", 2).findings}
    assert [row.id for row in found["gtzan-repetitions-unseen"].cases[0].rows] == ["metal/metal.00034", "metal/metal.00094"]
    assert [row.id for row in found["gtzan-unreadable"].cases[0].rows] == ["jazz/jazz.00054"]


def test_rows_of_other_corpora_are_not_called_gtzan(music: Path, found: tuple[Scan, SameRecordings, Path]) -> None:
    examination = examine(open_corpus(str(music)), found[2], 2)
    assert not any(finding.kind.startswith("gtzan") for finding in examination.findings)
