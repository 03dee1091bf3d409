"""The tables of --describe and --dry-run, as a file or a narrow terminal gets them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from search.config import load_space
from search.describe import describe_family, describe_space
from tests.search.declarations import FAMILIES, NET, SECTIONS


def printed(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_family_is_told_whole_at_any_width(width: int) -> None:
    text = words(printed(describe_family(NET), width))
    for declared in NET.parameters:
        assert declared.name in text and declared.meaning in text
    assert "…" not in text and "\x1b" not in text
    assert "float 1e-05..0.1, log scale default 0.001 Step size" in text
    assert "Mask width, in bins; only where masked is true" in text
    assert "constant, cosine, plateau" in text and 'default ""' in text


def test_the_example_is_a_space_that_loads(tmp_path: Path) -> None:
    head, _, _ = printed(describe_family(NET)).partition("\n   ")  # the example ends with an empty line
    example = head[head.index("under families: net:\n") + len("under families: net:\n") :]
    indented = example.replace("  ", "    ", 1).replace("\n  ", "\n    ")
    (tmp_path / "space.yaml").write_text(f"families:\n  net:\n{indented}")
    space = load_space(tmp_path / "space.yaml", FAMILIES, SECTIONS).families["net"]
    assert [f"{p.name}: {p.domain}" for p in space.parameters] == [
        "rate: float 1e-05..0.1 log",
        "schedule: choice constant, cosine, plateau",
        "masked: false",
    ]


def test_a_space_shows_searched_fixed_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(
        "features: {bands: 32}\nfamilies:\n  tree: {}\n"
        "  net: {depth: {int: [2, 5]}, masked: {choice: [true, false]}, mask: {int: [0, 9]}, pool: 3-3, features: {step: 128}}\n"
    )
    text = words(printed(describe_space(load_space(tmp_path / "space.yaml", FAMILIES, SECTIONS))))
    assert "family net: 3 parameters searched, 44 configurations" in text
    assert "mask int 0..9 masked is true" in text
    assert "fixed: pool 3-3" in text and 'at default: layers "", rate 0.001, dropout 0.2' in text
    assert "family tree: 0 parameters searched, 1 configuration " in text
    assert "features bands 32, window 2048" in text and "features (net) step 128" in text
    assert "more configurations than can be counted" not in text


def test_square_brackets_are_no_markup(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("data: {source: '[red]music[/red]'}\nfamilies: {tree: {}}")
    assert "[red]music[/red]" in printed(describe_space(load_space(tmp_path / "space.yaml", FAMILIES, SECTIONS)))
