"""What a family needs of a corpus, and whether it is there. Loads no framework."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.errors import SettingsError
from genre_models.families import FAMILIES
from genre_models.settings import FeatureSettings
from genre_models.sound_networks import HASHES, NETWORKS, SUFFIXES, hash_of_network
from genre_models.sources import Input

if TYPE_CHECKING:
    from genre_models.corpus import Corpus

_PRETRAINED = ("weights", "trunk_side", "table")  # feature settings that only some families look at


class Unavailable(Exception):
    """A family can't be had with this corpus; the message says why, and what to do."""


def single_values(family: str) -> dict[str, list[Any]]:
    """Every parameter of a family with its default as the one value it may take."""
    return {name: [value] for name, value in FAMILIES[family].defaults().items()} if family in FAMILIES else {}


def settings_of_family(family: str, settings: dict[str, Any], corpus: Corpus) -> dict[str, Any]:
    """Feature settings with files by their full path, and at their defaults where the family does not look at them."""
    inputs = FAMILIES[family].inputs if family in FAMILIES else "spectrogram"
    plain = FeatureSettings().model_dump(mode="json")
    if inputs == "spectrogram":
        return settings | {name: plain[name] for name in _PRETRAINED}
    weights = FeatureSettings.model_validate({"weights": settings["weights"]})
    if inputs == "trunk":
        return settings | {"weights": _full_path(weights.weights_of(family)), "table": None}
    named = {name: _full_path(file) for name, file in weights.weights.items()} if isinstance(weights.weights, dict) else None
    table = str(corpus.tracks[0].path) if corpus.kind == "table" else settings["table"]
    hashes = {name: hash_of_network(file) for name, file in (named or {}).items() if name in NETWORKS}
    return settings | ({HASHES: hashes} if hashes else {}) | {
        "weights": _full_path(weights.weights) if named is None else named,
        "table": None if table is None else str(Path(table).expanduser().resolve()),
    }


def _is_there(weights: str) -> bool:
    return weights in ("imagenet", "random") or Path(weights).is_file()


def _full_path(weights: str) -> str:
    return weights if weights in ("imagenet", "random") else str(Path(weights).expanduser().resolve())


def require_inputs(family: str, wanted: list[tuple[Input, int]], corpus: Corpus) -> None:
    """Check that this corpus has what a family may ask for.

    Raises
    ------
    Unavailable
    SettingsError
        The file asks for what this family never does.
    """
    where = f"families.{family}"
    for found, _ in wanted:
        if found.kind == "table" and found.features["table"] is None:
            raise Unavailable(f"{where}.input: table needs a file with features of these tracks: set features.table: FILE")
        if found.kind == "handcrafted" and corpus.kind != "audio":
            raise Unavailable(
                f"{where}.input: handcrafted features are made from sound, but this corpus is of kind {corpus.kind}: take another input, or give a "
                "table of such features (input: table and features.table: FILE)"
            )
        if found.kind in NETWORKS:
            _require_sound_network(where, found, corpus)
        if found.trunk is not None and not _is_there(found.trunk["weights"]):
            raise Unavailable(
                f"{where}: features.weights: {found.trunk['weights']}: no such file of weights: correct the path, or take imagenet, which Keras downloads"
            )
        if corpus.kind == "table" and found.kind == "table" and found.trunk is None:
            continue
        if corpus.kind == "table":
            raise Unavailable(f"{where}: needs sound or images, but this corpus is a table: take classical or feedforward with input: table")
        if found.features["segments"] > 1 and (found.trunk is not None or found.as_vector):
            raise SettingsError(
                f"{where}.features.segments: found {found.features['segments']}, but this family takes whole tracks: give it features: {{segments: 1}}"
            )


def _require_sound_network(where: str, found: Input, corpus: Corpus) -> None:
    name = found.kind
    if corpus.kind != "audio":
        raise Unavailable(f"{where}.input: {name} hears sound, but this corpus is of kind {corpus.kind}: take another input")
    if name not in found.features.get(HASHES, {}):
        raise Unavailable(
            f"{where}.input: {name} is a network in a file that Keras does not download: set features.weights: {{{name}: FILE}}, a file ending in {' or '.join(SUFFIXES)}"
        )
