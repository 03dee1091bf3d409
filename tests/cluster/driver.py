"""A real driver over the scripted objective on a cluster: ``python -m tests.cluster.driver STUDIES_DIR SPACE_FILE TASK_JSON [ADDRESS]``.

Exit codes as of search.run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console

from search.config import load_space
from search.driver import drive
from search.errors import SearchError
from search.lease import hold_lease
from search.location import locate
from search.progress import watch_study
from search.worker import Workplace
from tests.search.scripted_driver import FAMILIES


def main() -> int:
    studies_dir, task, address = Path(sys.argv[1]), json.loads(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None
    console = Console(force_terminal=False, width=200)
    try:
        config = load_space(Path(sys.argv[2]), FAMILIES, {})
        location = locate(studies_dir, config.study, config.storage)
        with location.kept_from_children(), hold_lease(location) as lease:
            finished = drive(
                config,
                studies_dir=studies_dir,
                place=Workplace("tests.cluster.objective:build", task, str(location.folder / "trials")),
                fingerprint=config.fingerprint_parts(),
                sections={name: {} for name in config.families},
                precision="float32",
                screen=lambda spec: {},
                watching=lambda owner: watch_study(console, owner, config.budget),
                address=address,
                lease=lease,
            )
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"finished: {finished.stop_reason}")
    return 130 if finished.interrupted else 2 if finished.failing else 0


if __name__ == "__main__":
    sys.exit(main())
