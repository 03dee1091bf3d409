"""Which files the workers of a task open, for machines that do not see the driver's disk. Importing this module loads no framework.

Workers read features, tables' rows and networks' outputs in the cache, and files of weights where they fine-tune or compute outputs that nobody has
computed before. The corpus itself they do not open: a cache that is there is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from genre_models.features import feature_key
from genre_models.sources import Input, open_store, table_facts

_NO_FILES = ("imagenet", "random")  # Keras keeps the former on each machine, the latter are drawn


def add_worker_files(task: dict[str, Any], inputs: Iterable[tuple[Input, int]]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Say in a task where its files of weights lie, and list what its workers open.

    Parameters
    ----------
    task : dict
        As in docs/design.md, section 5, with its tables and trunks; ``places`` is filled in: the path of each file of weights, by the path that the
        space file gave.
    inputs : iterable of (Input, int)
        All that trials may ask for, each with its number of masked copies.

    Returns
    -------
    list of (keys, inside)
        Where in the task the path of a folder or file stands, and which folders in it are opened (none of a file). Some may not be there yet.
    """
    folders, weights = set(), set()
    for found, copies in inputs:
        if found.kind == "table":
            folders.add(f"table-{table_facts(found, task)['key']}")
        else:
            folders.add(f"features-{feature_key(found.kind, found.features)}")
        if found.trunk is not None:
            folders |= _trunk_folders(found, task, copies)
            weights |= {found.trunk["weights"]} - set(_NO_FILES)
    task["places"] = {path: path for path in sorted(weights)}
    return [(("cache_dir",), tuple(sorted(folders))), *((("places", path), ()) for path in task["places"])]


def _trunk_folders(found: Input, task: Mapping[str, Any], copies: int) -> set[str]:
    facts = task["trunks"].get(found.trunk_key)
    if facts is None or found.trunk["cut"] not in facts["layers"]:
        return set()  # a trial that asks for it is refused
    store = open_store(replace(found, trunk=found.trunk | {"sha256": facts.get("sha256")}), task)
    rows = [store.of_copies(masked) for masked in (False, True)[: 1 + bool(copies)]]
    return {cache.folder.name for each in rows for cache in (each.pair, each.map)}
