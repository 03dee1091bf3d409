"""A small family and task sections of the tests' own: the engine's tests know no genre models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


@dataclass(frozen=True)
class Declared:
    """A parameter as families declare it; the engine reads attributes only."""

    name: str
    kind: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    log: bool = False
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Likewise."""

    name: str
    meaning: str
    parameters: tuple[Declared, ...]


NET = Family(
    "net",
    "A network that nobody trains",
    (
        Declared("depth", "int", 3, "Blocks", 1, 6, when={"layers": ("",)}),
        Declared("layers", "widths", "", "Widths in place of depth", low=1, high=512),
        Declared("pool", "widths", "2-2", "Pool sizes", low=1, high=8),
        Declared("rate", "float", 1e-3, "Step size", 1e-5, 1e-1, log=True),
        Declared("dropout", "float", 0.2, "Part dropped", 0.0, 0.7),
        Declared("masked", "bool", False, "Whether to mask"),
        Declared("mask", "int", 5, "Mask width, in bins", 0, 27, when={"masked": (True,)}),
        Declared("schedule", "choice", "constant", "Rate over time", choices=("constant", "cosine", "plateau")),
        Declared("factor", "float", 0.5, "Plateau factor", 0.1, 0.9, when={"schedule": ("plateau",)}),
        Declared("patience", "int", 5, "Plateau patience, in epochs", 1, 50, when={"factor": (0.5,)}),
    ),
)
TREE = Family("tree", "Something else", (Declared("leaves", "int", 8, "Leaves", 2, 64, log=True),))
FAMILIES = {"net": NET, "tree": TREE}


class Inner(BaseModel):
    """A section inside a section."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    holdout: float = Field(default=0.2, gt=0, lt=1)


class Data(BaseModel):
    """A task section that no family may override."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str = "demo"
    validation: Inner = Inner()


class Features(BaseModel):
    """A task section that a family may override."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bands: int = Field(default=64, ge=8)
    window: int = Field(default=2048, ge=16)
    step: int = 512
    colour: Literal["grey", "rgb"] = "grey"

    @model_validator(mode="after")
    def _step_is_in_the_window(self) -> Features:
        if self.step > self.window:
            raise ValueError(f"step <= window must hold, but got step={self.step}, window={self.window}")
        return self


SECTIONS = {"data": Data, "features": Features}
METRICS = {"val_accuracy": "maximize", "val_loss": "minimize"}
