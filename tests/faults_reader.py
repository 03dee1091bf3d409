"""A driver and an objective over a real feature cache: every epoch reads all features through the memory map and notes what it read.

``python -m tests.faults_reader STUDIES_DIR SPACE_FILE TASK_JSON``; the task is the scripted one with ``corpus``, and ``digests``, a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genre_models.content import content_hash
from genre_models.features.store import FeatureStore
from genre_models.settings import FeatureSettings
from search.config import load_space
from search.errors import SearchError
from tests.search import scripted_driver
from tests.search.scripted import Scripted

SETTINGS = FeatureSettings(image_size=(64, 64)).model_dump(mode="json")


def store_of(task: dict[str, Any]) -> FeatureStore:
    """The store of the corpus's pictures."""
    paths = sorted(Path(task["corpus"]).rglob("*.png"))
    tracks = [{"id": path.stem, "path": str(path), "content": content_hash(path)} for path in paths]
    return FeatureStore(task["cache"], "image", SETTINGS, tracks)


class Reader(Scripted):
    """The scripted objective, which reads all features before each report."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(task)
        self._store, self._digests = store_of(task), task["digests"]

    def run(self, spec: dict[str, Any], report: Callable[..., str], **folders: str | None) -> dict[str, Any]:
        def read_then_report(epoch: int, metrics: Mapping[str, float], snapshot: Callable[[str], None]) -> str:
            features = self._store.features(sorted(self._store._tracks))
            with open(self._digests, "a") as handle:
                handle.write(f"{os.getpid()} {hashlib.sha256(features.tobytes()).hexdigest()}\n")
            return report(epoch, metrics, snapshot)

        return super().run(spec, read_then_report, **folders)


def build(task: dict[str, Any]) -> Reader:
    """The objective factory."""
    return Reader(task)


def main() -> int:
    studies_dir, space, task = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    task["cache"] = str(studies_dir / ".cache")
    try:
        prepared = store_of(task).prepare(1)
        print(f"features: {prepared.decoded} files decoded, {prepared.cached} taken from the cache")
        finished = scripted_driver.run(studies_dir, load_space(space, scripted_driver.FAMILIES, {}), task, factory="tests.faults_reader:build")
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 130 if finished.interrupted else 2 if finished.failing else 0


if __name__ == "__main__":
    sys.exit(main())
