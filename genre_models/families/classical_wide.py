"""SVMs on vectors that have more numbers than there are items, such as whole maps of a pretrained network: by the items' inner products.

An SVM's answer is a sum over items, and depends on them through their inner products alone: n x n numbers, however long the vectors are.
scikit-learn takes the vectors in float64 and liblinear each number with its place besides, which of 6,400 items of 25,088 numbers is over 4 GiB.
What comes out is the SVM that scikit-learn fits on the vectors, up to rounding.

Source
------
B. Schölkopf, R. Herbrich, A. J. Smola, "A generalized representer theorem", COLT 2001, theorem 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genre_models.kernel_svm import inner_products, make_kernel, on_vectors, row_blocks, scale_gamma
from genre_models.temperature import out_of_fold_temperature

_NUDGE = 1e-8  # of the mean squared length, added to each item's own: alike items have a factor too. Rounding of float32 is more.


def fit_wide_svm(make: Callable[[], Any], x: np.ndarray, y: np.ndarray, groups: np.ndarray, n_classes: int, seed: int) -> tuple[Any, float]:
    """Fit an SVM and find its temperature.

    Parameters
    ----------
    make : callable
        Makes the SVM as configured, not fitted: a LinearSVC, or an SVC with the kernel "rbf".
    x : np.ndarray [shape=(n, d), dtype=float32]
    y, groups, n_classes, seed
        As of `genre_models.temperature.out_of_fold_temperature`.

    Returns
    -------
    (sklearn.svm.LinearSVC or sklearn.svm.SVC, float)
    """
    fit = _fit_linear if type(make()).__name__ == "LinearSVC" else _fit_rbf
    return fit(make, x, y, (groups, n_classes, seed))


def _fit_linear(make: Callable[[], Any], x: np.ndarray, y: np.ndarray, of_folds: tuple[np.ndarray, int, int]) -> tuple[Any, float]:
    """On the rows of a triangular factor of the inner products: as many numbers as items, the same inner products."""
    from scipy.linalg import solve_triangular

    def in_the_dual() -> Any:  # as scikit-learn itself does where there are more numbers than items
        return make().set_params(dual=True)

    factor = _factor(inner_products(x))
    svm = in_the_dual().fit(factor, y)
    temperature = out_of_fold_temperature(in_the_dual, factor, y, *of_folds)
    of_items = solve_triangular(factor, svm.coef_.T, lower=True, trans="T", check_finite=False)
    del factor
    svm.coef_ = sum(of_items[rows].T @ x[rows] for rows in row_blocks(x))
    svm.n_features_in_ = x.shape[1]
    return svm.set_params(dual=make().dual), temperature


def _factor(products: np.ndarray) -> np.ndarray:
    from scipy.linalg import cholesky

    n = len(products)
    products[np.diag_indices(n)] += _NUDGE * max(products.trace() / n, np.finfo(np.float64).tiny)
    # Of a symmetric matrix the transposed one is the same, in the order of numbers that LAPACK works in.
    return cholesky(products.T, overwrite_a=True, check_finite=False).T


def _fit_rbf(make: Callable[[], Any], x: np.ndarray, y: np.ndarray, of_folds: tuple[np.ndarray, int, int]) -> tuple[Any, float]:
    """On the kernel's values."""

    def on_kernel() -> Any:
        return make().set_params(kernel="precomputed")

    kernel, svm = inner_products(x), make()
    gamma = scale_gamma(x, kernel) if svm.gamma == "scale" else svm.gamma
    make_kernel(kernel, gamma)
    fitted = on_kernel().fit(kernel, y)
    temperature = out_of_fold_temperature(on_kernel, kernel, y, *of_folds, pairwise=True)
    del kernel
    return on_vectors(fitted, svm, gamma, x), temperature
