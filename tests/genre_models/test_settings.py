from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genre_models.features import feature_shape
from genre_models.features.compiling import librosa_loaded
from genre_models.settings import DataSettings, FeatureSettings, count_empty_bands


def test_defaults_give_128_by_1280() -> None:
    assert feature_shape("audio", FeatureSettings().model_dump()) == (128, 1280, 1)
    assert feature_shape("image", FeatureSettings().model_dump()) == (128, 128, 1)


def test_data_defaults_are_those_of_the_design() -> None:
    assert DataSettings().model_dump() == {
        "source": "demo",
        "subset": None,
        "input": "auto",
        "test_fraction": 0.2,
        "split_seed": 0,
        "split": None,
        "validation": {"holdout": 0.2},
        "groups": "auto",
        "on_two_sides": "refuse",
        "near_duplicates": "group",
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
        ({"input": "video"}, "'auto', 'audio', 'image' or 'table'"),
        ({"input": "table"}, "table does not go with source demo"),
        ({"source": "table:x.csv", "input": "audio"}, "audio does not go with source table:x.csv"),
        ({"validation": {"folds": 1}}, "greater than or equal to 2"),
        ({"validation": {"folds": 21}}, "less than or equal to 20"),
        ({"validation": {"folds": 5.0}}, "valid integer"),
        ({"validation": {"folds": 5, "holdout": 0.2}}, "both holdout=0.2 and folds=5.*remove one"),
        ({"split": {"validation": "v.txt"}}, "train"),
        ({"split": {"train": "t.txt", "dev": "d.txt"}}, "dev"),
        ({"source": "table:"}, "table: needs a file"),
        ({"source": "demo:x"}, "not one of: demo, a folder, gtzan:FOLDER, fma:FOLDER, table:FILE, or a list of folders"),
        ({"source": ["a", "table:x"]}, "can't be joined with others"),
        ({"source": "fma:"}, "fma: needs a folder"),
        ({"source": 3}, "must be one of: demo, a folder"),
        ({"source": []}, "an empty list names no folder"),
        ({"source": ["a", ["b"]]}, "must be flat"),
        ({"source": ["a", ""]}, "is empty"),
        ({"source": ["a", "b", "a"]}, "a is on the list twice"),
        ({"source": ["a", "fma:b"]}, "can't be joined with others"),
        ({"source": ["a", "demo"]}, "can't be joined with others"),
        ({"split": "official"}, "official holds for fma:FOLDER only"),
        ({"source": ["a", "b"], "split": "official"}, "official holds for fma:FOLDER only"),
        ({"source": "fma:x", "split": "published"}, "'official'"),
        ({"source": "music", "subset": "small"}, "holds for fma:FOLDER only"),
        ({"source": "fma:x", "subset": "tiny"}, "'small', 'medium', 'large' or 'full'"),
        ({"source": "gtzan:"}, "needs a folder"),
        ({"source": ""}, "is empty"),
    ],
)
def test_data_settings_refuse(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataSettings.model_validate(values)


def test_a_validation_section_says_only_how_it_validates() -> None:
    # Studies of before folds have {"holdout": 0.2} on record, and are to be found the same.
    for given, kept in (({}, {"holdout": 0.2}), ({"holdout": 0.3}, {"holdout": 0.3}), ({"folds": 5}, {"folds": 5})):
        settings = DataSettings.model_validate({"validation": given})
        assert settings.model_dump(mode="json")["validation"] == settings.model_dump()["validation"] == kept
        assert DataSettings.model_validate(settings.model_dump(mode="json")) == settings


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
        ({"segments": 0}, "greater than or equal to 1"),
        ({"segments": 61}, "less than or equal to 60"),
        ({"segments": 2.0}, "valid integer"),
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

    librosa = librosa_loaded()
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
