"""A space as KerasTuner's hyperparameters: whatever it draws is a legal configuration, and inactive parameters have no value."""

from __future__ import annotations

from typing import Any

import pytest

from search.space import ChoiceDomain, FamilySpace, Fixed, FloatDomain, IntDomain, Parameter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PARAMETERS = (
    Parameter("stepped", IntDomain(1, 7, 2)),
    Parameter("log_int", IntDomain(1, 64, log=True)),
    Parameter("stepped_float", FloatDomain(0.0, 1.0, 0.1)),
    Parameter("log_float", FloatDomain(1e-4, 1e-1, log=True)),
    Parameter("one", IntDomain(3, 3)),
    Parameter("mixed", ChoiceDomain((1, "a", True, 0.5))),
    Parameter("flag", ChoiceDomain((True, False))),
    Parameter("only", ChoiceDomain((True,))),
    Parameter("numbers", ChoiceDomain((0.1, 0.2))),
    Parameter("texts", ChoiceDomain(("32-64", ""))),
    Parameter("constant", Fixed("32-64")),
    Parameter("off", Fixed(False)),
    Parameter("of_two", IntDomain(1, 3), {"mixed": (True, "a"), "flag": (True,)}),
    Parameter("of_that", FloatDomain(0.0, 1.0), {"of_two": (2, 3), "stepped_float": (0.3, 0.5, 1.0)}),
    Parameter("of_constant", IntDomain(1, 2), {"constant": ("32-64",)}),
    Parameter("fixed_where", Fixed(5), {"flag": (False,)}),
)
FAMILIES = {
    "net": FamilySpace("net", PARAMETERS, dict.fromkeys((p.name for p in PARAMETERS), 0)),
    "tree": FamilySpace("tree", (Parameter("leaves", ChoiceDomain((3, 5))),), {"leaves": 3, "never": 7}),
}


def draws(seed: int, n: int) -> list[dict[str, Any]]:
    """Values as KerasTuner's Hyperband draws them."""
    import keras_tuner

    from search.engines.keras_tuner_space import declare

    hp = keras_tuner.HyperParameters()
    declare(hp, FAMILIES)
    oracle = keras_tuner.oracles.HyperbandOracle(keras_tuner.Objective("score", "max"), seed=seed, hyperparameters=hp)
    return [oracle._random_values() for _ in range(n)]


def test_whatever_is_drawn_is_legal_and_inactive_parameters_are_absent() -> None:
    from search.engines.keras_tuner_space import drawn

    seen: dict[str, set[str]] = {}
    for values in draws(3, 600):
        family, sampled = drawn(values, FAMILIES)
        space = FAMILIES[family]
        resolved = space.resolve(sampled)  # raises where a value is not in its domain
        assert set(values) == {"family"} | {f"{family}/{name}" for name in space.active(sampled)}
        for name, value in resolved.items():
            seen.setdefault(name, set()).add(repr(value))
    assert seen["mixed"] == {"1", "'a'", "True", "0.5"}, "kinds of values are told apart"
    assert len(seen["stepped_float"]) == 11 and "1.0" in seen["stepped_float"], "the last step is one of them"
    assert seen["stepped"] == {"1", "3", "5", "7"} and seen["one"] == {"3"} and seen["off"] == {"False"}
    assert seen["log_int"] >= {"1", "2", "3"} and len(seen["log_int"]) > 20 and max(map(int, seen["log_int"])) <= 64
    small = sum(float(value) < 1e-2 for value in seen["log_float"])
    assert 0.5 < small / len(seen["log_float"]) < 0.8, "two of three decades"
    assert {"2", "3"} <= seen["of_two"] and len(seen["of_that"]) > 1


def test_a_model_is_built_of_what_is_drawn_and_trained_with_what_belongs_to_it() -> None:
    import keras_tuner

    from search.engines.keras_tuner_space import SpaceModel

    class Fake:
        fit_arguments, callbacks = {"batch_size": 7, "x": "items"}, ["schedule"]

        def __init__(self, family: str, params: dict[str, Any]) -> None:
            self.model, self.family, self.params, self.told = self, family, params, None

        def fit(self, *given: Any, **named: Any) -> str:
            self.told = given, named
            return "history"

    model = SpaceModel(FAMILIES, Fake)
    hp = keras_tuner.HyperParameters()
    hp.values = {"family": "tree", "tree/leaves": 5}
    made = model.build(hp)
    assert (made.family, made.params) == ("tree", {"leaves": 5, "never": 7})
    assert model.fit(hp, made, callbacks=["saver"], epochs=3, x="others") == "history"
    assert made.told == ((), {"batch_size": 7, "x": "others", "epochs": 3, "callbacks": ["saver", "schedule"]})
