"""The scripted objective, which also says on which node of a cluster it runs.

Task keys besides: ``nodes``, a file to which each epoch is appended as ``node family seed epoch``; ``gate``, a file without which nobody gets past epoch 3.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from scripts.local_cluster import MARK
from tests.search.scripted import Scripted


class Located(Scripted):
    """Follows a curve, somewhere."""

    def _log(self, spec: dict[str, Any], epoch: int) -> None:
        super()._log(spec, epoch)
        with open(self._task["nodes"], "a") as handle:
            handle.write(f"{os.environ[MARK]} {spec['family']} {spec['seed']} {epoch}\n")
        while epoch == 3 and "gate" in self._task and not Path(self._task["gate"]).exists():
            time.sleep(0.05)


def build(task: dict[str, Any]) -> Located:
    """The objective factory."""
    return Located(task)
