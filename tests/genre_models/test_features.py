from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_models.features.compiling import librosa_loaded
from genre_models.content import content_hash
from genre_models.corpus import open_corpus
from genre_models.errors import CacheError, CorpusError, HeldOutError, SettingsError
from genre_models.features import compute_features, feature_dtype, feature_key, feature_shape, resolve_features
from genre_models.features.cache import RowCache
from genre_models.features.store import FeatureStore
from genre_models.scan import Scan, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.split import deal

SMALL = FeatureSettings(n_fft=1024, hop_length=256, n_mels=32, clip_seconds=0.5, image_size=(16, 20)).model_dump(mode="json")


def as_tracks(folder: Path, part: str = "train") -> list[dict]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        {"id": f"{path.parent.name}/{path.stem}", "label": path.parent.name, "path": str(path), "content": content_hash(path), "part": part}
        for path in paths
    ]


def contents_in(store: FeatureStore) -> set[str]:
    return set(store._cache.index())


# Log-mel


def mel(path: Path, **settings: object) -> np.ndarray:
    return compute_features("audio", {**SMALL, **settings}, path)


def test_mel_is_librosas(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    librosa = librosa_loaded()
    path = write_tone(tmp_path / "a.wav")
    y, sr = soundfile.read(path, dtype="float32")
    power = librosa.feature.melspectrogram(y=y, sr=sr, n_fft=1024, hop_length=256, n_mels=32)
    expected = librosa.power_to_db(power, ref=np.max, top_db=80) / 80 + 1
    found = mel(path, clip_seconds=1.0)
    assert (found.shape, found.dtype) == ((32, 87, 1), np.float16)
    np.testing.assert_allclose(found[..., 0], expected, atol=2e-3)


def test_a_tone_peaks_in_its_own_band_low_bands_first(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    librosa = librosa_loaded()
    centres = librosa.mel_frequencies(34, fmax=11_025)[1:-1]
    for hertz in (300.0, 3000.0):
        peak = mel(write_tone(tmp_path / f"{hertz}.wav", hertz))[:, 20, 0].astype(float).argmax()
        assert abs(centres[peak] - hertz) < 0.1 * hertz + 30


def test_unit_is_0_to_1_and_item_is_standardised(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    path = write_tone(tmp_path / "a.wav")
    unit, item = mel(path).astype(float), mel(path, normalise="item").astype(float)
    assert (unit.min(), unit.max()) == (0, 1)
    assert item.mean() == pytest.approx(0, abs=1e-3)
    assert item.std() == pytest.approx(1, abs=1e-3)


def test_gain_does_not_matter_not_even_a_very_low_one(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    loud, quiet = write_tone(tmp_path / "a.wav", gain=0.5), tmp_path / "b.wav"
    y, sr = soundfile.read(loud)
    soundfile.write(quiet, y * 1e-3, sr, subtype="DOUBLE")
    np.testing.assert_allclose(mel(loud).astype(float), mel(quiet).astype(float), atol=2e-2)


@pytest.mark.parametrize("normalise", ["unit", "item"])
def test_silent_and_very_short_clips_are_finite(tmp_path: Path, normalise: str) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(22_050), 22_050)
    soundfile.write(tmp_path / "short.wav", np.array([0.5]), 22_050)
    silent, short = (mel(tmp_path / f"{name}.wav", normalise=normalise) for name in ("silent", "short"))
    assert silent.shape == short.shape == feature_shape("audio", SMALL)
    assert not silent.any()
    assert np.isfinite(short).all()


def test_a_short_clip_is_padded_with_the_floor_and_a_long_one_cut(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    short = mel(write_tone(tmp_path / "short.wav", seconds=0.2))
    assert not short[:, -20:].any()
    assert short[:, :10].any()
    y, sr = soundfile.read(write_tone(tmp_path / "long.wav", seconds=3))
    soundfile.write(tmp_path / "cut.wav", y[: sr // 2], sr)
    np.testing.assert_array_equal(mel(tmp_path / "long.wav"), mel(tmp_path / "cut.wav"))


def test_stereo_at_another_rate_gives_the_same_picture(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    plain = mel(write_tone(tmp_path / "a.wav", 1000))[:, 2:-2].astype(float)
    other = mel(write_tone(tmp_path / "b.wav", 1000, sr=44_100, channels=2))[:, 2:-2].astype(float)
    loud = plain > 0.6
    assert loud.any()
    assert np.abs(plain - other)[loud].max() < 0.02


@pytest.mark.parametrize("n_fft", [1023, 1024])
@pytest.mark.parametrize("seconds", [0.5, 0.51])
def test_frames_are_as_many_as_the_shape_says(tmp_path: Path, write_tone: Callable[..., Path], n_fft: int, seconds: float) -> None:
    settings = {**SMALL, "sr": 20_480, "n_fft": n_fft, "clip_seconds": seconds}  # half a second is 40 steps of 256 samples
    found = compute_features("audio", settings, write_tone(tmp_path / "a.wav", sr=20_480))
    assert found.shape == feature_shape("audio", settings)


# Images


def test_colour_modes_give_the_same_picture(tmp_path: Path) -> None:
    grey = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1))
    base = Image.fromarray(grey)
    shapes = {}
    for mode in ("L", "RGB", "RGBA", "P", "LA"):
        base.convert(mode).save(tmp_path / f"{mode}.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16bit.png")
    base.convert("RGB").save(tmp_path / "jpg.jpg", quality=100)
    expected = compute_features("image", SMALL, tmp_path / "L.png")
    assert (expected.shape, expected.dtype) == ((16, 20, 1), np.uint8)
    for path in tmp_path.iterdir():
        for colour in ("grey", "rgb"):
            found = compute_features("image", {**SMALL, "colour": colour}, path)
            shapes[colour] = found.shape
            assert np.abs(found.astype(int) - expected).max() <= 3, (path.name, colour)
    assert shapes == {"grey": (16, 20, 1), "rgb": (16, 20, 3)}


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    assert not compute_features("image", SMALL, tmp_path / "clear.png").any()


def test_shrinking_does_not_alias(tmp_path: Path) -> None:
    stripes = np.zeros((64, 256), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    assert compute_features("image", SMALL, tmp_path / "stripes.png").std() < 6


# Settings that depend on the corpus


def test_auto_clip_is_the_median_duration_at_most_29_7(tones: Path, tmp_path: Path) -> None:
    scan = scan_corpus(open_corpus(str(tones)), tmp_path / "cache", 1)
    auto = FeatureSettings(clip_seconds="auto")
    assert resolve_features(auto, scan)["clip_seconds"] == 0.5
    assert resolve_features(auto, Scan((), "f"))["clip_seconds"] == 29.7
    assert resolve_features(FeatureSettings(), scan) == FeatureSettings().model_dump(mode="json")
    with pytest.raises(SettingsError, match="auto depends on the corpus"):
        feature_shape("audio", auto.model_dump())
    with pytest.raises(SettingsError, match="features.normalise: item holds for audio only"):
        resolve_features(FeatureSettings(normalise="item"), Scan((), "f", kind="image"))


def test_only_settings_that_matter_name_a_cache() -> None:
    assert feature_key("image", SMALL) == feature_key("image", {**SMALL, "sr": 8000})
    assert SMALL["segments"] == 1 and feature_key("audio", SMALL) == feature_key("audio", {**SMALL, "segments": 10})  # whole tracks are cached
    assert feature_key("image", SMALL) != feature_key("image", {**SMALL, "colour": "rgb"})
    assert feature_key("audio", SMALL) != feature_key("audio", {**SMALL, "sr": 8000})
    assert feature_key("audio", SMALL) != feature_key("image", SMALL)
    assert (feature_dtype("audio"), feature_dtype("image")) == ("float16", "uint8")


# The store


def test_audio_is_prepared_once_and_read_in_the_order_asked(tones: Path, tmp_path: Path) -> None:
    tracks = as_tracks(tones)
    store = FeatureStore(tmp_path / "cache", "audio", SMALL, tracks)
    seen = []
    first = store.prepare(1, lambda *state: seen.append(state))
    assert (first.decoded, first.cached, first.failed) == (8, 0, {})
    assert seen[-1] == (8, 8, "features")
    shutil.rmtree(tones)  # the second pass needs no file
    again = FeatureStore(tmp_path / "cache", "audio", SMALL, tracks).prepare(2)
    assert (again.decoded, again.cached) == (0, 8)
    ids = [track["id"] for track in tracks]
    both = store.features(ids)
    assert (both.shape, both.dtype, both.flags.c_contiguous) == ((8, *store.shape), np.float16, True)
    np.testing.assert_array_equal(store.features(ids[::-1]), both[::-1])
    assert len(np.unique(both.reshape(8, -1), axis=0)) == 8


def test_a_workers_copy_of_the_store_reads_without_preparing(images: Path, tmp_path: Path) -> None:
    tracks = as_tracks(images)
    store = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
    store.prepare(1)
    copy = pickle.loads(pickle.dumps(FeatureStore(tmp_path / "cache", "image", SMALL, tracks)))
    for track in tracks:
        np.testing.assert_array_equal(copy.features([track["id"]])[0], compute_features("image", SMALL, track["path"]))
    assert copy.features([]).shape == (0, 16, 20, 1)


def test_held_out_files_are_never_touched(images: Path, tmp_path: Path) -> None:
    scan = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 1)
    split = deal(scan, DataSettings(), 0)
    # They passed the scan. From here on whoever opens one waits for ever, or gets nonsense.
    for i, row in enumerate(split.test):
        row.path.unlink()
        os.mkfifo(row.path) if i % 2 else row.path.write_bytes(b"poison")
    development = [
        {"id": row.id, "label": row.label, "path": str(row.path), "content": row.content} for row in split.train + split.validation
    ]
    store = FeatureStore(tmp_path / "cache", "image", SMALL, development)
    assert store.prepare(1).failed == {}
    assert contents_in(store).isdisjoint(row.content for row in split.test)
    for row in split.test:
        with pytest.raises(HeldOutError, match=f"{row.id} were asked for, but it is not one of the 8 development tracks"):
            store.features([development[0]["id"], row.id])
        with pytest.raises(CorpusError, match="not a regular file|changed since the scan"):
            compute_features("image", SMALL, row.path, row.content)


def test_files_that_vanish_or_change_after_the_scan_are_reported(images: Path, tmp_path: Path, write_image: Callable[..., Path]) -> None:
    tracks = as_tracks(images)
    (images / "dark" / "0.png").unlink()
    write_image(images / "dark" / "1.png", value=77)
    store = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
    prepared = store.prepare(2)
    assert (prepared.decoded, set(prepared.failed)) == (8, {"dark/0", "dark/1"})
    assert "No such file" in prepared.failed["dark/0"]
    assert "changed since the scan" in prepared.failed["dark/1"]


def test_of_two_copies_one_is_decoded_and_may_stand_in(images: Path, tmp_path: Path) -> None:
    shutil.copy(images / "dark" / "0.png", images / "dark" / "copy.png")
    tracks = as_tracks(images)
    (images / "dark" / "0.png").unlink()
    store = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
    prepared = store.prepare(1)
    assert (prepared.decoded, prepared.failed) == (10, {})
    np.testing.assert_array_equal(*store.features(["dark/0", "dark/copy"]))


# The cache


@pytest.mark.parametrize("damage", ["flip", "truncate", "torn line", "no index"])
def test_a_damaged_cache_is_mended(images: Path, tmp_path: Path, damage: str) -> None:
    tracks = as_tracks(images)
    ids = [track["id"] for track in tracks]
    store = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
    store.prepare(1)
    expected = store.features(ids)
    (folder,) = (tmp_path / "cache").glob("features-*")
    rows, index = folder / "rows.bin", folder / "index.jsonl"
    lost = {"flip": 1, "truncate": 2, "torn line": 1, "no index": 10}[damage]
    if damage == "flip":
        data = bytearray(rows.read_bytes())
        data[3 * 320 + 5] ^= 1
        rows.write_bytes(data)
    elif damage == "truncate":
        os.truncate(rows, 8 * 320 + 100)
    elif damage == "torn line":
        os.truncate(index, index.stat().st_size - 20)
    else:
        index.unlink()
    for decoded in (lost, 0):
        mended = FeatureStore(tmp_path / "cache", "image", SMALL, tracks)
        assert mended.prepare(1).decoded == decoded
        np.testing.assert_array_equal(mended.features(ids), expected)


def test_a_full_disk_is_a_clear_error_and_leaves_the_cache_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = RowCache(tmp_path, (4,), "uint8")
    cache.append({"a": np.arange(4, dtype=np.uint8)})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CacheError, match="no space left on the disk .* stays valid"):
        patch.setattr(os, "fsync", full)
        cache.append({"b": np.ones(4, np.uint8)})
    assert cache.find_sound(["a", "b"]) == {"a"}
    cache.append({"b": np.full(4, 7, np.uint8)})
    assert cache.find_sound(["a", "b"]) == {"a", "b"}
    assert cache.open_rows()[cache.index()["b"][0]].tolist() == [7] * 4


def test_a_second_writer_waits_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from genre_models.features.cache import RowCache
        with RowCache(Path(sys.argv[1]), (4,), "uint8").writing():
            print("locked", flush=True)
            time.sleep(60)
        """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    waits = []

    def on_wait() -> None:
        waits.append(1)
        holder.kill()
        holder.wait()

    with RowCache(tmp_path, (4,), "uint8").writing(on_wait):
        assert len(waits) >= 1
    holder.stdout.close()


# Real files


def test_real_clip_is_exactly_128_by_1280(real_data: Path) -> None:
    path = next((real_data / "gtzan" / "genres_original").rglob("*.wav"))
    features = compute_features("audio", FeatureSettings().model_dump(), path)
    assert (features.shape, features.dtype) == ((128, 1280, 1), np.float16)
    assert 0.2 < features.mean(dtype=float) < 0.8


def test_real_formats(real_data: Path) -> None:
    formats = real_data / "formats"
    for path in [formats / "fma_000002.mp3", *formats.glob("*.ogg")]:
        assert np.isfinite(mel(path, clip_seconds=5.0)).all()
    palette = real_data / "gtzan" / "images_original" / "rock" / "rock.00000.png"
    for colour in ("grey", "rgb"):
        settings = {**SMALL, "image_size": [128, 128], "colour": colour}
        one, other = (compute_features("image", settings, path).astype(int) for path in (palette, formats / "rgba" / "rock.00000.png"))
        assert np.abs(one - other).max() <= 1
