"""The ``data:`` and ``features:`` sections of a space file.

Owns their keys, ranges and defaults. Loads nothing heavier than pydantic, so that a bad file is refused at once.
Units: seconds, hertz, samples (``n_fft``, ``hop_length``), pixels.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

AUTO_CLIP_SECONDS = 29.7
"""Upper end of ``clip_seconds: auto``, in seconds; at the default settings it gives exactly 1280 frames."""

Seed = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Strict(), Field(ge=0.05, le=0.5)]
Pixels = Annotated[int, Strict(), Field(ge=8, le=1024)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ValidationSettings(_Section):
    """How validation tracks are dealt from the development part.

    Attributes
    ----------
    holdout : float
        Part of the development tracks, 0.05 to 0.5.
    """

    holdout: Share = 0.2


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


class DataSettings(_Section):
    """Where the tracks are and how they are divided.

    Attributes
    ----------
    source : str
        ``demo``, a folder of class folders, or ``gtzan:DIR``.
    input : {"auto", "audio", "image"}
        ``auto`` takes the larger set and says so.
    test_fraction : float
        Part of each class that is held out, 0.05 to 0.5.
    split_seed : int
        Deals held-out from development tracks, and nothing else does.
    split : SplitLists or None
        The user's own lists instead of a deal.
    validation : ValidationSettings
    groups : str
        ``auto`` (byte-identical files stay together) or the path of a CSV with columns ``track,group``, which adds groups to that.
    """

    source: str = Field(default="demo", min_length=1)
    input: Literal["auto", "audio", "image"] = "auto"
    test_fraction: Share = 0.2
    split_seed: Seed = 0
    split: SplitLists | None = None
    validation: ValidationSettings = ValidationSettings()
    groups: str = Field(default="auto", min_length=1)

    @field_validator("source")
    @classmethod
    def _source_is_known(cls, source: str) -> str:
        prefix, colon, rest = source.partition(":")
        if colon and prefix == "gtzan" and not rest.strip():
            raise ValueError("gtzan: needs a folder after the colon, as in gtzan:~/music/gtzan")
        if colon and prefix in ("fma", "table", "demo"):
            raise ValueError(f"source {source!r} is not one of: demo, a folder, gtzan:FOLDER")
        return source


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
    normalise : {"unit", "item"}
        Of log-mel features: to [0, 1] over the 80 dB below the loudest point, or each item to mean 0 and variance 1.
    """

    sr: Annotated[int, Strict()] = Field(default=22_050, ge=4_000, le=192_000)
    n_fft: Annotated[int, Strict()] = Field(default=2_048, ge=64, le=32_768)
    hop_length: Annotated[int, Strict()] = Field(default=512, ge=16, le=32_768)
    n_mels: Annotated[int, Strict()] = Field(default=128, ge=8, le=512)
    clip_seconds: Annotated[float, Strict(), Field(ge=0.1, le=300.0)] | Literal["auto"] = 29.7
    image_size: tuple[Pixels, Pixels] = (128, 128)
    colour: Literal["grey", "rgb"] = "grey"
    normalise: Literal["unit", "item"] = "unit"

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
