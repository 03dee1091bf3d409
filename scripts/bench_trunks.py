"""What a frozen trunk costs: images per second, beside plain `model.predict`; and a trial of a head, from the cache and without it.

    python scripts/bench_trunks.py --images 64 --trunks vgg16 resnet50 --side 224

Images are noise and weights random: cost is measured here, nothing else. One line of each table is one trunk at its default cut. A trial
"through the trunk" passes every image through it in each epoch; one such epoch is timed and multiplied.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BASE_SHAPE, CLASSES, EPOCHS = (128, 1280, 1), 10, 27


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="more than one batch, which is 16 at 224 pixels and 128 at most")
    parser.add_argument("--trunks", nargs="+", default=["vgg16", "resnet50"])
    parser.add_argument("--side", type=int, default=224, help="pixels")
    options = parser.parse_args()
    if options.images <= min(16 * 224**2 // options.side**2, 128):
        parser.error(f"--images: {options.images} fit one batch at {options.side} pixels, and the first is not counted: take more")
    from genre_models.framework import import_keras
    from genre_models.parallel import available_cores

    import_keras()
    given = f"{options.images} log-mel spectrograms of {BASE_SHAPE[0]} x {BASE_SHAPE[1]}"
    print(f"{given}, trunks at {options.side} x {options.side}, weights random, {available_cores()} cores\n")
    print("| trunk | GFLOP an image | to the cache | anonymous memory | network alone, float32 | bfloat16 | `model.predict`, float32 |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        stores = {}
        for name in options.trunks:
            stores[name], cells = passes(name, options.images, options.side, folder)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        print(f"\n| trunk | trial of {EPOCHS} epochs from the cache | through the trunk each epoch | times cheaper |\n|---|---|---|---|")
        for name, (store, seconds) in stores.items():
            cached = trial_seconds(name, store)
            through = cached + EPOCHS * seconds
            print(f"| {name} | {cached:.2f} s | {through:.0f} s | {through / cached:.0f} |", flush=True)
    return 0


class Noise:
    """Base features of tracks that there are not; nothing of them is held."""

    shape, dtype = BASE_SHAPE, np.dtype("float16")

    def features(self, ids) -> np.ndarray:
        return np.stack([np.random.default_rng(int(id)).random(BASE_SHAPE, np.float32) for id in ids]).astype(self.dtype)


class Anonymous:
    """Largest anonymous resident memory of a stretch of work, beyond what was there before, in MiB; pages of mapped files don't count."""

    def __enter__(self) -> Anonymous:
        self.before = self.peak = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self._now())

    @staticmethod
    def _now() -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def passes(name: str, n_images: int, side: int, folder: str) -> tuple:
    """A filled store with the seconds that filling it took, and the cells of the first table."""
    import keras

    from genre_models.features.trunk_store import TrunkStore
    from genre_models.trunks.facts import facts_of
    from genre_models.trunks.handle import TrunkHandle
    from genre_models.trunks.network import load_trunk, symbolic_network
    from genre_models.trunks.registry import TRUNKS

    trunk = TRUNKS[name]
    cut = trunk.cuts[0]
    settings = {"trunk": name, "weights": "random", "sha256": None, "side": side, "cut": cut, "channels": "repeat", "pooling": "average"}
    facts = facts_of(symbolic_network(trunk, side, False), trunk.blocks)
    tracks = [{"id": str(number), "content": str(number)} for number in range(n_images)]
    store = TrunkStore(Noise(), tracks, folder, settings, "noise", facts)
    store.handle = TrunkHandle(settings, facts, BASE_SHAPE, "float16")
    network = load_trunk(name, "random", side, cut)
    network.jit_compile = False
    pixels = np.random.default_rng(0).uniform(-128, 127, (16, side, side, 3)).astype("float32")
    network.predict_on_batch(pixels)
    alone = per_second(lambda: network.predict_on_batch(pixels), 16)
    half = keras.models.clone_model(network, clone_function=lambda layer: type(layer).from_config(with_policy(layer, "mixed_bfloat16")))
    half.jit_compile = False
    half.predict_on_batch(pixels)
    in_half = per_second(lambda: half.predict_on_batch(pixels), 16)
    many = np.concatenate([pixels, pixels])
    plain = per_second(lambda: network.predict(many, verbose=0), 32)
    del half, many
    steps: list[tuple[int, float]] = []
    with Anonymous() as memory:
        store.prepare(progress=lambda done, *_: steps.append((done, time.perf_counter())))
    (first, began), (last, ended) = steps[0], steps[-1]  # the first batch has loading and tracing in it
    seconds = n_images * (ended - began) / (last - first)
    cells = [
        f"{facts['layers'][cut]['gflops']:.1f}",
        f"{n_images / seconds:.1f} images/s",
        f"{memory.peak:.0f} MiB ({memory.peak - memory.before:.0f} added)",
        *(f"{rate:.1f}" for rate in (alone, in_half, plain)),
    ]
    return (store, seconds), cells


def with_policy(layer, policy: str) -> dict:
    """A layer's configuration in another precision."""
    import keras

    return layer.get_config() | ({} if isinstance(layer, keras.layers.InputLayer) else {"dtype": policy})


def per_second(compute, n: int) -> float:
    """Images per second: the best of two turns."""
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        compute()
        best = min(best, time.perf_counter() - started)
    return n / best


class Tracks:
    """The store's tracks as a family's `fit` takes them: four in five for training."""

    labels, metric = tuple(str(number) for number in range(CLASSES)), "val_accuracy"

    def __init__(self, store) -> None:
        ids = list(store._contents)
        self.input_shape, self.features, self.trunk = store.shape, store.features, store.handle
        self.train_ids, self.validation_ids = ids[: len(ids) * 4 // 5], ids[len(ids) * 4 // 5 :]

    def targets(self, ids) -> np.ndarray:
        return np.array([int(id) % CLASSES for id in ids])


def trial_seconds(name: str, store) -> float:
    """Seconds of a whole trial of the default head."""
    from genre_models.families import FAMILIES
    from genre_models.families.transfer import fit

    started = time.perf_counter()
    fit(FAMILIES[name].defaults(), Tracks(store), epochs=EPOCHS, seed=0, report=lambda *_: "continue")
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
