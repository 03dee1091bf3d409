"""Whether a ``pipeline.json`` says what a model of this project says; whoever reads one from elsewhere asks here first. Loads no framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from genre_models.errors import GenreModelsError
from genre_models.features import CODE_VERSION
from genre_models.own_models import is_own_file
from genre_models.settings import FeatureSettings
from genre_models.sound_networks import HASHES, NETWORKS

KINDS = ("audio", "image", "handcrafted", "table", *NETWORKS)
_SCHEMA = 1


def check_pipeline(path: Path, pipeline: Mapping[str, Any]) -> None:
    """Refuse what no model of this project says; features are bounded, so that no file asks for all memory.

    Parameters
    ----------
    path : Path
        For messages.
    pipeline : mapping

    Raises
    ------
    GenreModelsError
        Naming the first key that is wrong.
    """

    def must(holds: bool, key: str, what: str) -> None:
        if not holds:
            raise GenreModelsError(f"{path}: {key}: {what}; bring the file back as it was saved")

    _check_facts(path, pipeline, must)
    found = pipeline.get("input", pipeline)
    must(isinstance(found, dict) and found.get("kind") in KINDS, "input.kind", f"must be one of {', '.join(KINDS)}")
    _check_input(found, must)


def _check_facts(path: Path, pipeline: Mapping[str, Any], must: Any) -> None:
    must(pipeline.get("schema") == _SCHEMA, "schema", f"found {pipeline.get('schema')!r}, this version reads {_SCHEMA}")
    version = pipeline.get("features_version", CODE_VERSION)  # models of before do not say
    if version != CODE_VERSION:
        raise GenreModelsError(f"{path}: its features are of version {version}, this program makes version {CODE_VERSION}: use the program that made the model")
    labels = pipeline.get("labels")
    must(isinstance(labels, list) and len(labels) > 1 and all(isinstance(label, str) for label in labels), "labels", "must be two texts or more")
    must(isinstance(pipeline.get("spec"), dict) and isinstance(pipeline["spec"].get("family"), str), "spec.family", "must be a text")
    must({"study", "trial", "features", "kind"} <= pipeline.keys(), "study, trial, features, kind", "must be there")
    segments, temperature = pipeline.get("segments", 1), pipeline.get("temperature")
    must(type(segments) is int and 1 <= segments <= 60, "segments", "must be a whole number from 1 to 60")
    _check_code(pipeline.get("code"), must)
    must(temperature is None or (isinstance(temperature, (int, float)) and 0 < temperature < 1e6), "temperature", "must be a number above 0")


def _check_code(code: Any, must: Any) -> None:
    """What is said of the file of a user's own family."""
    if code is None:
        return
    must(isinstance(code, dict) and all(isinstance(code.get(key), str) for key in ("file", "sha256")), "code", "must have file and sha256, as texts")
    files = code.get("model")
    named = isinstance(files, dict) and bool(files) and all(is_own_file(name) and isinstance(sha256, str) for name, sha256 in files.items())
    must(files is None or named, "code.model", "must have the hash of each of the model's files, by its name")


def _check_input(found: Mapping[str, Any], must: Any) -> None:
    try:
        given = found.get("features")
        settings = FeatureSettings.of_resolved(given)
        must(settings.clip_seconds != "auto", "features.clip_seconds", "must be a number of seconds")
    except ValidationError as error:
        first = error.errors()[0]
        must(False, ".".join(["features", *map(str, first["loc"])]), first["msg"])
    if found["kind"] in NETWORKS:
        hashes = given.get(HASHES)
        must(isinstance(hashes, dict) and isinstance(hashes.get(found["kind"]), str), f"input.features.{HASHES}", "must have the hash of the network's file")
        must(isinstance(settings.weights, dict) and found["kind"] in settings.weights, "input.features.weights", "must name the network's file")
    table = found.get("table")
    if found["kind"] == "table":
        columns = table.get("columns") if isinstance(table, dict) else None
        must(isinstance(columns, list) and bool(columns) and all(isinstance(name, str) for name in columns), "input.table.columns", "must be names")
