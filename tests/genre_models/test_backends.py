"""Keras' backends: the same networks and optimizers on each that is installed, what one process may have, and what is said where one is missing.

One process has one backend, so what runs on another runs in a child. torch comes with .ci/torch.sh; jax is tested where somebody has installed it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genre_models import framework
from genre_models.errors import GenreModelsError, SnapshotError
from genre_models.objective import _is_out_of_memory
from genre_models.parts import Parts

ROOT = Path(__file__).parents[2]
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed: {framework.BACKENDS[name]}"))
    for name in ("torch", "jax")
]
#: Tests of training, masks, mixtures, penalties and snapshots that hold on every backend.
HOLD = "goes_on or another_run or mixed_precision or settled or mixed or penalty or masks_are_whole or rolls"


def child(*words: str | Path, seconds: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``made(backend)`` lets a backend run all cases, TensorFlow first; the folder with what they gave."""
    folder = tmp_path_factory.mktemp("backends")

    def make(backend: str) -> Path:
        for each in (framework.DEFAULT_BACKEND, backend):
            if not (folder / f"{each}.json").exists():
                done = child("-m", "tests.genre_models.on_backend", each, folder)
                assert done.returncode == 0, done.stderr
        return folder

    return make


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", OTHERS)
def test_equal_weights_give_equal_outputs_and_a_file_of_any_backend_loads_on_tensorflow(backend: str, made: Callable[[str], Path]) -> None:
    folder = made(backend)
    told = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("tensorflow", backend)}
    assert told[backend]["parameters"] == told["tensorflow"]["parameters"]
    assert "tensorflow" not in told[backend]["modules"], "TensorFlow is not loaded beside it: it would take 0.3 GiB of each worker"
    with np.load(folder / "tensorflow.npz") as ours, np.load(folder / f"{backend}.npz") as theirs:
        assert set(ours) == set(theirs) and len(set(ours)) == 15
        for name in ours:
            np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-4, atol=1e-4 * max(1.0, np.abs(ours[name]).max()), err_msg=name)
        spread = {name: np.ptp(ours[name], axis=0).max() for name in ours}
        assert min(spread.values()) > 1e-3, f"outputs that are the same for all items would prove nothing: {spread}"
        done = child("-m", "tests.genre_models.on_backend", "tensorflow", folder, backend)
        assert done.returncode == 0, done.stderr
        with np.load(folder / f"{backend}-reloaded.npz") as reloaded:
            for name in reloaded:
                np.testing.assert_allclose(reloaded[name], ours[name], atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", OTHERS)
def test_optimizers_make_the_same_of_the_same_weights(backend: str, made: Callable[[str], Path]) -> None:
    curves = [json.loads((made(backend) / f"{name}.json").read_text())["curves"] for name in ("tensorflow", backend)]
    assert set(curves[0]) == set(curves[1]) == {"adam", "adamw", "sgd", "rmsprop"}
    for optimizer, losses in curves[0].items():
        np.testing.assert_allclose(curves[1][optimizer], losses, rtol=0.01, err_msg=optimizer)
        assert abs(losses[2] - losses[0]) > 0.05, "something was learned"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", OTHERS)
def test_what_holds_of_training_holds_on_every_backend(backend: str) -> None:
    """Snapshots among it: a training that goes on from one has the curve of one that was never interrupted."""
    files = [f"tests/genre_models/test_{name}.py" for name in ("training", "training_items", "augmentation", "l2_penalty", "feedforward", "transfer")]
    # An optimizer of float16 that is applied by hand: Keras' own can't on jax, where only its compiled steps can.
    chosen = f"({HOLD}) and not in_float16_the_penalty" if backend == "jax" else HOLD
    done = child("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "800", *files, "-k", chosen, KERAS_BACKEND=backend, seconds=850)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


@pytest.mark.slow
def test_a_process_has_one_backend() -> None:
    code = """
from genre_models.framework import import_keras
from genre_models.objective import build
import_keras("tensorflow")
import_keras()
for ask in (lambda: import_keras("torch"), lambda: build({"objective": {"metric": "val_loss"}, "backend": "torch"})):
    try:
        ask()
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = child("-c", code, KERAS_BACKEND="torch")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if importlib.util.find_spec("torch") is None:
        assert all(line.startswith("GenreModelsError backend: torch is not installed here: pip install -c constraints.txt -e '.[torch]'") for line in lines[1:]), lines
    assert len(lines) == 2 and lines[0].startswith("GenreModelsError backend: torch is wanted, but Keras runs on tensorflow in this process already"), lines


def test_a_backend_that_is_missing_is_one_error_and_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in ("torch", "jax") else found(name, *more))
    framework.require_backend("tensorflow")
    for name in ("torch", "jax"):
        with pytest.raises(GenreModelsError, match=rf"^backend: {name} is not installed here: pip install -c constraints\.txt -e '\.\[{name}\]'$"):
            framework.require_backend(name)


def test_the_users_own_variable_is_overruled_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert framework.overridden_backend("torch") is None
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert framework.overridden_backend("jax") is None and "KERAS_BACKEND=jax" in framework.overridden_backend("torch")


def test_memory_that_ran_out_is_told_apart_on_every_backend() -> None:
    of_torch = RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes.")
    assert _is_out_of_memory(of_torch) and _is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4000 bytes."))
    assert not _is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_snapshot_of_another_backend_is_refused_by_name_and_one_of_before_is_tensorflows(tmp_path: Path) -> None:
    spec = {"family": "cnn", "params": {}, "features": {}, "epochs": 3, "seed": 1, "precision": "float32"}

    def parts(**more: str) -> Parts:
        return Parts(spec | more, None, None, "val_loss", None, "tracks", {})

    parts().snapshot(str(tmp_path / "before"))
    parts(backend="torch").snapshot(str(tmp_path / "torch"))
    parts(backend="tensorflow")._restore(tmp_path / "before")
    parts(backend="torch")._restore(tmp_path / "torch")
    for folder, backend in (("before", "torch"), ("torch", "jax"), ("torch", "tensorflow")):
        with pytest.raises(SnapshotError, match="another trial, backend differ"):
            parts(backend=backend)._restore(tmp_path / folder)
