"""What a classifier of the classical family holds in memory while it is fitted, by arithmetic alone; nothing is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genre_models.families.declaration import parse_widths

KERNEL_CACHE_MIB = 300
SVMS = ("linear_svm", "rbf_svm")
_MIB = 2**20
_BLOCK_MIB = 3 * 64  # a block of vectors as read, as scaled, and in float64
_FOLD = 2 / 3  # of the items that an SVM is fitted on again, for its temperature, while the first one is kept
_BINS, _HISTOGRAM, _NODE, _LEAST_LEAF = 256, 20, 64, 20  # of boosted trees: bins of a feature, bytes of one, bytes of a tree's node
_DRAWN = 1 - 1 / 2.718281828  # of the items that a tree of a forest sees, each once or more


def is_wide(n_items: int, width: int) -> bool:
    """Whether an SVM is fitted on the items' inner products (see `classical_wide`): they are then fewer than the vectors' numbers."""
    return width > n_items


def fitting_mib(params: Mapping[str, Any], n_items: int, d: int, width: int, n_classes: int, weights: int) -> float:
    """MiB at the peak of a fit: a block as it is read, the items in float32, and what scikit-learn makes beside them.

    Measured with scikit-learn 1.9 on 1500 to 8000 items. Support vectors, a forest's leaves and the kernel's cache depend on the data: they
    are counted as the most that they can be. Of boosted trees' leaves about half may still be split at a time, or fewer.

    Parameters
    ----------
    params : mapping
    n_items : int
        Training items.
    d, width : int
        Numbers of a vector, and of what the classifier is given of it.
    n_classes : int
    weights : int
        Of a linear model or an MLP.
    """
    numbers, widest = n_items * width, max(parse_widths(params["mlp_units"]), default=0)
    cache, wide = min(KERNEL_CACHE_MIB * _MIB, 4 * n_items**2), is_wide(n_items, width)
    beside = {
        # A triangular factor in float64; a fold's rows of it, and as liblinear's list of (feature, value) what is not 0 of them. Or the items so.
        "linear_svm": lambda: (8 + _FOLD * 16) * n_items**2 + 32 * weights if wide else 24 * numbers + 24 * weights,
        # The kernel, and a fold's part of it; or then the support vectors in float64. Or the items in float64; the support vectors in float64; and
        # again for a fold, with its items in float32.
        "rbf_svm": lambda: max((8 + _FOLD * 8) * n_items**2 + cache, 8 * numbers) if wide else (8 + _FOLD * 20) * numbers + cache,
        "logistic": lambda: 200 * weights,  # the last ten steps and gradients of L-BFGS
        "mlp": lambda: 28 * weights + (4 * numbers if params["mlp_early_stopping"] else 0) + 8 * n_items * widest,
        "forest": lambda: params["forest_trees"] * _nodes(params, n_items) * (_NODE + 8 * n_classes),
        "boosting": lambda: 9 * numbers + width * _per_feature(params, n_items) + _boosted_nodes(params, n_items, n_classes) * _NODE,
    }[params["model"]]()
    reading = min(_BLOCK_MIB * _MIB, 8 * n_items * d)  # or, in products, as much in float64
    return (4 * numbers + beside + reading) / _MIB


def _nodes(params: Mapping[str, Any], n_items: int) -> float:
    """The most nodes that a tree of a forest may have."""
    leaves = _DRAWN * n_items / params["forest_leaf"]
    return 2 * min(leaves, 2 ** params["forest_depth"]) if params["forest_depth"] else 2 * leaves


def _leaves(params: Mapping[str, Any], n_items: int) -> int:
    return max(1, min(params["boosting_leaves"], n_items // _LEAST_LEAF))


def _per_feature(params: Mapping[str, Any], n_items: int) -> int:
    """Bytes of a feature: where its bins end, and its histogram in each leaf that may still be split."""
    return 8 * min(_BINS, n_items) + _BINS * _HISTOGRAM * (_leaves(params, n_items) // 2 + 2)


def _boosted_nodes(params: Mapping[str, Any], n_items: int, n_classes: int) -> int:
    return params["boosting_iterations"] * (n_classes if n_classes > 2 else 1) * 2 * _leaves(params, n_items)
