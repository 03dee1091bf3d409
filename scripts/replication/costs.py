"""What the FMA slides' networks cost at their full size, whatever corpus is at hand: parameters, operations, milliseconds.

Weights are drawn at random, on which none of the three depends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import write_text
from genre_models.families import FAMILIES
from genre_models.framework import prepare_backend
from search.problems import Problems
from search.space_file import read_space_file

PRESETS = Path(__file__).resolve().parents[2] / "spaces" / "references"
COSTS = "costs.json"
SHAPE, CLASSES, FEATURES = (128, 1280, 1), 8, 518
_WARM_UP, _CALLS = 5, 50
#: Units of each dense network, and its parameters as reported.
FEEDFORWARD = {"512-512": 532_488, "512-256": 399_112, "256-256": 200_712, "256-64": 149_832, "128-64": 75_208, "64": 33_736, "128": 67_464, "256": 134_920, "512": 269_832}


@dataclass(frozen=True)
class Network:
    """A network whose cost was reported, or follows from what was.

    Attributes
    ----------
    row, preset : str
    parameters : int
        Reported; of F15 and F18 those that the reported layers have.
    milliseconds : float or None
        Reported, on a CPU that is not named.
    """

    row: str
    preset: str
    parameters: int
    milliseconds: float | None


NETWORKS = {
    "feedforward 512-256": Network("F05", "f03-feedforward-sizes", 399_112, 20.70),
    "CNN 64-64-128-128, kernel 5": Network("F13", "f13-kostrzewa", 735_944, 64),
    "CNN 32-128-192-98, kernel 6": Network("F15", "f15-tuned-cnn", 1_724_622, 60),
    "CNN 64-64-64-96, kernel 4": Network("F18", "f18-tuned-copies", 243_560, None),
    "VGG16 up to block5_pool": Network("F27", "f27-vgg16-rbf", 14_714_688, 73.21),
    "ResNet50 up to conv5_block1_2_relu": Network("F28", "f28-resnet50-rbf", 11_477_888, 51.34),
}


def costs(studies_dir: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Each network's cost; measured once, then read.

    Returns
    -------
    dict
        By network ``parameters``, ``gflops`` (of an item's forward pass), ``milliseconds`` (median of an item's pass in float32), ``low``, ``high`` (5th and
        95th percentile); ``features``, the number of handcrafted ones; of the other dense networks the parameters alone.
    """
    file = studies_dir / COSTS
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    from genre_models.features.handcrafted import feature_names

    prepare_backend(None)
    tell("costs of the FMA slides' networks")
    found: dict[str, Any] = {"features": len(feature_names())}
    for units in FEEDFORWARD:
        found[f"feedforward {units}"] = {"parameters": _dense(units)[0]}
    for name, network in NETWORKS.items():
        found[name] = _measured(name, network)
    write_text(file, json.dumps(found, indent=1) + "\n")
    return found


def _measured(name: str, network: Network) -> dict[str, Any]:
    if network.row == "F05":
        parameters, gflops, model = _dense(name.split()[1])
    elif network.preset < "f20":
        parameters, gflops, model = _cnn(network.preset)
    else:
        parameters, gflops, model = _trunk(*name.lower().split(" up to "))
    item = np.random.default_rng(0).random((1, *model.inputs[0].shape[1:])).astype(model.inputs[0].dtype)
    spent = []
    for call in range(_WARM_UP + _CALLS):
        started = time.perf_counter()
        model.predict_on_batch(item)
        if call >= _WARM_UP:
            spent.append(1000 * (time.perf_counter() - started))
    low, middle, high = np.percentile(spent, [5, 50, 95])
    return {"parameters": parameters, "gflops": gflops, "milliseconds": float(middle), "low": float(low), "high": float(high)}


def _params(preset: str, family: str, **changes: Any) -> dict[str, Any]:
    path = PRESETS / f"{preset}.yaml"
    _, space = read_space_file(path, Problems(path, {}))
    return FAMILIES[family].defaults() | {key: value for key, value in space["families"][family].items() if not isinstance(value, dict)} | changes


def _trainable(model: Any) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def _dense(units: str) -> tuple[int, float, Any]:
    from genre_models.families.feedforward import estimate
    from genre_models.families.feedforward_network import build

    params = _params("f03-feedforward-sizes", "feedforward", units=units, standardise=False)
    model = build(params, (FEATURES,), CLASSES, input_dtype="float32", seed=0).core
    return _trainable(model), estimate(params, (FEATURES,), CLASSES).gflops, model


def _cnn(preset: str) -> tuple[int, float, Any]:
    from genre_models.families.cnn import estimate
    from genre_models.families.cnn_network import build

    params = _params(preset, "cnn")
    model = build(params, SHAPE, CLASSES, input_dtype="float32", seed=0).core
    return _trainable(model), estimate(params, SHAPE, CLASSES).gflops, model


def _trunk(name: str, cut: str) -> tuple[int, float, Any]:
    from genre_models.trunks.facts import facts_of
    from genre_models.trunks.network import load_network
    from genre_models.trunks.registry import TRUNKS

    model, covers = load_network(name, "random", 224, [cut])
    facts = facts_of(model, TRUNKS[name].blocks, covers)["layers"][cut]
    import keras

    outputs = keras.Model(model.inputs, model.get_layer(cut).output)
    return facts["parameters"], facts["gflops"], outputs
