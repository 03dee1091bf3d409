"""One section of a space file as a pydantic model, its problems noted instead of raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from search.problems import KeyPath, Problems, location_in_file


def validated(where: KeyPath, found: object, model: type[BaseModel], problems: Problems, keys_only: bool = False) -> Any:
    """An instance of `model`, or None after its problems were added.

    Parameters
    ----------
    where : tuple
        Key path of the section.
    found : object
        What the file has there. Nothing, there or in a section inside it, means that nothing is changed.
    model : pydantic model
    problems : Problems
    keys_only : bool
        Leave out what is wrong with the section as a whole.
    """
    data = {} if found is None else found
    if isinstance(data, Mapping):
        inner = [name for name, field in model.model_fields.items() if _is_model(field.annotation)]
        data = {key: value for key, value in data.items() if not (value is None and key in inner)}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems.of_model(where, error, model, data if isinstance(data, Mapping) else {}, keys_only)
        unknown = [location_in_file(item["loc"], data) for item in error.errors() if item["type"] == "extra_forbidden"]
    if unknown:
        # Pydantic judges a model as a whole only when its keys are right; a misspelt one should not hide what else is wrong.
        validated(where, _without(data, unknown), model, problems, keys_only)
    return None


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _without(data: Any, locations: list[tuple[str | int, ...]]) -> Any:
    """A copy of `data` without the entries at these locations."""
    if not isinstance(data, Mapping):
        return data
    kept = {}
    for key, value in data.items():
        inside = [location[1:] for location in locations if location[:1] == (key,)]
        if () not in inside:
            kept[key] = _without(value, inside) if inside else value
    return kept
