"""docs/reference.md: every key of a space file and every parameter of every family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

from scripts.reference.keys import keys_of
from search.domains import Fixed, plain
from search.family_section import DeclaredFamily, DeclaredParameter
from search.parameter_section import legal_range
from search.space import Parameter

INTRODUCTION = """# Reference of space files

Made from the declarations by `python scripts/make_reference.py`; a test holds that it is current. `python -m search.run --describe FAMILY` says the same of one family in the terminal.

A parameter of a family is `{int: [low, high]}`, `{float: [low, high]}` or `{choice: [...]}`, with `log: true`, `step` and `when: {PARAMETER: VALUE or [VALUES]}` where wanted, or a plain value, which is
fixed. Widths are whole numbers joined by `-`, in quotes. What is left out takes its default. `min_trials` (5) is how many trials a family gets before the sampler chooses among families; `features` overrides keys of that section for one family.

**In an editor** that has a YAML language server (VS Code's YAML extension, and others), `space.schema.json` completes keys, shows these lines and underlines what is wrong. Write as the first line of a space
file, with the path from the file to this folder:

    # yaml-language-server: $schema=../docs/space.schema.json
"""


def reference_page(families: Mapping[str, DeclaredFamily], settings: type[BaseModel], sections: Mapping[str, type[BaseModel]]) -> str:
    """The page.

    Parameters
    ----------
    families : mapping of name to declared family
    settings : pydantic model
        The engine's own keys.
    sections : mapping of name to pydantic model
        The task's sections.
    """
    lines = [INTRODUCTION, "## Keys", "", *_table(("key", "values", "default", "meaning"), _rows_of_keys("", settings)), ""]
    for name, model in sections.items():
        lines += [f"## `{name}:`", "", *_table(("key", "values", "default", "meaning"), _rows_of_keys(f"{name}.", model)), ""]
    for alike in groups(families.values()):
        lines += [f"## {', '.join(f'`{family.name}`' for family in alike)}", "", *(f"- `{family.name}`: {family.meaning}" for family in alike), ""]
        lines += [*_table(("parameter", "values", "default", "meaning"), _rows_of_family(alike)), ""]
    return "\n".join(lines)


def groups(families: Iterable[DeclaredFamily]) -> list[list[DeclaredFamily]]:
    """Families whose parameters have the same names, together."""
    found: dict[tuple[str, ...], list[DeclaredFamily]] = {}
    for family in families:
        found.setdefault(tuple(parameter.name for parameter in family.parameters), []).append(family)
    return list(found.values())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"


def _rows_of_keys(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for key in keys_of(prefix, model):
        yield f"`{key.name}`", key.values, key.default, key.meaning


def _rows_of_family(alike: list[DeclaredFamily]) -> Iterator[tuple[str, ...]]:
    for declared in zip(*(family.parameters for family in alike), strict=True):
        first = declared[0]
        effect = Parameter(first.name, Fixed(first.default), first.when).condition
        meaning = f"{first.meaning}; only where {effect}" if effect else first.meaning
        if all(other == first for other in declared):
            yield f"`{first.name}`", _values(first), plain(first.default), meaning
        else:
            for family, each in zip(alike, declared, strict=True):
                yield f"`{first.name}` of {family.name}", _values(each), plain(each.default), meaning


def _values(declared: DeclaredParameter) -> str:
    kind = f"{declared.kind} " if declared.kind in ("int", "float", "widths") else ""
    return f"{kind}{legal_range(declared)}{', log scale' if declared.log else ''}"
