"""Searches that another tool drives: which, what of a space file they can't do, and what they do in their own way. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.errors import SearchError

if TYPE_CHECKING:
    from search.config import SearchConfig

#: Engines that propose, stop and promote by themselves; in the study stands what they did.
PEERS = ("keras-tuner", "ray-tune", "ray-tune-reuse", "ray-tune-fit")
#: Of these, those that train with ``model.fit``, as their documentation shows it, in place of this program's loop.
FITTED = ("keras-tuner", "ray-tune-fit")
#: What fingerprints call the engines that are this program's own: either may go on with the other's study.
OURS = "ray or inline"
_OWN_WAYS = {
    "keras-tuner": "KerasTuner's Hyperband: it draws at random and promotes at epochs of its own; sampler, try_defaults, frugal, scheduler and budget.min_epochs are not used",
    "ray-tune": "Ray Tune: OptunaSearch proposes, ASHAScheduler stops, each trial in a process of its own; sampler, try_defaults, frugal and scheduler are not used",
    "ray-tune-reuse": "Ray Tune: OptunaSearch proposes, ASHAScheduler stops, processes are used again; sampler, try_defaults, frugal and scheduler are not used",
    "ray-tune-fit": "Ray Tune: OptunaSearch proposes, ASHAScheduler stops, model.fit trains, each trial in a process of its own; sampler, try_defaults, frugal and scheduler are not used",
}


def own_ways(engine: str) -> str:
    """What a peer does in its own way, whatever the file says, in a line."""
    return _OWN_WAYS[engine]


def require_possible(config: SearchConfig, folds: int, address: str | None) -> None:
    """Refuse what the engine can't do, before anything is computed.

    Parameters
    ----------
    config : SearchConfig
    folds : int
        Folds that each trial is scored on; 1 where validation is a hold-out part.
    address : str or None
        Of an existing Ray cluster.

    Raises
    ------
    SearchError
        With every key that would have to change.
    """
    if config.engine not in PEERS:
        return
    found = {
        "data.validation": (folds > 1, f"found {folds} folds; it trains a configuration once: take {{holdout: 0.2}}"),
        "repeats": (config.repeats > 1, f"found {config.repeats}; it trains a configuration once: take it out"),
        "confirm": (config.confirm is not None, "it confirms nothing: take it out"),
        "warm_start": (bool(config.warm_start), "it begins from nothing: take it out"),
        "storage": (config.storage is not None, "its own state is in the study's folder, and trials must lie beside it: take it out"),
        "artifacts": (config.artifacts is not None, "it leaves none: take it out"),
        "resources.families": (bool(config.resources.families), "all trials have the same share: take it out"),
        "resources.custom": (bool(config.resources.custom), "it runs on this machine alone: take it out"),
        "budget.resource": (getattr(config.budget, "resource", "epochs") != "epochs", "its rungs are in epochs: take it out"),
        "--address": (address is not None, "it runs on this machine alone: leave it out"),
    }
    if config.engine == "keras-tuner":
        found["workers"] = (config.workers not in (None, 1), f"found {config.workers}; it trains one network at a time, with all cores: take it out")
    lines = [f"{key}: {why}" for key, (is_wrong, why) in found.items() if is_wrong]
    if lines:
        raise SearchError(f"{config.path}: engine {config.engine} can't do that:\n" + "\n".join(lines))
