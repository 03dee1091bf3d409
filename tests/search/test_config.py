"""Space files: what a good one gives (test_config_refusals.py has the bad ones)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search.config import SearchConfig, load_space
from search.domains import ChoiceDomain, Fixed, FloatDomain, IntDomain
from search.errors import SpaceFileError
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
