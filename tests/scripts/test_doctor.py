"""The command: what it says, writes and ends with, and what it does with hostile input."""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from scripts import doctor
from tests.genre_models.tunes import SR, make_tune, write


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    for number, label in enumerate(("folk", "waltz")):
        for i in range(10):
            write(folder / label / f"{i}.wav", make_tune(10 * number + i, 3))
    return folder


def run(music: Path, *arguments: object) -> int:
    return doctor.main(["--data", str(music), "--studies-dir", str(music.parent / "studies"), "--workers", "1", *map(str, arguments)])


def test_a_healthy_corpus_ends_with_0_and_the_second_look_decodes_nothing(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(music) == 0
    first = capsys.readouterr().out
    assert first.splitlines()[0].endswith("nothing would corrupt a result")
    assert "20 files decoded, 20 fingerprints made, 0 known from before" in first
    assert run(music) == 0
    assert "0 files decoded, 0 fingerprints made, 40 known from before" in capsys.readouterr().out


def test_copies_under_two_classes_end_with_1_and_are_written(music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = write(music / "waltz" / "stray.mp3", make_tune(3, 3), format="MP3")
    try:
        assert run(music, "--json", tmp_path / "d.json", "--html", tmp_path / "d.html") == 1
    finally:
        copy.unlink()
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith("1 thing would corrupt a result")
    assert "folk/3.wav = waltz/stray.mp3: alike to " in out
    data = json.loads((tmp_path / "d.json").read_text())
    assert (data["schema"], data["counts"]) == (1, {"harm": 1, "warning": 0, "note": 1})
    assert [file["path"] for file in data["findings"][0]["cases"][0]["files"]] == [str(music / "folk" / "3.wav"), str(copy)]
    page = (tmp_path / "d.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert "http://" not in page and "https://" not in page and "<script" not in page


def refuse(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert doctor.main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    return error


def test_bad_input_is_one_error(music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "words" / "a").mkdir(parents=True)
    (tmp_path / "words" / "a" / "notes.txt").write_text("no music")
    place = ("--studies-dir", tmp_path / "studies")
    assert "nowhere: no such folder" in refuse(capsys, "--data", tmp_path / "nowhere", *place)
    assert "the folder is empty" in refuse(capsys, "--data", tmp_path / "empty", *place)
    assert "files in its subfolders" in refuse(capsys, "--data", tmp_path / "words", *place)
    assert "is a file" in refuse(capsys, "--data", tmp_path / "words" / "a" / "notes.txt", *place)
    assert "needs a folder after the colon" in refuse(capsys, "--data", "gtzan:", *place)
    assert "there is no folder" in refuse(capsys, "--data", music, "--json", tmp_path / "no" / "d.json", *place)
    assert "is a folder" in refuse(capsys, "--data", music, "--html", tmp_path, *place)
    assert "--workers 0: must be 1 or more" in refuse(capsys, "--data", music, "--workers", "0", *place)
    (tmp_path / "file").touch()
    assert "file" in refuse(capsys, "--data", music, "--studies-dir", tmp_path / "file")


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")


def test_what_is_too_large_is_refused_by_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for label, i in itertools.product("ab", range(3)):
        (tmp_path / "images" / label).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((50, 40), 60 + i + ord(label)).save(tmp_path / "images" / label / f"{i}.png")
    (tmp_path / "images" / "a" / "bomb.png").write_bytes(png_that_declares(100_000, 100_000))
    (tmp_path / "images" / "b" / "zero.png").touch()
    started = time.monotonic()
    assert run(tmp_path / "images") == 0
    assert time.monotonic() - started < 10
    out = capsys.readouterr().out
    assert "a/bomb.png: declares more than 32 million pixels" in out
    assert "b/zero.png: is empty (0 bytes)" in out


def test_a_sound_that_declares_hours_is_no_sound_of_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label, i in itertools.product("ab", range(3)):
        write(tmp_path / "music" / label / f"{i}.wav", make_tune(10 * ord(label) + i, 2))
    data = bytearray((tmp_path / "music" / "a" / "0.wav").read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 9 * 3600 * SR * 2)
    (tmp_path / "music" / "a" / "0.wav").write_bytes(data)
    started = time.monotonic()
    assert run(tmp_path / "music") == 0
    assert time.monotonic() - started < 10
    assert "a/0.wav: its header declares 32400.0 s, the file ends after 2.0 s" in capsys.readouterr().out


def test_the_help_teaches_in_a_process_of_its_own() -> None:
    command = [sys.executable, str(Path(doctor.__file__)), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd="/")
    assert "exit codes: 0 nothing would corrupt a result; 1 something would; 2 bad input" in done.stdout
    assert "gtzan:~/gtzan" in done.stdout
