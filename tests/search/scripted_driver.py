"""A real driver over the scripted objective: ``python -m tests.search.scripted_driver STUDIES_DIR SPACE_FILE TASK_JSON``.

Tests start it as a process of its own and send it real signals. Exit codes as of search.run. Of the task it takes for itself ``die_at`` (arguments of
`tests.search.injected.die_at`) and ``patience_seconds`` (with a locked database).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from search import storage
from search.config import SearchConfig, load_space
from search.driver import Finished, drive
from search.errors import SearchError
from search.lease import hold_lease
from search.location import locate
from search.peer_driver import drive_peer
from search.peers import PEERS
from search.progress import watch_study
from search.warm_sources import read_sources
from search.worker import Workplace
from tests.search.declarations import Declared, Family
from tests.search.injected import die_at


QUALITY = Declared("quality", "float", 0.5, "Where the curve ends", low=0.0, high=1.0)
WIDTH = Declared("width", "int", 3, "What may be refused", low=1, high=9)
PATIENCE = Declared("patience", "int", 0, "Of the early stop; 0 for none", low=0, high=9)
FAMILIES = {name: Family(name, "Scripted", (QUALITY, WIDTH, PATIENCE)) for name in ("fast", "slow")}

SPACE = "study: {study}\nbudget: {{min_epochs: 1, max_epochs: {epochs}, reduction_factor: {factor}, trials: {trials}, minutes: {minutes}}}\n"
SPACE += "engine: {engine}\nworkers: {workers}\nrepeats: {repeats}\nconfirm: {confirm}\nresources: {{checkpoints_gib: {checkpoints_gib}{resources}}}\n"
SPACE += "scheduler: {scheduler}\nsampler: {sampler}\nwarm_start: {warm_start}\nseed: {seed}\nstorage: {storage}\nfamilies:\n"
FAMILY = "  {name}: {{quality: {{float: [0, 1]}}, width: {{int: [3, 7]}}}}\n"


def space_text(**changes: Any) -> str:
    """A space file for the scripted objective; `resources` are more of them, each with a comma in front."""
    values = {"study": "s", "epochs": 9, "trials": 12, "minutes": "null", "engine": "ray", "workers": 2, "scheduler": "asha", "sampler": "random"}
    values |= {"storage": "null", "repeats": 1, "confirm": "null", "checkpoints_gib": 1, "resources": "", "factor": 3, "families": "slow"}
    values |= {"warm_start": [], "seed": 0}
    values |= changes
    return SPACE.format(**values) + "".join(FAMILY.format(name=name) for name in values["families"].split())


def run(
    studies_dir: Path, config: SearchConfig, task: dict[str, Any], console: Console | None = None, factory: str = "tests.search.scripted:build"
) -> Finished:
    """Drive the study of `config`."""

    def screen(spec: dict[str, Any]) -> dict[str, Any]:
        if spec["params"]["width"] > task.get("widest", 9):
            error = ValueError(f"width {spec['params']['width']} is too wide")
            error.reason_code = "refused"
            raise error
        return {}

    console = console or Console(force_terminal=False, width=200)
    location = locate(studies_dir, config.study, config.storage)
    with location.kept_from_children(), hold_lease(location) as lease:
        sources = read_sources(config, location)
        shared = {
            "place": Workplace(factory, task, str(studies_dir / config.study / "trials")),
            "fingerprint": config.fingerprint_parts(),
            "sections": {name: {} for name in config.families},
            "precision": "float32",
            "screen": screen,
            "watching": lambda owner: watch_study(console, owner, config.budget),
            "blocked": task.get("blocked", ()),
            "lease": lease,
        }
        if config.engine in PEERS:
            return drive_peer(config, **shared, about={}, defaults=config.fingerprint_defaults())
        return drive(config, **shared, studies_dir=studies_dir, sources=sources)


def main() -> int:
    studies_dir, space, task = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    if "die_at" in task:
        die_at(**task.pop("die_at"))
    if "patience_seconds" in task:
        storage.PATIENCE_SECONDS = task.pop("patience_seconds")
    try:
        finished = run(studies_dir, load_space(space, FAMILIES, {}), task)
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"finished: {finished.stop_reason}")
    return 130 if finished.interrupted else 2 if finished.failing else 0


if __name__ == "__main__":
    sys.exit(main())
