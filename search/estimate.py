"""What a search will cost, told before it is paid."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.config import SearchConfig
from search.progress import duration
from search.rules import SpecParts
from search.sampling import Proposer
from search.worker import available_cores

#: Configurations drawn at random to learn what is typical of a space.
_DRAWN = 200
#: Part of a core's matrix-product speed that training reaches (docs/benchmarks.md, "A search on real music").
_REACHED = 0.15


@dataclass(frozen=True)
class TypicalCost:
    """Costs of configurations drawn at random from a space.

    Attributes
    ----------
    gflops : list of float
        Forward pass of one item, 10^9 floating point operations, of the configurations that are not refused; ascending.
    parameters : list of int
        Ascending.
    epoch_gflops : list of float
        Of an epoch, where the task could tell.
    refused : float
        Part of the drawn configurations that are refused, 0 to 1.
    reason : str or None
        Of one refusal.
    """

    gflops: list[float]
    parameters: list[int]
    refused: float
    reason: str | None
    epoch_gflops: list[float] = field(default_factory=list)


def typical_cost(
    config: SearchConfig,
    sections: Mapping[str, Mapping[str, Any]],
    screen: Callable[[dict[str, Any]], Mapping[str, Any]],
    blocked: Collection[str] = (),
) -> TypicalCost:
    """Draw configurations, not of blocked families, and ask `screen` for their declared costs."""
    proposer = Proposer(config.families, "random", config.seed, maximize=True, blocked=blocked)
    gflops, parameters, epochs, reasons = [], [], [], []
    parts = SpecParts(
        epochs=config.budget.max_epochs,
        seed=config.seed,
        precision="float32",
        resolve=lambda family, sampled: config.families[family].resolve(sampled),
        sections=sections,
        screen=screen,
    )
    for number in range(_DRAWN):
        family, sampled, _ = proposer.propose(number)
        spec = parts.spec(family, sampled, number)
        try:
            cost = screen(spec)
        except Exception as error:
            if getattr(error, "reason_code", None) != "refused":
                raise
            reasons.append(str(error))
        else:
            gflops.append(cost["gflops"])
            parameters.append(cost["parameters"])
            epochs += [cost["epoch_gflops"]] if "epoch_gflops" in cost else []
    return TypicalCost(sorted(gflops), sorted(parameters), len(reasons) / _DRAWN, reasons[0] if reasons else None, epochs)


def cost_lines(config: SearchConfig, cost: TypicalCost, epochs: int | None) -> list[str]:
    """What configurations cost, and roughly how long `epochs` epochs of them take."""
    if not cost.gflops:
        return [f"all of {_DRAWN} configurations drawn at random would be refused, one because: {cost.reason}"]
    middle = len(cost.gflops) // 2
    lines = [
        f"{_DRAWN} configurations drawn at random: {cost.parameters[0]:,} to {cost.parameters[-1]:,} parameters "
        f"(median {cost.parameters[middle]:,}), {cost.gflops[0]:.3g} to {cost.gflops[-1]:.3g} GFLOP an item (median {cost.gflops[middle]:.3g})"
    ]
    if cost.refused:
        lines.append(f"{100 * cost.refused:.0f} % of them would be refused, one because: {cost.reason}")
    if cost.epoch_gflops:
        work = sum(cost.epoch_gflops) / len(cost.epoch_gflops)
        share = len(cost.epoch_gflops) / len(cost.gflops)  # of configurations that train in epochs
        seconds = work / (_REACHED * core_gflops() * config.resources.cpus)
        workers = 1 if config.engine == "inline" else config.workers or max(1, available_cores() // config.resources.cpus)
        told = f"time, roughly (a factor of 2 or 3 either way): {duration(seconds)} an epoch"
        if epochs is not None:
            told += (
                f", {duration(epochs * share * seconds / workers)} in all on {workers} worker{'s' if workers > 1 else ''}; not in it: what is made before the "
                f"first trial{', and families that report once' if share < 1 else ''}"
            )
        lines.append(told)
    return lines


def core_gflops() -> float:
    """10^9 floating point operations a second of one core here, by the best of a few matrix products."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    n = 512
    a = np.ones((n, n), dtype=np.float32)
    best = float("inf")
    with threadpool_limits(1):
        for _ in range(20):
            started = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - started)
    return 2 * n**3 / best / 1e9
