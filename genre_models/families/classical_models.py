"""The classifiers of the classical family, as configured, and how much they have learned. Imports scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC

from genre_models.families.declaration import parse_widths

MLP_BATCH, MLP_PASSES = 32, 200
_KEPT_BACK = 0.1  # of the items, for the early stopping of an MLP
_KERNEL_CACHE_MIB = 300


def classifier(params: Mapping[str, Any], seed: int, n: int, y: np.ndarray) -> Any:
    """The classifier as configured, not fitted.

    Parameters
    ----------
    params : mapping
    seed : int
    n : int
        Training items.
    y : np.ndarray of int [shape=(n,)]
        Their classes.
    """
    weight = None if params["class_weight"] == "none" else params["class_weight"]
    weighted = {"class_weight": weight, "random_state": seed}
    made = {
        "linear_svm": lambda: LinearSVC(C=params["linear_C"], max_iter=300, **weighted),
        "rbf_svm": lambda: SVC(C=params["rbf_C"], gamma=params["gamma"] or "scale", cache_size=_KERNEL_CACHE_MIB, **weighted),
        "logistic": lambda: LogisticRegression(C=params["linear_C"], max_iter=500, **weighted),
        "mlp": lambda: MLPClassifier(
            hidden_layer_sizes=parse_widths(params["mlp_units"]),
            alpha=params["mlp_alpha"],
            learning_rate_init=params["mlp_learning_rate"],
            batch_size=min(MLP_BATCH, n),
            max_iter=MLP_PASSES,
            early_stopping=params["mlp_early_stopping"] and _can_keep_back(n, y),
            random_state=seed,
        ),
        "forest": lambda: RandomForestClassifier(
            n_estimators=params["forest_trees"],
            max_depth=params["forest_depth"] or None,
            min_samples_leaf=params["forest_leaf"],
            max_features=params["forest_features"] or "sqrt",
            n_jobs=1,
            **weighted,
        ),
        "boosting": lambda: HistGradientBoostingClassifier(
            learning_rate=params["boosting_learning_rate"],
            max_iter=params["boosting_iterations"],
            max_leaf_nodes=params["boosting_leaves"],
            max_features=params["boosting_features"],
            l2_regularization=params["boosting_l2"],
            early_stopping=False,
            **weighted,
        ),
    }
    return made[params["model"]]()


def _can_keep_back(n: int, y: np.ndarray) -> bool:
    """Whether scikit-learn can set a tenth of the items aside with every class on both sides, which it insists on."""
    counts = np.unique(y, return_counts=True)[1]
    return min(counts) > 1 and n * _KEPT_BACK >= len(counts)


def learned_numbers(fitted: Any) -> int:
    """Numbers of a fitted classifier that were learned from the data: weights; support vectors and their coefficients; tree nodes."""
    if hasattr(fitted, "coefs_"):
        return sum(weights.size for weights in (*fitted.coefs_, *fitted.intercepts_))
    if hasattr(fitted, "support_vectors_"):
        return fitted.support_vectors_.size + fitted.dual_coef_.size + fitted.intercept_.size
    if hasattr(fitted, "coef_"):
        return fitted.coef_.size + fitted.intercept_.size
    if hasattr(fitted, "estimators_"):
        return sum(tree.tree_.node_count for tree in fitted.estimators_)
    return sum(len(predictor.nodes) for iteration in fitted._predictors for predictor in iteration)
