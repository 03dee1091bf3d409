"""The classical family: classifiers of scikit-learn on vectors. scikit-learn is imported where one is fitted.

The parameters are in `classical_declaration`. A trial has no epochs: it reports once, at the full budget. Scaling and principal components
come from training items only. SVMs have no probabilities; theirs come from decision values (see `genre_models.temperature`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.errors import ConfigurationRefused, TrainingDiverged
from genre_models.families.classical_memory import fitting_mib
from genre_models.families.declaration import Cost, parse_widths

if TYPE_CHECKING:
    import numpy as np

    from genre_models.sklearn_model import VectorModel
    from genre_models.vectors import VectorData

SMALLEST_SHARE = 0.5
_MIB = 2**20


def estimate(
    params: Mapping[str, Any],
    input_shape: Sequence[int],
    n_classes: int,
    trunk: Mapping[str, Any] | None = None,
    *,
    n_items: int = 1000,
) -> Cost:
    """Cost of a configuration by arithmetic alone.

    Parameters
    ----------
    params : mapping
        Every declared parameter.
    input_shape : (d,)
    n_classes : int
    trunk : mapping, optional
        What is known of the network that vectors come from; they are cached, so it costs nothing here.
    n_items : int
        Training items: memory goes with their number, as that of other families goes with the batch.

    Returns
    -------
    Cost
        `parameters` exactly for linear models and MLPs, and the most there may be where components are chosen by variance; 0 for models
        whose size follows from the data. `memory_mib` is for all training items; see `classical_memory.fitting_mib`.

    Raises
    ------
    ConfigurationRefused
        A share of variance that is neither 0 nor one of 0.5 or more.
    """
    if 0 < params["pca"] < SMALLEST_SHARE:
        raise ConfigurationRefused(f"pca: found {params['pca']:g}; it must be 0, for none, or a part of the variance from {SMALLEST_SHARE}")
    d = int(input_shape[0])
    width = min(d, n_items) if params["pca"] else d
    outputs = 1 if n_classes == 2 else n_classes
    weights = 0
    if params["model"] in ("linear_svm", "logistic"):
        weights = (width + 1) * outputs
    elif params["model"] == "mlp":
        sizes = (width, *parse_widths(params["mlp_units"]), outputs)
        weights = sum((before + 1) * after for before, after in zip(sizes, sizes[1:]))
    components = 24 * min(d, n_items) ** 2 + 8 * min(d, n_items) * d if params["pca"] else 0
    fitting = fitting_mib(params, n_items, d, width, n_classes, weights)
    multiplied = weights + (width * d if params["pca"] else 0)
    return Cost(parameters=weights, gflops=2 * multiplied / 1e9, memory_mib=fitting + components / _MIB)


@dataclass(frozen=True)
class FittedClassical:
    """A fitted classifier; attributes as of `genre_models.fitted.Fitted`, with one row of history, of the full budget.

    Attributes
    ----------
    parameters : int
        Numbers that were learned from the data, those of support vectors and tree nodes included.
    """

    model: VectorModel
    data: VectorData
    epochs: int
    history: list[dict[str, float]]
    parameters: int
    phases: dict[str, float]
    best_epoch: int = 1
    stopped_early: bool = False

    def predict(self, ids: Sequence[str]) -> np.ndarray:
        """Probabilities of tracks [shape=(len(ids), n_classes), dtype=float32]."""
        return predict_tracks(self.model, self.data, ids)

    def save(self, folder: str | Path) -> None:
        """Write ``model.skops``, ``model.json`` and, where vectors come from a pretrained network, ``trunk.keras``."""
        from genre_models.families.feedforward_network import vector_trunk
        from genre_models.sklearn_model import TRUNK, save_vector_model

        save_vector_model(self.model, folder)
        if self.data.trunk is not None:
            vector_trunk(self.data.trunk).save(Path(folder) / TRUNK)


def fit(
    params: Mapping[str, Any],
    data: VectorData,
    *,
    epochs: int,
    seed: int,
    report: Callable[..., str],
    resume: str | None = None,
    precision: str = "float32",
    learning_rates: Sequence[float] | None = None,
) -> FittedClassical:
    """Fit one configuration.

    Parameters
    ----------
    params : mapping
        Every declared parameter.
    data : VectorData
        Without `validation_ids` nothing is scored.
    epochs : int
        Full budget: what is reported at.
    seed : int
    report : callable
        ``report(epochs, metrics, snapshot)``, once.
    resume, precision, learning_rates
        Of no effect: there is nothing to resume and no rate, and scikit-learn computes in its own precision.

    Returns
    -------
    FittedClassical

    Raises
    ------
    ConfigurationRefused
        As `estimate` does; or all training tracks are of one class.
    TrainingDiverged
        The features or the classifier's answers are not finite.
    """
    from genre_models.families.classical_models import learned_numbers

    estimate(params, data.input_shape, len(data.labels))
    started = time.perf_counter()
    model, x, y, owners, built = _fitted_model(params, data, seed)
    fitted = time.perf_counter()
    metrics = _scores(model, x, y, owners, data)
    del x
    ended = time.perf_counter()
    metrics |= {"learning_rate": 0.0, "seconds": ended - started}
    report(epochs, metrics, lambda folder: Path(folder).mkdir(parents=True, exist_ok=True))
    phases = {"build": built - started, "train": fitted - built, "validate": ended - fitted, "report": time.perf_counter() - ended}
    return FittedClassical(model, data, epochs, [{"epoch": epochs, **metrics}], learned_numbers(model.pipeline[-1]), phases)


def predict_tracks(model: VectorModel, data: VectorData, ids: Sequence[str]) -> np.ndarray:
    """Probabilities of tracks, each the mean of its items' [shape=(len(ids), n_classes), dtype=float32]."""
    import numpy as np

    from genre_models.segments import by_owner
    from genre_models.vectors import vector_blocks

    items, owners = data.items_of(ids)
    p = np.zeros((len(items), model.n_classes), np.float32)
    for where, block in vector_blocks(data, items):
        p[where] = model(block)
    return by_owner(p, owners, len(ids))


def _fitted_model(params: Mapping[str, Any], data: VectorData, seed: int) -> tuple[Any, ...]:
    """The model, what its classifier was fitted on (vectors, classes, each item's track), and when that was ready."""
    import numpy as np
    from sklearn.pipeline import Pipeline

    from genre_models.families.classical_models import fit_classifier
    from genre_models.sklearn_model import VectorModel, reduced, reduction
    from genre_models.vectors import vector_blocks

    items, owners = data.items_of(data.train_ids)
    y = np.asarray(data.targets(items))
    if len(set(y)) < 2:
        only = f"all {len(data.train_ids)} training tracks are of the class {data.labels[y[0]]!r}"
        raise ConfigurationRefused(f"{params['model']}: {only}, but a classifier needs tracks of two classes or more")
    steps = reduction(*_scaling(params, data, items), params["pca"])
    width = len(steps[-1][1].components_) if params["pca"] else data.input_shape[0]
    x = np.empty((len(items), width), np.float32)
    for where, block in vector_blocks(data, items):
        x[where] = reduced(steps, block)
    built = time.perf_counter()
    try:
        groups = data.groups_of(data.train_ids)[owners] if hasattr(data, "groups_of") else owners
        fitted, temperature = fit_classifier(params, x, y, groups, len(data.labels), seed % 2**32)
    except ValueError as error:
        if "finite" not in str(error):
            raise
        raise TrainingDiverged(f"{params['model']}: {error}; a lower learning rate may help") from error
    for training_only in ("_optimizer", "_random_state"):
        if hasattr(fitted, training_only):
            setattr(fitted, training_only, None)
    model = VectorModel(Pipeline([*steps, ("classifier", fitted)]), temperature, data.input_shape[0], len(data.labels))
    return model, x, y, owners, built


def _scaling(params: Mapping[str, Any], data: VectorData, items: Sequence[str]) -> tuple[Any, Any, Any]:
    """Mean, standard deviation (None where features are not standardised) and components (None where none are wanted)."""
    import numpy as np

    from genre_models.principal_components import training_components
    from genre_models.vectors import mean_and_deviation

    if params["pca"]:
        found = training_components(data, params["standardise"])
        return found.mean, found.deviation if params["standardise"] else None, found
    if params["standardise"]:
        return *mean_and_deviation(data, items), None
    return np.zeros(data.input_shape[0], np.float32), None, None


def _scores(model: VectorModel, x: np.ndarray, y: np.ndarray, owners: np.ndarray, data: VectorData) -> dict[str, float]:
    """Log loss (nats) and accuracy of training items, and of validation tracks where there are any."""
    import numpy as np

    from genre_models.metrics import accuracy, log_loss
    from genre_models.sklearn_model import class_probabilities
    from genre_models.vectors import vector_rows

    blocks = (x[start : start + vector_rows(x.shape[1])] for start in range(0, len(x), vector_rows(x.shape[1])))
    p = np.concatenate([class_probabilities(model.pipeline[-1], block, model.n_classes, model.temperature) for block in blocks])
    checked = [p]
    if len(data.validation_ids):
        checked.append(predict_tracks(model, data, data.validation_ids))
    if not all(np.isfinite(scores).all() for scores in checked):
        raise TrainingDiverged("the classifier's probabilities are not finite; a lower learning rate or a smaller C may help")
    metrics = {"loss": log_loss(y, p), "accuracy": accuracy(y, p)}
    if len(data.validation_ids):
        targets = data.targets(data.validation_ids)
        metrics |= {"val_loss": log_loss(targets, checked[1]), "val_accuracy": accuracy(targets, checked[1])}
    return metrics
