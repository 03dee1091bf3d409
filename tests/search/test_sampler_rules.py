"""Spaces that a sampler can't search are refused with everything that stands in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from search import sampler_rules
from search.config import load_space
from search.errors import SpaceFileError
from tests.search.declarations import FAMILIES, SECTIONS

MIXED = """families:
  net:
    dropout: {float: [0.0, 0.5]}
    rate: {float: [0.001, 0.1], log: true}
    masked: {choice: [true, false]}
    mask: {int: [0, 9]}
  tree: {}
"""


@pytest.fixture(autouse=True)
def _everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_rules, "find_spec", lambda name: object())


def problems_of(folder: Path, text: str) -> list[str]:
    path = folder / "space.yaml"
    path.write_text(text)
    with pytest.raises(SpaceFileError) as caught:
        load_space(path, FAMILIES, SECTIONS)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_a_grid_needs_steps(tmp_path: Path) -> None:
    assert problems_of(tmp_path, f"sampler: grid\nworkers: 0\n{MIXED}") == [
        "workers: found 0; must be greater than or equal to 1",
        "families.net.dropout: sampler grid needs step: found float 0.0..0.5; add step, or list the values with choice",
        "families.net.rate: sampler grid needs step: found float 0.001..0.1 log; a step can't go with log: list the values with choice",
    ]


def test_gp_needs_one_plain_space(tmp_path: Path) -> None:
    first, second = problems_of(tmp_path, f"sampler: gp\n{MIXED}")
    assert first.startswith('sampler: found "gp" with 2 families; it searches one space') and "keep one of net, tree" in first
    assert second.startswith("families.net.mask: found a parameter that is there only where masked is true; sampler gp needs every")


def test_cmaes_moves_along_numbers(tmp_path: Path) -> None:
    found = problems_of(tmp_path, f"sampler: cmaes\n{MIXED}")
    assert [line.partition(": ")[0] for line in found] == ["sampler", "families.net.masked", "families.net.mask", "families.tree"]
    assert "found choice true, false; sampler cmaes moves along numbers only" in found[1]


@pytest.mark.parametrize(("sampler", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_a_missing_package_is_told_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, package: str
) -> None:
    monkeypatch.setattr(sampler_rules, "find_spec", lambda name: None)
    (told,) = problems_of(tmp_path, f"sampler: {sampler}\nfamilies: {{net: {{dropout: {{float: [0, 0.5]}}}}}}")
    assert told.startswith(f'sampler: found "{sampler}", which needs the package {package}; it is not installed; pip install')
    assert f"'.[{sampler}]'" in told


@pytest.mark.parametrize("sampler", ["grid", "gp", "cmaes"])
def test_what_they_can_search_loads(tmp_path: Path, sampler: str) -> None:
    path = tmp_path / "space.yaml"
    net = "{dropout: {float: [0, 0.5], step: 0.1}, depth: {int: [2, 5]}, masked: true, mask: 3}"
    path.write_text(f"sampler: {sampler}\nfamilies: {{net: {net}}}")
    assert load_space(path, FAMILIES, SECTIONS).sampler == sampler
