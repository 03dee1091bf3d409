"""The presets in spaces/references/: what each resolves to is what its row of the reports says, and a dry run works without corpus or weights."""

from __future__ import annotations

import importlib.util
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from genre_models.families import FAMILIES, cnn, feedforward
from genre_models.objective import METRICS
from genre_models.settings import DataSettings, FeatureSettings
from search.config import SearchConfig, load_space
from search.fingerprint import diff_fingerprints, grown
from search.grid import configurations
from search.plan import planned_epochs, planned_trials
from search.run import main
from search.schedule import brackets
from search.study_view import read_study
from tests.test_end_to_end import ROOT, command
from tests.tiny_study import make_corpus

FOLDER = ROOT / "spaces" / "references"
PRESETS = sorted(FOLDER.glob("*.yaml"))
ROWS = [*(f"G{n:02}" for n in range(1, 22)), *(f"F{n:02}" for n in range(1, 32))]

TWO_PHASES = {"cut": "block5_pool", "channels": "colour", "fine_tune_blocks": 1, "fine_tune_after": 10}
SCRATCH = {"filters_per_layer": "32-64-128", "dense_units": 256, "dense_dropout": 0.3, "optimizer": "adam", "schedule": "plateau", "early_stopping": True}
BASE = {
    "kernel": 7, "learning_rate": 1e-4, "optimizer": "adam", "schedule": "plateau", "early_stopping": True, "early_stopping_monitor": "val_loss",
    "early_stopping_patience": 15, "head": "flatten", "batch_norm": False,
}
TWO_CONV = {"depth": 4, "filters_per_layer": "16-32", "batch_size": 10, "learning_rate": 1e-3, "optimizer": "adam", "dense_units": 0, "batch_norm": False}
KOSTRZEWA = {"filters_per_layer": "64-64-128-128", "kernel": 5, "dropout": 0.2, "learning_rate": 1e-3, "copies": 0}
MASKED = {"copies": 2, "copy_frequency_mask": 27, "copy_time_mask": 100}
MLP = {"mlp_learning_rate": 1e-4, "mlp_early_stopping": True}
GRID = [
    *({"model": "linear_svm", "linear_C": c} for c in (0.01, 0.1, 1.0, 10.0)),
    *({"model": "rbf_svm", "rbf_C": c, "gamma": g} for c, g in product((0.01, 0.1, 1.0, 10.0), (0.01, 0.001, 0.0001))),
    *({"model": "mlp", "mlp_units": u, "mlp_alpha": a} | MLP for u, a in product(("512-256", "512-32", "512"), (0.01, 0.03, 0.05))),
]  # fmt: skip
CUTS = ("vgg16/fc1", "vgg16/block5_pool", "resnet50/avg_pool", "resnet50/conv5_block1_2_relu")
FFNN = {  # units to trainable parameters, as the slides print them
    "512-512": 532_488, "512-256": 399_112, "256-256": 200_712, "256-64": 149_832, "128-64": 75_208, "64": 33_736, "128": 67_464, "256": 134_920, "512": 269_832,
}  # fmt: skip
FFNN_ALL = {"input": "handcrafted", "optimizer": "adam", "learning_rate": 1e-4, "batch_size": 32, "early_stopping": True, "early_stopping_patience": 3}

#: Preset to the settings, in any order, that its rows name; each must come out of the file, and nothing else may.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "g02-scratch-cnn": [SCRATCH],
    "g03-vgg16": [TWO_PHASES],
    "g04-gap": [SCRATCH, TWO_PHASES],
    "g08-vggish": [{"input": "vggish", "units": "256", "dropout": 0.3, "learning_rate": 1e-3}],
    "g07-depth-filters": [{"depth": d, "filters": f, "filter_growth": 2.0} for d, f in product((1, 2, 3, 4), (16, 32, 64))],
    "g11-base-cnn": [BASE],
    "g12-kernel": [BASE | {"kernel": kernel} for kernel in (3, 5, 7)],
    "g13-learning-rate": [BASE | {"learning_rate": rate} for rate in (1e-1, 1e-2, 1e-3, 1e-4)],
    "g14-plateau": [BASE | {"plateau_factor": f, "plateau_patience": p} for f, p in product((0.1, 0.3, 0.5), (5, 10, 15))],
    "g15-early-stopping": [
        BASE | {"early_stopping_monitor": m, "early_stopping_patience": p} for m, p in product(("val_loss", "val_accuracy"), (10, 15, 20))
    ],
    "g18-two-conv-pytorch": [TWO_CONV | {"l2_penalty": 1e-4, "dense_dropout": 0.0}],
    "g19-two-conv-keras": [TWO_CONV | {"l2_penalty": 0.0, "dense_dropout": 0.25}],
    "f03-feedforward-sizes": [FFNN_ALL | {"units": units} for units in FFNN],
    "f13-kostrzewa": [KOSTRZEWA],
    "f15-tuned-cnn": [KOSTRZEWA | {"filters_per_layer": "32-128-192-98", "kernel": 6, "dropout": 0.25}],
    "f17-kostrzewa-copies": [KOSTRZEWA | MASKED],
    "f18-tuned-copies": [KOSTRZEWA | MASKED | {"filters_per_layer": "64-64-64-96", "kernel": 4, "dropout": 0.25, "learning_rate": 1e-4}],
    "f20-vgg16-fc2": [{"input": "vgg16/fc2", "pca": share} | model for share, model in product((0.99, 0.95, 0.9), GRID)],
    "f23-cuts": [{"input": cut, "pca": 0.9} | model for cut, model in product(CUTS, GRID)],
    "f27-vgg16-rbf": [{"input": CUTS[1], "pca": 0.9, "model": "rbf_svm", "rbf_C": 1.0, "gamma": 1e-4}],
    "f28-resnet50-rbf": [{"input": CUTS[3], "pca": 0.9, "model": "rbf_svm", "rbf_C": 10.0, "gamma": 1e-4}],
}
#: Preset to (features, data, budget) as its rows name them.
FRAME: dict[str, dict[str, Any]] = {
    "g02": {"image_size": (128, 128), "colour": "rgb", "test_fraction": 0.2, "holdout": 0.2},
    "g03": {"image_size": (224, 224), "colour": "rgb", "test_fraction": 0.2, "holdout": 0.2, "weights": "imagenet"},
    "g11": {"image_size": (128, 128), "colour": "grey"},
    "g18": {"image_size": (288, 432), "colour": "rgb", "folds": 5},
    "g19": {"image_size": (288, 432), "colour": "rgb", "max_epochs": 30},
    "f03": {"max_epochs": 200, "split": "official", "subset": "small"},
    "f13": {"n_mels": 128, "hop_length": 512, "n_fft": 2048, "clip_seconds": 29.7, "sr": 22_050, "split": "official", "subset": "small"},
    "f20": {"folds": 10, "test_fraction": 0.2, "trunk_side": 224, "weights": "imagenet"},
    "f23": {"folds": 10, "test_fraction": 0.2, "trunk_side": 224, "weights": "imagenet"},
}


def load(name: str) -> SearchConfig:
    return load_space(FOLDER / f"{name}.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings}, metrics=METRICS)


def resolved(name: str) -> list[dict[str, Any]]:
    """All configurations of a preset, every parameter with its value."""
    return [space.resolve(chosen) for space in load(name).families.values() for chosen in configurations(space)]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_preset_is_the_settings_that_its_rows_name(name: str) -> None:
    found = resolved(name)
    assert len(found) == len(SETTINGS[name])
    for wanted in SETTINGS[name]:
        fitting = [params for params in found if all(params.get(key) == value for key, value in wanted.items())]
        assert len(fitting) == 1, wanted
    config = load(name)
    assert config.scheduler == "none" and config.sampler == "grid" and planned_trials(config) == len(found)


@pytest.mark.parametrize("study", FRAME)
def test_inputs_splits_and_epochs_are_the_rows(study: str) -> None:
    (path,) = (path for path in PRESETS if path.stem.startswith(f"{study}-"))
    config = load(path.stem)
    (family,) = config.families
    parts = (config.family_sections[family]["features"], config.sections["data"], config.sections["data"].validation, config.budget)
    for key, wanted in FRAME[study].items():
        (found,) = (getattr(part, key) for part in parts if hasattr(part, key))
        assert found == wanted, key


def test_the_networks_have_the_published_numbers_of_parameters() -> None:
    dense = {params["units"]: feedforward.estimate(params, (518,), 8).parameters for params in resolved("f03-feedforward-sizes")}
    assert dense == FFNN
    for name, parameters in {"f13-kostrzewa": 735_944, "f15-tuned-cnn": 1_724_622, "f17-kostrzewa-copies": 735_944, "f18-tuned-copies": 243_560}.items():
        assert cnn.estimate(resolved(name)[0], (128, 1280, 1), 8).parameters == parameters


@pytest.mark.parametrize(
    ("name", "shape", "layers"),
    [
        ("g02-scratch-cnn", (128, 128, 3), [*3 * ["Conv2D", "Activation", "MaxPooling2D"], "Flatten", "Dense", "Dropout", "Dense"]),
        ("g11-base-cnn", (128, 128, 1), [*2 * ["Conv2D", "Activation", "MaxPooling2D", "Dropout"], "Flatten", "Dense", "Dense"]),
        ("g18-two-conv-pytorch", (288, 432, 3), [*2 * ["Conv2D", "Activation", "MaxPooling2D"], "Flatten", "Dense"]),
        ("g19-two-conv-keras", (288, 432, 3), [*2 * ["Conv2D", "Activation", "MaxPooling2D"], "Flatten", "Dropout", "Dense"]),
        ("f13-kostrzewa", (128, 1280, 1), [*4 * ["Conv2D", "Activation", "BatchNormalization", "MaxPooling2D", "Dropout"], "Flatten", "Dense"]),
    ],
)
def test_a_preset_is_the_network_that_was_described(name: str, shape: tuple[int, ...], layers: list[str]) -> None:
    from genre_models.families.cnn_network import build

    core = build(resolved(name)[0], shape, 10, input_dtype="uint8", seed=0).core
    assert [type(layer).__name__ for layer in core.layers] == ["InputLayer", "Rescaling", *layers, "Softmax"]


def test_the_hyperband_preset_holds_what_was_found_with_it_and_costs_what_the_algorithm_says() -> None:
    config = load("f14-hyperband")
    space = config.families["cnn"]
    tuned = {"filters_1": 64, "filters_2": 64, "filters_3": 64, "filters_4": 96, "kernel": 4, "dropout": 0.25, "learning_rate": 1e-4}
    assert cnn.estimate(space.resolve(tuned), (128, 1280, 1), 8).parameters == 243_560
    assert set(space.values("kernel")) == {3, 4, 5, 6} and set(space.values("dropout")) == {0.2, 0.25, 0.5}
    assert set(space.values("learning_rate")) == {1e-2, 1e-3, 1e-4}
    assert all(space.values(f"filters_{block}")[:1] == (32,) and 256 in space.values(f"filters_{block}") for block in (1, 2, 3, 4))
    assert config.scheduler == "hyperband" and config.sampler == "random" and planned_trials(config) == 49
    plans = brackets(config.budget.min_epochs, config.budget.max_epochs, config.budget.reduction_factor)
    assert sum(plan.configurations for plan in plans) == 49
    started_again = sum(size * level for plan in plans for size, level in zip(plan.sizes, plan.levels, strict=True))
    assert started_again == 423 and planned_epochs(config, 49, 1) == 357, "the slides count each rung from epoch 1; here trials go on"


def test_studies_and_trials_of_before_these_parameters_go_on() -> None:
    from genre_models.families.cnn_network import build

    def is_new(name: str) -> bool:
        return name in ("dense_dropout_place", "l2_penalty") or re.fullmatch(r"filters_\d", name) is not None

    config = load_space(ROOT / "spaces" / "cnn.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings})
    file = config.fingerprint_parts()
    before = file | {"families": {"cnn": {name: line for name, line in file["families"]["cnn"].items() if not is_new(name)}}}
    assert len(file["families"]["cnn"]) - len(before["families"]["cnn"]) == 8
    assert diff_fingerprints(grown(before, file, config.fingerprint_defaults()), file) == []

    params = FAMILIES["cnn"].defaults() | {"dense_units": 8, "dense_dropout": 0.2}
    kinds = [
        [type(layer).__name__ for layer in build(each, (32, 32, 1), 3, input_dtype="uint8", seed=0).core.layers]
        for each in (params, {name: value for name, value in params.items() if not is_new(name)})
    ]
    assert kinds[0] == kinds[1]


def test_every_row_has_its_place_in_the_table_and_every_file_its_row() -> None:
    table = [line.split("|") for line in (ROOT / "docs" / "presets.md").read_text().splitlines() if re.match(r"\| [GF]\d\d", line)]
    named = set()
    for rows in (cells[1] for cells in table):
        for first, last in re.findall(r"([GF]\d\d)[a-f]?(?:–(?:([GF]\d\d)|[a-f]))?", rows):
            named |= set(ROWS[ROWS.index(first) : ROWS.index(last or first) + 1])
    assert named == set(ROWS)
    files = {name for cells in table for name in re.findall(r"`([gf]\d\d-[a-z0-9-]+\.yaml)`", cells[3])}
    assert files == {path.name for path in PRESETS}
    assert all(cells[3].strip().startswith(("`", "no system: ")) for cells in table)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_each_says_in_its_head_what_it_is_and_what_was_reconstructed(path: Path) -> None:
    head = path.read_text().partition("\n\n")[0].splitlines()
    assert re.match(r"# [GF]\d\d", head[0]) and all(line.startswith("# ") for line in head)
    assert f"--space spaces/references/{path.name} --data" in head[1]
    assert any(line.startswith("# Reconstructed") for line in head)
    assert path.stem.startswith(load(path.stem).study), "a study's name is the row's"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_dry_run_needs_neither_corpus_nor_weights(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    source = f"{'fma' if path.stem.startswith('f') else 'gtzan'}:{absent}"
    assert main(["--space", str(path), "--data", source, "--dry-run", "--studies-dir", str(tmp_path / "studies")]) == 0
    told = capsys.readouterr()
    assert "epochs in all" in told.out and "no estimate of time, the corpus can't be read" in told.out and told.err == ""
    assert not list((tmp_path / "studies").rglob("study.db"))


@pytest.mark.parametrize("name", ["g14-plateau", "f20-vgg16-fc2", "f14-hyperband"])
def test_a_dry_run_as_a_command(name: str, tmp_path: Path) -> None:
    done = command("-m", "search.run", "--space", f"spaces/references/{name}.yaml", "--dry-run", "--studies-dir", tmp_path / "studies", seconds=60)
    assert done.returncode == 0, done.stderr
    assert "epochs in all" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("name", "trials"), [("g15-early-stopping", 6), ("g18-two-conv-pytorch", 1)])
def test_a_preset_runs_to_the_leaderboard(name: str, trials: int, tmp_path: Path) -> None:
    """As it is, on a tiny corpus and for one epoch."""
    if load(name).backend != "tensorflow" and importlib.util.find_spec(load(name).backend) is None:
        pytest.skip(f"{load(name).backend} is not installed")
    space = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    space["budget"] |= {"max_epochs": 1}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space | {"engine": "inline"}))
    source = f"gtzan:{make_corpus(tmp_path / 'images_original').parent}"
    done = command("-m", "search.run", "--space", tmp_path / "space.yaml", "--data", source, "--studies-dir", tmp_path / "studies", seconds=180)
    assert done.returncode == 0, done.stdout + done.stderr
    (study,) = (path for path in (tmp_path / "studies").iterdir() if not path.name.startswith("."))
    found = read_study(tmp_path / "studies", study.name).trials
    assert len(found) == trials and all(trial.is_full for trial in found), [(trial.state, trial.reason) for trial in found]
    assert {trial.spec["backend"] for trial in found} == {"torch" if "pytorch" in name else "tensorflow"}
    settings = {tuple(trial.spec["params"][key] for key in ("early_stopping_monitor", "early_stopping_patience", "l2_penalty", "batch_size")) for trial in found}
    assert len(settings) == trials
