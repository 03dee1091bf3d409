"""The parameters of the CNN family, as data. Imports no Keras."""

from __future__ import annotations

from genre_models.families.declaration import Declared, Family

_BY_DEPTH = {"filters_per_layer": ("",)}
_NORMALISED = {"batch_norm": (True,)}
_MASKED = {"spec_augment": (True,)}
_PLATEAU = {"schedule": ("plateau",)}
_STOPPING = {"early_stopping": (True,)}
_COPIED = {"copies": (1, 2, 3, 4)}
MOST_BLOCKS = 6

_BLOCK_BY_BLOCK = tuple(
    Declared(f"filters_{block}", "int", 0, f"Filters of block {block} where they are not to follow from filters and growth; 0 where they are", 0, 512,
             when=_BY_DEPTH | ({"depth": tuple(range(block, MOST_BLOCKS + 1))} if block > 1 else {}))
    for block in range(1, MOST_BLOCKS + 1)
)  # fmt: skip

ARCHITECTURE = (
    Declared("depth", "int", 4, "Convolution blocks, each [convolution, activation, pool, batch norm, dropout]", 1, MOST_BLOCKS, when=_BY_DEPTH),
    Declared("filters", "int", 32, "Filters of the first block", 4, 256, log=True, when=_BY_DEPTH),
    Declared("filter_growth", "float", 1.5, "Factor from the filters of one block to those of the next; at most 512 filters", 1.0, 2.0,
             when=_BY_DEPTH),
    Declared("filters_per_layer", "widths", "", 'Filters of each block, such as "64-64-128-128", in place of depth, filters and growth',
             1, 512),
    *_BLOCK_BY_BLOCK,
    Declared("kernel", "int", 3, "Side of the square convolution kernels, in pixels", 3, 7),
    Declared("pooling", "choice", "max", "What a pool keeps of its window", choices=("max", "average")),
    Declared("pool", "widths", "2-2", 'Pool size of every block as "height-width" (mel bands, frames), stride the same, no padding', 1, 8),
    Declared("batch_norm", "bool", True, "Batch normalisation in every block"),
    Declared("batch_norm_place", "choice", "after_pool", "Where in a block; before the pool costs about a third more time",
             choices=("after_pool", "before_pool"), when=_NORMALISED),
    Declared("batch_norm_statistics", "choice", "measured",
             "Mean and variance that scores are made with: measured on training tracks after each epoch, or running averages of its steps",
             choices=("measured", "running"), when=_NORMALISED),
    Declared("batch_norm_momentum", "float", 0.9,
             "Part of a running average that a step keeps; a low one suits short epochs",
             0.5, 0.999, when={"batch_norm_statistics": ("running",)}),
    Declared("activation", "choice", "relu", "Activation after convolutions and hidden dense layers", choices=("relu", "elu", "gelu")),
    Declared("dropout", "float", 0.2, "Part of the values dropped at the end of every block", 0.0, 0.7),
    Declared("head", "choice", "global_average", "From feature maps to a vector: all values, or the mean of each map",
             choices=("flatten", "global_average")),
    Declared("dense_units", "int", 0, "Units of a hidden dense layer before the output; 0 for none", 0, 1024),
    Declared("dense_dropout", "float", 0.0, "Part of the values dropped before dense layers", 0.0, 0.7),
    Declared("dense_dropout_place", "choice", "every", "Which dense layers that is before: the hidden one and the output, or the output alone",
             choices=("every", "output")),
)

OPTIMISATION = (
    Declared("optimizer", "choice", "adam", "Update rule; sgd has Nesterov momentum 0.9",
             choices=("adam", "adamw", "sgd", "rmsprop")),
    Declared("learning_rate", "float", 1e-3, "Learning rate of the first epoch", 1e-5, 1e-1, log=True),
    Declared("weight_decay", "float", 0.0, "Decoupled weight decay of kernels, per step as a part of the learning rate", 0.0, 1e-1,
             when={"optimizer": ("adamw", "sgd", "rmsprop")}),
    Declared("l2_penalty", "float", 0.0, "Multiple of each weight that is added to its gradient before the optimizer scales it, biases too: what "
             "PyTorch's Adam calls weight_decay", 0.0, 1e-1),
    Declared("batch_size", "int", 32, "Items per gradient step, at most; steps of an epoch are made equally large", 4, 256, log=True),
    Declared("label_smoothing", "float", 0.0, "Part of the target spread evenly over the classes, in training only", 0.0, 0.3),
    Declared("schedule", "choice", "constant", "Learning rate over the epochs; cosine falls towards 0 over the full budget",
             choices=("constant", "cosine", "plateau")),
    Declared("plateau_factor", "float", 0.5, "Factor on the learning rate when the validation loss no longer falls", 0.05, 0.9,
             when=_PLATEAU),
    Declared("plateau_patience", "int", 5, "Epochs without a lower validation loss before the learning rate is cut", 1, 50, when=_PLATEAU),
    Declared("early_stopping", "bool", False, "Whether training ends by itself when the monitored metric no longer improves"),
    Declared("early_stopping_monitor", "choice", "val_loss", "Metric that early stopping watches", choices=("val_loss", "val_accuracy"),
             when=_STOPPING),
    Declared("early_stopping_patience", "int", 10, "Epochs without improvement before training ends", 1, 100, when=_STOPPING),
)

WINDOWS = (
    Declared("segments", "int", 0, "Equal windows along time that each track is cut into, each an item; a track's score is the mean of its "
             "windows'; 0 as features.segments says", 0, 60),
    Declared("random_crop", "bool", False, "Windows to train on start anywhere in the track, anew each epoch, instead of on their grid; no "
             "effect where a track is one window"),
)

AUGMENTATION = (
    Declared("spec_augment", "bool", False, "SpecAugment: bands of frequency and of time masked with the item's mean, in training only"),
    Declared("frequency_mask", "int", 15, "Largest height of a frequency mask, in mel bands (image rows)", 0, 27, when=_MASKED),
    Declared("time_mask", "int", 20, "Largest width of a time mask, in frames (image columns)", 0, 100, when=_MASKED),
    Declared("masks", "int", 1, "Number of frequency masks and of time masks on each item", 1, 4, when=_MASKED),
    Declared("time_shift", "float", 0.0, "Largest shift in time, as a part of the width; what leaves at one end comes in at the other",
             0.0, 0.5),
    Declared("gain", "float", 0.0, "Largest relative change of an item's level above its floor", 0.0, 0.5),
    Declared("noise", "float", 0.0, "Standard deviation of Gaussian noise, in units of the scaled input", 0.0, 0.2),
    Declared("mixup", "float", 0.0, "Alpha of mixup: each training batch and its targets are mixed with the same batch in another order, "
             "in a proportion from Beta(alpha, alpha); 0 for none", 0.0, 1.0),
    Declared("copies", "int", 0, "Extra copies of each training item, each with masks of its own that stay the same all trial long", 0, 4),
    Declared("copy_frequency_mask", "int", 15, "Largest height of a frequency mask of a copy, in mel bands (image rows)", 0, 27,
             when=_COPIED),
    Declared("copy_time_mask", "int", 20, "Largest width of a time mask of a copy, in frames (image columns)", 0, 100, when=_COPIED),
    Declared("copy_masks", "int", 1, "Number of frequency masks and of time masks on each copy", 1, 4, when=_COPIED),
    Declared("copy_fill", "choice", "mean", "What masks of a copy hold: the item's mean, or zero, which is silence or black unless "
             "features.normalise is item", choices=("mean", "zero"), when=_COPIED),
)

CNN = Family(
    name="cnn",
    meaning="Convolutional network from scratch: conv blocks, then a flat or average-pooled head",
    parameters=ARCHITECTURE + OPTIMISATION + WINDOWS + AUGMENTATION,
    module="genre_models.families.cnn",
)
