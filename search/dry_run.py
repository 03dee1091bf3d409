"""``--dry-run``: the space, the rungs, the epochs and an estimate of time; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from search.demands import folds_of, memory_mib, unavailable_families
from search.peers import PEERS, own_ways
from search.telling import tell_corpus

if TYPE_CHECKING:
    from search.config import SearchConfig
    from search.progress import Stages


def dry_run(
    config: SearchConfig,
    studies_dir: Path,
    console: Console,
    open_data: Callable[[Stages], Any],
    screen: Callable[[dict[str, Any], dict[str, Any]], Mapping[str, Any]],
    unreadable: type[Exception],
) -> int:
    """Show what would be searched. A corpus that is there gives an estimate of time; one that is not is no error.

    Parameters
    ----------
    config : SearchConfig
    studies_dir : Path
    console : Console
    open_data : callable
        ``open_data(stages)``: the task's data.
    screen : callable
        ``screen(spec, task)`` -> declared cost; raises with ``reason_code = "refused"``.
    unreadable : exception type
        What `open_data` raises where there is no such corpus.

    Returns
    -------
    int
        The exit code.
    """
    from search.describe import describe_space
    from search.estimate import typical_cost
    from search.location import locate
    from search.plan import plan_text
    from search.progress import Stages
    from search.warm_sources import read_sources, summary_of

    sources = read_sources(config, locate(studies_dir, config.study, config.storage))
    console.print(describe_space(config))
    if config.engine in PEERS:
        console.print(own_ways(config.engine), markup=False, highlight=False)
    if sources is not None:
        console.print(f"warm start from {', '.join(sources.warm.studies)}: {summary_of(sources.warm, config.sampler)}", markup=False, highlight=False)
    try:
        with Stages(console) as stages:
            data = open_data(stages)
    except unreadable as error:
        console.print(plan_text(config, folds_of(config)), markup=False, highlight=False)
        console.print(f"no estimate of time, the corpus can't be read: {error}", markup=False, highlight=False)
        return 0
    tell_corpus(data, console)
    task = data.task(config.objective.model_dump(), {"gflops": config.resources.gflops, "memory_mib": memory_mib(config)})
    with Stages(console) as stages:
        data.prepare_tables()
        task["tables"] = data.tables
        data.prepare_networks(task, stages, only_facts=True)
    for family in data.features:
        if family not in data.unavailable:
            console.print(f"{family}: {data.describe_items(family, task)}", markup=False, highlight=False)
    unavailable_families(config, data, console)
    features = {family: {"features": settings} for family, settings in data.features.items()}
    costs = typical_cost(config, features, lambda spec: screen(spec, task), tuple(data.unavailable))
    console.print(plan_text(config, folds_of(config), costs), markup=False, highlight=False)
    return 0
