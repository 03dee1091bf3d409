"""Importing Keras on one of its backends, and what of a backend Keras does not hide. One process has one backend, from its first import of Keras on.

A CPU-only machine is told by TensorFlow three times that it has no GPU, in C++, whatever the log level: what is printed while Keras loads is kept back.
Importing this module loads no framework.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from genre_models.errors import GenreModelsError

DEFAULT_BACKEND = "tensorflow"
#: What each is installed with.
BACKENDS = {"tensorflow": "pip install .", "torch": "pip install -c constraints.txt -e '.[torch]'", "jax": "pip install -c constraints.txt -e '.[jax]'"}


def backend_of(spec: Mapping[str, Any]) -> str:
    """The backend that a trial's specification or a task names; those of before there was a choice name none."""
    return spec.get("backend", DEFAULT_BACKEND)


def missing_backend(backend: str) -> str | None:
    """What to do about a backend that is not installed; None where it is. Nothing is imported."""
    if importlib.util.find_spec(backend) is not None:
        return None
    return f"backend: {backend} is not installed here: {BACKENDS[backend]}"


def require_backend(backend: str) -> None:
    """Check that a backend is installed.

    Raises
    ------
    GenreModelsError
        It is not; the message says how to install it.
    """
    if missing := missing_backend(backend):
        raise GenreModelsError(missing)


def overridden_backend(backend: str) -> str | None:
    """A note on the user's own KERAS_BACKEND, where it names another one than counts; None where it does not."""
    named = os.environ.get("KERAS_BACKEND")
    if named in (None, "", backend):
        return None
    return f"note: the environment has KERAS_BACKEND={named}, the study has backend: {backend}, and the study's counts"


def import_keras(backend: str | None = None) -> None:
    """Import Keras and its backend; what they print while they load is shown only if they fail.

    Parameters
    ----------
    backend : {"tensorflow", "torch", "jax"} or None
        None takes the one that this process has, and TensorFlow where it has none yet. Neither the environment's KERAS_BACKEND nor Keras' own file of
        settings is heeded: what is trained must not depend on them.

    Raises
    ------
    GenreModelsError
        This process has another backend already, or the backend is not installed.
    """
    if "keras" in sys.modules:
        import keras

        if backend not in (None, keras.backend.backend()):
            raise GenreModelsError(
                f"backend: {backend} is wanted, but Keras runs on {keras.backend.backend()} in this process already, and a process has one backend: run this "
                "in a process of its own (and where a family of your own imports Keras, let it do so inside its functions)"
            )
        return
    settle_backend(backend or DEFAULT_BACKEND)
    with hushed():
        import keras  # noqa: F401

        # Every trial is a new network, and TensorFlow would warn of each that it is traced anew.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # What has been loaded stays, so nobody need look through its million objects for garbage: Keras does before each trial, and it took 0.3 s of every one.
    gc.collect()
    gc.freeze()


def settle_backend(backend: str) -> None:
    """See that whoever imports Keras first in this process gets this backend; of no effect once it is imported.

    Raises
    ------
    GenreModelsError
        It is not installed.
    """
    require_backend(backend)
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # jax heeds it too
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # jax would take three quarters of a GPU that workers may share


def prepare_backend(backend: str | None, threads: int | None = None) -> None:
    """Import Keras with bounded thread pools, and let a GPU's memory grow, since workers may share one.

    Parameters
    ----------
    backend : str or None
        As of `import_keras`.
    threads : int, optional
        Bounds the pools where the environment (TF_NUM_INTRAOP_THREADS, OMP_NUM_THREADS) does not.
    """
    if threads is not None:  # TensorFlow reads its own when its first operation runs
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    import_keras(backend)
    import keras

    {"tensorflow": _grow_on_gpus, "torch": _bound_torch, "jax": _bound_jax}.get(keras.backend.backend(), lambda: None)()


def _grow_on_gpus() -> None:
    import tensorflow as tf

    with hushed():  # where a driver is missing CUDA says so, as an error
        devices = tf.config.list_physical_devices("GPU")
    for device in devices:
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            pass  # the device is in use already, as in the driver's own process: it keeps the setting it has


def _bound_torch() -> None:
    import torch

    if threads := _threads_of_environment():  # read by torch itself only where it was not imported before the variable was set
        torch.set_num_threads(threads)


def _bound_jax() -> None:
    """Start XLA's pools of the wanted size: they are made once, as large as NPROC says, and have no setting of their own."""
    import jax

    before, threads = os.environ.get("NPROC"), _threads_of_environment()
    if threads:
        os.environ["NPROC"] = str(threads)
    jax.devices()
    if threads:
        os.environ.pop("NPROC")
        os.environ.update({} if before is None else {"NPROC": before})


def _threads_of_environment() -> int | None:
    named = os.environ.get("OMP_NUM_THREADS", "")
    return int(named) if named.isdecimal() and int(named) else None


def runs_compiled() -> bool:
    """Whether XLA compiles networks: jax has no other way to run a step as one; TensorFlow and torch are no faster for it on a CPU, and start later."""
    import keras

    return keras.backend.backend() == "jax"


def fused_batch_norm(items: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any] | None:
    """Batch norm by the moments of the batch, in one kernel, where the backend has one for such items: TensorFlow, for images.

    Parameters
    ----------
    items : tensor [shape=(batch, height, width, channels)], else there is none
    gamma, beta : variables, float32 [shape=(channels,)]
    epsilon : float

    Returns
    -------
    (outputs, mean, variance) or None
        Outputs of the type of the items; mean and variance float32 [shape=(channels,)], the variance that of the batch itself (not Bessel's).
    """
    import keras

    if keras.backend.backend() != "tensorflow" or len(items.shape) != 4:
        return None
    import tensorflow as tf

    nothing = tf.zeros(0)
    gamma, beta = tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(x=items, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True)
    n = tf.cast(tf.size(items) // items.shape[-1], tf.float32)
    return outputs, mean, variance * (n - 1) / n  # the kernel tells n / (n - 1) times the variance it normalises by


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy, Keras and its backend, as `keras.utils.set_random_seed` does, which loads TensorFlow beside another backend: seconds and 0.3 GiB.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**32.
    """
    import keras
    import numpy as np

    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)  # what Keras draws the seeds of initializers from
    np.random.seed(seed)
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(seed)


@contextmanager
def hushed() -> Iterator[None]:
    """Keep what is printed to standard error meanwhile, in C++ too, and show it only if something fails that has no words of our own."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except GenreModelsError:
            raise
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
