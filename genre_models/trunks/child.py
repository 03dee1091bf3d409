"""The process that `genre_models.trunks.prepare` starts: ``python -m genre_models.trunks.child``.

Reads one line of JSON, ``{"jobs": [...], "task": {...} or null}``; writes lines of JSON: ``{"progress": [done, total, what]}``, and last
``{"facts": {...}}`` or ``{"error": CLASS, "text": ..., "trunk": KEY or null}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from genre_models.errors import GenreModelsError, TrunkUnavailable
from genre_models.trunks.facts import facts_of, trunk_key
from genre_models.trunks.registry import TRUNKS

Tell = Callable[[dict[str, Any]], None]


def main() -> int:
    """Run the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()

    def tell(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        tell({"facts": _work(given["jobs"], given["task"], tell)})
    except GenreModelsError as error:
        tell({"error": type(error).__name__, "text": str(error), "trunk": getattr(error, "trunk", None)})
    except Exception:
        traceback.print_exc()  # the parent shows its end
        return 1
    return 0


def _leave_with_the_parent() -> None:
    os.read(0, 1)  # nothing more is ever said: this returns when the other end is closed
    os._exit(1)


def _work(jobs: Sequence[Mapping[str, Any]], task: Mapping[str, Any] | None, tell: Tell) -> dict[str, Any]:
    from genre_models.framework import import_keras

    import_keras(None if task is None else task.get("backend"))
    by_key: dict[str, list[Mapping[str, Any]]] = {}
    for job in jobs:
        by_key.setdefault(trunk_key(job), []).append(job)
    facts = {}
    for key, same in by_key.items():
        try:
            facts[key] = _facts(same[0], [job["cut"] for job in same], with_weights=task is not None)
        except TrunkUnavailable as error:
            error.trunk = key
            raise
    if task is not None:
        _fill([{**job, "sha256": facts[trunk_key(job)]["sha256"]} for job in jobs], task, facts, tell)
    return facts


def _facts(settings: Mapping[str, Any], cuts: Iterable[str], with_weights: bool) -> dict[str, Any]:
    from genre_models.trunks.network import load_network, needs_top, symbolic_network
    from genre_models.trunks.weights import hash_of_file

    trunk, weights, side = TRUNKS[settings["trunk"]], settings["weights"], int(settings["side"])
    cuts = list(dict.fromkeys(cuts))
    if with_weights and weights != "random":
        network, covers = load_network(trunk.name, weights, side, cuts, settings.get("sha256"))
    else:
        network, covers = symbolic_network(trunk, side, any([needs_top(trunk, cut) for cut in cuts])), None
    found = facts_of(network, trunk.blocks, covers)
    is_file = with_weights and weights not in ("imagenet", "random")
    return found | {"sha256": hash_of_file(weights) if is_file else None}


def _fill(jobs: Sequence[Mapping[str, Any]], task: Mapping[str, Any], facts: Mapping[str, Any], tell: Tell) -> None:
    """Pass the development tracks through all that is asked for; masked copies only of tracks that may be trained on."""
    from genre_models.features import feature_key
    from genre_models.features.store import FeatureStore
    from genre_models.features.trunk_store import TrunkStore, prepare_stores
    from genre_models.sources import backend_named

    tracks, bases = task["tracks"], {}
    by_copies: dict[int, list[TrunkStore]] = {}
    for job in jobs:
        kind = job.get("kind", task["kind"])
        key = feature_key(kind, job["features"])
        if key not in bases:
            bases[key] = FeatureStore(task["cache_dir"], kind, job["features"], tracks)
        store = TrunkStore(bases[key], tracks, task["cache_dir"], {**job, **backend_named(task)}, key, facts[trunk_key(job)])
        by_copies.setdefault(int(job.get("copies", 0)), []).append(store)
    trained = [track["id"] for track in tracks if track["part"] == "train" or track.get("folds")]
    everything = [store for stores in by_copies.values() for store in stores]
    prepare_stores(everything, 0, lambda *step: tell({"progress": step}))
    for copies, stores in by_copies.items():
        if copies:
            prepare_stores(stores, copies, lambda *step: tell({"progress": step}), copied_ids=trained)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # all that counts is on the disk, and frameworks take their time to leave
