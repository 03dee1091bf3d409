"""Space files and names of studies: random text, spoiled real files, YAML that blows up, paths for names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from genre_models.families import FAMILIES
from genre_models.objective import METRICS
from genre_models.settings import DataSettings, FeatureSettings
from search.config import SearchConfig, load_space
from search.errors import SearchError, SpaceFileError, StudyError
from search.location import locate
from search.study_view import read_study
from tests.hostile.mutation import EDITS, many, spoiled, try_many

SPACES = sorted((Path(__file__).parents[2] / "spaces").glob("*.yaml"))
SECTIONS = {"data": DataSettings, "features": FeatureSettings}
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(["int", "float", "choice", "when", "1e999", "-.inf", "../x", "{}"]))
_KEYS = st.one_of(
    st.sampled_from(["study", "data", "source", "split", "features", "budget", "families", "cnn", "classical", "depth", "int", "float", "choice", "log", "when", "scheduler", "confirm", "seed"]),
    st.text(max_size=6),
)
_VALUES = st.recursive(_SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)), max_leaves=20)


def read(path: Path) -> SearchConfig | None:
    """The file as a search would take it; None where it is refused, in words that name it."""
    try:
        return load_space(path, FAMILIES, SECTIONS, None, metrics=METRICS)
    except SpaceFileError as error:
        assert error.problems and all(problem.startswith(str(path)) for problem in error.problems[:1]) and "Traceback" not in str(error)
        return None


@many(15, 1500)
def test_any_bytes(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "space.yaml"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        read(path)

    try_many(examples, check, st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))))


@many(15, 400)
def test_any_yaml(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "space.yaml"

    def check(data: dict[str, Any]) -> None:
        path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="replace")
        read(path)

    try_many(examples, check, st.dictionaries(_KEYS, _VALUES, max_size=6))


@many(10, 400)
def test_spoiled_space_files(tmp_path: Path, examples: int) -> None:
    path = tmp_path / "space.yaml"

    def check(source: Path, edits: list[Any]) -> None:
        path.write_bytes(spoiled(source.read_bytes(), edits, head=2000))
        config = read(path)
        assert config is None or Path(config.study).name == config.study

    try_many(examples, check, st.sampled_from(SPACES), EDITS)


BOMBS = {
    "aliases": "a: &a [" + ", ".join("x" * 9) + "]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "values": "families: [" + "1," * 400_000 + "1]",
    "depth": "[" * 200_000,
    "dashes": "- " * 400_000,
    "maps": "{a: " * 100_000,
    "number": "seed: " + "9" * 900_000,
    "words": "# " + "postgres" * 120_000,
    "merges": "a: &a {b: 1}\n" + "c: {<<: [" + ", ".join(["*a"] * 20_000) + "]}",
    "quotes": 'study: "' + "\\x41" * 200_000 + '"',
    "tags": "study: !!python/object/apply:os.system ['touch MARK']",
    "object": "study: !!python/object/new:subprocess.Popen [['touch', 'MARK']]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_that_blows_up_or_would_run_code(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "space.yaml"
    path.write_text(BOMBS[name])
    started = time.monotonic()
    assert read(path) is None
    assert time.monotonic() - started < 10
    assert [each.name for each in tmp_path.iterdir()] == ["space.yaml"]


NAMES = ["../x", "..", "a/b", "/etc", "a\\b", "", ".", "a\0b", "\n", "x" * 300, "-", "~", "$(touch MARK)", "a b", "ä", "CON", ".seals", ".cache", "<script>"]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_a_strange_name_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    """On the command line and in a file; to be made and to be read."""
    studies_dir = tmp_path / "studies"
    studies_dir.mkdir()
    path = tmp_path / "space.yaml"
    path.write_text("families: {cnn: {}}")
    try:
        config = load_space(path, FAMILIES, SECTIONS, {"study": name}, metrics=METRICS)
    except SearchError as error:
        assert str(error).count("\n") < 3
    else:
        assert (studies_dir / config.study).resolve().parent == studies_dir.resolve()
    with pytest.raises(StudyError):
        read_study(studies_dir, name)
    if any(sign in name for sign in "/\\\0") or name in ("", ".."):
        with pytest.raises(StudyError, match="without a path"):
            locate(studies_dir, name)
    assert not any(studies_dir.iterdir())
