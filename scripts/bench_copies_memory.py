"""Memory of training on masked copies: spaces/references/f17-kostrzewa-copies.yaml on 6,400 tracks, 19,200 items an epoch of 128 x 1280.

    python scripts/bench_copies_memory.py                            2.4 GB in the temporary folder; on two cores some minutes
    python scripts/bench_copies_memory.py --batch 32 16 8            other batches than the preset's
    python scripts/bench_copies_memory.py --steps 0                  whole epochs of the preset too: hours

A cache of noise in the format of computed features stands for the corpus: what is in it makes no difference to memory, and sound of 7,200 clips would take
an hour to decode. A worker builds its objective and runs one trial as in a search. ``preset`` is the preset's network: the first steps of an epoch, whose
order is that of the whole one, so that they reach over all items and copies, and then as many of validation. ``narrow`` is the same with one filter a
layer and batches of 32, for a whole epoch, every item once, and all of validation: what the items take beside the network does not grow on the way.

The worker's ``RssAnon`` (/proc/PID/status) is sampled from outside every 50 ms: what a machine runs out of. Beside it is what of the mapped cache is
resident (the file part of /proc/PID/smaps_rollup, libraries included), pages that the system drops when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PRESET = ROOT / "spaces" / "references" / "f17-kostrzewa-copies.yaml"
LIMIT_MIB, MIB = 4096, 2**20
SAMPLE_SECONDS, MAPPED_EVERY = 0.05, 20
HEAD = (
    "network", "batch", "items read", "before the trial", "first 3 steps", "later steps", "validation", "most", "declared for the trial", "mapped files", "seconds",
)  # fmt: skip
NARROW = {"filters_per_layer": "1-1-1-1", "kernel": 3, "batch_size": 32}


def spec_of(row: str, batch: int | None, columns: int | None = None) -> dict[str, Any]:
    """The preset's only configuration, for one epoch; `columns` makes its items narrower than 1280 frames."""
    from genre_models.families import FAMILIES
    from genre_models.settings import FeatureSettings
    from search.config import load_space
    from search.run import SECTIONS

    space = load_space(PRESET, FAMILIES, SECTIONS)
    params = space.families["cnn"].resolve({}) | ({} if batch is None else {"batch_size": batch}) | (NARROW if row == "narrow" else {})
    features = FeatureSettings.model_validate(space.sections["features"].model_dump())
    if columns is not None:
        features = features.model_copy(update={"clip_seconds": (columns - 0.5) * features.hop_length / features.sr})
    return {"family": "cnn", "params": params, "features": features.model_dump(mode="json"), "epochs": 1, "seed": 1, "precision": "float32"}


def make_corpus(folder: Path, n_train: int, n_validation: int, spec: dict[str, Any]) -> dict[str, Any]:
    """A cache of noise, and the task that knows it."""
    from genre_models.features import feature_key, feature_shape
    from genre_models.features.cache import RowCache
    from scripts.bench_worker_memory import LABELS, fill

    parts = ["train"] * n_train + ["validation"] * n_validation
    tracks = [{"id": f"{i}", "label": LABELS[i % len(LABELS)], "path": f"{i}.mp3", "content": str(i), "part": part} for i, part in enumerate(parts)]
    key, shape = feature_key("audio", spec["features"]), feature_shape("audio", spec["features"])
    fill(RowCache(folder / f"features-{key}", shape, "float16"), shape, len(tracks))
    return {
        "labels": list(LABELS), "kind": "audio", "demo": True, "cache_dir": str(folder), "tracks": tracks, "tables": {}, "trunks": {},
        "objective": {"metric": "val_accuracy", "direction": "maximize"}, "limits": {}, "threads": os.cpu_count(),
    }  # fmt: skip


def work(given: Path) -> None:
    """What a worker does; prints when each stage began (monotonic seconds), and what the epoch read."""
    from genre_models.objective import build, screen
    from genre_models.training_items import TrainingItems

    spec, task, steps = json.loads(given.read_text())
    marks, epoch = {}, {"steps": 0, "items": 0, "of": 0}
    whole = TrainingItems.batches

    def first_steps(items: TrainingItems, number: int) -> Any:
        marks["training"], epoch["of"] = time.monotonic(), items.n
        for batch, targets in islice(whole(items, number), steps or None):
            yield batch, targets
            epoch["steps"], epoch["items"] = epoch["steps"] + 1, epoch["items"] + len(targets)
            if epoch["steps"] == 3:
                marks["warm"] = time.monotonic()
        marks["validation"] = time.monotonic()

    TrainingItems.batches = first_steps
    objective = build(task)
    marks["trial"] = time.monotonic()
    outcome = objective.run(spec, lambda epoch, metrics, snapshot: "continue")
    marks["end"] = time.monotonic()
    known = {"declared": screen(spec, task)["memory_mib"], "validated": outcome["n_validation"], "parameters": outcome["parameters"]}
    print(json.dumps({"marks": marks, **epoch, **known}))


def anonymous_mib(pid: int) -> float:
    """Anonymous resident memory of a process; 0 once it has ended."""
    return _kib(Path(f"/proc/{pid}/status"), "RssAnon:") / 1024


def mapped_mib(pid: int) -> float:
    """Its share of the resident pages of mapped files; 0 where the kernel does not tell them apart."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss_File:") / 1024


def _kib(file: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(name)), 0)
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended
        return 0


def watch(command: Sequence[str]) -> dict[str, Any]:
    """Run a worker; what it printed, with the most of its anonymous memory before the trial, in the first steps, in later ones, and in validation (MiB)."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    samples: list[tuple[float, float]] = []
    mapped = 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if len(samples) % MAPPED_EVERY == 0:
                mapped = max(mapped, mapped_mib(process.pid))
            samples.append((time.monotonic(), anonymous_mib(process.pid)))
            time.sleep(SAMPLE_SECONDS)
        said = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"error: the worker ended with {process.returncode}")
    told = json.loads(said.splitlines()[-1])
    if not any(mib for _, mib in samples):
        raise SystemExit("error: this system does not tell anonymous memory (RssAnon in /proc/PID/status); Linux does")
    return told | {"peaks": peaks_of(samples, told["marks"]), "mapped": mapped, "seconds": told["marks"]["end"] - told["marks"]["trial"]}


def peaks_of(samples: Sequence[tuple[float, float]], marks: dict[str, float]) -> dict[str, float]:
    """The most of each stage, from samples (seconds, MiB)."""
    warm = marks.get("warm", marks["validation"])
    bounds = {"before": (0.0, marks["trial"]), "first": (marks["trial"], warm), "later": (warm, marks["validation"])}
    bounds["validation"] = marks["validation"], marks["end"]
    peaks = {name: max((mib for at, mib in samples if start <= at < end), default=0.0) for name, (start, end) in bounds.items()}
    return peaks | {"all": max(mib for _, mib in samples)}


def measure(folder: Path, row: str, batch: int | None, steps: int, task: dict[str, Any], columns: int | None = None) -> dict[str, Any]:
    """One worker on the corpus that lies there."""
    given, spec = folder / "given.json", spec_of(row, batch, columns)
    steps = steps if row == "preset" else 0
    validated = [track for track in task["tracks"] if track["part"] == "validation"][: steps * spec["params"]["batch_size"] or None]
    tracks = [track for track in task["tracks"] if track["part"] == "train"] + validated
    given.write_text(json.dumps([spec, task | {"tracks": tracks}, steps]))
    told = watch([sys.executable, __file__, "--work", str(given)])
    return told | {"row": row, "batch": spec["params"]["batch_size"]}


def line_of(told: dict[str, Any]) -> str:
    """A row of the table."""
    peaks = told["peaks"]
    read = f"{told['items']:,} of {told['of']:,} in {told['steps']:,} steps, {told['validated']:,} validated"
    numbers = [f"{peaks[name]:,.0f} MiB" for name in ("before", "first", "later", "validation")]
    verdict = "under" if peaks["all"] < LIMIT_MIB else "OVER"
    most = f"**{peaks['all']:,.0f} MiB**, {verdict} {LIMIT_MIB:,}"
    return (
        f"| {told['row']}, {told['parameters']:,} weights | {told['batch']} | {read} | {' | '.join(numbers)} | {most} | "
        f"{told['declared']:,.0f} MiB | {told['mapped']:,.0f} MiB | {told['seconds']:,.0f} |"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python scripts/bench_copies_memory.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--train", type=int, default=6400, metavar="N", help="training tracks; with their two copies three times as many items (default: 6400)")
    p.add_argument("--validation", type=int, default=800, metavar="N", help="validation tracks (default: 800)")
    p.add_argument("--steps", type=int, default=12, metavar="N", help="of the preset's epoch; 0: all of it (default: 12)")
    p.add_argument("--batch", type=int, nargs="+", metavar="N", help="sizes of the preset's batches (default: the preset's own)")
    p.add_argument("--rows", nargs="+", choices=("preset", "narrow"), default=["preset", "narrow"])
    p.add_argument("--columns", type=int, metavar="N", help="frames of an item (default: the preset's 1280)")
    p.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 where a row is over the limit."""
    p = parser()
    options = p.parse_args(arguments)
    if options.work:
        work(options.work)
        return 0
    if min(options.train, options.validation) < 32 or options.steps < 0 or min(options.batch or [1]) < 1 or (options.columns or 1280) < 625:
        p.error("--train and --validation: at least 32; --steps: 0 or more; --batch: 1 or more; --columns: 625 or more, which four pools of 5 leave one of")
    with tempfile.TemporaryDirectory(prefix="bench_copies_memory_") as name:
        folder = Path(name)
        task = make_corpus(folder, options.train, options.validation, spec_of("preset", None, options.columns))
        on_disk = sum(path.stat().st_size for path in folder.rglob("rows.bin")) / MIB
        of_epoch = 3 * options.train / (options.train + options.validation) * on_disk
        print(f"cache on disk {on_disk:,.0f} MiB; an epoch's items, were they held: {of_epoch:,.0f} MiB as cached (float16), twice that in float32\n")
        print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
        most = 0.0
        for row in options.rows:
            for batch in options.batch or [None] if row == "preset" else [None]:
                told = measure(folder, row, batch, options.steps, task, options.columns)
                print(line_of(told), flush=True)
                most = max(most, told["peaks"]["all"])
    return 0 if most < LIMIT_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
