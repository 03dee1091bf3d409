"""Scores of a classifier and how sure one may be of them.

Owns: every number that says how good a model is. Pure functions of NumPy arrays; no files, no models. SciPy is imported inside the one
function that needs it, so that importing this module is cheap.

Conventions: ``y_true`` are class numbers, `p` are probabilities with one row per track and one column per class, scores lie in [0, 1] except
the log loss (nats, smaller is better). All intervals are 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
BOOTSTRAP_RESAMPLES = 10_000
CALIBRATION_BINS = 15
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)  # networks give float32: below this a probability is rounding


def _checked(y_true, p) -> tuple[np.ndarray, np.ndarray]:
    """Both arguments as arrays, or a ``ValueError`` that says what does not fit."""
    y_true, p = np.asarray(y_true), np.asarray(p, dtype=np.float64)
    if p.ndim != 2 or y_true.shape != p.shape[:1] or not len(y_true):
        raise ValueError(f"probabilities must be [n, n_classes] with n = len(y_true) > 0, but got {p.shape} for y_true {y_true.shape}")
    if not np.isfinite(p).all():
        raise ValueError(f"probabilities must be finite, but {int((~np.isfinite(p)).any(axis=1).sum())} of {len(p)} rows are not")
    if y_true.min() < 0 or y_true.max() >= p.shape[1]:
        raise ValueError(f"class numbers must lie in 0..{p.shape[1] - 1}, but got {y_true.min()}..{y_true.max()}")
    return y_true.astype(np.int64), p


def accuracy(y_true, p) -> float:
    """Part of the tracks whose most probable class is the true one (a tie goes to the earlier class).

    Parameters
    ----------
    y_true : np.ndarray of int [shape=(n,)]
        Class numbers.
    p : np.ndarray [shape=(n, n_classes)]
        Probabilities.

    Raises
    ------
    ValueError
        The shapes do not fit, there is no track, or a probability is not finite.
    """
    y_true, p = _checked(y_true, p)
    return float((p.argmax(axis=1) == y_true).mean())


def log_loss(y_true, p) -> float:
    """Mean of ``-log(probability given to the true class)`` in nats; probabilities are clipped to float32's resolution first.

    Parameters and errors as in `accuracy`.
    """
    y_true, p = _checked(y_true, p)
    return float(-np.log(np.clip(p[np.arange(len(p)), y_true], SMALLEST_PROBABILITY, 1.0)).mean())


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion.

    Parameters
    ----------
    correct, n : int
        Successes and attempts; ``0 <= correct <= n`` and ``n >= 1`` must hold.

    Returns
    -------
    tuple of float
        Lower and upper end.

    Raises
    ------
    ValueError
        The counts are impossible.

    Source
    ------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927),
    doi:10.1080/01621459.1927.10502953; recommended for small n by Brown, Cai and DasGupta (2001), doi:10.1214/ss/1009213286.
    """
    from scipy.stats import binomtest

    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"0 <= correct <= n and n >= 1 must hold, but got correct={correct}, n={n}")
    interval = binomtest(int(correct), int(n)).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def expected_calibration_error(y_true, p, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between confidence and accuracy, over equal-width bins of the confidence, weighted by the tracks in a bin.

    Source
    ------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3, arXiv:1706.04599.
    """
    y_true, p = _checked(y_true, p)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y_true
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # bins (lo, hi], as in the paper
    gaps = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(p))


def confusion_matrix(y_true, p) -> np.ndarray:
    """Counts [shape=(n_classes, n_classes)]: rows are the truth, columns the predictions."""
    y_true, p = _checked(y_true, p)
    counts = np.zeros((p.shape[1], p.shape[1]), dtype=np.int64)
    np.add.at(counts, (y_true, p.argmax(axis=1)), 1)
    return counts


def _f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class from confusion matrices [shape=(..., k, k)]; 0 where a class has neither truth nor prediction."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.divide(2.0 * hits, both, out=np.zeros(both.shape), where=both > 0)


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur in the truth or among the predictions.

    Parameters
    ----------
    confusion : np.ndarray of int [shape=(k, k)]
        Rows are the truth.
    """
    occurs = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    return float(_f1(confusion)[occurs].mean())


def macro_f1_interval(confusion: np.ndarray, seed: int = 0, resamples: int = BOOTSTRAP_RESAMPLES) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the macro F1, over tracks, stratified by true class.

    Stratified because the split is: the support of each class was fixed when the tracks were dealt. Tracks of one class that received the
    same prediction are exchangeable, so a resample of them is one multinomial draw per row of the confusion matrix.

    Parameters
    ----------
    confusion : np.ndarray of int [shape=(k, k)]
        Rows are the truth.
    seed : int
        Of the resampling.
    resamples : int
        How many.

    Returns
    -------
    tuple of float
        Lower and upper end.

    Source
    ------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13 (percentile intervals).
    """
    rng = np.random.default_rng(seed)
    support = confusion.sum(axis=1)
    drawn = np.zeros((resamples, *confusion.shape), dtype=np.int64)
    for row in np.flatnonzero(support):
        drawn[:, row] = rng.multinomial(support[row], confusion[row] / support[row], size=resamples)
    occurs = confusion.sum(axis=0) + support > 0  # of the original: the same mean over the same classes in every resample
    low, high = np.quantile(_f1(drawn)[:, occurs].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def per_class(labels: Sequence[str], confusion: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of each label; a ratio without a denominator is 0."""
    hits, predicted, support = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    f1 = _f1(confusion)
    return {
        label: {
            "precision": float(hits[i] / predicted[i]) if predicted[i] else 0.0,
            "recall": float(hits[i] / support[i]) if support[i] else 0.0,
            "f1": float(f1[i]),
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    }


def final_metrics(labels: Sequence[str], y_true, p, seed: int = 0) -> dict:
    """Everything ``metrics.json`` says about predictions.

    Parameters
    ----------
    labels : sequence of str
        Class names, in the order of the columns of `p`.
    y_true : np.ndarray of int [shape=(n,)]
        Class numbers.
    p : np.ndarray [shape=(n, n_classes)]
        Probabilities.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        JSON-able: n_tracks, labels, accuracy, accuracy_ci95 (Wilson), macro_f1, macro_f1_ci95 (bootstrap), log_loss, ece, per_class,
        confusion (rows = truth).

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    if len(labels) != np.shape(p)[-1]:
        raise ValueError(f"one label per column of the probabilities must hold, but got {len(labels)} labels for shape {np.shape(p)}")
    confusion = confusion_matrix(y_true, p)
    n = int(confusion.sum())
    return {
        "n_tracks": n,
        "labels": list(labels),
        "accuracy": accuracy(y_true, p),
        "accuracy_ci95": list(wilson_interval(int(np.trace(confusion)), n)),
        "macro_f1": macro_f1(confusion),
        "macro_f1_ci95": list(macro_f1_interval(confusion, seed)),
        "log_loss": log_loss(y_true, p),
        "ece": expected_calibration_error(y_true, p),
        "per_class": per_class(labels, confusion),
        "confusion": confusion.tolist(),
    }
