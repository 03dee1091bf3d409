"""Scores of a classifier and how sure one may be of them.

Owns: every number that says how good a model is. Pure functions of NumPy arrays; no files, no models. Importing this module is cheap.

Conventions: ``y_true`` are class numbers, `p` are probabilities with one row per track and one column per class, scores lie in [0, 1] except
the log loss (nats, smaller is better). All intervals are 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genre_models.resampling.intervals import groups_of, proportion_interval, wilson
from genre_models.score_intervals import class_intervals, f1_of_counts, log_loss_interval, macro_f1_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    return float(track_losses(y_true, p).mean())


def track_losses(y_true, p) -> np.ndarray:
    """Log loss of each track in nats [shape=(n,)]; parameters and errors as of `accuracy`."""
    y_true, p = _checked(y_true, p)
    return -np.log(np.clip(p[np.arange(len(p)), y_true], SMALLEST_PROBABILITY, 1.0))


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
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"0 <= correct <= n and n >= 1 must hold, but got correct={correct}, n={n}")
    return wilson(correct / n, n)


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


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur in the truth or among the predictions.

    Parameters
    ----------
    confusion : np.ndarray of int [shape=(k, k)]
        Rows are the truth.
    """
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return float(f1_of_counts(np.diagonal(confusion), support, predicted)[support + predicted > 0].mean())


def per_class(labels: Sequence[str], confusion: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of each label; a ratio without a denominator is 0."""
    hits, predicted, support = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    f1 = f1_of_counts(hits, support, predicted)
    return {
        label: {
            "precision": float(hits[i] / predicted[i]) if predicted[i] else 0.0,
            "recall": float(hits[i] / support[i]) if support[i] else 0.0,
            "f1": float(f1[i]),
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    }


def final_metrics(labels: Sequence[str], y_true, p, groups=None) -> dict:
    """Everything ``metrics.json`` says about predictions.

    Parameters
    ----------
    labels : sequence of str
        Class names, in the order of the columns of `p`.
    y_true : np.ndarray of int [shape=(n,)]
        Class numbers.
    p : np.ndarray [shape=(n, n_classes)]
        Probabilities.
    groups : np.ndarray of int [shape=(n,)] or None
        Tracks that go together, as those of one artist; None for each alone.

    Returns
    -------
    dict
        JSON-able: n_tracks, n_groups, labels, accuracy, accuracy_ci95, macro_f1, macro_f1_ci95, log_loss, log_loss_ci95, ece, per_class (each class's
        scores, with intervals `class_intervals`), confusion (rows = truth). An interval is None where it would not be valid: where all tracks are of one
        group, and as the functions say. The calibration error has none: it is never below 0, so chance alone raises it.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    if len(labels) != np.shape(p)[-1]:
        raise ValueError(f"one label per column of the probabilities must hold, but got {len(labels)} labels for shape {np.shape(p)}")
    confusion, predicted = confusion_matrix(y_true, p), np.asarray(p).argmax(axis=1)
    y_true = np.asarray(y_true, dtype=np.int64)
    return {
        "n_tracks": int(confusion.sum()),
        "n_groups": len(groups_of(groups, len(y_true))[1]),
        "labels": list(labels),
        "accuracy": accuracy(y_true, p),
        "accuracy_ci95": as_list(proportion_interval(predicted == y_true, groups)),
        "macro_f1": macro_f1(confusion),
        "macro_f1_ci95": as_list(macro_f1_interval(y_true, predicted, len(labels), groups)),
        "log_loss": log_loss(y_true, p),
        "log_loss_ci95": as_list(log_loss_interval(track_losses(y_true, p), groups)),
        "ece": expected_calibration_error(y_true, p),
        "per_class": _with_intervals(per_class(labels, confusion), class_intervals(y_true, predicted, len(labels), groups)),
        "confusion": confusion.tolist(),
    }


def as_list(interval: tuple[float, float] | None) -> list[float] | None:
    """An interval as JSON has it."""
    return None if interval is None else list(interval)


def interval_text(interval: Sequence[float] | None) -> str:
    """An interval in words; that there is none."""
    return "no interval" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _with_intervals(scores: dict[str, dict], intervals: list[dict]) -> dict[str, dict]:
    return {
        label: told | {f"{name}_ci95": as_list(interval) for name, interval in of_class.items()}
        for (label, told), of_class in zip(scores.items(), intervals, strict=True)
    }
