"""How many workers a search may have: what each needs, what the nodes offer, and what is a fair share of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import ray

from search.engines.ray_connect import NAMESPACE

#: Names of the mailboxes of all searches begin so; each search has one, which dies with its driver.
MAILBOX = "mailbox-"


@dataclass(frozen=True)
class Shape:
    """What one worker takes of a node.

    Attributes
    ----------
    cpus : int
    gpus : float
        May be a fraction.
    custom : tuple of (str, float)
        A cluster's own resources.
    """

    cpus: int = 1
    gpus: float = 0
    custom: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.cpus} core{'s' if self.cpus > 1 else ''}"]
        parts += [f"{self.gpus:g} GPU"] if self.gpus else []
        parts += [f"{amount:g} {name}" for name, amount in self.custom]
        return ", ".join(parts)

    @property
    def options(self) -> dict[str, Any]:
        """For Ray."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "resources": dict(self.custom) or None}

    def slots(self, offered: Mapping[str, float]) -> int:
        """How many such workers fit on a node that offers so much."""
        wanted = {"CPU": float(self.cpus), "GPU": float(self.gpus), **dict(self.custom)}
        return min((int(offered.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items() if amount), default=0)


def nodes() -> dict[str, Mapping[str, float]]:
    """What each living node offers in all, by its identity."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def share_of_memory(shape: Shape, offers: Collection[Mapping[str, float]]) -> float:
    """Share of a machine's memory that such a worker may take: that of one among as many as fit on the largest node."""
    return 0.9 / max(1, *(shape.slots(offered) for offered in offers), 1)


def searches_on_cluster() -> int:
    """Searches that run on this cluster now, this one included."""
    return max(1, sum(name.startswith(MAILBOX) for name in ray.util.list_named_actors()))


def fair_share(shape: Shape) -> int:
    """Workers that this search should have now: all that fit, divided by the searches that share the cluster; at least one."""
    return max(1, sum(shape.slots(offered) for offered in nodes().values()) // searches_on_cluster())
