"""Handcrafted features: FMA's set, beside plain calls of librosa, and on clips that have little in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import CorpusError, SettingsError
from genre_models.features import compute_features, feature_dtype, feature_key, feature_shape
from genre_models.features.compiling import librosa_loaded
from genre_models.features.handcrafted import N_FEATURES, cqt_octaves, feature_names, handcrafted_features
from genre_models.features.store import FeatureStore
from genre_models.settings import FeatureSettings

SETTINGS = FeatureSettings(clip_seconds=1.0).model_dump(mode="json")
AT = {"sr": 22_050, "n_fft": 2_048, "hop_length": 512}


def _music(seconds: float = 2.0, sr: int = 22_050) -> np.ndarray:
    time = np.arange(round(seconds * sr)) / sr
    beats = ((220, 1), (277.2, 3), (1320, 2))
    tones = sum(np.sin(2 * np.pi * hertz * time) * (1 + np.sin(2 * np.pi * beat * time)) for hertz, beat in beats)
    return (0.1 * tones + 0.01 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32)


def test_there_are_518_and_they_have_fmas_names_in_its_order() -> None:
    names = feature_names()
    assert len(names) == len(set(names)) == N_FEATURES == 518
    assert list(names) == sorted(names)  # as its script sorts them
    assert names[0] == "chroma_cens.kurtosis.01"
    assert names[-1] == "zcr.std.01"
    assert {name.split(".")[1] for name in names} == {"kurtosis", "max", "mean", "median", "min", "skew", "std"}


def test_they_are_what_plain_calls_of_librosa_and_scipy_give() -> None:
    from scipy import stats

    librosa = librosa_loaded()
    y = _music()
    found = dict(zip(feature_names(), handcrafted_features(y, **AT), strict=True))
    chroma_cens = librosa.feature.chroma_cens(y=y, sr=22_050, bins_per_octave=12)
    plain = {
        "chroma_cens": chroma_cens,
        "chroma_cqt": librosa.feature.chroma_cqt(y=y, sr=22_050, bins_per_octave=12),
        "chroma_stft": librosa.feature.chroma_stft(y=y, sr=22_050),
        "mfcc": librosa.feature.mfcc(y=y, sr=22_050, n_mfcc=20),
        "rmse": librosa.feature.rms(S=np.abs(librosa.stft(y))),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(y=y, sr=22_050),
        "spectral_centroid": librosa.feature.spectral_centroid(y=y, sr=22_050),
        "spectral_contrast": librosa.feature.spectral_contrast(y=y, sr=22_050),
        "spectral_rolloff": librosa.feature.spectral_rolloff(y=y, sr=22_050),
        "tonnetz": librosa.feature.tonnetz(chroma=chroma_cens),
        "zcr": librosa.feature.zero_crossing_rate(y),
    }
    statistics = {"min": np.min, "max": np.max, "mean": np.mean, "median": np.median, "std": np.std}
    statistics |= {"skew": stats.skew, "kurtosis": stats.kurtosis}
    for feature, rows in plain.items():
        for statistic, of in statistics.items():
            for number, row in enumerate(rows.astype(np.float64), 1):
                if np.ptp(row) > 1e-6 * np.abs(row).max():  # of a steady row neither skew nor kurtosis means anything
                    name = f"{feature}.{statistic}.{number:02d}"
                    assert found[name] == pytest.approx(of(row), rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize("sr", [4_000, 8_000, 22_050, 192_000])
@pytest.mark.parametrize("n", [1, 400, 2_205])
def test_silence_and_short_clips_have_finite_numbers(sr: int, n: int) -> None:
    for y in (np.zeros(n, np.float32), _music(1.0)[:n]):
        found = handcrafted_features(y, sr=sr, n_fft=2_048, hop_length=512)
        assert found.shape == (518,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_a_row_that_does_not_change_has_no_skew_and_no_kurtosis() -> None:
    found = dict(zip(feature_names(), handcrafted_features(np.zeros(22_050, np.float32), **AT), strict=True))
    assert {found[f"mfcc.{statistic}.01"] for statistic in ("skew", "kurtosis", "std")} == {0.0}


def test_the_constant_q_transform_stays_below_half_the_rate() -> None:
    assert [cqt_octaves(sr) for sr in (4_000, 8_000, 22_050, 192_000)] == [5, 6, 7, 7]


def test_a_transform_too_coarse_for_them_is_refused() -> None:
    coarse = SETTINGS | {"n_fft": 64, "hop_length": 64}
    with pytest.raises(SettingsError, match="n_fft: 64 .* raise n_fft to 128 or more"):
        feature_shape("handcrafted", coarse)
    assert np.isfinite(handcrafted_features(_music(0.2), sr=22_050, n_fft=128, hop_length=128)).all()


def test_a_file_shorter_than_the_clip_is_not_padded(tmp_path: Path, write_tone) -> None:
    path = write_tone(tmp_path / "a.wav", seconds=0.5)
    found = dict(zip(feature_names(), compute_features("handcrafted", SETTINGS | {"clip_seconds": 3.0}, path), strict=True))
    assert found["rmse.median.01"] > 0.1
    assert np.array_equal(list(found.values()), compute_features("handcrafted", SETTINGS | {"clip_seconds": 0.5}, path))
    with pytest.raises(CorpusError, match="gone.wav"):
        compute_features("handcrafted", SETTINGS, tmp_path / "gone.wav")


def test_samples_too_large_leave_one_track_out_with_a_reason(tmp_path: Path, write_tone) -> None:
    import soundfile

    from genre_models.content import content_hash

    loud, fine = tmp_path / "loud.wav", write_tone(tmp_path / "fine.wav")
    soundfile.write(loud, 1e20 * np.random.default_rng(0).standard_normal(22_050), 22_050, subtype="FLOAT")
    tracks = [{"id": path.stem, "path": str(path), "content": content_hash(path)} for path in (loud, fine)]
    store = FeatureStore(tmp_path / "cache", "handcrafted", SETTINGS, tracks)
    prepared = store.prepare(workers=1)
    assert prepared.decoded == 1
    assert list(prepared.failed) == ["loud"]
    assert "loud.wav: holds samples a million times beyond full scale" in prepared.failed["loud"]
    assert np.isfinite(store.features(["fine"])).all()


def test_their_name_follows_from_what_they_are_made_of() -> None:
    assert feature_shape("handcrafted", SETTINGS) == (518,)
    assert feature_dtype("handcrafted") == "float32"
    key = feature_key("handcrafted", SETTINGS)
    assert key != feature_key("audio", SETTINGS)
    assert key == feature_key("handcrafted", SETTINGS | {"n_mels": 64, "normalise": "item", "colour": "rgb"})
    for change in ({"sr": 8_000}, {"n_fft": 1_024}, {"hop_length": 256}, {"clip_seconds": 2.0}):
        assert key != feature_key("handcrafted", SETTINGS | change)


@pytest.mark.slow  # starts two worker processes that import librosa
def test_the_store_makes_and_keeps_them(tmp_path: Path, tones: Path) -> None:
    from genre_models.content import content_hash

    paths = sorted(tones.glob("*/*.wav"))[:3]
    tracks = [{"id": path.stem + path.parent.name, "path": str(path), "content": content_hash(path)} for path in paths]
    store = FeatureStore(tmp_path / "cache", "handcrafted", SETTINGS, tracks)
    assert store.prepare(workers=2).decoded == 3
    again = FeatureStore(tmp_path / "cache", "handcrafted", SETTINGS, tracks)
    assert again.prepare().cached == 3
    found = again.features([track["id"] for track in tracks])
    assert np.allclose(found[1], compute_features("handcrafted", SETTINGS, paths[1]), rtol=1e-3, atol=1e-4)
