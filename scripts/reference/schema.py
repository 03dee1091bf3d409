"""docs/space.schema.json: the JSON Schema of space files, for editors (draft 7, which all of them know).

It is never stricter than the engine, which has the last word: what keys say together, and files that may not be there, are the engine's to judge.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from scripts.reference.keys import definition_named, meaning_of, summary
from scripts.reference.page import groups
from search.domains import Fixed
from search.family_section import DeclaredFamily, DeclaredParameter
from search.parameter_section import MAX_CHOICES
from search.space import Parameter

Schema = dict[str, Any]
_WIDTHS = "[0-9]{1,9}(-[0-9]{1,9})*"


def space_schema(
    families: Mapping[str, DeclaredFamily],
    settings: type[BaseModel],
    sections: Mapping[str, type[BaseModel]],
    metrics: Collection[str],
    per_family: Collection[str] = ("features",),
) -> Schema:
    """The schema of a whole space file.

    Parameters
    ----------
    families, settings, sections
        As of `scripts.reference.page.reference_page`.
    metrics : collection of str
        That an objective may name.
    per_family : collection of str
        Those of `sections` that a family may override.
    """
    engine = _section("", settings.model_json_schema())["properties"]
    engine["objective"]["properties"]["metric"]["enum"] = sorted(metrics)
    engine["warm_start"] = {"anyOf": [{"type": "string"}, engine["warm_start"]], "description": engine["warm_start"]["description"]}
    own = {name: _section(f"{name}.", model.model_json_schema()) for name, model in sections.items()}
    shared = {f"section.{name}": own[name] for name in per_family}
    definitions, by_family = _families(families, tuple(per_family))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Space file",
        "description": "What a search tries, on which data, for how long (docs/reference.md).",
        "type": "object",
        "additionalProperties": False,
        "required": ["families"],
        "properties": engine
        | {name: _reference(f"section.{name}") if name in per_family else section for name, section in own.items()}
        | {"families": _object(by_family, "Kinds of models that are searched, each with its parameters") | {"minProperties": 1}},
        "definitions": shared | definitions,
    }


def _section(prefix: str, schema: Schema, definitions: Mapping[str, Schema] | None = None) -> Schema:
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    properties = {}
    for name, found in schema["properties"].items():
        properties[name] = _value(f"{prefix}{name}", found, definitions) | {"description": meaning_of(prefix + name, schema, definitions)}
    # Nothing under a section's name changes nothing.
    return _object(properties, summary(schema)) | {"type": ["object", "null"], "required": [name for name in schema.get("required", ()) if prefix]}


def _value(dotted: str, found: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A value's schema with references written out, and nothing that is newer than draft 7."""
    if "$ref" in found:
        return _section(f"{dotted}.", definitions[definition_named(found)], definitions)
    kept = {key: value for key, value in found.items() if key not in ("title", "description", "prefixItems", "oneOf", "anyOf", "items", "additionalProperties")}
    for several in ("anyOf", "oneOf"):
        if several in found:
            kept["anyOf"] = [_value(dotted, one, definitions) for one in found[several]]
    inner = found.get("items") or (found["prefixItems"][0] if "prefixItems" in found else None)
    if inner is not None:
        kept["items"] = _value(dotted, inner, definitions)
    if isinstance(found.get("additionalProperties"), dict):
        kept["additionalProperties"] = _value(f"{dotted}.FAMILY", found["additionalProperties"], definitions)
    return kept


def _families(families: Mapping[str, DeclaredFamily], per_family: tuple[str, ...]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Definitions of parameters, those that families share but once, and the families by name."""
    definitions: dict[str, Schema] = {}
    by_family: dict[str, Schema] = {}
    for alike in groups(families.values()):
        names = [parameter.name for parameter in alike[0].parameters]
        when = f"{alike[0].name}.when"
        definitions[when] = _object(dict.fromkeys(names, {}), "The parameter counts only where these have one of their values") | {"minProperties": 1}
        for family in alike:
            properties: dict[str, Schema] = {name: _reference(f"section.{name}") for name in per_family}
            properties["min_trials"] = {"type": "integer", "minimum": 0, "default": 5, "description": "Trials before the sampler chooses among families"}
            for first, declared in zip(alike[0].parameters, family.parameters, strict=True):
                key = f"{(alike[0] if declared == first else family).name}.{declared.name}"
                definitions.setdefault(key, _parameter(declared, when))
                properties[declared.name] = _reference(key)
            by_family[family.name] = _object(properties, family.meaning) | {"type": ["object", "null"]}
    return definitions, by_family


def _parameter(declared: DeclaredParameter, when: str) -> Schema:
    fixed = _fixed(declared)
    effect = Parameter(declared.name, Fixed(declared.default), declared.when).condition
    conditions = {"when": _reference(when)}
    listed = {"choice": {"type": "array", "items": fixed, "minItems": 1, "maxItems": MAX_CHOICES, "uniqueItems": True}, **conditions}
    forms = [fixed, _object(listed) | {"required": ["choice"]}]
    if declared.kind in ("int", "float"):
        step = {"type": fixed["type"], "exclusiveMinimum": 0}
        ends = {"type": "array", "items": fixed, "minItems": 2, "maxItems": 2}
        forms.append(_object({declared.kind: ends, "step": step, "log": {"type": "boolean"}, **conditions}) | {"required": [declared.kind]})
    told = f"{declared.meaning}; only where {effect}" if effect else declared.meaning
    return {"description": told, "default": declared.default, "anyOf": forms}


def _fixed(declared: DeclaredParameter) -> Schema:
    """A plain value of a parameter."""
    if declared.kind in ("int", "float"):
        return {"type": "integer" if declared.kind == "int" else "number", "minimum": declared.low, "maximum": declared.high}
    if declared.kind == "bool":
        return {"type": "boolean"}
    if declared.kind == "choice":
        return {"enum": list(declared.choices)}
    if declared.kind == "text":
        return {"type": "string", "minLength": 1, "examples": list(declared.choices)}
    may_be_empty = "" in (declared.default, *declared.choices)
    text = {"type": "string", "pattern": f"^({_WIDTHS}){'?' if may_be_empty else ''}$"}
    return {"anyOf": [text, {"type": "integer", "minimum": declared.low, "maximum": declared.high}]}


def _object(properties: dict[str, Schema], description: str | None = None) -> Schema:
    told = {} if description is None else {"description": description}
    return {**told, "type": "object", "additionalProperties": False, "properties": properties}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
