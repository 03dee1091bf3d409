"""Features: what a network sees of a track, and the cache that holds it.

Importing this package loads nothing heavy: shapes and types follow from the settings alone.
Shapes are (height, width, channels); for audio that is (mel bands from low to high, frames, 1). They are of whole tracks: windows
(`genre_models.segments`) are cut later, so ``segments`` is no part of a cache's name. Handcrafted features, and what the networks of
`genre_models.sound_networks` make of sound (kinds by their names), are a vector of each track.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from genre_models.errors import CorpusError, SettingsError
from genre_models.settings import AUTO_CLIP_SECONDS, FeatureSettings
from genre_models.sound_networks import HASHES, NETWORKS

if TYPE_CHECKING:
    import numpy as np

    from genre_models.scan import Scan

CODE_VERSION = 2  # raise it when the same file and settings would give other numbers
USED_SETTINGS = {
    "audio": ("sr", "n_fft", "hop_length", "n_mels", "clip_seconds", "normalise"),
    "image": ("image_size", "colour"),
    "handcrafted": ("sr", "n_fft", "hop_length", "clip_seconds"),
    **dict.fromkeys(NETWORKS, ("clip_seconds", "weights", HASHES)),
}


def resolve_features(settings: FeatureSettings, scan: Scan) -> dict:
    """Settle what depends on the corpus.

    Parameters
    ----------
    settings : FeatureSettings
    scan : Scan

    Returns
    -------
    dict
        The settings as plain values; ``clip_seconds: auto`` is the median duration of the readable tracks, at most 29.7 s, cut to
        a tenth of a second.

    Raises
    ------
    SettingsError
        If a setting does not hold for this kind of corpus.
    """
    resolved = settings.model_dump(mode="json")
    if scan.kind == "image" and settings.normalise == "item":
        raise SettingsError(
            "features.normalise: item holds for audio only, but this corpus is images (stored as bytes): set features.normalise: unit"
        )
    if settings.clip_seconds == "auto":
        durations = [row.duration_seconds for row in scan.rows if row.readable and row.duration_seconds is not None]
        median = statistics.median(durations) if durations else AUTO_CLIP_SECONDS
        resolved["clip_seconds"] = max(0.1, min(AUTO_CLIP_SECONDS, math.floor(median * 10 + 1e-9) / 10))
    return resolved


def feature_shape(kind: str, settings: Mapping) -> tuple[int, ...]:
    """Shape of one item's features.

    Parameters
    ----------
    kind : {"audio", "image", "handcrafted", "vggish", "yamnet"}
    settings : mapping
        As `resolve_features` gives them.

    Returns
    -------
    (int, int, int) or (int,)
        Height, width, channels; of vectors, which are made of audio, how many numbers they have.

    Raises
    ------
    SettingsError
        If ``clip_seconds`` is still ``auto``, or ``n_fft`` is too small for handcrafted features.
    """
    if kind == "image":
        height, width = settings["image_size"]
        return int(height), int(width), 1 if settings["colour"] == "grey" else 3
    if settings["clip_seconds"] == "auto":
        raise SettingsError("features.clip_seconds: auto depends on the corpus; resolve it with a scan first")
    if kind == "handcrafted":
        from genre_models.features.handcrafted import N_FEATURES, check_resolution

        check_resolution(int(settings["sr"]), int(settings["n_fft"]))
        return (N_FEATURES,)
    if kind in NETWORKS:
        return (NETWORKS[kind].size,)
    samples = round(settings["clip_seconds"] * settings["sr"])
    # Frames are centred by padding half a window on both sides, which is a sample short of a window where its length is odd.
    return int(settings["n_mels"]), 1 + (samples - int(settings["n_fft"]) % 2) // int(settings["hop_length"]), 1


def feature_dtype(kind: str) -> str:
    """Type of features as stored: ``"float16"`` for audio, ``"uint8"`` (0 to 255, not scaled) for images, ``"float32"`` for vectors."""
    return "uint8" if kind == "image" else "float16" if kind == "audio" else "float32"


def feature_key(kind: str, settings: Mapping) -> str:
    """Name of a feature setting: 16 hex digits over the kind, the settings that matter for it, and the version of the code."""
    used = {name: settings[name] for name in USED_SETTINGS[kind]}
    if kind == "image":
        used["image_size"] = [int(side) for side in used["image_size"]]
    if kind in NETWORKS:  # by its content, wherever its file lies
        used = {"clip_seconds": used["clip_seconds"], "sha256": used[HASHES][kind]}
    text = json.dumps([CODE_VERSION, kind, used], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def compute_features(kind: str, settings: Mapping, path: str | Path, content: str | None = None) -> np.ndarray:
    """Compute one item's features; no cache is read or written.

    Parameters
    ----------
    kind : {"audio", "image", "handcrafted", "vggish", "yamnet"}
    settings : mapping
        As `resolve_features` gives them.
    path : str or Path
    content : str or None
        Hash that the scan found; the file must still have it.

    Returns
    -------
    np.ndarray [shape=feature_shape(kind, settings), dtype=feature_dtype(kind)]

    Raises
    ------
    CorpusError
        If the file can't be decoded (any more), or has changed since the scan.
    TrunkUnavailable
        If the file of a network of sound is gone, another one or no such network.
    """
    from genre_models.audio import Undecodable, load_clip
    from genre_models.content import content_hash

    try:
        found = content_hash(path)  # refuses pipes and devices before a decoder would wait for them
        if content is not None and found != content:
            raise Undecodable("has changed since the scan")
        if kind == "image":
            from genre_models.features.image import load_image

            height, width = settings["image_size"]
            return load_image(path, (height, width), settings["colour"])
        if kind == "handcrafted":
            from genre_models.features.handcrafted import handcrafted_features

            y = load_clip(path, settings["sr"], settings["clip_seconds"], pad=False)
            return handcrafted_features(y, **{name: settings[name] for name in ("sr", "n_fft", "hop_length")})
        if kind in NETWORKS:
            from genre_models.sound_networks import SR
            from genre_models.sound_networks.embedding import embed

            y = load_clip(path, SR, settings["clip_seconds"], pad=False)
            return embed(y, kind, settings["weights"][kind], settings[HASHES][kind])
        from genre_models.features.mel import log_mel

        y = load_clip(path, settings["sr"], settings["clip_seconds"])
        return log_mel(y, **{name: settings[name] for name in ("sr", "n_fft", "hop_length", "n_mels", "normalise")})
    except OSError as error:
        raise CorpusError(f"{path}: can't be read: {error.strerror or error}") from error
    except Undecodable as error:
        raise CorpusError(f"{path}: {error}") from error
