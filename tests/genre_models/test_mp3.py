"""mp3 of every rate, with headers that lie: decoded to the true end, and durations that are counted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models import sound_stream
from genre_models.audio import Undecodable, load_clip, probe_audio
from genre_models.corpus import open_corpus
from genre_models.errors import CorpusError
from genre_models.mp3 import WholeMp3, open_whole_mp3, parse_header
from genre_models.scan import scan_corpus

SR, SECONDS = 22_050, 4.0


def music(sr: int = SR, seconds: float = SECONDS) -> np.ndarray:
    """Noise under a melody, so that the encoder varies its bit rate."""
    t = np.arange(round(sr * seconds)) / sr
    noise = np.random.default_rng(0).normal(size=len(t)) * (t > seconds / 2) * 0.1
    return 0.3 * np.sin(2 * np.pi * np.where(t % 1 < 0.5, 440, 660) * t) + noise


def encode(path: Path, sr: int = SR, channels: int = 1, seconds: float = SECONDS, mode: str = "VARIABLE") -> bytes:
    y = music(sr, seconds)
    soundfile.write(path, np.repeat(y[:, None], channels, axis=1), sr, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return path.read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encode(tmp_path_factory.mktemp("mp3") / "plain.mp3")


def id3(n_bytes: int, declared: int | None = None) -> bytes:
    """A tag with a picture of random bytes, which hold patterns of frame headers."""
    body = b"APIC" + n_bytes.to_bytes(4, "big") + b"\0\0" + np.random.default_rng(1).bytes(n_bytes)
    n = len(body) if declared is None else declared
    return b"ID3\x03\0\0" + bytes(n >> shift & 127 for shift in (21, 14, 7, 0)) + body


@pytest.mark.parametrize("sr", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_is_mixed_and_resampled(tmp_path: Path, sr: int, channels: int) -> None:
    encode(tmp_path / "a.mp3", sr, channels, seconds=1.0)
    facts = probe_audio(tmp_path / "a.mp3")
    assert (facts["sr"], facts["channels"], facts["duration_seconds"]) == (sr, channels, 1.0)
    clip = load_clip(tmp_path / "a.mp3", 16_000, 1.0)
    assert clip.shape == (16_000,)
    spectrum = np.abs(np.fft.rfft(clip[1000:7000]))
    assert np.argmax(spectrum) * 16_000 / 6000 == pytest.approx(440, abs=3)


def lie(data: bytes, frames: int) -> bytes:
    at = data.index(b"Xing") + 8
    return data[:at] + frames.to_bytes(4, "big") + data[at + 4 :]


LIES: dict[str, Callable[[bytes], bytes]] = {
    "far too few": lambda data: lie(data, 10),
    "none": lambda data: lie(data, 0),
    "too many": lambda data: lie(data, 100_000),
    "more than two hours": lambda data: lie(data, 2**31),
    "no tag": lambda data: data[parse_header(data[:4]).n_bytes :],
    "a tag that is not known": lambda data: data.replace(b"Xing", b"VBRI", 1),
}


@pytest.mark.parametrize("how", LIES)
def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path: Path, plain: bytes, how: str) -> None:
    (tmp_path / "true.mp3").write_bytes(plain)
    (tmp_path / "lie.mp3").write_bytes(LIES[how](plain))
    true, found = probe_audio(tmp_path / "true.mp3"), probe_audio(tmp_path / "lie.mp3")
    assert true["duration_seconds"] == SECONDS
    assert found["duration_seconds"] == pytest.approx(SECONDS, abs=0.1)  # without a tag nobody knows what the encoder added
    assert found["loudness_db"] == pytest.approx(true["loudness_db"], abs=0.2)
    heard = load_clip(tmp_path / "lie.mp3", SR, SECONDS)
    assert np.sqrt(np.mean(heard[-SR:] ** 2)) > 0.1  # the end is there
    if "tag" not in how:
        np.testing.assert_allclose(heard, load_clip(tmp_path / "true.mp3", SR, SECONDS), atol=1e-6)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (id3(100_000), b""),
        (id3(500) + id3(70_000), b""),
        (id3(300, declared=2**28 - 1), b""),
        (bytes(700), b""),
        (b"", b"TAG" + b"x" * 125),
        (b"", b"APETAGEX" + bytes(500)),
    ],
    ids=["album art", "two tags", "a tag of 256 MiB", "zeros", "ID3v1", "APE"],
)
def test_tags_around_the_music_change_nothing(tmp_path: Path, plain: bytes, before: bytes, after: bytes) -> None:
    (tmp_path / "true.mp3").write_bytes(plain)
    (tmp_path / "tagged.mp3").write_bytes(before + plain + after)
    assert probe_audio(tmp_path / "tagged.mp3")["duration_seconds"] == pytest.approx(SECONDS, abs=0.03)
    np.testing.assert_allclose(load_clip(tmp_path / "tagged.mp3", SR, 3.9), load_clip(tmp_path / "true.mp3", SR, 3.9), atol=1e-6)


def test_a_file_that_was_cut_off_lasts_as_long_as_it_plays(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "half.mp3").write_bytes(plain[: len(plain) // 2])
    assert 1 < probe_audio(tmp_path / "half.mp3")["duration_seconds"] < 3
    for name, data in (("words", b"<html>404 not found</html>" * 9), ("stub", plain[:150]), ("art", id3(5000))):
        (tmp_path / f"{name}.mp3").write_bytes(data)
        with pytest.raises(Undecodable, match="can't be decoded as audio: no whole frame of sound found in it"):
            probe_audio(tmp_path / f"{name}.mp3")


def test_a_wave_file_named_mp3_is_read_for_what_it_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", music(), SR, format="WAV")
    assert probe_audio(tmp_path / "a.mp3")["duration_seconds"] == SECONDS


def test_block_by_block_is_what_one_read_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library seeks after each read, and a stream of variable bit rate is damaged where it does.
    encode(tmp_path / "a.mp3", channels=2)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    monkeypatch.setattr(sound_stream, "BLOCK_SAMPLES", 6000)
    with sound_stream.open_sound(tmp_path / "a.mp3") as sound:
        blocks = list(sound.blocks())
    assert {len(block) for block in blocks[:-1]} == {3000}
    np.testing.assert_allclose(np.concatenate(blocks)[: len(whole)], whole, atol=1e-6)


def test_a_disk_that_fails_is_not_the_end_of_the_music(tmp_path: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp3").write_bytes(plain)

    def open_failing(path):
        view = open_whole_mp3(path)
        read, times = view._file.read, iter(range(40))

        class Failing:
            def __getattr__(self, name: str):
                return getattr(read.__self__, name)

            def read(self, n: int) -> bytes:
                if next(times, None) is None:
                    raise OSError(5, "Input/output error")
                return read(n)

        view._file = Failing()
        return view

    monkeypatch.setattr(sound_stream, "open_whole_mp3", open_failing)
    with pytest.raises(Undecodable, match="Input/output error"):
        probe_audio(tmp_path / "a.mp3")


@settings(max_examples=30, deadline=None)
@given(
    head=st.binary(max_size=20),
    body=st.binary(max_size=60),
    start=st.integers(0, 60),
    moves=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 30))),
)
def test_the_view_is_its_head_and_the_rest_of_the_file(head: bytes, body: bytes, start: int, moves: list[tuple[int, int]]) -> None:
    start = min(start, len(body))
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        view = WholeMp3(file, head, start, is_tagged=False)
        expected = head + body[start:]
        assert view.seek(0, os.SEEK_END) == len(expected)
        for at, n in moves:
            view.seek(at)
            got = view.read(n)
            # A read may end early where the head does, but never elsewhere.
            assert expected[at:].startswith(got)
            assert len(got) == min(n, max(0, (len(head) if at < len(head) else len(expected)) - at))
            assert view.tell() == at + len(got)


def test_no_file_stays_open(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "a.mp3").write_bytes(plain)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        load_clip(tmp_path / "a.mp3", SR, 1.0)
    assert len(os.listdir("/dev/fd")) == before


def test_a_library_without_mp3_is_one_error(tmp_path: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rock/a.mp3", "jazz/b.mp3"):
        (tmp_path / "music" / name).parent.mkdir(parents=True)
        (tmp_path / "music" / name).write_bytes(plain)
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV"})
    with pytest.raises(CorpusError, match=r"2 files are mp3, as .*b\.mp3, but the installed libsndfile .* can't decode it .1\.1 and newer"):
        scan_corpus(open_corpus(str(tmp_path / "music")), tmp_path / "cache", 1)
