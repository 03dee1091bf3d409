"""The engine that runs trials on Ray: joins or starts it, staffs a pool, and starts Ray anew should it die."""

from __future__ import annotations

from search.config import Resources, Share
from search.engines.ray_capacity import Shape, nodes
from search.engines.ray_connect import RayDied, connected, resolve_address
from search.engines.ray_pool import Pool, Staff
from search.engines.ray_shipping import Shipment, shipping, unusable_nodes
from search.errors import SearchError
from search.loop import Loop
from search.worker import Workplace, available_cores

#: So often Ray may die without a trial having ended in between.
DEATHS = 3


class RayEngine:
    """Runs trials on Ray workers, on this machine or on an existing cluster.

    Parameters
    ----------
    workers : int or None
        None takes what the machine, or a fair share of what the cluster, offers.
    resources : Resources
        Of each worker.
    address : str or None
        Of an existing cluster; None starts Ray on this machine for the length of the search, unless ``RAY_ADDRESS`` names a cluster.
    """

    def __init__(self, workers: int | None, resources: Resources, address: str | None = None) -> None:
        self._address = resolve_address(address)
        self._shipping, self._ship_gib = resources.shipping, resources.ship_gib
        self._staff = Staff(
            workers,
            shape_of(resources),
            {family: shape_of(resources, share) for family, share in resources.families.items()},
            None if resources.worker_memory_gib is None else 1024 * resources.worker_memory_gib,
            60 * resources.first_epoch_minutes,
            60 * resources.hang_minutes,
        )

    def run(self, loop: Loop, place: Workplace) -> None:
        """Run trials until the loop starts no more; Ray is shut down however this ends.

        Raises
        ------
        SearchError
            No cluster answers, the machine has not what a worker needs, or workers or Ray die again and again.
        """
        deaths, ended = 0, _ended(loop)
        while loop.has_work:  # a study that is done answers without starting Ray
            loop.note("starting Ray on this machine" if self._address is None else f"joining the Ray cluster at {self._address}")
            try:
                with connected(self._address, self._cpus, max(shape.gpus for shape in self._shapes)) as vital:
                    self._require_room(loop)
                    with shipping(place, self._shipping, self._ship_gib, self._address) as shipment:
                        self._look_at_nodes(loop, shipment)
                        Pool(loop, place, self._staff, vital, shipment).run()
                return
            except RayDied as error:
                for trial in loop.running:
                    loop.lost(trial.number, str(error))
                deaths, ended = (1, _ended(loop)) if _ended(loop) > ended else (deaths + 1, ended)
                if deaths >= DEATHS:
                    raise SearchError(f"Ray died {deaths} times without a trial having ended in between ({error}); run the same command again to go on") from error
                loop.note(f"{error}; starting anew")

    @property
    def _shapes(self) -> list[Shape]:
        return [self._staff.shape, *self._staff.shapes.values()]

    @property
    def _cpus(self) -> int:
        """Cores that a Ray of our own offers."""
        workers = self._staff.workers or max(1, available_cores() // self._staff.shape.cpus)
        return max(workers * self._staff.shape.cpus, *(shape.cpus for shape in self._shapes))

    def _require_room(self, loop: Loop) -> None:
        """A worker that fits nowhere would be waited for in vain; to a cluster a node may still come."""
        offers = nodes().values()
        for shape in dict.fromkeys(self._shapes):
            if any(shape.slots(offered) for offered in offers):
                continue
            if self._address is None:
                raise SearchError(f"resources: a worker needs {shape}, and this machine does not have that; ask for less, or join a cluster with --address")
            loop.note(f"no node of the cluster has {shape} yet: waiting for one that joins")

    @staticmethod
    def _look_at_nodes(loop: Loop, shipment: Shipment | None) -> None:
        """Say before any worker starts where none could work."""
        alive = list(nodes())
        unusable = unusable_nodes(shipment, alive)
        if unusable and len(unusable) == len(alive):
            raise SearchError("no node of the cluster can be used:\n" + "\n".join(unusable.values()))
        for reason in unusable.values():
            loop.note(reason)


def shape_of(resources: Resources, share: Share | None = None) -> Shape:
    """What a worker takes, with what is different for a family laid over it."""
    given = {} if share is None else share.model_dump(exclude_none=True)
    custom = given.get("custom", resources.custom)
    return Shape(given.get("cpus", resources.cpus), given.get("gpus", resources.gpus), tuple(sorted(custom.items())))


def _ended(loop: Loop) -> int:
    return sum(trial.counts for trial in loop.owner.trials.values())
