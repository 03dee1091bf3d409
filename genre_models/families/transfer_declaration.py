"""The transfer families, one for each pretrained network (trunk), and their parameters as data. Imports no Keras."""

from __future__ import annotations

from dataclasses import replace

from genre_models.families.cnn_declaration import AUGMENTATION, OPTIMISATION
from genre_models.families.declaration import Declared, Family
from genre_models.trunks.registry import TRUNKS, Trunk

MOST_BLOCKS = 6  # that fine-tuning may unfreeze
_TUNED = {"fine_tune_blocks": tuple(range(1, MOST_BLOCKS + 1))}

HEAD = (
    Declared("channels", "choice", "repeat", "The three channels the trunk is given: the spectrogram three times, as colours, or as "
             "static, delta and delta-delta", choices=("repeat", "colour", "delta")),
    Declared("pooling", "choice", "average", "From the trunk's maps to a vector: the mean or the largest of each map, or all values; no "
             "effect where the cut is a vector already", choices=("average", "max", "flat")),
    Declared("head_units", "widths", "256", 'Units of each hidden layer of the head, such as "512-256"; "" for none', 1, 4096,
             choices=("",)),
    Declared("activation", "choice", "relu", "Activation of the head's hidden layers", choices=("relu", "elu", "gelu")),
    Declared("batch_norm", "bool", False, "Batch normalisation in the head's hidden layers, with mean and variance measured on training "
             "items after each epoch"),
    Declared("dropout", "float", 0.3, "Part of the values dropped before each dense layer of the head", 0.0, 0.8),
    Declared("standardise", "bool", True,
             "Whether each map of the trunk is scaled to mean 0 and standard deviation 1 of the training items"),
)

FINE_TUNING = (
    Declared("fine_tune_blocks", "int", 0, "Blocks of the trunk before the cut that are trained too, once the head is; 0 for none",
             0, MOST_BLOCKS),
    Declared("fine_tune_after", "int", 10, "Epochs of the head alone, before the blocks join in", 1, 200, when=_TUNED),
    Declared("fine_tune_factor", "float", 0.05, "Factor on the learning rate from then on", 1e-3, 1.0, log=True, when=_TUNED),
)

# Masks are laid on the base features, which are finer than what a network from scratch is given.
_LARGEST_MASK = {"copy_frequency_mask": 256, "copy_time_mask": 1024}
COPIES = tuple(
    replace(parameter, high=_LARGEST_MASK.get(parameter.name, parameter.high))
    for parameter in AUGMENTATION
    if parameter.name == "copies" or parameter.name.startswith("copy_")
)


def transfer_family(trunk: Trunk) -> Family:
    """The family of heads on one trunk."""
    cut = Declared("cut", "text", trunk.cuts[0], "Layer of the trunk whose output the head takes; any layer by name", choices=trunk.cuts)
    return Family(
        name=trunk.name,
        meaning=f"Transfer: {trunk.meaning}, up to a cut, and a dense head",
        parameters=(cut, *HEAD, *OPTIMISATION, *FINE_TUNING, *COPIES),
        module="genre_models.families.transfer",
        inputs="trunk",
    )


TRANSFER: tuple[Family, ...] = tuple(transfer_family(trunk) for trunk in TRUNKS.values())
