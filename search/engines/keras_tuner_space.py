"""A space as KerasTuner's hyperparameters, and a `HyperModel` over it: for the engine `keras-tuner`, and for scripts of the user's own.

Names are those of the study: ``family``, and ``FAMILY/PARAMETER``. What `when` says becomes conditions, so inactive parameters have no value.
Loads KerasTuner, and with it Keras: import it where that is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import keras_tuner
from keras_tuner.src.engine.conditions import Condition, Parent  # it has no public name

from search.domains import ChoiceDomain, Domain, Fixed, FloatDomain, IntDomain, same
from search.space import FamilySpace, Parameter

FAMILY = "family"


class Made(Protocol):
    """A network ready for ``model.fit``.

    Attributes
    ----------
    model : keras.Model
        Compiled.
    fit_arguments : mapping
        For ``model.fit``, such as ``batch_size``; what the caller of ``tuner.search`` gives wins.
    callbacks : sequence
        Keras callbacks that belong to the configuration, such as its schedule.
    """

    model: Any
    fit_arguments: Mapping[str, Any]
    callbacks: Sequence[Any]


class SpaceModel(keras_tuner.HyperModel):
    """The `HyperModel` of a space.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    make : callable
        ``make(family, params) -> Made``; `params` has every declared parameter.
    """

    def __init__(self, families: Mapping[str, FamilySpace], make: Callable[[str, dict[str, Any]], Made]) -> None:
        super().__init__()
        self._families, self._make = dict(families), make
        self.made: Made | None = None

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Make the whole space known; KerasTuner calls it before its first trial."""
        declare(hp, self._families)

    def build(self, hp: keras_tuner.HyperParameters) -> Any:
        """The compiled network of a configuration."""
        declare(hp, self._families)
        family, sampled = drawn(hp.values, self._families)
        self.made = self._make(family, self._families[family].resolve(sampled))
        return self.made.model

    def fit(self, hp: keras_tuner.HyperParameters, model: Any, *args: Any, callbacks: Sequence[Any] = (), **given: Any) -> Any:
        """``model.fit`` with what belongs to the configuration; returns its history."""
        return model.fit(*args, **{**self.made.fit_arguments, **given}, callbacks=[*callbacks, *self.made.callbacks])


def declare(hp: keras_tuner.HyperParameters, families: Mapping[str, FamilySpace]) -> None:
    """Register all parameters of a space, each with its conditions.

    Parameters
    ----------
    hp : keras_tuner.HyperParameters
    families : mapping of name to FamilySpace
    """
    hp.Choice(FAMILY, list(families))
    for family, space in families.items():
        by_name = {p.name: p for p in space.parameters}
        for parameter in space.parameters:
            with _conditions(hp, [Parent(FAMILY, [family]), *_wanted(family, parameter, by_name)]):
                _register(hp, f"{family}/{parameter.name}", parameter.domain)


def drawn(values: Mapping[str, Any], families: Mapping[str, FamilySpace]) -> tuple[str, dict[str, Any]]:
    """What KerasTuner drew, in this program's words.

    Parameters
    ----------
    values : mapping
        ``hp.values``: of active parameters by name; what is KerasTuner's own (``tuner/…``) is passed over.
    families : mapping of name to FamilySpace

    Returns
    -------
    (family, sampled)
        `sampled` has the searched parameters that are active, as `FamilySpace.sample` gives them.
    """
    family = values[FAMILY]
    return family, families[family].sample(lambda p: decoded(values[f"{family}/{p.name}"], p.domain))


def decoded(value: Any, domain: Domain) -> Any:
    """A value of KerasTuner's as the domain has it."""
    if isinstance(domain, ChoiceDomain) and not _is_native(domain):
        return json.loads(value)
    return min(value, domain.high) if isinstance(domain, IntDomain) else value  # on a logarithmic scale it rounds down from one more


def _encoded(value: Any, domain: Domain) -> Any:
    """A value of the domain as KerasTuner has it."""
    if isinstance(domain, ChoiceDomain):
        exact = next(each for each in domain.values if same(each, value))
        return exact if _is_native(domain) else json.dumps(exact)
    if isinstance(domain, FloatDomain):
        return next(each for each in _stepped(domain) if same(each, value))
    return _scalar(value) if isinstance(domain, Fixed) else value


def _is_native(domain: ChoiceDomain) -> bool:
    """Whether KerasTuner takes the values as they are: they must be of one type, and truth values be both of them; others travel as JSON texts."""
    kinds = {type(value) for value in domain.values}
    return len(kinds) == 1 and (kinds <= {str, int, float} or set(domain.values) == {True, False} and kinds == {bool})


def _scalar(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _stepped(domain: FloatDomain) -> list[float]:
    """All values of a float with a step. KerasTuner counts steps in floating point, and would lose the last one of 0 to 1 by 0.1."""
    return [min(domain.low + k * domain.step, domain.high) for k in range(int(domain.size()))]


def _register(hp: keras_tuner.HyperParameters, name: str, domain: Domain) -> None:
    if isinstance(domain, Fixed):
        hp.Fixed(name, _scalar(domain.value))
    elif isinstance(domain, IntDomain):
        # On a logarithmic scale KerasTuner's step is a factor; ours are without a step there.
        hp.Int(name, domain.low, domain.high, **({"sampling": "log"} if domain.log else {"step": domain.step}))
    elif isinstance(domain, FloatDomain) and domain.step is not None:
        hp.Choice(name, _stepped(domain))
    elif isinstance(domain, FloatDomain):
        hp.Float(name, domain.low, domain.high, sampling="log" if domain.log else "linear")
    elif _is_native(domain) and isinstance(domain.values[0], bool):
        hp.Boolean(name)
    else:
        hp.Choice(name, [_encoded(value, domain) for value in domain.values])


def _wanted(family: str, parameter: Parameter, by_name: Mapping[str, Parameter]) -> list[Condition]:
    """The conditions of a parameter, after those of the parameters it depends on."""
    found: list[Condition] = []
    for parent, wanted in parameter.when.items():
        domain = by_name[parent].domain
        own = Parent(f"{family}/{parent}", [_encoded(value, domain) for value in wanted])
        found += [each for each in (*_wanted(family, by_name[parent], by_name), own) if each not in found]
    return found


@contextmanager
def _conditions(hp: keras_tuner.HyperParameters, conditions: Sequence[Condition]) -> Iterator[None]:
    """What is registered inside is active where all of these hold. `hp.conditional_scope` takes a second parent only if that depends on the first."""
    hp._conditions.extend(conditions)
    try:
        yield
    finally:
        del hp._conditions[-len(conditions) :]
