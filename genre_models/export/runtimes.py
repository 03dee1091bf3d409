"""Exported files as functions, each in the runtime that it is for: float32 arrays [n, ...] to float32 probabilities [n, n_classes]."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genre_models.export import INPUT, OUTPUT

Run = Callable[[np.ndarray], np.ndarray]


def open_exported(path: Path, to: str) -> Run:
    """Load an exported file as its users will."""
    return {"onnx": _onnx, "tflite": _tflite, "saved_model": _saved_model}[to](path)


def _onnx(path: Path) -> Run:
    import onnxruntime

    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), quiet, providers=["CPUExecutionProvider"])
    return lambda x: session.run([OUTPUT], {INPUT: x.astype(np.float32)})[0]


def _tflite(path: Path) -> Run:
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the interpreter has a package of its own by now
        interpreter = tf.lite.Interpreter(model_path=str(path))
    place_in, place_out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(x: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(place_in, x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place_in, x.astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(place_out)

    return run


def _saved_model(path: Path) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda x: np.asarray(loaded.serve(tf.constant(x.astype(np.float32))), np.float32)
