"""``python -m tests.genre_models.on_backend BACKEND FOLDER [OTHER…]``: the same networks on one backend, in a process of its own.

TensorFlow goes first: it draws the weights of each network and leaves them in FOLDER; the others load them. Written are what each network gives for the
same items, what an epoch of each optimizer makes of the same weights, and the networks as files. With OTHER… what TensorFlow makes of their files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from genre_models.families import FAMILIES
from genre_models.framework import DEFAULT_BACKEND, import_keras, prepare_backend, runs_compiled

CNN = FAMILIES["cnn"].defaults() | {"depth": 2, "filters": 6, "batch_size": 8}
AUGMENTED = {"spec_augment": True, "frequency_mask": 4, "time_mask": 6, "time_shift": 0.2, "gain": 0.2, "noise": 0.05}
CNNS = {
    "default": (CNN | AUGMENTED, (24, 32, 1), "uint8"),
    "before_pool": (CNN | {"batch_norm_place": "before_pool", "pooling": "average", "activation": "elu", "kernel": 4, "filter_growth": 2.0}, (24, 32, 3), "uint8"),
    "flat": (CNN | {"batch_norm": False, "head": "flatten", "dense_units": 12, "dense_dropout": 0.3, "activation": "gelu", "pool": "2-3"}, (25, 33, 1), "float16"),
}
TRUNKS = {"vgg16": ("block2_pool", "delta"), "resnet50": ("conv2_block1_out", "repeat"), "mobilenet": ("conv_pw_3_relu", "colour"), "efficientnet_b0": ("block2a_project_bn", "repeat")}
OPTIMIZERS = {"adam": {"l2_penalty": 1e-2}, "adamw": {"weight_decay": 0.05}, "sgd": {"weight_decay": 0.05, "l2_penalty": 1e-2}, "rmsprop": {}}


def items_of_shape(shape: tuple[int, ...], dtype: str, n: int = 5) -> np.ndarray:
    x = np.random.default_rng(len(shape) + shape[0]).random((n, *shape))
    return (255 * x).astype(np.uint8) if dtype == "uint8" else x.astype(dtype)


def networks() -> dict[str, tuple[object, np.ndarray]]:
    """Each case's network (`genre_models.fitted.Network`) and its items."""
    from genre_models.families import cnn_network, feedforward_network, transfer_network

    built = {}
    for name, (params, shape, dtype) in CNNS.items():
        built[f"cnn-{name}"] = cnn_network.build(params, shape, 7, input_dtype=dtype, seed=1), items_of_shape(shape, dtype)
    params = FAMILIES["feedforward"].defaults() | {"units": "16-8", "batch_norm": True, "input": "table"}
    scale = np.linspace(-1, 1, 20, dtype=np.float32), np.linspace(0.5, 2, 20, dtype=np.float32)
    built["feedforward"] = feedforward_network.build(params, (20,), 7, input_dtype="float32", seed=1, scale=scale), items_of_shape((20,), "float32")
    params = FAMILIES["mobilenet"].defaults() | {"head_units": "12", "batch_norm": True}
    built["head"] = transfer_network.Networks(_Items((3, 4, 6)), None).head(params, (3, 4, 6), 7, input_dtype="float16", seed=1), items_of_shape((3, 4, 6), "float16")
    return built


class _Items:
    """Training items whose channels a head is standardised by."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.train_ids, self.input_shape, self._x = ["a", "b", "c"], shape, items_of_shape(shape, "float16", 3)

    def features(self, ids: list[str]) -> np.ndarray:
        return self._x[["abc".index(id) for id in ids]]


def trunk_outputs() -> dict[str, np.ndarray]:
    """From base features through the front to a cut, with weights that a seed draws, and what a tail of the trunk makes of a map."""
    from genre_models.trunks.facts import facts_of
    from genre_models.trunks.handle import TrunkHandle
    from genre_models.trunks.network import symbolic_network
    from genre_models.trunks.registry import TRUNKS as KNOWN

    given = {}
    for name, (cut, channels) in TRUNKS.items():
        facts = facts_of(symbolic_network(KNOWN[name], 32, False), KNOWN[name].blocks)
        settings = {"trunk": name, "weights": "random", "sha256": None, "side": 32, "cut": cut, "channels": channels, "pooling": "average"}
        handle = TrunkHandle(settings, facts, (40, 70, 1), "float16", "item")
        given[f"trunk-{name}"] = given_by(handle.whole(), items_of_shape((40, 70, 1), "float16", 3))
    tail = handle.tail(handle.boundary(1))
    given["tail"] = given_by(tail, items_of_shape(tuple(tail.inputs[0].shape[1:]), "float32", 3))
    return given


def draw_weights(core: object, seed: int) -> None:
    """Weights of which none is as it begins: variances and scales about 1, the others about 0."""
    rng = np.random.default_rng(seed)
    for weight in core.weights:
        is_scale = weight.path.endswith(("variance", "gamma"))
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if is_scale else rng.normal(0, 0.4, weight.shape))


def given_by(model: object, items: np.ndarray) -> np.ndarray:
    """What a model makes of items, compiled where the program would compile it."""
    model.jit_compile = runs_compiled()
    return model.predict_on_batch(items)


def trained(folder: Path) -> dict[str, list[float]]:
    """Losses of two epochs of each optimizer, begun with the same weights and without anything random but the order."""
    from genre_models.families.cnn_network import build
    from genre_models.training import train
    from tests.genre_models.test_training import Stripes, go

    def begun(*arguments: object, **settings: object) -> object:
        network = build(*arguments, **settings)
        if not (folder / "begun.weights.h5").exists():
            network.core.save_weights(folder / "begun.weights.h5")
        network.core.load_weights(folder / "begun.weights.h5")
        return network

    curves = {}
    for optimizer, more in OPTIMIZERS.items():
        params = CNN | {"dropout": 0.0, "optimizer": optimizer, "learning_rate": 3e-3} | more
        fitted = train(begun, params, Stripes(), epochs=2, seed=3, report=go)
        curves[optimizer] = [epoch[name] for epoch in fitted.history for name in ("loss", "val_loss")]
    return curves


def main(backend: str, folder: Path) -> None:
    """Write what this backend gives."""
    prepare_backend(backend, threads=1)
    outputs, parameters, cores = {}, {}, {}
    for seed, (name, (network, items)) in enumerate(networks().items()):
        weights = folder / f"{name}.weights.h5"
        if backend == DEFAULT_BACKEND:
            draw_weights(network.core, seed)
            network.core.save_weights(weights)
        network.core.load_weights(weights)
        outputs[name], parameters[name] = given_by(network.core, items), [int(np.prod(v.shape)) for v in network.trainer.trainable_variables]
        logits = given_by(network.trainer, items)  # the trainer's augmentation and dropout do nothing here
        outputs[f"{name}-trainer"] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        cores[name] = network.core
    told = {"parameters": parameters, "curves": trained(folder), "modules": sorted({"tensorflow", "torch", "jax"} & set(sys.modules))}
    np.savez(folder / f"{backend}.npz", **outputs, **trunk_outputs())  # from here on Keras writes down layers, for which it loads TensorFlow on every backend
    for name, core in cores.items():
        core.save(folder / f"{backend}-{name}.keras")
    (folder / f"{backend}.json").write_text(json.dumps(told))


def reload(folder: Path, others: list[str]) -> None:
    """Write what TensorFlow makes of other backends' files, loaded in safe mode."""
    import_keras(DEFAULT_BACKEND)
    import keras

    built = networks()
    for other in others:
        models = {name: keras.saving.load_model(folder / f"{other}-{name}.keras", safe_mode=True, compile=False) for name in built}
        np.savez(folder / f"{other}-reloaded.npz", **{name: given_by(models[name], items) for name, (_, items) in built.items()})


if __name__ == "__main__":
    chosen, place, *rest = sys.argv[1:]
    reload(Path(place), rest) if rest else main(chosen, Path(place))
