"""What the doctor finds in single files, formats and classes, and how it is shown."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from genre_models.audio import probe_audio
from genre_models.corpus import open_corpus
from genre_models.doctor import Examination, Finding, examine, short_notes
from genre_models.doctor.findings import shown
from genre_models.doctor.formats import gain_of
from genre_models.doctor.pictures import draw
from genre_models.doctor.report import as_data, as_page, rows_to_draw
from genre_models.doctor.terminal import print_examination
from genre_models.features.image import probe_image
from genre_models.features.picture_facts import COLOUR_MAPS
from tests.genre_models.tunes import SR, make_tune, write


def kinds(examination: Examination) -> dict[str, Finding]:
    return {finding.kind: finding for finding in examination.findings}


def ids(finding: Finding) -> list[str]:
    return [row.id for case in finding.cases for row in case.rows]


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> Examination:
    """Sound files with one fault each, among healthy ones."""
    folder = tmp_path_factory.mktemp("ill")
    for number, label in enumerate(("calm", "loud")):
        for i in range(4):
            write(folder / label / f"{i}.wav", make_tune(20 * number + i, 4))
    y = make_tune(50, 4)
    (folder / "calm" / "empty.wav").touch()
    (folder / "calm" / "words.wav").write_text("these are words " * 20)
    whole = write(folder / "loud" / "cut.wav", y).read_bytes()
    (folder / "loud" / "cut.wav").write_bytes(whole[: len(whole) * 3 // 4])
    write(folder / "calm" / "silent.wav", np.zeros(4 * SR))
    write(folder / "calm" / "mostly.wav", np.concatenate([make_tune(51, 1), np.zeros(3 * SR, np.float32)]))
    write(folder / "loud" / "clipped.wav", np.clip(8 * make_tune(52, 4), -1, 1))
    write(folder / "loud" / "short.wav", make_tune(53, 1))
    write(folder / "loud" / "long.wav", make_tune(54, 6))
    write(folder / "loud" / "stereo.wav", np.stack([make_tune(55, 4)] * 2, axis=1))
    write(folder / "loud" / "fast.wav", np.repeat(make_tune(56, 4), 2), 2 * SR)
    return examine(open_corpus(str(folder)), folder.parent / "cache", 2)


def test_each_fault_is_found_in_its_file(ill: Examination) -> None:
    found = kinds(ill)
    for kind, expected in {
        "empty": ["calm/empty"],
        "unreadable": ["calm/words"],
        "truncated": ["loud/cut"],
        "silent": ["calm/mostly", "calm/silent"],
        "clipped": ["loud/clipped"],
        "short": ["loud/short"],
        "odd-number-of-channels": ["loud/stereo"],
        "odd-sampling-rate": ["loud/fast"],
        "odd-duration": ["loud/cut", "loud/long", "loud/short"],
    }.items():
        assert ids(found[kind]) == expected, kind
    assert "declares 4.0 s, the file ends after 3.0 s" in found["truncated"].cases[0].detail
    assert {case.detail for case in found["silent"].cases} == {"silent throughout", "75% of its seconds are silent"}
    assert not any(finding.severity == "harm" for finding in ill.findings)
    assert ill.verdict == f"nothing would corrupt a result; {ill.count('warning')} warnings"


def test_truncation_by_format(tmp_path: Path) -> None:
    y = make_tune(0, 4)
    for name, options in {"wav": {}, "au": {}, "ogg": {"format": "OGG"}, "mp3": {"format": "MP3"}, "flac": {}}.items():
        whole = write(tmp_path / f"whole.{name}", y, **options)
        assert "missing" not in probe_audio(whole), name
        (tmp_path / f"cut.{name}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for name in ("wav", "au", "mp3"):
        assert re.search(r"declares 4\.0 s, the file ends after (1\.|2\.)", probe_audio(tmp_path / f"cut.{name}")["missing"])
    assert "no end" in probe_audio(tmp_path / "cut.ogg")["missing"]


def test_a_size_that_stands_for_unknown_is_no_truncation(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", make_tune(0, 1)).read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(data)
    assert "missing" not in probe_audio(tmp_path / "a.wav")
    data[at : at + 4] = struct.pack("<I", 3600 * SR * 2)  # an hour, of which a second is there
    (tmp_path / "a.wav").write_bytes(data)
    assert "declares 3600.0 s, the file ends after 1.0 s" in probe_audio(tmp_path / "a.wav")["missing"]


def test_silence_and_clipping_are_counted_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.concatenate([np.full(5_000, 0.5), np.zeros(3 * 8_000), np.ones(600), np.zeros(400)]).astype(np.float32)
    path = write(tmp_path / "a.wav", y, 8_000, subtype="FLOAT")
    facts = probe_audio(path)
    assert facts["clipped_share"] == pytest.approx(600 / len(y), abs=1e-6)
    assert facts["silent_share"] == 0.5  # the second and third of four: the first has the tone, the last the clicks
    monkeypatch.setattr("genre_models.sound_stream.BLOCK_SAMPLES", 777)
    assert probe_audio(path) == facts


def test_decoded_content_is_the_same_in_other_containers(tmp_path: Path) -> None:
    numbers = (make_tune(1, 1) * 32_000).astype(np.int16)
    decoded = {probe_audio(write(tmp_path / f"a.{suffix}", numbers))["decoded"] for suffix in ("wav", "flac", "au")}
    assert len(decoded) == 1
    pixels = np.random.default_rng(0).integers(0, 8, (30, 40), dtype=np.uint8) * 30
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(pixels).convert("P").save(tmp_path / "palette.png")
    assert len({probe_image(tmp_path / f"{name}.png")["decoded"] for name in ("grey", "rgba", "palette")}) == 1


@pytest.mark.parametrize("name", [*COLOUR_MAPS, "grey", "other"])
def test_colour_maps_are_told_apart(tmp_path: Path, name: str) -> None:
    levels = np.random.default_rng(1).random((60, 80))
    if name == "grey":
        pixels = np.repeat(levels[..., None], 3, axis=2)
    elif name == "other":
        pixels = np.random.default_rng(2).random((60, 80, 3))
    else:
        colours = np.array([list(bytes.fromhex(colour)) for colour in COLOUR_MAPS[name].split()]) / 255
        pixels = np.stack([np.interp(15 * levels, range(16), colours[:, channel]) for channel in range(3)], axis=2)
    Image.fromarray((255 * pixels).round().astype(np.uint8)).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    assert probe_image(tmp_path / "a.jpg")["colours"] == name


def test_a_border_is_measured_in_strips_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (90, 70), "white")
    image.paste(Image.fromarray(np.random.default_rng(0).integers(0, 200, (40, 60, 3), dtype=np.uint8)), (12, 9))
    image.save(tmp_path / "a.png")
    facts = probe_image(tmp_path / "a.png")
    assert facts["border"] == "12,9,18,21 #ffffff"
    monkeypatch.setattr("genre_models.features.picture_facts._STRIP_PIXELS", 1_000)
    assert probe_image(tmp_path / "a.png") == facts
    Image.new("RGB", (20, 20), (3, 4, 5)).save(tmp_path / "b.png")
    assert (probe_image(tmp_path / "b.png")["border"], probe_image(tmp_path / "b.png")["contrast"]) == (None, 0)


def test_a_border_of_one_class_is_harm_and_a_picture_of_one_colour_a_warning(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    for label, i in ((label, i) for label in ("plain", "framed") for i in range(12)):
        path = write_image(tmp_path / label / f"{i}.png", value=100 * len(label) + i, size=(40, 40))
        if label == "framed":
            framed = Image.new("RGB", (50, 50), "white")
            framed.paste(Image.open(path), (5, 5))
            framed.save(path)
    Image.new("RGB", (40, 40)).save(tmp_path / "plain" / "black.png")
    found = kinds(examine(open_corpus(str(tmp_path)), tmp_path / "cache", 2))
    assert found["border-tells-class"].severity == found["size-tells-class"].severity == "harm"
    assert "5,5,5,5 #ffffff: framed 12" in found["border-tells-class"].facts
    assert ids(found["blank"]) == ["plain/black"]


def test_what_tells_the_class_must_beat_chance() -> None:
    labels = ["a", "b"] * 50
    assert gain_of(labels, labels) == (pytest.approx(1.0, abs=0.2), True)
    rng = np.random.default_rng(3)
    gain, is_real = gain_of(list(rng.permutation(labels)), labels)
    assert gain < 0.2
    every_one_its_own = gain_of([str(i) for i in range(100)], labels)
    assert every_one_its_own == (pytest.approx(0, abs=1e-6), False)
    assert not is_real or gain > 0


def test_small_and_unequal_classes(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    for label, n in (("many", 14), ("few", 4), ("two", 2)):
        for i in range(n):
            write_image(tmp_path / label / f"{i}.png", value=1_000 * n + i, size=(40, 40))
    found = kinds(examine(open_corpus(str(tmp_path)), tmp_path / "cache", 1))
    assert (found["class-too-small"].severity, "two (2)" in found["class-too-small"].title) == ("harm", True)
    assert "few (4)" in found["class-small"].title
    assert "many has 14 tracks, two has 2" in found["class-balance"].title


def test_a_healthy_corpus_has_nothing(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    for label, i in ((label, i) for label in "ab" for i in range(12)):
        write_image(tmp_path / label / f"{i}.png", value=100 * ord(label) + i, size=(40, 40))
    examination = examine(open_corpus(str(tmp_path)), tmp_path / "cache", 1)
    assert (examination.findings, examination.verdict) == ((), "nothing would corrupt a result")
    assert short_notes(examination.scan, examination.corpus) == []
    assert "Nothing was found" in as_page(examination, {})


def test_short_notes_name_the_gravest_and_need_the_scan_alone(ill: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile, "SoundFile", None)
    lines = short_notes(ill.scan, ill.corpus)
    assert "warning: 1 file is clipped: loud/clipped" in lines
    assert "warning: 2 files are silent, for most of their length or all of it: calm/mostly, calm/silent" in lines
    assert lines[-1].startswith("the whole report: python scripts/doctor.py --data ")
    assert not any("can't be decoded" in line for line in lines)  # a search names these itself


class Texts(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        assert not any(value and re.match(r"\s*(https?:|//|javascript:)", value) for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


EVIL = "<script>alert(1)</script>[bold red]x\n\x1b[31m\u202egnp"


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Examination:
    """Names with markup, line ends, escapes; copies under two classes, one of them named so too."""
    folder = tmp_path_factory.mktemp("evil")
    label = EVIL.replace("/", "∕")
    for i in range(3):
        write(folder / label / f"{i}.wav", make_tune(60 + i, 3))
        write(folder / "plain" / f"{i}.wav", make_tune(70 + i, 3))
    write(folder / "plain" / f"{label}.wav", make_tune(60, 3))
    return examine(open_corpus(str(folder)), folder.parent / "cache", 1)


def test_names_are_shown_whole_and_do_nothing(evil: Examination) -> None:
    pictures = draw(rows_to_draw(evil), "audio", 1)
    page = Texts(as_page(evil, pictures))
    assert set(pictures) == {id for ids in evil.same.sets for id in ids}
    assert "script" not in page.tags
    assert page.tags.count("img") == 2
    name = shown(EVIL.replace("/", "∕"))
    assert name == r"<script>alert(1)<∕script>[bold red]x\n\x1b[31m\u202egnp"
    assert page.text.count(name) >= 4
    console = Console(width=60, force_terminal=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_examination(console, evil)
    plain = re.sub(r"[\s│]", "", console.export_text())
    assert re.sub(r"\s", "", name) in plain
    assert "\x1b[31m\u202e" not in console.export_text(styles=False)
    data = json.loads(json.dumps(as_data(evil)))
    assert data["counts"]["harm"] == 1
    (across,) = (finding for finding in data["findings"] if finding["kind"] == "copies-across")
    assert {file["class"] for file in across["cases"][0]["files"]} == {"plain", EVIL.replace("/", "∕")}


def test_names_are_never_cut_where_there_is_no_terminal(evil: Examination, capsys: pytest.CaptureFixture[str]) -> None:
    print_examination(Console(width=80, emoji=False), evil, everything=True)
    out = capsys.readouterr().out
    for case in (case for finding in evil.findings for case in finding.cases):
        for row in case.rows:
            assert shown(row.path.name) in out


def test_a_table_is_examined_too(tmp_path: Path) -> None:
    lines = ["filename,a,b,label"] + [f"t{i}.wav,{i % 7},{i * i % 11},{'rock' if i % 3 else 'jazz'}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    examination = examine(open_corpus(f"table:{tmp_path / 't.csv'}"), tmp_path / "cache", 1)
    assert [finding.kind for finding in examination.findings] == ["class-balance"]
    assert "60 readable tracks of a table" in Texts(as_page(examination, {})).text
