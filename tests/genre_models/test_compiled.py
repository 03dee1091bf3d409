"""A family's network under Keras' own `fit`: the same network, scores and schedules as a trial's."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models.compilable import not_compilable
from genre_models.errors import GenreModelsError
from genre_models.families import FAMILIES
from genre_models.settings import FeatureSettings
from search.space import FamilySpace, FloatDomain, IntDomain, Parameter

LABELS = ("a", "b", "c")
PARAMS = {"depth": 2, "filters": 4, "batch_size": 16, "batch_norm": True, "label_smoothing": 0.2, "dropout": 0.2, "schedule": "cosine", "learning_rate": 3e-3}


def values(family: str, *parameters: Parameter) -> dict[str, tuple]:
    space = FamilySpace(family, parameters, FAMILIES[family].defaults())
    return {name: space.values(name) for name in space.defaults}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_as_they_are_declared(family: str) -> None:
    told = not_compilable(family, values(family), FeatureSettings().model_dump())
    assert told == ([] if FAMILIES[family].has_epochs else [f"families.{family}: it trains no Keras network that could be had alone; leave the family out"])


@pytest.mark.parametrize(
    ("parameter", "refused"),
    [
        (Parameter("mixup", FloatDomain(0.0, 0.4)), True),
        (Parameter("copies", IntDomain(0, 2)), True),
        (Parameter("segments", IntDomain(0, 1)), False),
        (Parameter("segments", IntDomain(1, 4)), True),
        (Parameter("dropout", FloatDomain(0.0, 0.4)), False),
    ],
)
def test_what_a_space_could_ask_for_decides(parameter: Parameter, refused: bool) -> None:
    told = not_compilable("cnn", values("cnn", parameter), FeatureSettings().model_dump())
    assert [line.partition(":")[0] for line in told] == ([f"families.cnn.{parameter.name}"] if refused else [])


def arrays(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return (60 * y[:, None, None, None] + rng.integers(0, 90, (n, 16, 24, 1))).astype(np.uint8), y


@pytest.fixture(scope="module")
def data():
    from genre_models.compiled import ArrayData

    return ArrayData(*arrays(48, 0), LABELS, validation=arrays(24, 1))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_scores_are_those_of_a_trial_and_the_rate_follows_the_schedule(data) -> None:
    from genre_models.compiled import compiled, fit_arrays
    from genre_models.families.cnn import estimate
    from genre_models.metrics import accuracy, log_loss
    from genre_models.schedules import LearningRate

    made = compiled("cnn", PARAMS, data, epochs=4, seed=3)
    whole = FAMILIES["cnn"].defaults() | PARAMS
    assert sum(int(np.prod(v.shape)) for v in made.model.trainable_variables) == estimate(whole, (16, 24, 1), 3).parameters
    rates, rows = LearningRate.of(whole, 4, None, True), []
    for epoch in range(3):
        history = made.model.fit(**fit_arrays(data), **made.fit_arguments, initial_epoch=epoch, epochs=epoch + 1, callbacks=made.callbacks, verbose=0).history
        rows.append(made.row(epoch + 1, {name: each[-1] for name, each in history.items()}, 1.0))
    assert [row["learning_rate"] for row in rows] == pytest.approx([rates.rate(e) for e in (1, 2, 3)])
    logits = made.model.predict(data.features(data.validation_ids), verbose=0)  # the batch statistics are those of the last validation
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = data.targets(data.validation_ids)
    assert rows[-1]["val_loss"] == pytest.approx(log_loss(targets, p), rel=1e-4), "not the smoothed loss that is trained on"
    assert rows[-1]["val_accuracy"] == pytest.approx(accuracy(targets, p))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_same_seed_makes_the_same_network_and_early_stopping_is_the_configurations(data) -> None:
    from genre_models.compiled import compiled, fit_arrays

    first, again, other = (compiled("cnn", PARAMS, data, epochs=4, seed=seed).model.get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)) and not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    stops = PARAMS | {"early_stopping": True, "early_stopping_monitor": "val_loss", "early_stopping_patience": 1}
    stops |= {"learning_rate": 1.0, "optimizer": "sgd", "schedule": "plateau"}
    made = compiled("cnn", stops, data, epochs=30)
    done = made.model.fit(**fit_arrays(data), **made.fit_arguments, epochs=30, callbacks=made.callbacks, verbose=0)
    assert len(done.epoch) < 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "said"), [("classical", "classical: no family"), ("cn", "cn: no family"), ("vgg16", "vgg16: its head is on a pretrained network")]
)
def test_what_has_no_network_of_its_own_is_refused(data, family: str, said: str) -> None:
    from genre_models.compiled import compiled

    with pytest.raises(GenreModelsError, match=said):
        compiled(family, {}, data, epochs=1)
