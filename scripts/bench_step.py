"""What a training step, and what a trial does around its steps, takes: each way that is kept beside the one it replaced, and ways that are not kept.

    python scripts/bench_step.py                     about five minutes
    python scripts/bench_step.py --only norm settle

All on images of 128 x 128 made of noise, in float32, on one thread (a worker's share of two cores), as the networks of spaces/cnn.yaml. Two ways are timed in turn,
step by step, so that what else the machine does meets both; printed are medians and the ratio of the second to the first. 'workers' starts processes instead.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}

from scripts.ending import exit_code_of
from scripts.peers import environment
from scripts.peers.bare import CONFIGURATIONS

SHAPE, CLASSES, ITEMS = (128, 128, 1), 10, 32
#: (what, first way, second way, milliseconds of the first, of the second)
Row = tuple[str, str, str, float, float]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", nargs="+", choices=MEASURED, default=list(MEASURED), metavar="WHAT", help=f"of {', '.join(MEASURED)}")
    p.add_argument("--configurations", nargs="+", choices=CONFIGURATIONS, default=["small", "middle"], metavar="NAME", help="networks (default: small middle)")
    p.add_argument("--repeats", type=int, default=21, help="steps of each way (default: 21)")
    p.add_argument("--child", nargs=2, metavar=("THREADS", "SECONDS"), help=argparse.SUPPRESS)
    return p


def main() -> int:
    o = parser().parse_args()
    if o.child is not None:
        return _train_for(o.configurations[0], int(o.child[0]), float(o.child[1]))
    os.environ |= _ONE_THREAD
    print(f"{environment.machine()['cpu']}, load {environment.load()}, commit {environment.revision()}; {o.repeats} repeats\n")
    print("| network | what | before, ms | now, ms | now / before |\n|---|---|---|---|---|")
    for name in o.only:
        for configuration in o.configurations if name not in ("garbage",) else ("small",):
            for what, first, second, a, b in MEASURED[name](configuration, o.repeats):
                print(f"| {configuration} | {what}: {second} instead of {first} | {a:.1f} | {b:.1f} | {b / a:.2f} |", flush=True)
    return 0


def in_turn(first: Callable[[], Any], second: Callable[[], Any], repeats: int, ready: Callable[[Callable[[], Any]], None] = lambda way: None) -> tuple[float, float]:
    """Median milliseconds of each of two, called in turn after two calls that trace them; `ready` is called before each, with it, and is not counted."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 2):
        for way, seconds in zip((first, second), took, strict=True):
            ready(way)
            began = time.perf_counter()
            way()
            if number >= 2:
                seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took[0]), 1e3 * statistics.median(took[1])


def norm(configuration: str, repeats: int) -> Iterator[Row]:
    """Batch norm in a training step."""
    steps = []
    for is_fused in (False, True):
        with _batch_norm(is_fused):
            steps.append(_step(_network(configuration)))
    yield "a training step", "Keras' batch norm", "the fused kernel", *in_turn(*steps, repeats)


def settle(configuration: str, repeats: int) -> Iterator[Row]:
    """Measuring the moments of batch norm, of 32 items."""
    import keras

    network, x = _network(configuration), _items()
    kept = [layer for layer in network.core.layers if not isinstance(layer, keras.layers.Dropout | keras.layers.Softmax)]
    plain = keras.Model(network.core.inputs[0], _chain(kept, network.core.inputs[0]))
    yield "settling batch norm", "layer by layer", "one compiled pass", *in_turn(lambda: plain(x, training=True), lambda: network.settler.model.predict_on_batch(x), repeats)


def garbage(configuration: str, repeats: int) -> Iterator[Row]:
    """What Keras clears before a trial, after another: it looks for garbage each time."""
    import gc

    import keras

    def everything() -> None:
        keras.utils.clear_session()

    def of_late() -> None:
        keras.utils.clear_session()

    def after_a_trial(way: Callable[[], None]) -> None:
        gc.unfreeze()
        gc.collect()
        if way is of_late:
            gc.freeze()  # as a worker does once, when all is loaded
        _step(_network(configuration))()

    yield "before a trial", "a search of all objects for garbage", "of those made since the start", *in_turn(everything, of_late, repeats, after_a_trial)


def several_steps(configuration: str, repeats: int) -> Iterator[Row]:
    """Eight steps by one call of `fit`; not kept."""
    import numpy as np

    x, y = np.concatenate([_items()] * 16), np.concatenate([_targets()] * 16)
    ways = []
    for steps in (1, 8):
        model = _compiled(_network(configuration), steps_per_execution=steps)
        ways.append(lambda model=model: model.fit(x, y, batch_size=ITEMS, verbose=0, shuffle=False))
    yield "16 steps of fit (not kept)", "steps_per_execution 1", "8", *in_turn(*ways, max(3, repeats // 4))


def xla(configuration: str, repeats: int) -> Iterator[Row]:
    """A step compiled by XLA; not kept on a processor."""
    ways = [_step(_network(configuration), jit_compile=compiles) for compiles in (False, True)]
    yield "a training step (not kept)", "TensorFlow's kernels", "XLA (jit_compile)", *in_turn(*ways, max(3, repeats // 3))


def pool_first(configuration: str, repeats: int) -> Iterator[Row]:
    """ReLU and the maximum of a window change places: the same numbers from a quarter of the values; not kept."""
    networks = [_network(configuration)]
    with _pool_before_activation():
        networks.append(_network(configuration))
    yield "a training step (not kept)", "the activation before the pool", "after it", *in_turn(*map(_step, networks), repeats)


def validation(configuration: str, repeats: int) -> Iterator[Row]:
    """Larger batches where nothing is learned; not kept."""
    import numpy as np

    core, x = _network(configuration).core, np.concatenate([_items()] * 4)
    core.jit_compile = False
    ways = [lambda size=size: [core.predict_on_batch(x[start : start + size]) for start in range(0, len(x), size)] for size in (ITEMS, 4 * ITEMS)]
    yield "validation of 128 items (not kept)", "batches of 32", "of 128", *in_turn(*ways, repeats)


def tracing(configuration: str, repeats: int) -> Iterator[Row]:
    """A first step beside the next one: what a reuse of compiled steps could save of a trial at most."""
    firsts, later = [], []
    for _ in range(5):
        step = _step(_network(configuration))
        for told in (firsts, later):
            began = time.perf_counter()
            step()
            told.append(1e3 * (time.perf_counter() - began))
    yield "a step that is traced", "one that is not", "the first of a trial", statistics.median(later), statistics.median(firsts)


def workers(configuration: str, repeats: int) -> Iterator[Row]:
    """Items a second of two processes of one thread each, and of one with two threads."""
    seconds, counts = 20.0, {}
    for _ in range(2):
        for processes, threads in ((1, 2), (2, 1)):
            words = [sys.executable, __file__, "--configurations", configuration, "--child", str(threads), str(seconds)]
            started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(processes)]
            counts.setdefault(processes, []).append(sum(int(process.communicate()[0].split()[-1]) for process in started))
    per_item = [1e3 * seconds / statistics.median(counts[processes]) for processes in (1, 2)]
    yield "two cores, each item", "one process of two threads", "two of one", *per_item


def _train_for(configuration: str, threads: int, seconds: float) -> int:
    """Train for some seconds and print how many items that were."""
    os.environ |= _ONE_THREAD | {"TF_NUM_INTRAOP_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    step = _step(_network(configuration))
    step()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        count += ITEMS
    print(count)
    return 0


def _network(configuration: str) -> Any:
    """A network of the family, on a backend that is set up as a worker's."""
    from genre_models.framework import prepare_backend

    prepare_backend("tensorflow")
    from genre_models.families import FAMILIES
    from genre_models.families.cnn_network import build

    params = FAMILIES["cnn"].defaults() | CONFIGURATIONS[configuration]
    return build(params, SHAPE, CLASSES, input_dtype="uint8", seed=0)


def _compiled(network: Any, **how: Any) -> Any:
    import keras

    loss, metric = keras.losses.CategoricalCrossentropy(from_logits=True), keras.metrics.CategoricalAccuracy(name="accuracy")
    network.trainer.compile(optimizer := keras.optimizers.Adam(1e-3), loss, metrics=[metric], **{"jit_compile": False} | how)
    optimizer.build(network.trainer.trainable_variables)  # as a trial does: else the first step is traced twice
    return network.trainer


def _step(network: Any, **how: Any) -> Callable[[], Any]:
    trainer, x, y = _compiled(network, **how), _items(), _targets()
    return lambda: trainer.train_on_batch(x, y)


def _items() -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (ITEMS, *SHAPE)).astype(np.uint8)


def _targets() -> Any:
    import numpy as np

    return np.eye(CLASSES, dtype=np.float32)[np.arange(ITEMS) % CLASSES]


def _chain(layers: list[Any], x: Any) -> Any:
    for layer in layers[1:]:  # the first is the input
        x = layer(x)
    return x


@contextmanager
def _pool_before_activation() -> Iterator[None]:
    """Networks built within pool what a convolution gives, then activate it."""
    from genre_models.families import cnn_network

    kept = cnn_network._blocks

    def changed(*arguments: Any) -> list[Any]:
        stack = kept(*arguments)
        for i in range(len(stack) - 1):
            if stack[i].name.startswith("activation") and stack[i + 1].name.startswith("pool"):
                stack[i], stack[i + 1] = stack[i + 1], stack[i]
        return stack

    cnn_network._blocks = changed
    try:
        yield
    finally:
        cnn_network._blocks = kept


@contextmanager
def _batch_norm(is_fused: bool) -> Iterator[None]:
    """Networks built within have Keras' own batch norm where it is not to be fused."""
    from genre_models import batch_norm
    from genre_models.families import cnn_network

    kept = cnn_network.applied_in_training
    cnn_network.applied_in_training = kept if is_fused else batch_norm.applied
    try:
        yield
    finally:
        cnn_network.applied_in_training = kept


MEASURED: dict[str, Callable[[str, int], Iterator[Row]]] = {
    "norm": norm, "settle": settle, "garbage": garbage, "steps": several_steps, "xla": xla, "pool": pool_first, "validation": validation, "tracing": tracing, "workers": workers,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(exit_code_of(main, stopped="stopped"))
