"""What a family says about itself, as data.

Owns the shapes `Declared`, `Family` and `Cost`. Imports nothing but the standard library, so a space file can be checked against the
declarations in milliseconds. It must not import Keras, NumPy or anything of `search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Declared:
    """One parameter of a family.

    Parameters
    ----------
    name : str
    kind : str
        "int", "float", "bool", "choice", "widths" (integers joined by `-`, such as "32-64-128") or "text" (any, not empty).
    default : object
        Value taken when a space leaves the parameter out, or when it has no effect. A default of "" for widths means "not used".
    meaning : str
        One line with the unit, shown by `--describe`.
    low, high : float, optional
        Legal range, both ends included: of an int, of a float, or of each number of widths.
    choices : tuple
        Legal values of a choice; of a text examples, the usual ones; of widths ("",) where "not used" is legal but not the default.
    log : bool
        Whether a logarithmic scale is the natural one to search on.
    when : mapping of str to tuple
        Where the parameter has an effect: every named parameter must have one of the values listed.
    """

    name: str
    kind: str
    default: object
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple = ()
    log: bool = False
    when: Mapping[str, tuple] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Family:
    """A kind of model that a search may try.

    Parameters
    ----------
    name : str
        The key under `families:` in a space file.
    meaning : str
        One line, shown by `--describe`.
    parameters : tuple of Declared
    module : str
        Import path of the module with `estimate` and `fit`; it is imported only where a model is built or its cost is asked for.
    inputs : str
        What `fit` trains on: "spectrogram" (mel spectrograms or images as cached), "trunk" (the output of a pretrained network at parameter
        `cut`) or "vectors" (what parameter `input` names: handcrafted features, a table's row, or a trunk's output).
    has_epochs : bool
        Whether it trains in epochs. One that does not reports once, at the full budget.
    """

    name: str
    meaning: str
    parameters: tuple[Declared, ...]
    module: str
    inputs: str = "spectrogram"
    has_epochs: bool = True

    def defaults(self) -> dict[str, object]:
        """The default of every declared parameter, by name."""
        return {parameter.name: parameter.default for parameter in self.parameters}


@dataclass(frozen=True)
class Cost:
    """What a configuration costs, known before it is built.

    Parameters
    ----------
    parameters : int
        Trainable parameters.
    gflops : float
        Floating point operations of one item's forward pass, in 10^9, a multiplication and an addition counted as two. An item is what
        the network takes at once: a track, or a window of it where tracks are cut into segments.
    memory_mib : float
        Estimated memory of training in MiB: weights, gradients, optimizer slots and the activations of one batch, in float32.
    """

    parameters: int
    gflops: float
    memory_mib: float


def parse_widths(text: str) -> tuple[int, ...]:
    """Read widths such as "32-64-128".

    Parameters
    ----------
    text : str
        Integers joined by `-`, or "" for none.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        Where a part is no integer.
    """
    return tuple(int(part) for part in text.split("-")) if text else ()
