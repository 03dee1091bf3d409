from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genre_models.features import feature_shape
from genre_models.settings import DataSettings, FeatureSettings, count_empty_bands


def test_defaults_give_128_by_1280() -> None:
    assert feature_shape("audio", FeatureSettings().model_dump()) == (128, 1280, 1)
    assert feature_shape("image", FeatureSettings().model_dump()) == (128, 128, 1)


def test_data_defaults_are_those_of_the_design() -> None:
    assert DataSettings().model_dump() == {
        "source": "demo",
        "input": "auto",
        "test_fraction": 0.2,
        "split_seed": 0,
        "split": None,
        "validation": {"holdout": 0.2},
        "groups": "auto",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sorce": "demo"}, "sorce"),
        ({"test_fraction": 0.0}, "greater than or equal to 0.05"),
        ({"test_fraction": 0.9}, "less than or equal to 0.5"),
        ({"split_seed": -1}, "greater than or equal to 0"),
        ({"split_seed": True}, "valid integer"),
        ({"split_seed": 1.0}, "valid integer"),
        ({"input": "video"}, "'auto', 'audio' or 'image'"),
        ({"validation": {"folds": 5}}, "folds"),
        ({"split": {"validation": "v.txt"}}, "train"),
        ({"split": {"train": "t.txt", "dev": "d.txt"}}, "dev"),
        ({"source": "fma:x"}, "not one of: demo, a folder, gtzan:FOLDER"),
        ({"source": "gtzan:"}, "needs a folder"),
        ({"source": ""}, "at least 1 character"),
    ],
)
def test_data_settings_refuse(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataSettings.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sr": "22050"}, "valid integer"),
        ({"clip_seconds": 0}, "seconds from 0.1 to 300, or auto"),
        ({"clip_seconds": "automatic"}, "seconds from 0.1 to 300, or auto"),
        ({"clip_seconds": float("nan")}, "seconds from 0.1 to 300, or auto"),
        ({"image_size": 128}, r"\[height, width\]"),
        ({"image_size": [128]}, r"\[height, width\]"),
        ({"image_size": [4, 128]}, "greater than or equal to 8"),
        ({"hop_length": 4096}, "hop_length <= n_fft must hold"),
        ({"n_fft": 256, "hop_length": 128}, "lower n_mels or raise n_fft"),
        ({"colour": "red"}, "'grey' or 'rgb'"),
        ({"normalise": True}, "'unit' or 'item'"),
        ({"segments": 2}, "segments"),
    ],
)
def test_feature_settings_refuse(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FeatureSettings.model_validate(values)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FeatureSettings().sr = 8000  # type: ignore[misc]


@settings(max_examples=25, deadline=None)
@given(sr=st.integers(4000, 96000), n_fft=st.sampled_from([256, 512, 1024, 2048]), n_mels=st.integers(8, 256))
def test_empty_bands_are_counted_as_librosa_makes_them(sr: int, n_fft: int, n_mels: int) -> None:
    import warnings

    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bank = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels, dtype="float64")
    # A bin within a rounding error of an edge may fall on either side.
    assert abs(count_empty_bands(sr, n_fft, n_mels) - int((bank.max(axis=1) <= 1e-12).sum())) <= 1


def test_settings_load_nothing_heavy() -> None:
    code = (
        "import sys, genre_models.settings, genre_models.features;"
        "heavy = ('numpy', 'librosa', 'soundfile', 'PIL', 'tensorflow', 'keras', 'sklearn', 'ray', 'optuna');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
