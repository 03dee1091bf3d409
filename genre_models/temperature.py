"""Probabilities from the decision values of a classifier that has none of its own. SciPy and scikit-learn are imported in functions.

softmax(decisions / temperature), one temperature for all classes: the order of the classes stays as it is, so no prediction changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

FOLDS = 3
_WIDEST = 100.0  # the temperature is sought within this factor of the decisions' spread


def class_decisions(classifier: Any, x: np.ndarray, n_classes: int) -> np.ndarray:
    """Decision values with a column for each class [shape=(n, n_classes)]; -inf for a class that the classifier has never seen.

    Of two classes scikit-learn gives one value, of the second against the first.
    """
    from genre_models.kernel_svm import MANY, rbf_decisions

    by_products = getattr(classifier, "kernel", None) == "rbf" and classifier.support_vectors_.size >= MANY
    found = rbf_decisions(classifier, x) if by_products else classifier.decision_function(x)
    if found.ndim == 1:
        found = np.stack([-found, found], axis=1) / 2
    decisions = np.full((len(x), n_classes), -np.inf)
    decisions[:, classifier.classes_] = found
    return decisions


def softmax(decisions: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [shape=(n, n_classes)] of decision values."""
    scaled = (decisions - decisions.max(axis=1, keepdims=True)) / temperature
    powers = np.exp(scaled)
    return powers / powers.sum(axis=1, keepdims=True)


def out_of_fold_temperature(
    make: Callable[[], Any], x: np.ndarray, y: np.ndarray, groups: np.ndarray, n_classes: int, seed: int, pairwise: bool = False
) -> float:
    """The temperature that suits items which the classifier was not fitted on.

    Parameters
    ----------
    make : callable
        Makes the classifier, not fitted.
    x : np.ndarray [shape=(n, d)]
    y : np.ndarray of int [shape=(n,)]
    groups : np.ndarray of int [shape=(n,)]
        Of items that go together, as those of one track or of one artist's tracks: they are in one fold.
    n_classes : int
    seed : int
        Of the folds.
    pairwise : bool
        Whether `x` has a number for each pair of items [shape=(n, n)], and the classifier takes those.

    Returns
    -------
    float
        1 where a class has fewer than two groups, so that there are no folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    of_classes = [len(set(groups[y == number])) for number in np.unique(y)]
    folds = min(FOLDS, *of_classes)
    if folds < 2:
        return 1.0
    decisions = np.full((len(x), n_classes), -np.inf)
    for fitted, left_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(x, y, groups):
        if len(set(y[fitted])) > 1:
            trained, asked = (x[np.ix_(rows, fitted)] if pairwise else x[rows] for rows in (fitted, left_out))
            decisions[left_out] = class_decisions(make().fit(trained, y[fitted]), asked, n_classes)
    return best_temperature(decisions, y)


def best_temperature(decisions: np.ndarray, y: np.ndarray) -> float:
    """The temperature with the smallest log loss; items whose class has no decision value are left out.

    Of n items each gives 1 / (n + 2) of its target to the other classes: should all be told right, certainty still has a bound.

    Source
    ------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2, arXiv:1706.04599;
    the targets after J. Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.
    """
    from scipy.optimize import minimize_scalar

    is_known = np.isfinite(decisions[np.arange(len(y)), y])
    decisions, y = decisions[is_known], y[is_known]
    has_value = np.isfinite(decisions)
    spread = float(np.std(decisions[has_value])) if len(y) else 0.0
    if not spread > 0:
        return 1.0
    rest = 1 / (len(y) + 2)
    targets = has_value * (rest / np.maximum(has_value.sum(axis=1, keepdims=True) - 1, 1))
    targets[np.arange(len(y)), y] = 1 - rest

    def loss(log_temperature: float) -> float:
        p = softmax(decisions, float(np.exp(log_temperature)))
        return float(-(targets * np.log(np.maximum(p, np.finfo(np.float64).tiny))).sum(axis=1).mean())

    bounds = np.log(spread) - np.log(_WIDEST), np.log(spread) + np.log(_WIDEST)
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
