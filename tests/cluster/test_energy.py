"""Energy on a cluster: each node that has workers is metered, and a trial's share is that of its node."""

from __future__ import annotations

import psutil
import pytest

from scripts.local_cluster import LocalCluster
from tests.cluster.conftest import Desk
from tests.search.conftest import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def _meters() -> list[int]:
    return [each.pid for each in psutil.process_iter(["cmdline"]) if "search.node_meter" in (each.info["cmdline"] or [])]


def test_trials_on_every_node_have_their_share_and_no_meter_outlives_the_search(desk: Desk, cluster: LocalCluster) -> None:
    others = set(_meters())
    run = desk.start({"epoch_seconds": 0.3}, trials=10, scheduler="none", epochs=9)
    run.until(lambda: len(set(_meters()) - others) >= 3)  # of two nodes, and of the driver, which is none of Ray's
    assert run.wait(120) == 0, run.text
    view, node_of = desk.read(), {seed: node for node, _, seed, _ in desk.places()}
    known: dict[str, list[float]] = {}
    for trial in (t for t in view.trials if t.is_full):
        if (kwh := trial.outcome["cost"]["energy_kwh"]) is not None:
            known.setdefault(node_of[trial.spec["seed"]], []).append(kwh)
    assert len(known) == 2 and all(kwh > 0 for each in known.values() for kwh in each), known
    assert sum(kwh for each in known.values() for kwh in each) < view.cost["energy_kwh"], "the driver's own, idle workers' too"
    assert "energy is not measured" not in run.text
    until(lambda: not set(_meters()) - others, 15)
