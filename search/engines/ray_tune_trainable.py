"""What Ray Tune runs in its processes: one trial, an epoch a report. Loads Ray Tune in the function alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.depot import write_text
from search.errors import TrialFailed
from search.rules import SpecParts
from search.trial import Objective, Snapshot, not_finite
from search.trial_cost import CostMeter
from search.worker import Workplace, build_objective

#: Of this process: where Tune uses processes again, the next trial finds it built.
_built: list[Objective] = []


def specification(config: Mapping[str, Any], parts: SpecParts) -> tuple[dict[str, Any], dict[str, Any]]:
    """A trial's specification and its sampled parameters, from the configuration that Tune hands out (`ray_tune_engine.DefineByRun`)."""
    family = config["family"]
    sampled = dict(config.get(family, {}))
    return parts.spec(family, sampled, config["number"]), sampled


def train(config: dict[str, Any], place: Workplace, parts: SpecParts, ends: str) -> None:
    """A function trainable.

    Parameters
    ----------
    config : dict
        ``family``, its parameters below its name, and ``number``.
    place : Workplace
    parts : SpecParts
    ends : str
        Folder in which ``NUMBER.json`` tells how the training ended: ``outcome``, or ``failed`` and ``message``; and ``cost``. One that Tune
        stops leaves none.
    """
    from ray import tune

    spec, _ = specification(config, parts)
    left = Path(ends, f"{config['number']}.json")
    left.unlink(missing_ok=True)
    with CostMeter() as meter:

        def report(epoch: int, metrics: Mapping[str, float], snapshot: Snapshot) -> str:
            if (bad := not_finite(metrics)) is not None:
                raise TrialFailed("nan", f"{bad} is {metrics[bad]} at epoch {epoch}")
            tune.report({**metrics, "epoch": epoch, "row": {"epoch": epoch, **metrics}, "cost": meter.cost})
            return "continue"

        try:
            parts.screen(spec)
            if not _built:
                _built.append(build_objective(place))
            told: dict[str, Any] = {"outcome": _built[0].run(spec, report)}
        except Exception as error:
            code = getattr(error, "reason_code", "memory" if isinstance(error, MemoryError) else "exception")
            message = str(error) if hasattr(error, "reason_code") else f"{type(error).__name__}: {error}"
            write_text(left, json.dumps({"failed": code, "message": message, "cost": meter.cost}))
            raise
    write_text(left, json.dumps({**told, "cost": meter.cost}))
