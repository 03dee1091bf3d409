"""A saved model for other runtimes: ONNX, TensorFlow Lite, SavedModel; in float32, with labels and feature settings inside, compared with the original.

`write` is the way through; `description` what goes inside, `networks` and `classifiers` the conversions, `runtimes` what runs the results, `probes` what they are
compared on, `usage` the text beside them. Importing this package loads nothing heavy.
"""

from __future__ import annotations

FORMATS = ("onnx", "tflite", "saved_model")
LARGEST_DIFFERENCE = 1e-3  # of a probability: more, and nothing is written
INPUT, OUTPUT = "features", "probabilities"  # names in ONNX and SavedModel
