"""The ``data:`` and ``features:`` sections of a space file.

Owns their keys, ranges and defaults. Loads nothing heavier than pydantic, so that a bad file is refused at once.
Units: seconds, hertz, samples (``n_fft``, ``hop_length``), pixels.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

AUTO_CLIP_SECONDS = 29.7
"""Upper end of ``clip_seconds: auto``, in seconds; at the default settings it gives exactly 1280 frames."""

SOURCES = "demo, a folder, gtzan:FOLDER, fma:FOLDER, table:FILE, or a list of folders"

Seed = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Strict(), Field(ge=0.05, le=0.5)]
Pixels = Annotated[int, Strict(), Field(ge=8, le=1024)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ValidationSettings(_Section):
    """How validation tracks are dealt from the development part: one part is held out, or each part in turn is.

    Attributes
    ----------
    holdout : float or None
        Part of the development tracks, 0.05 to 0.5; 0.2 where neither is given.
    folds : int or None
        Parts that the development tracks are dealt into, 2 to 20; each validates what was trained on the others.
    """

    holdout: Share | None = None
    folds: Annotated[int, Strict(), Field(ge=2, le=20)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_part_is_held_out_by_default(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("holdout") is None and given.get("folds") is None:
            return {**given, "holdout": 0.2}
        return given

    @model_validator(mode="after")
    def _one_way_is_given(self) -> ValidationSettings:
        if self.holdout is not None and self.folds is not None:
            both = f"holdout={self.holdout:g} and folds={self.folds}"
            raise ValueError(f"has both {both}, but tracks are validated one way: remove one of the two")
        return self

    @model_serializer(mode="wrap")
    def _only_what_is_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}  # studies of before `folds` must find the same


class SplitLists(_Section):
    """The user's own lists: text files with one track a line, ``CLASS/STEM`` with or without an extension.

    Attributes
    ----------
    train : str
        Path of the list of training tracks.
    validation : str or None
        Without it, validation is dealt from ``train`` by hold-out.
    test : str or None
        Without it, nothing is held out.
    """

    train: str = Field(min_length=1)
    validation: str | None = Field(default=None, min_length=1)
    test: str | None = Field(default=None, min_length=1)


# By its type, so that what is wrong with lists is said of lists.
_Split = Annotated[
    Annotated[SplitLists, Tag("lists")] | Annotated[Literal["official", "naive"], Tag("word")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "lists"),
]


class DataSettings(_Section):
    """Where the tracks are and how they are divided.

    Attributes
    ----------
    source : str or tuple of str
        ``demo``, a folder of class folders, ``gtzan:DIR``, ``fma:DIR`` (with FMA's audio folders and ``fma_metadata/tracks.csv``),
        ``table:FILE`` (a CSV, Parquet or .npz file with an id, a label and numbers for each track), or a list of folders and ``gtzan:DIR``
        whose classes are joined by name.
    subset : {"small", "medium", "large", "full"} or None
        Tracks of that subset of FMA only; without it all that have a file.
    input : {"auto", "audio", "image", "table"}
        ``auto`` takes the larger set and says so; a table is always a table.
    test_fraction : float
        Part of each class that is held out, 0.05 to 0.5.
    split_seed : int
        Deals held-out from development tracks, and nothing else does.
    split : SplitLists, "official", "naive" or None
        The user's own lists instead of a deal, or the split that the corpus was published with (FMA's). ``naive`` deals the segments of
        development tracks one by one, so that a track is learned from and validated on: only to show what that gains (`genre_models.naive`).
    validation : ValidationSettings
    groups : str
        What stays on one side besides copies of a recording. ``auto``: of FMA the tracks of an artist, else nothing. ``artist``, ``album``: by
        the corpus's table or the tags of its files (`genre_models.known_groups`). ``recording``: nothing, of FMA too. Or the path of a CSV with columns
        ``track,group``, which adds groups to ``auto``.
    on_two_sides : {"refuse", "warn"}
        Of lists that are given (``split``): what happens where the same content or group is on two of them.
    near_duplicates : {"group", "ignore"}
        ``group`` looks for the same recording in other bytes (`genre_models.fingerprints`): copies under one class stay together, copies under
        several classes are left out where tracks are dealt. ``ignore`` keeps byte-identical files together and looks for nothing else. A study
        that has begun keeps the deal that it began with.
    """

    source: str | tuple[str, ...] = "demo"
    subset: Literal["small", "medium", "large", "full"] | None = None
    input: Literal["auto", "audio", "image", "table"] = "auto"
    test_fraction: Share = 0.2
    split_seed: Seed = 0
    split: _Split | None = None
    validation: ValidationSettings = ValidationSettings()
    groups: str = Field(default="auto", min_length=1)
    on_two_sides: Literal["refuse", "warn"] = "refuse"
    near_duplicates: Literal["group", "ignore"] = "group"

    @field_validator("source", mode="before")
    @classmethod
    def _source_is_known(cls, source: Any) -> Any:
        # One message instead of one for each member of the union.
        if not isinstance(source, (list, tuple)):
            return _checked_source(source)
        if not source:
            raise ValueError("an empty list names no folder; it must hold at least one, as in [~/music, ~/more]")
        entries = [_checked_source(entry, of_list=True) for entry in source]
        twice = next((entry for number, entry in enumerate(entries) if entry in entries[:number]), None)
        if twice is not None:
            raise ValueError(f"{twice} is on the list twice; take one of them off")
        return entries

    @field_validator("subset", "split")
    @classmethod
    def _is_of_fma(cls, value: Any, info: ValidationInfo) -> Any:
        source = info.data.get("source")  # missing where it is wrong itself
        if value == "official" and source is not None and not _is_fma(source):
            raise ValueError(
                "official holds for fma:FOLDER only, other sources have no split of their own: leave it out, or name lists with train:"
            )
        if info.field_name == "subset" and value is not None and source is not None and not _is_fma(source):
            raise ValueError("holds for fma:FOLDER only: leave it out")
        return value

    @field_validator("input")
    @classmethod
    def _a_table_is_a_table(cls, value: str, info: ValidationInfo) -> str:
        source = info.data.get("source")
        if source is not None and value != "auto" and (value == "table") != _is_table(source):
            raise ValueError(f"{value} does not go with source {source if isinstance(source, str) else ', '.join(source)}: leave it out")
        return value


def _checked_source(source: Any, of_list: bool = False) -> str:
    known = "a folder or gtzan:FOLDER" if of_list else f"one of: {SOURCES}"
    if not isinstance(source, str):
        if of_list:
            raise ValueError(f"must be flat: each entry {known}, but one is {json.dumps(source, default=str)}")
        raise ValueError(f"must be {known}")
    source = source.strip()
    prefix, colon, rest = source.partition(":")
    if not source:
        raise ValueError(f"is empty; it must be {known}")
    if prefix in ("gtzan", "fma") and colon and not rest.strip():
        raise ValueError(f"{prefix}: needs a folder after the colon, as in {prefix}:~/music/{prefix}")
    if prefix == "table" and colon and not rest.strip():
        raise ValueError("table: needs a file after the colon, as in table:~/music/features_30_sec.csv")
    if colon and prefix in (("table", "demo", "fma") if of_list else ("demo",)) or of_list and source == "demo":
        raise ValueError(f"{source!r} is not {known}" + (": it can't be joined with others" if of_list else ""))
    return source


def _is_fma(source: str | tuple[str, ...]) -> bool:
    return isinstance(source, str) and source.startswith("fma:")


def _is_table(source: str | tuple[str, ...]) -> bool:
    return isinstance(source, str) and source.startswith("table:")


class FeatureSettings(_Section):
    """What a network sees of a track.

    Attributes
    ----------
    sr : int
        Sampling rate after resampling, hertz.
    n_fft, hop_length : int
        Window and step of the short-time Fourier transform, samples.
    n_mels : int
        Mel bands.
    clip_seconds : float or "auto"
        Length from the start of the track; ``auto`` takes the median duration of the corpus, at most 29.7 s.
    image_size : (int, int)
        Height and width that images are resized to, pixels.
    colour : {"grey", "rgb"}
        Channels of images.
    segments : int
        Equal windows along time that each track is cut into, 1 to 60; the network sees a window, and a track's prediction is the mean of
        its windows'. Cached are whole tracks, whatever their number.
    normalise : {"unit", "item"}
        Of log-mel features: to [0, 1] over the 80 dB below the loudest point, or each item to mean 0 and variance 1.
    weights : str or dict of str to str
        Of pretrained networks: ``imagenet`` (Keras downloads and checks them), ``random`` (for tests and for measuring cost), or a file
        (.h5, .keras, .weights.h5); or any of these for each network by its name, as in ``{mobilenet: FILE}``; others then have ``imagenet``. The networks of
        sound, vggish and yamnet, are files (.keras, .tflite) that are given by name.
    trunk_side : int
        Side of the square that spectrograms are resized to for pretrained networks, 32 to 512 pixels.
    table : str or None
        File with handcrafted features of the same tracks (CSV, Parquet or .npz with an id column); what ``input: table`` of a family means.
    """

    sr: Annotated[int, Strict()] = Field(default=22_050, ge=4_000, le=192_000)
    n_fft: Annotated[int, Strict()] = Field(default=2_048, ge=64, le=32_768)
    hop_length: Annotated[int, Strict()] = Field(default=512, ge=16, le=32_768)
    n_mels: Annotated[int, Strict()] = Field(default=128, ge=8, le=512)
    clip_seconds: Annotated[float, Strict(), Field(ge=0.1, le=300.0)] | Literal["auto"] = 29.7
    image_size: tuple[Pixels, Pixels] = (128, 128)
    colour: Literal["grey", "rgb"] = "grey"
    normalise: Literal["unit", "item"] = "unit"
    segments: Annotated[int, Strict()] = Field(default=1, ge=1, le=60)
    weights: str | dict[str, str] = "imagenet"
    trunk_side: Annotated[int, Strict()] = Field(default=224, ge=32, le=512)
    table: str | None = Field(default=None, min_length=1)

    @classmethod
    def of_resolved(cls, resolved: Any) -> FeatureSettings:
        """The settings that resolved ones came from, checked: without what was added to them, the hashes of networks of sound."""
        from genre_models.sound_networks import HASHES

        return cls.model_validate({key: value for key, value in resolved.items() if key != HASHES} if isinstance(resolved, dict) else resolved)

    def weights_of(self, trunk: str) -> str:
        """``imagenet``, ``random`` or the file for one pretrained network."""
        return self.weights if isinstance(self.weights, str) else self.weights.get(trunk, "imagenet")

    @field_validator("weights", mode="before")
    @classmethod
    def _weights_are_named(cls, value: Any) -> Any:
        from genre_models.sound_networks import NETWORKS
        from genre_models.trunks.registry import TRUNKS

        known = (*TRUNKS, *NETWORKS)
        texts = value.values() if isinstance(value, dict) else [value]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError("must be imagenet, random or a file, or one of these for each network, as in {mobilenet: FILE}")
        unknown = [str(name) for name in value if name not in known] if isinstance(value, dict) else []
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such network; there are {', '.join(known)}")
        return value

    @field_validator("clip_seconds", mode="before")
    @classmethod
    def _clip_seconds_is_a_length(cls, value: Any) -> Any:
        # One message instead of one for each member of the union.
        if value == "auto":
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.1 <= value <= 300.0:
            raise ValueError("must be a number of seconds from 0.1 to 300, or auto")
        return float(value)

    @field_validator("image_size", mode="before")
    @classmethod
    def _image_size_is_a_pair(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ValueError("must be [height, width] in pixels, as in [128, 128]")
        return tuple(value)

    @model_validator(mode="after")
    def _bands_can_be_told_apart(self) -> FeatureSettings:
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length <= n_fft must hold, but got hop_length={self.hop_length}, n_fft={self.n_fft}")
        empty = count_empty_bands(self.sr, self.n_fft, self.n_mels)
        if empty:
            raise ValueError(
                f"{empty} of the {self.n_mels} mel bands would hold no frequency of the transform at sr={self.sr}, n_fft={self.n_fft}: "
                "lower n_mels or raise n_fft"
            )
        return self


def count_empty_bands(sr: int, n_fft: int, n_mels: int) -> int:
    """Count the mel bands (Slaney's scale, 0 to ``sr / 2``) that no bin of the transform falls into.

    Parameters
    ----------
    sr : int
        Hertz.
    n_fft : int
        Samples.
    n_mels : int

    Returns
    -------
    int
        0 where every band can be filled.

    Source
    ------
    Slaney, Auditory Toolbox (1998): linear below 1000 Hz (200/3 Hz a mel), logarithmic above (27 mels for a factor of 6.4).
    """
    step = math.log(6.4) / 27
    top_hz = sr / 2
    top_mel = top_hz / (200 / 3) if top_hz < 1000 else 15 + math.log(top_hz / 1000) / step
    mels = [top_mel * i / (n_mels + 1) for i in range(n_mels + 2)]
    edges_hz = [mel * 200 / 3 if mel < 15 else 1000 * math.exp(step * (mel - 15)) for mel in mels]
    bin_hz = sr / n_fft
    empty = 0
    for low, high in zip(edges_hz, edges_hz[2:], strict=False):
        first_bin = math.floor(low / bin_hz) + 1
        empty += first_bin * bin_hz >= high
    return empty
