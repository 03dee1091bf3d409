"""Tables for the terminal: what a family declares (``--describe``) and what a space searches (``--dry-run``).

Everything is a rich renderable; a `rich.console.Console` prints it as plain text where the output is no terminal. Nothing is cut
off: what does not fit a column goes on in the next line.
"""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from search.config import SearchConfig
from search.domains import Fixed, plain
from search.family_section import DeclaredFamily, DeclaredParameter
from search.parameter_section import legal_range
from search.space import FamilySpace, Parameter


def describe_family(family: DeclaredFamily) -> RenderableType:
    """The parameters that a family declares: kind, legal values, scale, default, meaning, and where each has an effect.

    Parameters
    ----------
    family : declared family

    Returns
    -------
    rich renderable
    """
    names = max((len(declared.name) for declared in family.parameters), default=0)
    kinds = max((len(_kind_text(declared)) for declared in family.parameters), default=0)
    parts: list[RenderableType] = []
    for declared in family.parameters:
        head = f"{declared.name:{names}}  {_kind_text(declared):{kinds}}  default\N{NO-BREAK SPACE}{plain(declared.default)}"
        effect = Parameter(declared.name, Fixed(declared.default), declared.when).condition
        meaning = f"{declared.meaning}; only where {effect}" if effect else declared.meaning
        # The meaning gets the whole width of a line below: in a column of an 80-character terminal it would be a ribbon.
        parts += [Text(head, style="bold"), Padding(Text(meaning), (0, 0, 0, 4), expand=False)]
    return Group(
        Text(f"{family.name}: {family.meaning}", style="bold"),
        Text(f"{len(family.parameters)} parameters. In a space file, under families: {family.name}:"),
        Padding(Text(_example(family)), (0, 0, 1, 2), expand=False),
        *parts,
    )


def describe_space(config: SearchConfig) -> RenderableType:
    """What a space file searches, what it fixes, and what it leaves at its default.

    Parameters
    ----------
    config : SearchConfig

    Returns
    -------
    rich renderable
    """
    parts: list[RenderableType] = []
    for space in config.families.values():
        parts += _family_parts(space)
    sections = _table("section", "settings")
    for name, model in config.sections.items():
        sections.add_row(name, Text(_settings_text(model.model_dump(mode="json"))))
    for family, space in config.families.items():
        for name in space.sections:
            changed = config.family_sections[family][name].model_dump(mode="json", include=set(space.sections[name]))
            sections.add_row(f"{name} ({family})", Text(_settings_text(changed)))
    return Group(*parts, sections)


def _family_parts(space: FamilySpace) -> list[RenderableType]:
    size = space.size()
    count = "more configurations than can be counted" if math.isinf(size) else f"{size:,.0f} configuration{'s' * (size != 1)}"
    parts: list[RenderableType] = [
        Text(f"family {space.name}: {len(space.searched)} parameters searched, {count}", style="bold"),
    ]
    if space.searched:
        table = _table("searched", "values", "only where")
        for parameter in space.searched:
            table.add_row(parameter.name, Text(str(parameter.domain)), Text(parameter.condition))
        parts.append(table)
    fixed = {p.name: p.domain.value for p in space.parameters if not p.is_searched}  # type: ignore[union-attr]
    given = {p.name for p in space.parameters}
    for title, values in (
        ("fixed", fixed),
        ("at default", {name: value for name, value in space.defaults.items() if name not in given}),
    ):
        if values:
            parts.append(Text(f"{title}: {_settings_text(values)}"))
    return [*parts, Text()]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    return table


def _settings_text(settings: dict[str, object]) -> str:
    # Joined by a no-break space, so that a line ends between two settings and not inside one.
    return ", ".join(f"{key}\N{NO-BREAK SPACE}{plain(value)}" for key, value in settings.items())


def _kind_text(declared: DeclaredParameter) -> str:
    kind = "" if declared.kind in ("bool", "choice", "text") else f"{declared.kind} "
    return f"{kind}{legal_range(declared)}" + (", log scale" if declared.log else "")


def _example(family: DeclaredFamily) -> str:
    """Lines of a space file: a range of each kind, a choice and a fixed value, of parameters that always have an effect."""
    lines: dict[str, str] = {}
    free = [declared for declared in family.parameters if not declared.when]
    for declared in free:
        if declared.kind in ("int", "float"):
            log = ", log: true" if declared.log and (declared.low or 0) > 0 else ""
            value = f"{{{declared.kind}: [{plain(declared.low)}, {plain(declared.high)}]{log}}}"
        elif declared.kind == "choice" or declared.kind == "text" and len(declared.choices) > 1:
            value = f"{{choice: [{', '.join(plain(one) for one in declared.choices)}]}}"
        else:
            value = plain(declared.default)
        lines.setdefault(declared.kind, f"{declared.name}: {value}")
    return "\n".join(lines[kind] for kind in ("int", "float", "choice", "text", "bool") if kind in lines)
