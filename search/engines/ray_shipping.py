"""Consignments over Ray: the driver's machine hands out pieces of files, and workers of machines that do not see them fetch them.

    with shipping(place, ...) as shipment: ...      # the driver
    place = received(place, shipment)               # each worker, before it builds its objective
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.parcels import Parcel
from search.shipping import Consignment, consign, settle_in, trouble_here
from search.worker import Workplace

_LOOK_SECONDS = 60


@dataclass(frozen=True)
class Shipment:
    """What a worker is told of where files are.

    Attributes
    ----------
    consignment : Consignment
    sender : actor
        On the driver's machine.
    """

    consignment: Consignment
    sender: Any


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=3, max_concurrency=4)
class Sender:
    """Reads the files of a consignment's parcels, and no others."""

    def __init__(self, consignment: Consignment) -> None:
        self._parcels = {parcel.key: parcel for item in consignment.items for parcel in item.parcels.values()}

    def piece(self, key: str, number: int, offset: int) -> bytes:
        """A part of a file."""
        return self._parcels[key].piece(number, offset)

    def digest(self, key: str, number: int) -> str:
        """SHA-256 of a file."""
        return self._parcels[key].digest(number)


@contextmanager
def shipping(place: Workplace, mode: str, limit_gib: float, address: str | None) -> Iterator[Shipment | None]:
    """Offer what workers need for the length of a ``with`` block; Ray must be connected.

    Parameters
    ----------
    place : Workplace
    mode : {"auto", "always", "never"}
    limit_gib : float
        The most that may be sent to a machine.
    address : str or None
        None is a Ray of our own on this machine: its workers see all files, so that there is nothing to do but where copies are asked for.

    Yields
    ------
    Shipment or None

    Raises
    ------
    SearchError
        A folder can't be read or written here.
    """
    if address is None and mode != "always":
        yield None
        return
    consignment = consign(place, mode, limit_gib)
    try:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        yield Shipment(consignment, Sender.options(scheduling_strategy=here).remote(consignment))
    finally:
        consignment.withdraw()


def received(place: Workplace, shipment: Shipment | None) -> Workplace:
    """The workplace as it is on this worker's machine; whoever comes first there fetches what is missing, the others wait for it.

    Raises
    ------
    SearchError
        This machine can't be used; the message names it, the path, the size and the remedy.
    """
    if shipment is None:
        return place
    sender = shipment.sender

    def fetch(parcel: Parcel, number: int, offset: int) -> bytes:
        return ray.get(sender.piece.remote(parcel.key, number, offset))

    def digest(parcel: Parcel, number: int) -> str:
        return ray.get(sender.digest.remote(parcel.key, number))

    return settle_in(place, shipment.consignment, fetch, digest)


def unusable_nodes(shipment: Shipment | None, node_ids: list[str]) -> dict[str, str]:
    """Nodes whose workers could not work, each with the reason; a node that does not answer is not among them."""
    if shipment is None:
        return {}
    asked = {_look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(shipment.consignment): node for node in node_ids}
    answered, late = ray.wait(list(asked), num_returns=len(asked), timeout=_LOOK_SECONDS) if asked else ([], [])
    found = {}
    for reference in answered:
        with contextlib.suppress(RayError):  # a node that has gone since
            found[asked[reference]] = ray.get(reference)
    for reference in late:
        ray.cancel(reference, force=True)
    return {node: reason for node, reason in found.items() if reason is not None}


@ray.remote(num_cpus=0, max_retries=0)
def _look(consignment: Consignment) -> str | None:
    return trouble_here(consignment)
