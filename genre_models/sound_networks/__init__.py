"""Networks that turn a second of sound into a vector, trained by others and given as a file: which there are, and what each is fed.

The vector of a track is the mean over its patches. Importing this package loads nothing heavy. Units: hertz, samples of 16 kHz sound.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_models.durable import sha256_file
from genre_models.errors import GenreModelsError

SR = 16_000
WINDOW, HOP, N_FFT = 400, 160, 512  # samples of the short-time Fourier transform
BANDS, LOWEST_HERTZ, HIGHEST_HERTZ = 64, 125.0, 7_500.0  # of the mel spectrogram
PATCH_FRAMES = 96
PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP + WINDOW  # 0.975 s: what one patch is made of
SUFFIXES = (".keras", ".tflite")
UNREADABLE = "?"  # in place of the hash of a file
HASHES = "sound_networks"  # among resolved feature settings: the SHA-256 of each network's file, by its name


@dataclass(frozen=True)
class SoundNetwork:
    """A network and its way of being fed.

    Parameters
    ----------
    name : str
    size : int
        Numbers of its embedding.
    log_offset : float
        Added to mel magnitudes before the logarithm.
    step_frames : int
        Frames from the beginning of a patch to that of the next.
    pads : bool
        Whether sound that fills no patch at the end is made to, with silence; else it is left out.
    meaning : str
        One line, shown to users.
    """

    name: str
    size: int
    log_offset: float
    step_frames: int
    pads: bool
    meaning: str


NETWORKS: dict[str, SoundNetwork] = {
    network.name: network
    for network in (
        SoundNetwork("vggish", 128, 0.01, 96, False, "VGGish (Hershey et al. 2017, arXiv:1609.09430), without its post-processing"),
        SoundNetwork("yamnet", 1024, 0.001, 48, True, "YAMNet (Plakal and Ellis 2019), a MobileNet on AudioSet"),
    )
}
"""By name. Constants and framing are those of ``research/audioset`` in the repository tensorflow/models."""


def hash_of_network(file: str) -> str:
    """SHA-256 of a network's file; `UNREADABLE` where it is none."""
    try:
        return sha256_file(Path(file))
    except OSError:
        return UNREADABLE


def copy_network(kind: str, features: Mapping[str, Any], folder: Path) -> None:
    """Put a copy of the network into a model's folder, which is then whole without the file it came from; nothing for other kinds of input.

    Parameters
    ----------
    kind : str
        Of the model's input.
    features : mapping
        Resolved settings.
    folder : Path

    Raises
    ------
    GenreModelsError
        The file has gone, or is another now.
    """
    if kind not in NETWORKS:
        return
    file = Path(features["weights"][kind])
    if hash_of_network(str(file)) != features[HASHES][kind]:
        raise GenreModelsError(f"{file}: {kind} was another file when the search read it, or is gone: put it back and run the same command again")
    shutil.copyfile(file, folder / f"{kind}{file.suffix}")


def features_with_copy(kind: str, features: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """A model's feature settings with the network that lies in its folder, where one does."""
    here = [folder / f"{kind}{suffix}" for suffix in SUFFIXES if kind in NETWORKS and (folder / f"{kind}{suffix}").is_file()]
    return {**features, "weights": {**features["weights"], kind: str(here[0])}} if here else features
