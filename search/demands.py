"""What a search asks of its task before it begins: numbers of folds, memory, and the families it can do without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console

from search.errors import SearchError
from search.worker import available_cores

if TYPE_CHECKING:
    from search.config import SearchConfig


def unavailable_families(config: SearchConfig, data: Any, console: Console | None = None) -> tuple[str, ...]:
    """Families that this run does without; with a console it is told.

    Raises
    ------
    SearchError
        The file does not allow that, or no family would be left.
    """
    if not data.unavailable:
        return ()
    reasons = "\n".join(data.unavailable.values())
    if not config.skip_unavailable:
        more = "; or set skip_unavailable: true, and the other families go on" if len(data.unavailable) < len(config.families) else ""
        raise SearchError(f"{config.path}: {reasons}{more}")
    if len(data.unavailable) == len(config.families):
        raise SearchError(f"{config.path}: none of its families can be had here:\n{reasons}")
    for family, reason in data.unavailable.items() if console is not None else ():
        told = reason if family in reason.partition(":")[0] else f"{family}: {reason}"
        console.print(f"left out: {told}", markup=False, highlight=False)
    return tuple(data.unavailable)


def confirming_folds(config: SearchConfig) -> tuple[int, ...]:
    """Numbers of folds that confirmations need: none, or one.

    Raises
    ------
    SearchError
        If the trials are scored on the very same folds already.
    """
    if config.confirm is None:
        return ()
    if config.confirm.folds == folds_of(config):
        raise SearchError(
            f"{config.path}: confirm.folds: found {config.confirm.folds}, as in data.validation: the same folds would be trained again, to the same "
            "scores; take another number"
        )
    return (config.confirm.folds,)


def folds_of(config: SearchConfig) -> int:
    """Folds that each trial is scored on; 1 where validation is a hold-out part."""
    return getattr(config.sections["data"].validation, "folds", None) or 1


def memory_mib(config: SearchConfig) -> float:
    """Memory a trial may use, in MiB: the file's, or a worker's share of what the machine has free."""
    if config.resources.memory_gib is not None:
        return 1024 * config.resources.memory_gib
    workers = config.workers or max(1, available_cores() // config.resources.cpus)
    return 0.8 * psutil.virtual_memory().available / 2**20 / (1 if config.engine in ("inline", "keras-tuner") else workers)
