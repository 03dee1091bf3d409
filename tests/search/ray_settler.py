"""A driver that only lets workers settle in: ``python -m tests.search.ray_settler ADDRESS PLACE_JSON MODE GIB NODE…``; prints one line of JSON.

A process of its own, because Ray reads what it is to be told in the environment when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import ray

from search.engines.ray_shipping import received, shipping, unusable_nodes
from search.worker import Needed, Workplace


@ray.remote(num_cpus=0)
def settle(place: Workplace, shipment: Any) -> list[str]:
    """Where a worker's task says the cache is, and what it reads there; or what is wrong."""
    try:
        cache = received(place, shipment).task["cache_dir"]
    except Exception as error:
        return [type(error).__name__, str(error)]
    return [cache, hashlib.sha256((Path(cache) / "features-1" / "rows.bin").read_bytes()).hexdigest()]


def main() -> None:
    address, told, mode, gib, *names = sys.argv[1:]
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    told = json.loads(told)
    place = Workplace("m:f", {"cache_dir": told["cache_dir"]}, told["trials_dir"], needs=(Needed(("cache_dir",), ("features-1",)),))
    with shipping(place, mode, float(gib), address) as shipment:
        nodes = {node["NodeID"]: next(name for name in ("near", "far") if name in node["Resources"]) for node in ray.nodes() if node["Alive"]}
        unusable = {nodes[node]: reason for node, reason in unusable_nodes(shipment, list(nodes)).items()}
        settled = ray.get([settle.options(resources={name: 1}).remote(place, shipment) for name in names], timeout=120)
    print(json.dumps({"unusable": unusable, "settled": settled}))


if __name__ == "__main__":
    main()
