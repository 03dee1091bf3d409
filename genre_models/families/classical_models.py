"""The classifiers of the classical family, as configured, and how much they have learned. Imports scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC

from genre_models.families.classical_memory import KERNEL_CACHE_MIB, SVMS, is_wide
from genre_models.families.classical_wide import fit_wide_svm
from genre_models.families.declaration import parse_widths
from genre_models.sklearn_model import few_threads
from genre_models.temperature import out_of_fold_temperature

MLP_BATCH, MLP_PASSES = 32, 200
_KEPT_BACK = 0.1  # of the tracks, for the early stopping of an MLP


def classifier(params: Mapping[str, Any], seed: int, n: int) -> Any:
    """The classifier as configured, not fitted.

    Parameters
    ----------
    params : mapping
    seed : int
    n : int
        Training items.
    """
    weight = None if params["class_weight"] == "none" else params["class_weight"]
    weighted = {"class_weight": weight, "random_state": seed}
    made = {
        "linear_svm": lambda: LinearSVC(C=params["linear_C"], max_iter=300, **weighted),
        "rbf_svm": lambda: SVC(  # ties broken: its own answer is then the class with the largest decision value, which is ours
            C=params["rbf_C"], gamma=params["gamma"] or "scale", cache_size=KERNEL_CACHE_MIB, break_ties=True, **weighted
        ),
        "logistic": lambda: LogisticRegression(C=params["linear_C"], max_iter=500, **weighted),
        "mlp": lambda: MLPClassifier(
            hidden_layer_sizes=parse_widths(params["mlp_units"]),
            alpha=params["mlp_alpha"],
            learning_rate_init=params["mlp_learning_rate"],
            batch_size=min(MLP_BATCH, n),
            max_iter=MLP_PASSES,
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


def fit_classifier(
    params: Mapping[str, Any], x: np.ndarray, y: np.ndarray, groups: np.ndarray, n_classes: int, seed: int
) -> tuple[Any, float | None]:
    """Fit the classifier as configured.

    Parameters
    ----------
    params : mapping
    x : np.ndarray [shape=(n, d), dtype=float32]
    y : np.ndarray of int [shape=(n,)]
    groups : np.ndarray of int [shape=(n,)]
        Of items that go together, as those of one track or of one artist's tracks.
    n_classes : int
    seed : int

    Returns
    -------
    (classifier, float or None)
        Fitted, and its temperature where it has no probabilities of its own (`genre_models.temperature`).
    """
    make = partial(classifier, params, seed, len(x))
    fitted, of_folds = make(), (groups, n_classes, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the pass limit is part of the configuration
        if params["model"] in SVMS:
            return fit_wide_svm(make, x, y, *of_folds) if is_wide(*x.shape) else (fitted.fit(x, y), out_of_fold_temperature(make, x, y, *of_folds))
        with few_threads(fitted):
            if params["model"] == "mlp" and params["mlp_early_stopping"]:
                fit_stopping_early(fitted, x, y, groups, seed)
            else:
                fitted.fit(x, y)
    return fitted, None


def fit_stopping_early(mlp: MLPClassifier, x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> None:
    """Fit an MLP until its accuracy on a tenth of the groups no longer rises, and leave it with its best weights.

    As scikit-learn's own early stopping, which keeps back items: of a track with several, or of an artist, it would train on some and score others.

    Parameters
    ----------
    mlp : MLPClassifier
    x : np.ndarray [shape=(n, d)]
    y : np.ndarray of int [shape=(n,)]
    groups : np.ndarray of int [shape=(n,)]
        Of items that go together, as those of one track or of one artist's tracks.
    seed : int
        Of the choice of groups.
    """
    numbers, first = np.unique(groups, return_index=True)
    counts = np.unique(y[first], return_counts=True)[1]
    if min(counts) < 2 or len(numbers) * _KEPT_BACK < len(counts):  # too few for every class to be on both sides
        mlp.fit(x, y)
        return
    kept_back = train_test_split(numbers, test_size=_KEPT_BACK, stratify=y[first], random_state=seed)[1]
    is_kept = np.isin(groups, kept_back)
    trained, checked = (x[~is_kept], y[~is_kept]), (x[is_kept], y[is_kept])
    mlp.set_params(batch_size=min(mlp.batch_size, len(trained[1])))
    best, weights, waited = -np.inf, (), 0
    seeded = mlp.random_state
    mlp.set_params(random_state=np.random.RandomState(seed))  # a number would begin anew, and deal the same batches, in each pass
    for _ in range(mlp.max_iter):
        mlp.partial_fit(*trained, classes=np.unique(y))
        score = mlp.score(*checked)
        waited = waited + 1 if score < best + mlp.tol else 0
        if score > best:
            best, weights = score, ([w.copy() for w in mlp.coefs_], [b.copy() for b in mlp.intercepts_])
        if waited > mlp.n_iter_no_change:
            break
    mlp.coefs_, mlp.intercepts_ = weights
    mlp.set_params(random_state=seeded)


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
