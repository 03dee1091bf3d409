"""A classifier of scikit-learn with what comes before it: made, asked, saved and loaded. scikit-learn and skops are imported in functions.

    model.skops    the pipeline [scaling, principal components, classifier], each of the first two where it is used
    model.json     how its answer becomes probabilities, and with which versions it was written
    trunk.keras    where vectors come from a pretrained network: from base features to the vector

Nothing is unpickled: skops builds objects of types it knows to be harmless, and of those listed here.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import write_text, write_whole
from genre_models.errors import GenreModelsError
from genre_models.principal_components import Components
from genre_models.temperature import class_decisions, softmax
from genre_models.vectors import vector_rows

MODEL, FACTS, TRUNK = "model.skops", "model.json", "trunk.keras"
FORMAT = 1
_STEPS = ("StandardScaler", "PCA")
_CLASSIFIERS = (
    "SVC", "LinearSVC", "LogisticRegression", "MLPClassifier", "RandomForestClassifier", "HistGradientBoostingClassifier",
)
# Compiled types that skops does not vouch for: they hold node tables, whose indices are checked after loading, and no code.
_TREE, _PREDICTOR = "sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
TRUSTED = (_TREE, _PREDICTOR)


@dataclass(frozen=True)
class VectorModel:
    """A fitted pipeline.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        From vectors as they come to the classifier's answer.
    temperature : float or None
        See `genre_models.temperature`; None where the classifier has probabilities of its own.
    n_features, n_classes : int
    """

    pipeline: Any
    temperature: float | None
    n_features: int
    n_classes: int

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of vectors [shape=(n, n_features)], as float32 [shape=(n, n_classes)]; 0 for a class it was not fitted on.

        Raises
        ------
        GenreModelsError
            The vectors have another length.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise GenreModelsError(f"the model takes vectors of {self.n_features} numbers, but got an array of {x.shape}")
        rows, (*before, (_, classifier)) = vector_rows(self.n_features), self.pipeline.steps
        parts = [np.zeros((0, self.n_classes), np.float32)]
        for start in range(0, len(x), rows):
            block = x[start : start + rows].astype(np.float32)
            parts.append(class_probabilities(classifier, reduced(before, block), self.n_classes, self.temperature))
        return np.concatenate(parts)


def class_probabilities(classifier: Any, x: np.ndarray, n_classes: int, temperature: float | None) -> np.ndarray:
    """A fitted classifier's probabilities of what it was fitted on, vectors after scaling and components [shape=(n, n_classes)]."""
    if temperature is not None:
        return softmax(class_decisions(classifier, x, n_classes), temperature).astype(np.float32)
    p = np.zeros((len(x), n_classes), np.float32)
    with few_threads(classifier):
        p[:, classifier.classes_] = classifier.predict_proba(x)
    return p


def few_threads(classifier: Any) -> AbstractContextManager:
    """While boosted trees work: OpenMP's threads kept to one.

    They do a little at a time and then wait for each other busily: on 568 tracks of 57 features and a machine of two cores, two threads
    took 1.2 s with nothing beside them and 33 s with another process beside them.
    """
    if type(classifier).__name__ != "HistGradientBoostingClassifier":
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


def reduced(steps: Sequence[tuple[str, Any]], x: np.ndarray) -> np.ndarray:
    """Vectors after scaling and components, the steps before a pipeline's classifier; there may be none."""
    for _, step in steps:
        x = step.transform(x)
    return x


def reduction(mean: np.ndarray, deviation: np.ndarray | None, components: Components | None, share: float) -> list[tuple[str, Any]]:
    """Steps of a pipeline, fitted, from numbers found elsewhere.

    Parameters
    ----------
    mean : np.ndarray [shape=(d,)]
        Of the training items.
    deviation : np.ndarray [shape=(d,)] or None
        Where features are standardised.
    components : Components or None
    share : float
        Of the variance that components are kept for.

    Returns
    -------
    list of (str, transformer)
        Empty where there is nothing to do.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    steps: list[tuple[str, Any]] = []
    d = len(mean)
    if deviation is not None:
        scaler = StandardScaler()
        scaler.mean_, scaler.scale_, scaler.var_ = mean, deviation, deviation**2
        scaler.n_features_in_, scaler.n_samples_seen_ = d, 1
        steps.append(("standardise", scaler))
    if components is not None:
        directions = components.first(share)
        k = len(directions)
        pca = PCA(n_components=k)
        pca.components_, pca.explained_variance_ = directions, components.variances[:k]
        pca.mean_ = np.zeros(d, np.float32) if deviation is not None else mean
        pca.n_components_, pca.n_features_in_, pca.noise_variance_ = k, d, 0.0
        steps.append(("pca", pca))
    return steps


def save_vector_model(model: VectorModel, folder: str | Path) -> None:
    """Write ``model.skops`` and ``model.json`` into a folder that exists."""
    import skops
    import sklearn
    from skops.io import dump

    folder = Path(folder)
    write_whole(folder / MODEL, lambda path: dump(model.pipeline, path))
    versions = {"scikit-learn": sklearn.__version__, "skops": skops.__version__}
    sizes = {"n_features": model.n_features, "n_classes": model.n_classes}
    classifier = type(model.pipeline[-1]).__name__
    told = {"format": FORMAT, "classifier": classifier, **sizes, "temperature": model.temperature, "versions": versions}
    write_text(folder / FACTS, json.dumps(told, indent=2))


def load_vectors_predictor(folder: str | Path) -> Callable[[np.ndarray], np.ndarray]:
    """Load what `save_vector_model` wrote.

    Returns
    -------
    callable
        Vectors [shape=(n, n_features)] to probabilities, float32 [shape=(n, n_classes)].

    Raises
    ------
    GenreModelsError
        A file is missing or can't be read, or the model holds objects of types that it may not hold.
    """
    from skops.io import get_untrusted_types, load

    path = Path(folder) / MODEL
    try:
        told = json.loads((Path(folder) / FACTS).read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            found = f"{Path(folder) / FACTS}: found format {told['format']}, this version reads {FORMAT}"
            raise GenreModelsError(f"{found}: train the model again")
        strange = sorted(set(get_untrusted_types(file=path)) - set(TRUSTED))
        if strange:
            raise GenreModelsError(f"{path}: holds {', '.join(strange)}, which no model of this project does: it is not loaded")
        pipeline = load(path, trusted=list(TRUSTED))
        model = VectorModel(pipeline, told["temperature"], int(told["n_features"]), int(told["n_classes"]))
    except GenreModelsError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, zipfile.BadZipFile) as error:
        raise GenreModelsError(f"{path}: the model can't be read ({type(error).__name__}: {error}): train it again") from error
    _check(path, model)
    return model


def _check(path: Path, model: VectorModel) -> None:
    """Refuse what is not one of our pipelines, and tree tables that point outside themselves: compiled code would follow them."""
    from sklearn.pipeline import Pipeline

    names = [type(step).__name__ for _, step in model.pipeline.steps] if isinstance(model.pipeline, Pipeline) else []
    is_ours = bool(names) and names[-1] in _CLASSIFIERS and all(name in _STEPS for name in names[:-1])
    if not is_ours or not all(_is_sound(nodes, width) for nodes, width in _node_tables(model.pipeline[-1])):
        found = "trees that point outside themselves" if is_ours else f"steps {', '.join(names) or 'none'}"
        raise GenreModelsError(f"{path}: {found}: not a model of this project; it is not loaded")


def _node_tables(classifier: Any) -> list[tuple[np.ndarray, int]]:
    """The node tables of a forest or of boosted trees, each with the number of features its trees may ask for."""
    name, width = type(classifier).__name__, int(classifier.n_features_in_)
    if name == "RandomForestClassifier":
        return [(tree.tree_.__getstate__()["nodes"], width) for tree in classifier.estimators_]
    if name == "HistGradientBoostingClassifier":
        return [(predictor.nodes, width) for iteration in classifier._predictors for predictor in iteration]
    return []


def _is_sound(nodes: np.ndarray, width: int) -> bool:
    """Whether children come after their parents and within the table, features exist, and no node points anywhere else."""
    is_forest = "left_child" in nodes.dtype.names
    children, feature = (("left_child", "right_child"), "feature") if is_forest else (("left", "right"), "feature_idx")
    is_split = nodes["left_child"] != -1 if is_forest else nodes["is_leaf"] == 0
    split, numbers = nodes[is_split], np.flatnonzero(is_split)
    if not is_forest and nodes["is_categorical"].any():
        return False  # such a node points into another table; no model of this project has one
    in_table = all(np.all((split[child] > numbers) & (split[child] < len(nodes))) for child in children)
    return len(nodes) > 0 and in_table and bool(np.all((split[feature] >= 0) & (split[feature] < width)))
