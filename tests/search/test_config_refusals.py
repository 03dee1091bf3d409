"""Space files that are refused: each with one clear line that names key, value and remedy, and none with a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search.config import load_space
from search.errors import SearchError, SpaceFileError
from tests.search.declarations import FAMILIES, METRICS, SECTIONS
from tests.search.test_config import load, problems_of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sheduler: asha", "sheduler: unknown key; did you mean scheduler?"),
        ("study: .hidden", 'study: found ".hidden"; must be 1 to 80 letters'),
        ("study: best", "study: found \"best\"; best is reserved"),
        (f"study: {'n' * 81}", "must be 1 to 80 letters"),
        ("study: a/b", "must be 1 to 80 letters"),
        ("budget: {min_epochs: 9, max_epochs: 3}", "budget: min_epochs <= max_epochs must hold, but got min_epochs=9, max_epochs=3"),
        ("budget: {reduction_factor: 1}", "budget.reduction_factor: found 1; must be greater than or equal to 2"),
        ("budget: {minutes: 0}", "budget.minutes: found 0; must be greater than 0"),
        ("budget: {minutes: .inf}", "budget.minutes: found Infinity; must be finite"),
        ("budget: {trials: true}", "budget.trials: found true; must be a whole number"),
        ("budget: {trials: '5'}", 'budget.trials: found "5"; must be a whole number; this is text: write 5 without quotes'),
        ("budget: {trials: 1_0}", "write 10 without quotes, underscores"),
        ("budget: 5", "budget: found 5; must be a mapping of keys; known: min_epochs, max_epochs"),
        ("scheduler: hyperbnd", 'scheduler: found "hyperbnd"; did you mean hyperband?'),
        ("repeats: 0", "repeats: found 0; must be greater than or equal to 1"),
        ("confirm: {top: 1}", "confirm.top: found 1; must be greater than or equal to 2"),
        ("confirm: {top: 3, fold: 5}", "confirm.fold: unknown key; did you mean folds?"),
        ("confirm: 3", "confirm: found 3; must be a mapping"),
        ("sampler: tpee", 'sampler: found "tpee"; did you mean tpe?'),
        ("engine: Ray", 'engine: found "Ray"; did you mean ray?'),
        ("workers: 0", "workers: found 0; must be greater than or equal to 1"),
        ("resources: {memory_gib: -1}", "resources.memory_gib: found -1"),
        ("resources: {gflop: 1}", "resources.gflop: unknown key; did you mean gflops?"),
        ("data: {validation: {houldout: 1}}", "data.validation.houldout: unknown key; did you mean holdout?"),
        ("data: {validation: {holdout: 1.5}}", "data.validation.holdout: found 1.5; must be less than 1"),
        ("features: {step: 4096}", "features: step <= window must hold, but got step=4096"),
        ("1: x", "1: unknown key"),
    ],
)
def test_engine_and_task_keys(tmp_path: Path, text: str, line: str) -> None:
    assert any(line in problem for problem in problems_of(tmp_path, f"{text}\nfamilies: {{net: {{}}}}"))


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("dept: 3", "families.net.dept: unknown key; did you mean depth? known: depth, layers"),
        ("depth: 7", "families.net.depth: found 7; depth must lie in 1..6"),
        ("depth: 3.0", "families.net.depth: found 3.0; must be a whole number"),
        ("depth: true", "families.net.depth: found true; must be a whole number"),
        ("depth:", "families.net.depth: found nothing; must be {int:"),
        ("depth: [3, 4]", "families.net.depth: found the list [3, 4]; must be {int: [low, high]}, {float: [low, high]}, {choice: [...]}"),
        ("depth: {int: [0, 9]}", "families.net.depth: found 0; depth must lie in 1..6"),
        ("depth: {int: [5, 2]}", "families.net.depth: found [5, 2]; low <= high must hold; write [2, 5]"),
        ("depth: {int: 5}", "families.net.depth: found int 5; must be [low, high]"),
        ("depth: {float: [1, 5]}", "families.net.depth: found float; depth is an int in 1..6; write {int: [1, 5]}"),
        ("depth: {int: [1, 5], choice: [1]}", "families.net.depth: found int and choice; must be one of"),
        ("depth: {integer: [1, 5]}", "families.net.depth.integer: unknown key; did you mean int?"),
        ("depth: {int: [1, 5], step: 3}", "found step 3 from 1 to 5; step must divide high - low; the last value it reaches is 4"),
        ("depth: {int: [1, 5], step: 9}", "step must divide high - low"),
        ("depth: {int: [1, 5], step: 0}", "found step 0; step > 0 must hold"),
        ("depth: {int: [1, 5], step: 0.5}", "found step 0.5; must be a whole number"),
        ("depth: {int: [1, 5], step: 2, log: true}", "found step and log; only one of them can be"),
        ("depth: {int: [1, 5], log: 1}", "found log 1; must be true or false"),
        ("depth: {choice: []}", "found choice []; must be a list of one or more values"),
        ("depth: {choice: 3}", "found choice 3; must be a list"),
        ("depth: {choice: [3, 3, 9]}", "found 9; found 3 twice; depth must lie in 1..6; values must be different"),
        ("depth: {choice: [3], log: true}", "families.net.depth.log: found beside choice; goes with int and float only"),
        ("rate: {int: [1, 2]}", "families.net.rate: found int; rate is a float in 1e-05..0.1"),
        ("rate: {float: [1e-6, 1e-2]}", "families.net.rate: found 1e-06; rate must lie in 1e-05..0.1"),
        ("rate: {float: ['1e-5', 1e-2]}", 'found "1e-5"; must be a number; this is text: write 1e-05 without quotes'),
        ("rate: .nan", "families.net.rate: found NaN; must be finite"),
        ("dropout: {float: [0, 0.5], log: true}", "found log with low 0.0; a logarithmic scale needs low > 0"),
        ("dropout: {float: [0, 0.5], step: 1.0e-300}", "a step so small is none"),
        (f"dropout: 1{'0' * 400}", "must be finite"),
        ("masked: yes", 'families.net.masked: found "yes"; masked must be true or false'),
        ("masked: {choice: [on, off]}", 'found "on"; found "off"; masked must be true or false'),
        ("masked: {int: [0, 1]}", "families.net.masked: found int; masked is a bool: true, false"),
        ("schedule: plato", 'families.net.schedule: found "plato"; did you mean plateau? known: constant, cosine, plateau'),
        ("schedule: true", "families.net.schedule: found true; known: constant"),
        ("layers: 32-x", 'found "32-x"; layers must be whole numbers joined by -'),
        ("layers: 32-1024", "layers must have each number in 1..512"),
        ("layers: {choice: [[32, 64]]}", "found [32, 64]; layers must be whole numbers joined by -"),
        ('pool: ""', "pool must be whole numbers joined by -"),
        ("min_trials: -1", "families.net.min_trials: found -1; must be a whole number, 0 or more"),
        ("min_trials: true", "families.net.min_trials: found true"),
        ("features: 3", "families.net.features: found 3; must be a mapping"),
        ("features: {band: 3}", "families.net.features.band: unknown key; did you mean bands?"),
        ("features: {step: 4096}", "families.net.features: step <= window must hold"),
    ],
)
def test_parameters_against_their_declarations(tmp_path: Path, entry: str, line: str) -> None:
    text = f"families:\n  net:\n    {entry}\n"
    assert any(line in problem for problem in problems_of(tmp_path, text)), problems_of(tmp_path, text)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["mask: {int: [0, 9], when: {maskd: true}}"], "families.net.mask.when.maskd: unknown key; did you mean masked?"),
        (["mask: {int: [0, 9], when: masked}"], 'families.net.mask.when: found "masked"; must be a mapping of parameter to value'),
        (["mask: {int: [0, 9], when: {}}"], "families.net.mask.when: found {}; must be a mapping"),
        (["mask: {int: [0, 9], when: {masked: yes}}"], 'families.net.mask.when.masked: found "yes"; masked must be true or false'),
        (["mask: {int: [0, 9], when: {depth: [3, 3]}}"], "families.net.mask.when.depth: found 3 twice"),
        (["mask: {int: [0, 9], when: {depth: []}}"], "families.net.mask.when.depth: found no value"),
        (
            ["depth: {int: [2, 5]}", "rate: {float: [1e-3, 1e-2], when: {depth: 6}}"],
            "families.net.rate.when: names depth = 6, but depth here is int 2..5",
        ),
        (
            ["rate: {float: [1e-3, 1e-2]}", "depth: {int: [1, 2], when: {rate: 1e-3}}"],
            "families.net.depth.when: names rate, a float without step",
        ),
        (
            ["depth: {int: [1, 2], when: {masked: true}}", "masked: {choice: [true, false], when: {depth: 1}}"],
            "families.net.depth.when: goes round in a circle",
        ),
        (
            ["mask: {int: [0, 9]}"],
            "families.net.mask: masked is false here; it has an effect only where masked is true; let masked be true in some trials",
        ),
        (
            ["schedule: {choice: [constant, plateau]}", "factor: {float: [0.1, 0.5], when: {schedule: constant}}"],
            "families.net.factor: schedule is constant here; it has an effect only where schedule is plateau",
        ),
        (["layers: 32-64", "depth: {int: [1, 2]}"], 'families.net.depth: layers is 32-64 here; it has an effect only where layers is ""'),
    ],
)
def test_conditions(tmp_path: Path, lines: list[str], line: str) -> None:
    text = "families:\n  net:\n" + "".join(f"    {one}\n" for one in lines)
    assert any(line in problem for problem in problems_of(tmp_path, text)), problems_of(tmp_path, text)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = """
seed: -1
budget: {min_epochs: 9, max_epochs: 3, trails: 5}
features: {bands: 1}
families:
  nett: {}
  net: {features: {step: x}, depth: 9, depth: 7, mask: {int: [0, 9], when: {depth: 2, masked: maybe}}}
"""
    problems = problems_of(tmp_path, text)
    keys = [problem.removeprefix(f"{tmp_path / 'space.yaml'}: ").split(": ")[0] for problem in problems]
    assert sorted(keys) == [
        "budget",
        "budget.trails",
        "families.net.depth",  # written twice
        "families.net.depth",
        "families.net.features.step",
        "families.net.mask",
        "families.net.mask.when.masked",
        "families.nett",
        "features.bands",
        "seed",
    ]
    with pytest.raises(SearchError, match="^10 problems:\n.*written twice, on line 7 and on line 7"):
        load(tmp_path, text)


def test_families_must_be_given(tmp_path: Path) -> None:
    assert "families: missing; at least one must be given; known: net, tree" in problems_of(tmp_path, "seed: 0")[0]
    assert "families: found no family" in problems_of(tmp_path, "families: {}")[0]
    assert "families: found [\"net\"]; must be a mapping" in problems_of(tmp_path, "families: [net]")[0]
    assert "families.net: found 3; must be a mapping" in problems_of(tmp_path, "families: {net: 3}")[0]


def test_metrics_are_known(tmp_path: Path) -> None:
    text = "objective: {metric: val_los, direction: maximize}\nfamilies: {net: {}}"
    assert "did you mean val_loss?" in problems_of(tmp_path, text, metrics=METRICS)[0]
    text = "objective: {metric: val_loss, direction: maximize}\nfamilies: {net: {}}"
    assert 'objective.direction: found "maximize"; val_loss is to minimize' in problems_of(tmp_path, text, metrics=METRICS)[0]
    for broken in ("3", "{metric: 3}", "{direction: up}"):
        assert "objective" in problems_of(tmp_path, f"objective: {broken}\nfamilies: {{net: {{}}}}", metrics=METRICS)[0]


def test_the_command_line_is_blamed_for_its_own(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "seed: -1\nfamilies: {net: {}}", {"workers": 0, "data.source": 3})
    assert [problem.split(": ")[1] for problem in problems if problem.startswith("command line: ")] == ["workers", "data.source"]
    assert f"{tmp_path / 'space.yaml'}: seed: found -1; must be greater than or equal to 0" in problems
    assert "budget: found 5; must be a mapping" in problems_of(tmp_path, "budget: 5\nfamilies: {net: {}}", {"budget.trials": 3})[0]


BILLION_LAUGHS = b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter + 1, letter + 1, b", ".join([b"*%c" % letter] * 9)) for letter in b"abcdefghij"
)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"- a\n- b\n", "found a list; the top level must be a mapping"),
        (b"just words", "found a str; the top level must be a mapping"),
        (b"families: {net: {depth: \xff}}", "byte 24 is not UTF-8"),
        (b"families: {net: [}", "line 1, column 18: this is not YAML"),
        (b"a: 1\n\tb: 2", "line 2, column 1: this is not YAML"),
        (b"a: \x00", "this is not YAML: unacceptable character"),
        (b"a: *nothing", "line 1, column 4: .*undefined alias"),
        (b"a: 1\n---\nb: 2", "line 2, column 1: .*expected a single document"),
        (b"a: !!python/object/apply:os.system [ls]", "line 1, column 4: .*could not determine a constructor"),
        (b"a: !!binary aGk=", "could not determine a constructor"),
        (b"a: !!int x", "this is no usable number"),
        (b"a: " + b"9" * 5000, "this is no usable number"),
        (b"? [a]\n: 1", "unhashable key"),
        (b"a: &a [*a]", "an alias stands inside what it names"),
        (b"[" * 2000, "stand too deep inside one another"),
        (b"#" * (1 << 20) + b"#", "larger than 1 MiB"),
        (BILLION_LAUGHS, "more than 20000 values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_clear_error_for_what_is_no_space_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    with pytest.raises(SpaceFileError, match=rf"space\.yaml: .*{said}") as caught:
        load_space(path, FAMILIES, SECTIONS)
    assert len(caught.value.problems) == 1 and caught.value.exit_code == 2


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SpaceFileError, match="no.yaml: there is no such file"):
        load_space(tmp_path / "no.yaml", FAMILIES, SECTIONS)
    with pytest.raises(SpaceFileError, match="this is a folder"):
        load_space(tmp_path, FAMILIES, SECTIONS)
    with pytest.raises(SpaceFileError, match="this is no regular file"):
        load_space(Path("/dev/null"), FAMILIES, SECTIONS)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_no_content_is_a_crash(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("spaces") / "space.yaml"
    for content in (
        {"families": value},
        {"families": {"net": value}},
        {"families": {"net": {"depth": value, "mask": {"int": value, "when": value}}}},
        {"budget": value, "features": value, "study": value},
    ):
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
        try:
            load_space(path, FAMILIES, SECTIONS, metrics=METRICS)
        except SpaceFileError as error:
            assert all("\n" not in problem for problem in error.problems)
