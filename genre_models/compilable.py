"""Which families, parameters and settings `genre_models.compiled` can have trained by ``model.fit``, and what does it, built.

Importing this module loads no framework.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genre_models.families import FAMILIES

if TYPE_CHECKING:
    from genre_models.compiled import CompiledTrials

#: Parameters that change items while batches are drawn, or the network on the way: what they are where they do nothing.
OFF: Mapping[str, tuple[Any, ...]] = {"mixup": (0, 0.0), "copies": (0,), "random_crop": (False,), "fine_tune_blocks": (0,), "segments": (0, 1)}


def not_compilable(family: str, values: Mapping[str, Sequence[Any]], features: Mapping[str, Any]) -> list[str]:
    """Why trials of a family can't be trained by ``model.fit`` on arrays, a line each, with the key first; empty where they can.

    Parameters
    ----------
    family : str
    values : mapping of str to sequence
        Of each declared parameter all values that it may take; of a range of floats the ends.
    features : mapping
        The family's resolved feature settings.
    """
    declared = FAMILIES[family]
    if not declared.has_epochs or not hasattr(importlib.import_module(declared.module), "builder"):
        return [f"families.{family}: it trains no Keras network that could be had alone; leave the family out"]
    found = []
    for name, off in OFF.items():
        if any(value not in off for value in values.get(name, ())):
            found.append(f"families.{family}.{name}: model.fit on arrays has no such thing; it must be {off[0]}")
    if features.get("segments", 1) != 1:
        found.append(f"features.segments: found {features['segments']}; model.fit would score windows instead of tracks; it must be 1")
    return found


def build(task: Mapping[str, Any]) -> CompiledTrials:
    """What a tool that trains with ``model.fit`` builds once; parameters and errors as of `genre_models.objective.build`."""
    from genre_models import objective

    made = objective.build(task)  # Keras is loaded here, on the task's backend, and before anything else imports it
    from genre_models.compiled import CompiledTrials

    return CompiledTrials(task, made)
