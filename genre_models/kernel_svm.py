"""RBF SVMs of scikit-learn by matrix products. scikit-learn is imported in functions.

libsvm multiplies vectors one pair at a time, which of long ones takes most of an hour. Here the kernel's values come from matrix products, and
libsvm gets them ready ("precomputed"); what is kept is an ordinary SVC on the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from genre_models.vectors import vector_rows

MANY = 2**22  # numbers of all support vectors from which matrix products are worth their overhead


def row_blocks(x: np.ndarray) -> Iterator[slice]:
    """Rows of an array, a bounded number at a time."""
    rows = vector_rows(2 * x.shape[1])  # in float64
    return (slice(start, min(start + rows, len(x))) for start in range(0, len(x), rows))


def inner_products(x: np.ndarray) -> np.ndarray:
    """Of each pair of rows, in float64 [shape=(n, n)]; besides it two blocks of rows are held."""
    products = np.empty((len(x), len(x)))
    for rows in row_blocks(x):
        block = x[rows].astype(np.float64)
        for columns in row_blocks(x):
            if columns.start > rows.start:
                break
            products[rows, columns] = block @ x[columns].T.astype(np.float64)
            products[columns, rows] = products[rows, columns].T
    return products


def scale_gamma(x: np.ndarray, products: np.ndarray) -> float:
    """What ``gamma="scale"`` is for these vectors: 1 / (dimensions x variance of all numbers)."""
    variance = products.trace() / x.size - x.mean(dtype=np.float64) ** 2
    return 1 / (x.shape[1] * variance) if variance > 0 else 1.0


def make_kernel(products: np.ndarray, gamma: float) -> None:
    """Turn inner products of n items into the kernel's values, in place: exp(-gamma x squared distance)."""
    squares = products.diagonal().copy()
    for rows in row_blocks(products):
        products[rows] = np.exp(-gamma * np.maximum(squares[rows, None] + squares - 2 * products[rows], 0))


def on_vectors(fitted: Any, svm: Any, gamma: float, x: np.ndarray) -> Any:
    """An SVC that takes vectors, as one that was fitted on the kernel's values of `x` says.

    Parameters
    ----------
    fitted : sklearn.svm.SVC
        With kernel "precomputed".
    svm : sklearn.svm.SVC
        Not fitted, with kernel "rbf"; it becomes the answer.
    gamma : float
    x : np.ndarray [shape=(n, d)]
    """
    vectors = np.empty((len(fitted.support_), x.shape[1]))
    for rows in row_blocks(vectors):
        vectors[rows] = x[fitted.support_[rows]]
    return _with_facts(svm, fitted, support_vectors_=vectors, shape_fit_=x.shape, n_features_in_=x.shape[1], _gamma=gamma)


def rbf_decisions(svm: Any, x: np.ndarray) -> np.ndarray:
    """What ``svm.decision_function(x)`` is, of an SVC with the kernel "rbf", by matrix products."""
    from sklearn.svm import SVC

    vectors, n = svm.support_vectors_, len(svm.support_vectors_)
    place, none = np.arange(n, dtype=svm.support_.dtype), np.empty((0, 0))
    on_kernel = _with_facts(
        SVC(kernel="precomputed", break_ties=svm.break_ties), svm, support_=place, support_vectors_=none, shape_fit_=(n, n), n_features_in_=n, _gamma=0.0
    )
    squares = np.einsum("ij,ij->i", vectors, vectors)
    found = []
    for rows in row_blocks(x):
        block = x[rows].astype(np.float64)
        distances = np.einsum("ij,ij->i", block, block)[:, None] + squares - 2 * (block @ vectors.T)
        found.append(on_kernel.decision_function(np.exp(-svm._gamma * np.maximum(distances, 0))))
    return np.concatenate(found)


def _with_facts(svm: Any, fitted: Any, **others: Any) -> Any:
    """What another SVC has learned, put into one that is not fitted; `others` take the place of some of it."""
    learned = {name: value for name, value in vars(fitted).items() if name not in fitted.get_params()}
    vars(svm).update(learned | others)
    return svm
