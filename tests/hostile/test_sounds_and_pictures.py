"""Sound and picture files that are broken, that lie, or that are bombs."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_models.audio import MAX_SAMPLES, Undecodable, load_clip
from genre_models.features.image import MAX_PIXELS, load_image
from genre_models.scan import look_at
from tests.hostile.limited import run_limited
from tests.hostile.mutation import EDITS, many, spoiled, try_many

SHARED = Path(__file__).parents[3] / "shared" / "data"
SR = 8000


def sound_bytes(form: str, subtype: str, channels: int = 1) -> bytes:
    tone = np.sin(2 * np.pi * 440 / SR * np.arange(SR // 2))[:, None] * np.full(channels, 0.5)
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, SR, format=form, subtype=subtype)
    return buffer.getvalue()


SOUNDS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III"), "au": ("AU", "FLOAT")}


def picture_bytes(form: str, mode: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 4), np.uint8)
    image = Image.fromarray(pixels.astype(np.uint16)[..., 0] * 256) if mode == "I;16" else Image.fromarray(pixels).convert("RGB" if form == "JPEG" else "RGBA").convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form, **({"progressive": True} if form == "JPEG" else {}))
    return buffer.getvalue()


PICTURES = [("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "RGB"), ("JPEG", "CMYK")]


def in_words(told: dict) -> bool:
    """Whether a file was described, or refused with a reason that a person can read."""
    return "duration_seconds" in told or "width" in told or (0 < len(told["reason"]) < 500 and "Traceback" not in told["reason"])


@pytest.mark.parametrize("suffix", SOUNDS)
@many(8, 250)
def test_spoiled_sounds(tmp_path: Path, suffix: str, examples: int) -> None:
    whole, path = sound_bytes(*SOUNDS[suffix]), tmp_path / f"a.{suffix}"

    def check(edits: list) -> None:
        path.write_bytes(spoiled(whole, edits))
        assert in_words(look_at(str(path), "audio"))
        try:
            clip = load_clip(path, 16_000, 1.0)
        except Undecodable as error:
            assert str(error)
        else:
            assert clip.shape == (16_000,) and np.isfinite(clip).all()

    try_many(examples, check, EDITS)


@pytest.mark.parametrize(("form", "mode"), PICTURES)
@many(8, 250)
def test_spoiled_pictures(tmp_path: Path, form: str, mode: str, examples: int) -> None:
    whole, path = picture_bytes(form, mode), tmp_path / f"a.{form.lower()}"

    def check(edits: list) -> None:
        path.write_bytes(spoiled(whole, edits))
        assert in_words(look_at(str(path), "image"))
        try:
            pixels = load_image(path, (16, 16), "rgb")
        except Undecodable as error:
            assert str(error)
        else:
            assert pixels.shape == (16, 16, 3)

    try_many(examples, check, EDITS)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data beside the repository")
@pytest.mark.parametrize("name", ["formats/fma_000002.mp3", "formats/sorohanro_-_solo-trumpet-06.ogg", "gtzan/images_original"])
def test_spoiled_real_files(tmp_path: Path, name: str) -> None:
    source = next((SHARED / name).glob("*/*.png")) if (SHARED / name).is_dir() else SHARED / name
    whole, path, kind = source.read_bytes()[:300_000], tmp_path / f"a{source.suffix}", "image" if source.suffix == ".png" else "audio"

    def check(edits: list) -> None:
        path.write_bytes(spoiled(whole, edits, head=2048))
        assert in_words(look_at(str(path), kind))

    try_many(60, check, EDITS)


# -- bombs ---------------------------------------------------------------------------------------------------------


def look_at_it(path: str) -> dict:
    """What a scan says of a file (called in a process of its own)."""
    return look_at(path, "image" if path.endswith((".png", ".jpg")) else "audio")


def clip_of_it(path: str) -> float:
    """The loudest sample of its opening."""
    return float(abs(load_clip(path, 22_050, 29.7)).max())


def pixels_of_it(path: str) -> float:
    """The mean of a picture as a network sees it."""
    return float(load_image(path, (96, 96), "rgb").mean())


def sparse(path: Path, head: bytes, size: int) -> Path:
    """A file with holes: it takes no room, and reads as zeros."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def png_of(path: Path, width: int, height: int, colour: int, rows: int) -> Path:
    """A PNG that declares a size and has so many rows of zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(1)
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[colour])
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def sound_bombs(folder: Path) -> dict[str, Path]:
    """Files that declare hours, or are nothing but empty chunks, or are as long as a disk."""
    made = {}
    flac = bytearray(sound_bytes("FLAC", "PCM_16"))
    flac[21] |= 0x0F  # of STREAMINFO's 36 bits of samples, all
    flac[22:26] = b"\xff" * 4
    wav = bytearray(sound_bytes("WAV", "PCM_16"))
    at = wav.index(b"data") + 4
    wav[at : at + 4] = b"\xff" * 4
    many_channels = bytearray(sound_bytes("WAV", "PCM_16"))
    many_channels[22:24] = struct.pack("<H", 60_000)
    for name, content in {"flac that declares two months.flac": flac, "wav that declares 4 GiB.wav": wav, "wav of 60,000 channels.wav": many_channels}.items():
        made[name] = folder / name
        made[name].write_bytes(content)
    made["empty chunks"] = sparse(folder / "chunks.wav", b"RIFF\xff\xff\xff\x7fWAVE", 60 << 20)
    made["empty tags"] = folder / "tags.mp3"
    made["empty tags"].write_bytes(b"ID3\x04\0\0\0\0\0\0" * 1_000_000)
    for suffix, head in (("mp3", b"\xff\xfb\x90\x00"), ("flac", b"fLaC"), ("ogg", b"OggS"), ("au", b".snd")):
        made[f"holes.{suffix}"] = sparse(folder / f"holes.{suffix}", head, 30 << 20)
    made["a sound of Amigas"] = folder / "amiga.wav"  # whose reader in the library never ends on this
    made["a sound of Amigas"].write_bytes(b"FORM\x7f\xff\xff\xff8SVX" + b"ANNO\0\0\0\0" * 1000)
    made["the same behind a tag"] = folder / "tagged.mp3"
    made["the same behind a tag"].write_bytes(b"ID3\x04\0\0\0\0\0\0" + made["a sound of Amigas"].read_bytes())
    made["a disk full"] = sparse(folder / "disk.wav", bytes(wav), 1 << 40)
    return made


def test_sound_bombs_are_refused_by_their_size(tmp_path: Path) -> None:
    made = sound_bombs(tmp_path)
    told = dict(zip(made, run_limited("tests.hostile.test_sounds_and_pictures:look_at_it", list(made.values())), strict=True))
    assert all(each["error"] is None and in_words(each["result"]) for each in told.values()), told
    assert "hours or more, but at most 2 hours" in told["flac that declares two months.flac"]["result"]["reason"]
    assert "60000 channels" in told["wav of 60,000 channels.wav"]["result"]["reason"] or "can't be decoded" in told["wav of 60,000 channels.wav"]["result"]["reason"]
    assert "8 GiB" in told["a disk full"]["result"]["reason"]
    for each in run_limited("tests.hostile.test_sounds_and_pictures:clip_of_it", list(made.values())):
        assert each["error"] is None or each["error"].startswith("Undecodable: "), each


def test_picture_bombs_are_refused_by_their_size(tmp_path: Path) -> None:
    bomb = png_of(tmp_path / "bomb.png", 50_000, 50_000, 2, 10)
    holes = sparse(tmp_path / "holes.png", b"\x89PNG\r\n\x1a\n", 1 << 40)
    results = [each["result"] for each in run_limited("tests.hostile.test_sounds_and_pictures:look_at_it", [bomb, holes])]
    assert "declares more than 32 million pixels" in results[0]["reason"] and "8 GiB" in results[1]["reason"]


@pytest.mark.slow
def test_the_largest_pictures_that_are_read_fit(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) - 8
    largest = png_of(tmp_path / "largest.png", side, side, 6, side)
    thin = png_of(tmp_path / "thin.png", 1, MAX_PIXELS - 1, 0, 1000)
    told = run_limited("tests.hostile.test_sounds_and_pictures:look_at_it", [largest, thin])
    assert told[0]["result"]["width"] == side and in_words(told[1]["result"])
    assert all(each["error"] is None for each in run_limited("tests.hostile.test_sounds_and_pictures:pixels_of_it", [largest]))


@pytest.mark.slow
def test_a_long_silence_and_many_scans_take_no_longer_than_they_may(tmp_path: Path) -> None:
    """What is small on the disk and large in memory: an hour of silence in eight channels, a picture that is refined hundreds of times."""
    silence = tmp_path / "silence.flac"
    with soundfile.SoundFile(silence, "w", 48_000, 8, "PCM_16") as file:
        block = np.zeros((48_000 * 60, 8), np.int16)
        for _ in range(31):
            file.write(block)
    assert 31 * 60 * 48_000 * 8 > MAX_SAMPLES and os.path.getsize(silence) < 50 << 20
    scans = tmp_path / "scans.jpg"
    scans.write_bytes(jpeg_of_scans(5000, 5000, 600))
    told = run_limited("tests.hostile.test_sounds_and_pictures:look_at_it", [silence, scans])
    assert "million samples or more in 8 channels" in told[0]["result"]["reason"]
    assert "can't be decoded" in told[1]["result"]["reason"] and "scans" in told[1]["result"]["reason"]


def test_a_picture_of_several_is_bounded_like_one(tmp_path: Path) -> None:
    """Pillow calls a JPEG with another behind it an MPO, whatever its name."""
    buffer = io.BytesIO()
    image = Image.new("L", (24, 24), 128)
    image.save(buffer, "MPO", save_all=True, append_images=[image.copy()], progressive=True)
    data, path = buffer.getvalue(), tmp_path / "a.jpg"
    path.write_bytes(data)
    with Image.open(path, formats=("PNG", "JPEG")) as opened:
        assert opened.format == "MPO"
    assert look_at(str(path), "image")["width"] == 24
    end = data.index(b"\xff\xd9", data.index(b"\xff\xda"))  # of the first picture
    last = data.rindex(b"\xff\xda", 0, end)
    path.write_bytes(data[:last] + data[last:end] * 200 + data[end:])
    reason = look_at(str(path), "image")["reason"]
    assert "can't be decoded" in reason and "scans" in reason


def jpeg_of_scans(width: int, height: int, n: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    buffer = io.BytesIO()
    Image.new("L", (width, height), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * n + data[-2:]
