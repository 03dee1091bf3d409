"""What Ray Tune runs in its processes: one trial, an epoch a report. Loads Ray Tune in the function alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.depot import write_text
from search.errors import TrialFailed
from search.rules import SpecParts
from search.trial import Snapshot, not_finite
from search.trial_cost import CostMeter
from search.worker import Workplace, build_objective

#: Takes an epoch's row, as in an outcome's history.
Tell = Callable[[Mapping[str, float]], None]
#: Of this process: where Tune uses processes again, the next trial finds it built.
_built: list[Any] = []


def specification(config: Mapping[str, Any], parts: SpecParts) -> tuple[dict[str, Any], dict[str, Any]]:
    """A trial's specification and its sampled parameters, from the configuration that Tune hands out (`ray_tune_engine.DefineByRun`)."""
    family = config["family"]
    sampled = dict(config.get(family, {}))
    return parts.spec(family, sampled, config["number"]), sampled


def train(config: dict[str, Any], place: Workplace, parts: SpecParts, ends: str) -> None:
    """A function trainable, with this program's own training loop.

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

    def run(spec: dict[str, Any], tell: Tell) -> dict[str, Any]:
        def report(epoch: int, metrics: Mapping[str, float], snapshot: Snapshot) -> str:
            tell({"epoch": epoch, **metrics})
            return "continue"

        return _objective(place).run(spec, report)

    _train(config, parts, ends, run)


def train_by_fit(config: dict[str, Any], place: Workplace, parts: SpecParts, ends: str) -> None:
    """The same with ``model.fit`` and a callback that reports each epoch, as Ray's guides to Keras have it; `place` builds what a tool trains with `fit`."""

    def run(spec: dict[str, Any], tell: Tell) -> dict[str, Any]:
        trials = _objective(place)
        try:
            epochs = trials.make(spec).train(spec["epochs"], tell)
        except Exception as error:
            if (code := trials.reason_code(error)) != "exception":  # backends have words of their own for memory that is used up
                error.reason_code = code
            raise
        return {"epochs": epochs, "stopped_early": epochs < spec["epochs"]}

    _train(config, parts, ends, run)


def _objective(place: Workplace) -> Any:
    if not _built:
        _built.append(build_objective(place))
    return _built[0]


def _train(config: dict[str, Any], parts: SpecParts, ends: str, run: Callable[[dict[str, Any], Tell], dict[str, Any]]) -> None:
    """Run a trial whose epochs are told to Tune as rows, and leave word of its end."""
    from ray import tune

    spec, _ = specification(config, parts)
    left = Path(ends, f"{config['number']}.json")
    left.unlink(missing_ok=True)
    with CostMeter() as meter:

        def tell(row: Mapping[str, float]) -> None:
            if (bad := not_finite(row)) is not None:
                raise TrialFailed("nan", f"{bad} is {row[bad]} at epoch {row['epoch']}")
            tune.report({**row, "row": dict(row), "cost": meter.cost})

        try:
            parts.screen(spec)
            told: dict[str, Any] = {"outcome": run(spec, tell)}
        except Exception as error:
            code = getattr(error, "reason_code", "memory" if isinstance(error, MemoryError) else "exception")
            message = str(error) if hasattr(error, "reason_code") else f"{type(error).__name__}: {error}"
            write_text(left, json.dumps({"failed": code, "message": message, "cost": meter.cost}))
            raise
    write_text(left, json.dumps({**told, "cost": meter.cost}))
