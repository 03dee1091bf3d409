"""A family that only pretends to learn, in no time: its weights, scores and probabilities are hashes of all that should decide them.

So whatever of a trial is lost, mixed up or done twice shows in the numbers. Parameters: ``stop_after`` (epochs after which it stops early; 0 is
never) and ``stop_later`` (the same, where the seed is not `FIRST_SEED` or track a/0 does not validate: in later parts).
"""

from __future__ import annotations

import hashlib
import json
import weakref
from pathlib import Path

import numpy as np

from genre_models.errors import SnapshotError
from genre_models.families import Declared, Family
from genre_models.families.declaration import Cost
from genre_models.schedules import BestEpoch

FIRST_SEED = 5
FAMILY = Family("parts", "for tests", (Declared("stop_after", "int", 0, ""), Declared("stop_later", "int", 0, "")), "tests.parts_family")

#: (train ids, validation ids, seed, resumed) of each call of `fit`; and its network, weakly.
calls: list[tuple] = []
networks: list[weakref.ref] = []


def install(monkeypatch) -> None:
    """Make the family known for one test."""
    from genre_models.families import FAMILIES

    monkeypatch.setitem(FAMILIES, "parts", FAMILY)
    calls.clear()
    networks.clear()


def estimate(params, input_shape, n_classes) -> Cost:
    """A cost that any limit allows."""
    return Cost(parameters=10, gflops=0.5, memory_mib=1.0)


class Network:
    """Weights: a text that depends on each epoch before."""

    def __init__(self, params, data, epochs, seed) -> None:
        self.data, self.epochs, self.params, self.seed = data, epochs, params, seed
        self.weights = _hash("new", seed, data.train_ids, params)
        self.best, self.best_weights, self.history = BestEpoch(data.metric), "", []

    def predict(self, ids, weights=None) -> np.ndarray:
        """Probabilities that follow from the weights and the tracks."""
        rng = np.random.default_rng(int(_hash(weights or self.best_weights), 16))
        p = rng.random((len(ids), len(self.data.labels)), dtype=np.float32) + 0.01
        return p / p.sum(axis=1, keepdims=True)

    def epoch(self, number) -> dict[str, float]:
        """Train and score."""
        self.weights = _hash(self.weights, number)
        p, y = self.predict(self.data.validation_ids, self.weights), self.data.targets(self.data.validation_ids)
        loss = float(-np.log(p[np.arange(len(p)), y]).mean())
        metrics = {"loss": 1 / number, "accuracy": 0.5, "val_loss": loss, "val_accuracy": float((p.argmax(axis=1) == y).mean())}
        if self.best.observe(number, metrics):
            self.best_weights = self.weights
        return metrics | {"learning_rate": 0.1 / number, "seconds": 0.25}

    def snapshot(self, folder) -> None:
        """Write everything."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        best = [self.best.epoch, self.best.value, self.best_weights]
        state = {"seed": self.seed, "weights": self.weights, "best": best, "history": self.history}
        (Path(folder) / "state").write_text(json.dumps(state))

    def restore(self, folder) -> None:
        """Take over a snapshot of the same seed."""
        try:
            state = json.loads((Path(folder) / "state").read_text())
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{folder}: {error}") from error
        assert state["seed"] == self.seed
        self.weights, self.history = state["weights"], state["history"]
        self.best.epoch, self.best.value, self.best_weights = state["best"]


class Fitted:
    """What a part leaves."""

    def __init__(self, network, stopped_early) -> None:
        self.network, self.stopped_early, self.history = network, stopped_early, network.history
        self.best_epoch, self.epochs, self.parameters = network.best.epoch, len(network.history), 10
        self.phases = {"build": 0.0, "train": 1.0, "validate": 0.5, "report": 0.0}

    def predict(self, ids) -> np.ndarray:
        """With the best weights."""
        return self.network.predict(ids)

    def save_weights(self, path) -> None:
        """The best weights."""
        Path(path).write_text(self.network.best_weights)


def fit(params, data, *, epochs, seed, report, resume=None, precision="float32", learning_rates=None):
    """As `genre_models.training.train`."""
    calls.append((data.train_ids, data.validation_ids, seed, resume))
    is_first = seed == FIRST_SEED and "a/0" in data.validation_ids
    network = Network(params, data, epochs, seed)
    networks.append(weakref.ref(network))
    if resume is not None:
        network.restore(resume)
    last = params["stop_after"] if is_first else params["stop_later"]
    last = min(last or epochs, epochs)
    while len(network.history) < last:
        number = len(network.history) + 1
        metrics = network.epoch(number)
        network.history.append({"epoch": number, **metrics})
        if report(number, metrics, network.snapshot) != "continue":
            break
    done = len(network.history)
    return Fitted(network, stopped_early=done == last < epochs)


def _hash(*given) -> str:
    return hashlib.md5(json.dumps(given).encode()).hexdigest()
