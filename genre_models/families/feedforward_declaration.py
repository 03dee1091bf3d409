"""The parameters of the feed-forward family, as data. Imports no Keras."""

from __future__ import annotations

from genre_models.families.classical_declaration import VECTORS
from genre_models.families.cnn_declaration import OPTIMISATION
from genre_models.families.declaration import Declared, Family

FEEDFORWARD = Family(
    name="feedforward",
    meaning="Dense network on vectors: handcrafted features, a table's rows, or a trunk's output",
    parameters=(
        *VECTORS,
        Declared("units", "widths", "512-256", "Units of each hidden layer", 1, 4096),
        Declared("activation", "choice", "relu", "Activation of hidden layers", choices=("relu", "elu", "gelu")),
        Declared("dropout", "float", 0.2, "Part of the values dropped after each hidden layer", 0.0, 0.8),
        Declared("input_dropout", "float", 0.0, "Part of the features dropped", 0.0, 0.8),
        Declared("batch_norm", "bool", False, "Batch normalisation after each hidden layer, with mean and variance measured on training "
                 "items after each epoch"),
        *OPTIMISATION,
    ),
    module="genre_models.families.feedforward",
    inputs="vectors",
)
