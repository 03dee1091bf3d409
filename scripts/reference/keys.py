"""The keys of a section of a space file, with values, default and meaning, read off its pydantic model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from scripts.reference.engine_keys import MEANINGS
from search.domains import plain
from search.errors import SearchError

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """A key by its dotted name, what it may be and does without it."""

    name: str
    values: str
    default: str
    meaning: str


def keys_of(prefix: str, model: type[BaseModel]) -> Iterator[Key]:
    """The keys of a section, those of sections inside it after their parent.

    Parameters
    ----------
    prefix : str
        Before each name: ``"data."``, or ``""`` at the top.
    model : pydantic model

    Raises
    ------
    SearchError
        Nothing says what a key means.
    """
    schema = model.model_json_schema()
    return _walk(prefix, schema, schema.get("$defs", {}))


def _walk(prefix: str, schema: Schema, definitions: Mapping[str, Schema]) -> Iterator[Key]:
    for name, found in schema["properties"].items():
        dotted = prefix + name
        yield Key(dotted, _values(found), _default(found), meaning_of(dotted, schema, definitions))
        for inner, below in sections_in(found):
            yield from _walk(f"{dotted}.{below}", definitions[inner], definitions)


def meaning_of(dotted: str, parent: Schema, definitions: Mapping[str, Schema]) -> str:
    """What a key means, in Markdown: of the engine's keys from `engine_keys`, of others from the docstring of the model that has it, or of its own."""
    name = dotted.rpartition(".")[2]
    told = MEANINGS.get(dotted) or attributes(parent.get("description", "")).get(name)
    if not told:
        told = " ".join(summary(definitions[inner]) for inner, _ in sections_in(parent["properties"][name]))
    if not told:
        raise SearchError(f"{dotted}: nothing says what it means; write a line in scripts/reference/engine_keys.py or in the docstring of its model")
    return told


def attributes(docstring: str) -> dict[str, str]:
    """The attributes of a numpydoc docstring: name to text on one line."""
    lines = inspect.cleandoc(docstring).partition("Attributes\n----------\n")[2].splitlines()
    told: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        if head := re.match(r"(\w+(?:, \w+)*) : ", line):
            names = head[1].split(", ")
            told |= {name: [] for name in names}
        elif line.strip():
            for name in names:
                told[name].append(line.strip())
    return {name: " ".join(text).replace("``", "`").removesuffix(".") for name, text in told.items()}


def summary(schema: Schema) -> str:
    """The first paragraph of a model's docstring, in Markdown, on one line."""
    return inspect.cleandoc(schema.get("description", "")).partition("\n\n")[0].replace("\n", " ").replace("``", "`").removesuffix(".")


def alternatives(found: Schema) -> list[Schema]:
    """What a value may be, one schema each."""
    for several in ("anyOf", "oneOf"):
        if several in found:
            return [one for inner in found[several] for one in alternatives(inner)]
    return [found]


def sections_in(found: Schema) -> Iterator[tuple[str, str]]:
    """Sections that a value may be: (name of the definition, what comes before its keys)."""
    for one in alternatives(found):
        if "$ref" in one:
            yield definition_named(one), ""
        elif isinstance(one.get("additionalProperties"), dict) and "$ref" in one["additionalProperties"]:
            yield definition_named(one["additionalProperties"]), "FAMILY."


def definition_named(reference: Schema) -> str:
    """Name of the definition that a reference stands for."""
    return str(reference["$ref"]).rpartition("/")[2]


def _values(found: Schema) -> str:
    return " or ".join(dict.fromkeys(_one(each) for each in alternatives(found) if each.get("type") != "null"))


def _one(found: Schema) -> str:
    if "$ref" in found:
        return "section"
    if "enum" in found:
        return ", ".join(plain(value) for value in found["enum"])
    if "const" in found:
        return plain(found["const"])
    if found["type"] == "array":
        inner = found.get("items") or found["prefixItems"][0]
        count = f"{found['minItems']} " if "minItems" in found and found["minItems"] == found.get("maxItems") else ""
        return f"list of {count}({_one(inner)})" if count else f"list of {_one(inner)}"
    if found["type"] == "object":
        inner = found["additionalProperties"]
        return "mapping of family to section" if "$ref" in inner else f"mapping of name to {_one(inner)}"
    kinds = {"integer": "whole number", "number": "number", "boolean": "true, false", "string": "text"}
    return kinds[found["type"]] + _bounds(found)


def _bounds(found: Schema) -> str:
    low, above, high = (f"{end:g}" if isinstance(end, float) else end for end in map(found.get, ("minimum", "exclusiveMinimum", "maximum")))
    if low is not None and high is not None:
        return f" {low}..{high}"
    if low is not None:
        return f" from {low}"
    return f" above {above}" if above is not None else ""


def _default(found: Schema) -> str:
    if "$ref" in found:
        return ""
    default = found.get("default")
    return "none" if default is None else plain(default)
