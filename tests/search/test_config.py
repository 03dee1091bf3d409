"""Space files: what a good one gives, and what is said about bad ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search.config import SearchConfig, load_space
from search.fingerprint import diff_fingerprints, grown
from search.domains import ChoiceDomain, Fixed, FloatDomain, IntDomain
from search.errors import SearchError, SpaceFileError
from search.space import Parameter
from tests.search.declarations import FAMILIES, METRICS, SECTIONS

ROOT = Path(__file__).parents[2]


def load(folder: Path, text: str, overrides: dict[str, object] | None = None, **options: Any) -> SearchConfig:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path, FAMILIES, SECTIONS, overrides, **options)


def net(folder: Path, *lines: str) -> SearchConfig:
    return load(folder, "families:\n  net:\n" + "".join(f"    {line}\n" for line in lines))


def problems_of(folder: Path, text: str, *args: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(SpaceFileError, match=r"space\.yaml|command line") as caught:
        load(folder, text, *args, **options)
    return caught.value.problems


def parameter(config: SearchConfig, name: str) -> Parameter:
    return next(p for p in config.families["net"].parameters if p.name == name)


# -- good files ----------------------------------------------------------------------------------------------------


def test_the_least_file_takes_every_default(tmp_path: Path) -> None:
    config = load(tmp_path, "families: {net: {}}")
    assert (config.study, config.scheduler, config.sampler, config.engine, config.seed) == ("space", "asha", "tpe", "ray", 0)
    assert config.budget.model_dump() == {"min_epochs": 1, "max_epochs": 27, "reduction_factor": 3, "resource": "epochs", "trials": 60, **dict.fromkeys(("min_seconds", "minutes", "epochs", "kwh", "kg_co2"))}
    assert config.energy.model_dump() == {"country_iso_code": None, "cpu_watts": None, "ram_watts": None, "measure": True}
    assert config.objective.model_dump() == {"metric": "val_accuracy", "direction": "maximize"}
    assert config.resources.model_dump() == {
        **{"cpus": 1, "gpus": 0, "custom": {}, "families": {}, "memory_gib": None, "worker_memory_gib": None, "gflops": None},
        **{"checkpoints_gib": 10, "checkpoint_minutes": 5, "first_epoch_minutes": 60, "hang_minutes": 10},
        **{"shipping": "auto", "ship_gib": 4},
    }
    assert (config.repeats, config.confirm, "repeats" in config.fingerprint_parts()) == (1, None, False)
    assert (config.workers, config.precision, config.families["net"].min_trials) == (None, "auto", 5)
    assert config.families["net"].resolve({}) == {d.name: d.default for d in FAMILIES["net"].parameters}
    assert config.source_text == "families: {net: {}}"


def test_empty_sections_change_nothing(tmp_path: Path) -> None:
    config = load(tmp_path, "study:\nbudget:\nobjective:\ndata:\n  validation:\nfeatures:\nfamilies:\n  net:\n")
    assert config.sections["data"] == SECTIONS["data"]() and config.budget.trials == 60 and config.study == "space"


def test_every_form_of_parameter(tmp_path: Path) -> None:
    config = net(
        tmp_path,
        "depth: {int: [2, 5]}",
        "rate: {float: [1e-5, 1e-2], log: true}",
        "dropout: {float: [0, 0.6], step: 0.2}",
        "masked: {choice: [true, false]}",
        "mask: {int: [0, 20], step: 5, when: {masked: true, depth: [3, 4]}}",
        "schedule: cosine",
        'pool: {choice: ["2-2", 4-04, 3]}',
    )
    assert parameter(config, "depth").domain == IntDomain(2, 5)
    assert parameter(config, "rate").domain == FloatDomain(1e-5, 1e-2, log=True)
    assert parameter(config, "dropout").domain == FloatDomain(0.0, 0.6, step=0.2)
    assert parameter(config, "masked").domain == ChoiceDomain((True, False))
    assert parameter(config, "mask") == Parameter("mask", IntDomain(0, 20, step=5), {"masked": (True,), "depth": (3, 4)})
    assert parameter(config, "schedule").domain == Fixed("cosine")
    assert parameter(config, "pool").domain == ChoiceDomain(("2-2", "4-4", "3"))
    assert [p.name for p in config.families["net"].parameters] == ["depth", "rate", "dropout", "masked", "mask", "schedule", "pool"]


def test_a_range_of_one_value_is_that_value(tmp_path: Path) -> None:
    config = net(tmp_path, "depth: {int: [3, 3]}", "rate: {float: [1e-3, 1e-3], log: true}", "schedule: {choice: [cosine]}")
    assert [p.domain for p in config.families["net"].parameters] == [Fixed(3), Fixed(1e-3), Fixed("cosine")]


def test_the_declared_condition_holds_beside_the_files_own(tmp_path: Path) -> None:
    config = net(tmp_path, "masked: {choice: [true, false]}", "mask: {int: [0, 9]}", "depth: {int: [2, 5]}")
    assert parameter(config, "mask").when == {"masked": (True,)}
    assert parameter(config, "depth").when == {}  # layers is left at "", where depth always has an effect

    config = net(tmp_path, "masked: {choice: [true, false]}", "mask: {int: [0, 9], when: {depth: 2}}", "depth: {int: [2, 5]}")
    assert parameter(config, "mask").when == {"masked": (True,), "depth": (2,)}


def test_a_parent_left_at_its_default_still_counts(tmp_path: Path) -> None:
    config = net(tmp_path, "schedule: {choice: [constant, plateau]}", "patience: {int: [2, 6]}")
    # patience depends on factor, which is left at 0.5 and itself depends on schedule
    assert parameter(config, "factor") == Parameter("factor", Fixed(0.5), {"schedule": ("plateau",)})
    assert config.families["net"].active({"schedule": "constant"}) == ("schedule",)


def test_conditions_follow_fixed_values(tmp_path: Path) -> None:
    assert parameter(net(tmp_path, "masked: true", "mask: {int: [0, 9]}"), "mask").when == {}


def test_families_override_task_sections(tmp_path: Path) -> None:
    config = load(tmp_path, "features: {bands: 32, colour: rgb}\nfamilies: {net: {features: {bands: 96}}, tree: {min_trials: 0}}")
    assert config.families["net"].sections == {"features": {"bands": 96}}
    assert (config.family_sections["net"]["features"].bands, config.family_sections["net"]["features"].colour) == (96, "rgb")
    assert config.family_sections["tree"]["features"] == config.sections["features"]
    assert config.families["tree"].min_trials == 0


def test_numbers_and_words_are_read_as_yaml_1_2_reads_them(tmp_path: Path) -> None:
    config = load(tmp_path, "study: 2024-01-01\ndata: {source: on}\nfamilies: {net: {rate: 1e-4, pool: 1-2}}")
    assert config.study == "2024-01-01" and config.sections["data"].source == "on"
    assert parameter(config, "rate").domain == Fixed(1e-4) and parameter(config, "pool").domain == Fixed("1-2")


def test_aliases_and_merges_work(tmp_path: Path) -> None:
    text = "features: &f {bands: 32}\nfamilies: {net: {features: {<<: *f, step: 9}, depth: {int: [2, 4]}}}"
    config = load(tmp_path, text, {"features.bands": 16})
    assert config.sections["features"].bands == 16
    assert (config.family_sections["net"]["features"].bands, config.family_sections["net"]["features"].step) == (32, 9)


def test_overrides_lie_over_the_file(tmp_path: Path) -> None:
    overrides = {"budget.trials": 5, "data.source": "music", "study": "other", "workers": 2}
    config = load(tmp_path, "budget: {max_epochs: 9}\nfamilies: {net: {}}", overrides)
    assert (config.budget.trials, config.budget.max_epochs, config.study, config.workers) == (5, 9, "other", 2)
    assert config.sections["data"].source == "music"


def test_the_metric_brings_its_direction(tmp_path: Path) -> None:
    config = load(tmp_path, "objective: {metric: val_loss}\nfamilies: {net: {}}", metrics=METRICS)
    assert config.objective.direction == "minimize"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(1e-5, 0.1), st.permutations(["constant", "cosine", "plateau"]))
def test_what_yaml_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, a: int, b: int, rate: float, schedules: list[str]
) -> None:
    entry = {"depth": {"int": sorted([a, b])}, "rate": rate, "schedule": {"choice": schedules}, "layers": ""}
    config = load(tmp_path_factory.mktemp("spaces"), yaml.safe_dump({"families": {"net": entry}}))
    assert parameter(config, "depth").domain == (Fixed(a) if a == b else IntDomain(min(a, b), max(a, b)))
    assert parameter(config, "rate").domain == Fixed(rate) and parameter(config, "schedule").domain == ChoiceDomain(tuple(schedules))


# -- bad files -----------------------------------------------------------------------------------------------------


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


# -- files that are no space files ---------------------------------------------------------------------------------


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


# -- the fingerprint -----------------------------------------------------------------------------------------------


def test_the_fingerprint_survives_json_and_ignores_what_may_change(tmp_path: Path) -> None:
    one = load(tmp_path, "families: {net: {depth: {int: [2, 5]}}}").fingerprint_parts()
    text = "study: x\nseed: 4\nworkers: 3\nengine: inline\nsampler: random\nbudget: {trials: 7, minutes: 3}\nresources: {cpus: 2}\n"
    other = load(tmp_path, text + "families: {net: {min_trials: 9, depth: {int: [2, 5]}, rate: 1e-3}}").fingerprint_parts()
    assert json.loads(json.dumps(one)) == one == other


def test_trials_of_another_backend_are_others_and_studies_of_before_there_was_a_choice_ran_on_tensorflow(tmp_path: Path) -> None:
    config, torch = load(tmp_path, "families: {net: {}}"), load(tmp_path, "backend: torch\nfamilies: {net: {}}")
    file = config.fingerprint_parts()
    before = {key: value for key, value in file.items() if key != "backend"}
    assert diff_fingerprints(grown(before, file, config.fingerprint_defaults()), file) == []
    told = diff_fingerprints(grown(before, torch.fingerprint_parts(), torch.fingerprint_defaults()), torch.fingerprint_parts())
    assert told == ["backend: study has tensorflow, file has torch"]
    assert diff_fingerprints(torch.fingerprint_parts(), file) == ["backend: study has torch, file has tensorflow"]
    (problem,) = problems_of(tmp_path, "backend: theano\nfamilies: {net: {}}")
    assert problem.endswith('backend: found "theano"; known: tensorflow, torch, jax')


def test_the_fingerprint_tells_texts_from_numbers(tmp_path: Path) -> None:
    """A width of 3 and a list of one width are both written 3, but no value is written as another kind."""
    parts = net(tmp_path, "masked: {choice: [true, false]}", "mask: {int: [0, 9]}").fingerprint_parts()["families"]["net"]
    assert parts["mask"] == "int 0..9 when masked is true, else 5"
    assert (parts["layers"], parts["pool"], parts["depth"]) == ('""', "2-2", "3")


def test_differences_name_key_and_both_sides(tmp_path: Path) -> None:
    study = load(tmp_path, "families: {net: {depth: {int: [2, 5]}}, tree: {}}").fingerprint_parts()
    file = load(tmp_path, "scheduler: none\nfeatures: {bands: 32}\nfamilies: {net: {depth: {int: [2, 4]}}}").fingerprint_parts()
    assert diff_fingerprints(study, file) == [
        "families.net.depth: study has int 2..5, file has int 2..4",
        "families.net.features.bands: study has 64, file has 32",
        "families.tree: only the study has it",
        "features.bands: study has 64, file has 32",
        "scheduler: study has asha, file has none",
    ]
    assert diff_fingerprints(study, study) == []


# -- speed ---------------------------------------------------------------------------------------------------------


def test_a_bad_file_is_refused_at_once_without_heavy_imports(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("sheduler: asha\nfamilies: {net: {depth: 99}}")
    code = """
import sys, time
from pathlib import Path
from search.config import load_space
from search.errors import SpaceFileError
from tests.search.declarations import FAMILIES, SECTIONS
try:
    load_space(Path(sys.argv[1]), FAMILIES, SECTIONS)
except SpaceFileError as error:
    assert len(error.problems) == 2
else:
    raise SystemExit("not refused")
heavy = {"tensorflow", "keras", "ray", "optuna", "librosa", "sklearn", "numpy", "scipy", "pandas", "genre_models"} & set(sys.modules)
assert not heavy, heavy
print(time.process_time())
"""
    command = [sys.executable, "-c", code, str(tmp_path / "bad.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0, "seconds of processor time"


def test_a_parameter_that_came_later_keeps_no_old_study_from_going_on(tmp_path: Path) -> None:
    config = load(tmp_path, "families: {net: {depth: {int: [2, 5]}}}")
    file = json.loads(json.dumps(config.fingerprint_parts()))
    study = json.loads(json.dumps(file))
    del study["families"]["net"]["rate"]
    assert grown(study, file, config.fingerprint_defaults()) == file
    changed = load(tmp_path, "families: {net: {depth: {int: [2, 5]}, rate: 0.05}}")
    file = changed.fingerprint_parts()
    assert diff_fingerprints(grown(study, file, changed.fingerprint_defaults()), file) == ["families.net.rate: study has 0.001, file has 0.05"]
