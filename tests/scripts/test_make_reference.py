"""The reference page and the schema for editors: current, whole, and of one mind with the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from genre_models.families import FAMILIES
from genre_models.families.declaration import Declared
from genre_models.objective import METRICS
from genre_models.settings import FeatureSettings
from scripts import make_reference
from scripts.reference.keys import keys_of
from search.config import load_space
from search.errors import SearchError, SpaceFileError
from search.problems import Problems
from search.run import SECTIONS
from search.space_file import read_space_file

ROOT = Path(__file__).parents[2]
SPACES = sorted((ROOT / "spaces").rglob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    found = json.loads(make_reference.texts()["space.schema.json"])
    jsonschema.Draft7Validator.check_schema(found)
    return jsonschema.Draft7Validator(found)


def engine_takes(space: Mapping[str, Any], folder: Path) -> bool:
    """Whether the engine reads a space without a complaint; JSON is YAML."""
    path = folder / "space.yaml"
    path.write_text(json.dumps(space))
    try:
        load_space(path, FAMILIES, SECTIONS, metrics=METRICS)
    except SpaceFileError:
        return False
    return True


def test_the_files_in_docs_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/make_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_is_not_current_is_told_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_reference.main(["--docs", str(tmp_path)]) == 0
    (tmp_path / "reference.md").write_text("old")
    assert make_reference.main(["--docs", str(tmp_path), "--check"]) == 1
    assert "not current: reference.md;" in capsys.readouterr().out and (tmp_path / "reference.md").read_text() == "old"
    assert make_reference.main(["--docs", str(tmp_path)]) == 0
    assert (tmp_path / "reference.md").read_text() == make_reference.texts()["reference.md"]
    assert make_reference.main(["--docs", str(tmp_path / "absent")]) == 2


def test_the_page_has_every_parameter_of_every_family_and_every_key() -> None:
    page = make_reference.texts()["reference.md"]
    for family in FAMILIES.values():
        assert f"- `{family.name}`: {family.meaning}\n" in page
        for declared in family.parameters:
            row = next(line for line in page.splitlines() if line.startswith((f"| `{declared.name}` |", f"| `{declared.name}` of {family.name} |")))
            assert declared.meaning in page and len(row.split(" | ")) == 4
    assert all(f"| `features.{name}` |" in page for name in FeatureSettings.model_fields)
    assert "| `budget.reduction_factor` | whole number from 2 | 3 |" in page and "| `data.validation.folds` | whole number 2..20 | none |" in page


def test_a_key_that_nothing_explains_is_an_error() -> None:
    from pydantic import BaseModel

    class Silent(BaseModel):
        quiet: int = 1

    with pytest.raises(SearchError, match="data.quiet: nothing says what it means; write a line in"):
        list(keys_of("data.", Silent))


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_shipped_space_fits_the_schema(path: Path, schema: jsonschema.Draft7Validator) -> None:
    _, space = read_space_file(path, Problems(path, {}))
    assert [error.message for error in schema.iter_errors(space)] == []


@pytest.mark.parametrize(
    "space",
    [
        {},
        {"families": {}},
        {"families": {"cnn": {}}, "familys": 1},
        {"families": {"ccn": {}}},
        {"families": {"cnn": {"kernal": 3}}},
        {"families": {"cnn": {"kernel": 9}}},
        {"families": {"cnn": {"kernel": 3.5}}},
        {"families": {"cnn": {"kernel": [3, 5]}}},
        {"families": {"cnn": {"kernel": {"int": [3, 9]}}}},
        {"families": {"cnn": {"kernel": {"int": [3]}}}},
        {"families": {"cnn": {"kernel": {"float": [3, 5]}}}},
        {"families": {"cnn": {"kernel": {"choice": []}}}},
        {"families": {"cnn": {"kernel": {"choice": [3, 9]}}}},
        {"families": {"cnn": {"kernel": {"int": [3, 5], "when": {"dept": 3}}}}},
        {"families": {"cnn": {"batch_norm": 1}}},
        {"families": {"cnn": {"head": "flat"}}},
        {"families": {"cnn": {"pool": "2x2"}}},
        {"families": {"vgg16": {"cut": ""}}},
        {"families": {"cnn": {"min_trials": -1}}},
        {"families": {"cnn": {"features": {"n_mel": 64}}}},
        {"families": {"cnn": {}}, "budget": {"max_epochs": 0}},
        {"families": {"cnn": {}}, "budget": {"minutes": 0}},
        {"families": {"cnn": {}}, "scheduler": "median"},
        {"families": {"cnn": {}}, "objective": {"metric": "accuracy"}},
        {"families": {"cnn": {}}, "features": {"image_size": [96]}},
        {"families": {"cnn": {}}, "features": {"image_size": [96, 2]}},
        {"families": {"cnn": {}}, "data": {"validation": {"folds": 1}}},
        {"families": {"cnn": {}}, "data": {"split": {"validation": "list.txt"}}},
        {"families": {"cnn": {}}, "resources": {"families": {"cnn": {"cpu": 1}}}},
    ],
    ids=json.dumps,
)
def test_what_is_wrong_is_wrong_for_both(space: dict[str, Any], schema: jsonschema.Draft7Validator, tmp_path: Path) -> None:
    assert not schema.is_valid(space)
    assert not engine_takes(space, tmp_path)


@pytest.mark.parametrize(
    "space",
    [
        {"families": {"cnn": None}, "data": None, "budget": {"trials": None, "minutes": 1.5}},
        {"families": {"cnn": {"features": None, "filters_per_layer": 32, "min_trials": 0}}, "warm_start": "before"},
        {"families": {"cnn": {"filters_per_layer": {"choice": ["", "32-64", 16]}, "depth": {"int": [2, 4], "when": {"filters_per_layer": ""}}}}},
        {"families": {"cnn": {"learning_rate": {"float": [1e-4, 1e-1], "log": True}}}, "data": {"source": ["a", "b"], "split": {"train": "list.txt"}}},
        {"families": {"classical": {"input": "mobilenet/conv_pw_9_relu"}}, "features": {"weights": {"mobilenet": "file.h5"}, "clip_seconds": "auto"}},
        {"families": {"cnn": {}}, "resources": {"families": {"cnn": {"cpus": 2, "custom": {"disk": 1}}}}, "confirm": None},
    ],
    ids=json.dumps,
)
def test_what_is_right_is_right_for_both(space: dict[str, Any], schema: jsonschema.Draft7Validator, tmp_path: Path) -> None:
    assert [error.message for error in schema.iter_errors(space)] == []
    assert engine_takes(space, tmp_path)


def outside(declared: Declared) -> list[object]:
    """Values that a parameter can't have."""
    if declared.kind in ("int", "float"):
        return [declared.low - 1, declared.high + 1, "many", True]
    return {"bool": [0, "yes"], "choice": ["no such", None], "text": [3], "widths": ["a-b", 0, "3-"]}[declared.kind]


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_and_limits_of_every_parameter_are_the_engines(family: str, schema: jsonschema.Draft7Validator) -> None:
    for declared in FAMILIES[family].parameters:
        assert schema.is_valid({"families": {family: {declared.name: declared.default}}}), declared.name
        for value in outside(declared):
            assert not schema.is_valid({"families": {family: {declared.name: value}}}), (declared.name, value)
