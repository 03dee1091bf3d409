"""The classifier of an audit, in a process of its own: scikit-learn takes a second to load, and searches do without it.

Tracks that belong together are in one fold, so that knowing one of them says nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from genre_models.resampling.auc import auc_of
from genre_models.resampling.intervals import proportion_interval

FOLDS = 3
MARGIN = 0.05
"""How far the lower end of an interval must be above what chance gives before something is told."""


def score_of(scores: np.ndarray, y: np.ndarray, groups: np.ndarray) -> tuple[float, tuple[float, float] | None, float]:
    """What the classifier's answers are worth: of two kinds the area under the ROC curve, of more the share told right; its interval; and chance."""
    counts = Counter(y.tolist())
    if len(counts) == 2:
        return *auc_of(scores, y == 1, groups), 0.5
    return float(np.mean(scores)), proportion_interval(scores, groups), max(counts.values()) / len(y)


def is_told(interval: Sequence[float] | None, chance: float) -> bool:
    """Whether an answer is better than chance, beyond doubt and by more than a little."""
    return interval is not None and interval[0] > chance + MARGIN


def scores_by_folds(X: np.ndarray, is_category: list[bool], y: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probabilities of each track, from a classifier that has not seen it or what belongs to it.

    Parameters
    ----------
    X : np.ndarray [shape=(n, n_facts)]
    is_category : list of bool
        Which columns are numbers of categories.
    y : np.ndarray of int [shape=(n,)]
        From 0.
    groups : np.ndarray of int [shape=(n,)]
    seed : int

    Returns
    -------
    np.ndarray [shape=(n, n_classes)]
        Of two classes the second column is also ranked within each fold (0 to 1), since folds have levels of their own.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import HistGradientBoostingClassifier

    fold_of, n_classes = deal(y, groups, seed), int(y.max()) + 1
    p = np.zeros((len(y), n_classes))
    for fold in range(FOLDS):
        inside = fold_of != fold
        model = HistGradientBoostingClassifier(
            max_iter=20 if n_classes == 2 else 15, max_leaf_nodes=8, learning_rate=0.2, min_samples_leaf=8, l2_regularization=1.0, early_stopping=False,
            categorical_features=is_category if any(is_category) else None, class_weight="balanced" if n_classes == 2 else None, random_state=seed,
        )  # fmt: skip
        model.fit(X[inside], y[inside])
        found = model.predict_proba(X[~inside])
        if n_classes == 2:
            found[:, 1] = rankdata(found[:, 1]) / (len(found) + 1)
        p[np.ix_(~inside, model.classes_)] = found
    return p


def ask(columns: list[list[float]], is_category: list[bool], y: list[int], groups: list[int]) -> dict[str, Any]:
    """What a classifier makes of all columns together, and where they tell, of each by itself (runs in a worker process).

    Returns
    -------
    dict
        ``score``, ``interval``, ``chance`` as of `score_of`; ``alone``, a score for each column or an empty list.
    """
    from threadpoolctl import threadpool_limits

    X, y_array, groups_array = np.array(columns, dtype=np.float64).T, np.array(y), np.array(groups)

    def asked(chosen: list[int]) -> tuple[float, tuple[float, float] | None, float]:
        p = scores_by_folds(X[:, chosen], [is_category[place] for place in chosen], y_array, groups_array)
        return score_of(p[:, 1] if p.shape[1] == 2 else (p.argmax(axis=1) == y_array).astype(float), y_array, groups_array)

    import sklearn.ensemble  # noqa: F401 - loaded before its threads are bounded: waiting for one another they take longer than one alone

    with threadpool_limits(1):
        score, interval, chance = asked(list(range(X.shape[1])))
        single = [score] if X.shape[1] == 1 else [asked([place])[0] for place in range(X.shape[1])] if is_told(interval, chance) else []
    return {"score": score, "interval": None if interval is None else list(map(float, interval)), "chance": chance, "alone": single}


def deal(y: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """A fold for each track [shape=(n,)]: groups whole, those of each class dealt one after the other in random order."""
    names, first = np.unique(groups, return_index=True)
    fold_of = np.zeros(len(names), np.int64)
    rng = np.random.default_rng(seed)
    start = 0
    for label in np.unique(y):
        of_label = np.flatnonzero(y[first] == label)  # a group counts for the class of its first track
        fold_of[rng.permutation(of_label)] = (start + np.arange(len(of_label))) % FOLDS
        start += len(of_label)
    return fold_of[np.searchsorted(names, groups)]
