"""Which of float32 and bfloat16 trains faster on this processor, found by training a small network in both for a second or two.

The processor's flags do not tell: one with avx512_bf16 and no amx_bf16 may take half as long in bfloat16, or one and a half times as long. Measured in a process
of its own, so that whoever asks loads no framework; once for each processor and version, then read.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from genre_models.durable import write_text

PRECISIONS = ("float32", "bfloat16")
FILE = "precision.json"
#: bfloat16 is taken where it needs at most so much of float32's time: less, and its rounding buys nothing.
WORTHWHILE = 0.9
SIDE, BATCH, CLASSES = 96, 32, 10
_ROUNDS, _STEPS = 4, 3
_TIMEOUT_SECONDS = 180


def faster_precision(cache_dir: Path, backend: str, tell: Callable[[str], None], cpuinfo: str | Path = "/proc/cpuinfo") -> str:
    """The faster precision for networks on this processor.

    Parameters
    ----------
    cache_dir : Path
        Keeps what was measured; made if it is missing.
    backend : {"tensorflow", "torch", "jax"}
    tell : callable
        Gets one line where something was measured.
    cpuinfo : str or Path
        Where Linux tells of processors.

    Returns
    -------
    str
        ``bfloat16`` where it takes at most 0.9 of float32's time, else ``float32``; that too where nothing could be measured.
    """
    key = _key(backend, Path(cpuinfo))
    known = _read(cache_dir / FILE)
    if key not in known:
        took = _measured_apart(backend)
        if took is None:
            tell("precision: float32, since measuring bfloat16 failed")
            return "float32"
        known[key] = took
        _keep(cache_dir, known)
        ratio = took["bfloat16"] / took["float32"]
        tell(f"precision: {_choose(took)} is the faster one for training here (a step in bfloat16 takes {ratio:.2f} of one in float32); precision: float32 or bfloat16 in the file decides otherwise")
    return _choose(known[key])


def user_cache() -> Path:
    """Where what holds for this machine is kept, whatever the study."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genre-search"


def _choose(took: dict[str, float]) -> str:
    return "bfloat16" if took["bfloat16"] <= WORTHWHILE * took["float32"] else "float32"


def _key(backend: str, cpuinfo: Path) -> str:
    """Names the processor and the versions; another of either is measured anew."""
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    told = sorted({line for line in lines if line.startswith(("vendor_id", "cpu family", "model", "stepping", "flags"))})
    return f"{hashlib.blake2b(chr(10).join(told).encode(), digest_size=6).hexdigest()} {backend} {metadata.version(backend)} keras {metadata.version('keras')}"


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return {key: {name: float(took[name]) for name in PRECISIONS} for key, took in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or not one of ours: it is measured again
        return {}


def _keep(cache_dir: Path, known: dict[str, dict[str, float]]) -> None:
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        write_text(cache_dir / FILE, json.dumps(known, indent=1) + "\n")
    except OSError:
        return  # a home that can't be written, or is full: the next search measures again


def _measured_apart(backend: str) -> dict[str, float] | None:
    """Seconds of a step in each precision, by a process of its own; None where that failed."""
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "genre_models.precision_probe", backend],
            capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, env={**os.environ, **threads, "PYTHONPATH": paths},
        )  # fmt: skip
        took = json.loads(done.stdout.splitlines()[-1])
        return {name: float(took[name]) for name in PRECISIONS}
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError, KeyError):
        return None


def measure_steps() -> dict[str, float]:
    """Seconds of a training step of one small CNN in each precision, in turn: the shortest of several, since other work on the machine only adds."""
    import keras
    import numpy as np

    from genre_models.families import FAMILIES
    from genre_models.families.cnn_network import build
    from genre_models.framework import runs_compiled
    from genre_models.training import make_optimizer

    params = FAMILIES["cnn"].defaults() | {"depth": 3, "filters": 16, "kernel": 5, "batch_size": BATCH}
    rng = np.random.default_rng(0)
    items = rng.integers(0, 256, (BATCH, SIDE, SIDE, 1), dtype=np.uint8)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, BATCH)]
    trainers = {}
    for precision in PRECISIONS:
        trainer = build(params, items.shape[1:], CLASSES, input_dtype="uint8", seed=0, precision=precision).trainer
        trainer.compile(make_optimizer(params, precision), keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=runs_compiled())
        trainer.train_on_batch(items, targets)
        trainers[precision] = trainer
    took = dict.fromkeys(PRECISIONS, float("inf"))
    for _ in range(_ROUNDS):
        for precision, trainer in trainers.items():
            for _ in range(_STEPS):
                started = time.perf_counter()
                trainer.train_on_batch(items, targets)
                took[precision] = min(took[precision], time.perf_counter() - started)
    return took


if __name__ == "__main__":
    from genre_models.framework import import_keras

    import_keras(sys.argv[1])
    print(json.dumps(measure_steps()))
