"""What a search will do, before it does: rungs or brackets, trials, epochs."""

from __future__ import annotations

from search.config import SearchConfig
from search.estimate import TypicalCost, cost_lines
from search.grid import grid_size
from search.schedule import brackets, halving_epochs, hyperband_epochs, rungs
from search.schedulers.ladder import SecondsLadder
from search.thrift import CANDIDATES


def plan_text(config: SearchConfig, folds: int = 1, cost: TypicalCost | None = None) -> str:
    """The plan in words; with `cost` also the time it may take. `folds` is how many folds each trial is scored on."""
    budget = config.budget
    lines = [_scheduler_text(config)]
    parts = folds * config.repeats
    if parts > 1:
        rule = "" if config.scheduler == "none" else "; after each it may be stopped by its running mean"
        lines.append(f"a trial is trained {parts} times ({folds} folds, {config.repeats} repeats){rule}")
    if config.sampler == "grid":
        lines.append(_grid_text(config))
    if config.try_defaults:
        near = "; of the next few every second is drawn near them" if config.sampler != "random" else ""
        whole = ", to the end" if config.scheduler in ("asha", "none") else ""
        whose = "its defaults are" if len(config.families) == 1 else "the defaults of each family are"
        lines.append(f"first {whose} tried{whole}, as near as the space comes to them{near}")
    if config.frugal:
        lines.append(f"frugal: of {CANDIDATES} configurations drawn for a trial one is tried, the likelier the fewer seconds it is predicted to take")
    trials, epochs = planned_trials(config), None
    if trials is not None:
        everything = trials * budget.max_epochs * parts
        epochs = planned_epochs(config, trials, parts) if budget.resource == "epochs" else None
        about = f"about {epochs} epochs in all" if epochs is not None else "how many epochs depends on what they take"
        lines.append(f"{trials} trials: {about} ({everything} if every trial had the full budget)")
    if config.confirm is not None:
        more = config.confirm.top * config.confirm.folds * budget.max_epochs
        lines.append(f"then the best {config.confirm.top} are scored again on {config.confirm.folds} folds: {more} epochs")
        epochs = None if epochs is None else epochs + more
    if budget.minutes is not None:
        lines.append(f"it stops after {budget.minutes:g} minutes at the latest{', confirmation apart' if config.confirm is not None else ''}")
    if cost is not None:
        lines += cost_lines(config, cost, epochs)
    return "\n".join(lines)


def planned_trials(config: SearchConfig) -> int | None:
    """Trials of the whole study: the budget's, or all there are of a grid; None is no limit."""
    limits = (config.budget.trials, grid_size(config.families) if config.sampler == "grid" else None)
    return min((n for n in limits if n is not None), default=None)


def planned_epochs(config: SearchConfig, trials: int, parts: int) -> int:
    """Epochs that so many trials take if exactly one of `reduction_factor` passes each rung, confirmation apart."""
    budget, alive = config.budget, trials
    bounds = (budget.min_epochs, budget.max_epochs, budget.reduction_factor)
    if config.scheduler == "hyperband":
        plans = brackets(*bounds)
        total = hyperband_epochs(trials, plans, len(config.families))
        alive = -(-trials * sum(plan.sizes[-1] for plan in plans) // sum(plan.configurations for plan in plans))
    else:
        levels = rungs(*bounds) if config.scheduler != "none" else ()
        total = halving_epochs(trials, levels, budget.max_epochs, budget.reduction_factor)
        for _ in levels:
            alive = -(-alive // budget.reduction_factor)
    for _ in range(parts - 1):
        alive = alive if config.scheduler == "none" else -(-alive // budget.reduction_factor)
        total += alive * budget.max_epochs
    return total


def _scheduler_text(config: SearchConfig) -> str:
    budget = config.budget
    bounds = (budget.min_epochs, budget.max_epochs, budget.reduction_factor)
    full = f"full budget {budget.max_epochs} epochs"
    if config.scheduler == "none":
        return f"scheduler none: every trial runs to the end; {full}"
    if config.scheduler == "hyperband":
        told = "; ".join(
            " → ".join(f"{size} at {level}" for size, level in zip(plan.sizes, plan.levels, strict=True)) for plan in brackets(*bounds)
        )
        turns = ", each by one family, families in turn" if len(config.families) > 1 else ""
        return f"scheduler hyperband: brackets of (trials at epochs) {told}{turns}; {full}"
    if budget.resource == "seconds":
        first = ", ".join(f"{level:g}" for level in SecondsLadder(budget.min_seconds, budget.reduction_factor).levels[:4])
        return f"scheduler asha: rungs at {first}, … seconds of a trial's training, from epoch {budget.min_epochs} on; {full}"
    what = "pauses at" if config.scheduler == "asha_promotion" else "rungs at epochs"
    return f"scheduler {config.scheduler}: {what} {', '.join(map(str, rungs(*bounds))) or 'none'}; {full}"


def _grid_text(config: SearchConfig) -> str:
    size, trials = grid_size(config.families), config.budget.trials
    count = "more configurations than can be counted" if size is None else f"{size:,} configuration{'s' * (size != 1)}"
    sizes = ", ".join(f"{name} {space.size():,.0f}" for name, space in config.families.items())
    turns = f", families in turn ({sizes})" if len(config.families) > 1 else ""
    tried = "all are tried" if trials is None or (size is not None and trials >= size) else f"the first {trials:,} are tried"
    return f"sampler grid: {count}{turns}, the last parameter of a family varying fastest; {tried}"
