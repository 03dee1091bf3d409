"""A corpus as a search of a space opens it: the same tracks, split and features for everything that is measured beside it. Imports no framework."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genre_models.task_data import TaskData
    from search.config import SearchConfig


@dataclass(frozen=True)
class Opened:
    """A space with its data.

    Attributes
    ----------
    config : SearchConfig
    data : TaskData
    task : dict
        What objectives are built from (docs/design.md, section 5).
    """

    config: SearchConfig
    data: TaskData
    task: dict[str, Any]

    def spec(self, family: str, params: dict[str, Any], seed: int, precision: str, epochs: int | None = None) -> dict[str, Any]:
        """A trial's specification (docs/design.md, section 4); without `epochs` with the full budget."""
        budget = self.config.budget.max_epochs if epochs is None else epochs
        known = {"family": family, "params": params, "features": self.data.features[family], "epochs": budget}
        return known | {"seed": seed, "precision": precision, "retry_of": None}


def open_space(space: Path, source: str | None, seed: int, studies_dir: Path, folds: Collection[int] = ()) -> Opened:
    """Read a space file, open its corpus and make the features that are missing.

    Parameters
    ----------
    space : Path
    source : str or None
        In place of the file's.
    seed : int
        The study's: it deals validation from training tracks.
    studies_dir : Path
        Whose cache is used.
    folds : collection of int
        Numbers of folds that trials may ask for.
    """
    from genre_models.families import FAMILIES
    from genre_models.families.own import add_own_families
    from genre_models.objective import METRICS
    from genre_models.prepare import open_task
    from search.config import load_space
    from search.run import SECTIONS

    add_own_families()
    overrides: dict[str, object] = {"seed": seed} | ({} if source is None else {"data.source": source})
    config = load_space(space, FAMILIES, SECTIONS, overrides, metrics=METRICS)
    features = {family: sections["features"] for family, sections in config.family_sections.items()}
    values = {name: {key: family.values(key) for key in family.defaults} for name, family in config.families.items()}
    data = open_task(config.sections["data"], features, seed, studies_dir / ".cache", values=values, fold_counts=folds)
    failed = data.prepare_features()[2]
    task = data.task(config.objective.model_dump(), {"gflops": config.resources.gflops, "memory_mib": None}, folds)
    task["tracks"] = [row for row in task["tracks"] if row["id"] not in failed]
    data.prepare_networks(task)
    return Opened(config, data, task)
