"""Memory of the first pass over a corpus, beside the size of the corpus.

    python scripts/bench_memory.py --hours 1 2 4
    python scripts/bench_memory.py --hours 100      about 12,000 files; 4 GB in the temporary folder, and core-hours rather than minutes

For each size: synthesises mp3 clips of 30 s into a temporary folder (a few sounds, each file with bytes of its own behind them, so that no
two are the same to the scan), scans them and computes the log-mel features of all development tracks at the default settings, in a process
of its own. Shown is the resident memory of that process and its workers together, sampled every 50 ms; pages that they share count more
than once, so it is an upper bound. It must not grow by anything near the size of the features (320 KiB a file). In the first hours it grows
until the rows that go to the disk together (16 MiB) are complete; after that by about 2 KiB a file, for what is known of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CLIP_SECONDS, SR = 30, 22_050
CLASSES, SOUNDS = ("bright", "dark", "dull", "sharp"), 3  # sounds of each class
SAMPLE_SECONDS = 0.05


def write_corpus(folder: Path, n_files: int) -> int:
    """Write mp3 clips, the same number in each class; returns their bytes."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    total = 0
    for number, label in enumerate(CLASSES):
        sounds = []
        for i in range(SOUNDS):
            t = np.arange(CLIP_SECONDS * SR) / SR
            y = 0.2 * np.sin(2 * np.pi * (110 * (number + 1) + 7 * i) * t * (1 + (t % 1 < 0.5))) + rng.normal(0, 0.02, len(t))
            path = folder / "sound.mp3"
            soundfile.write(path, y, SR, format="MP3", bitrate_mode="VARIABLE", compression_level=0.7)
            sounds.append(path.read_bytes())
            path.unlink()
        (folder / label).mkdir()
        for i in range(number, n_files, len(CLASSES)):
            data = sounds[i // len(CLASSES) % SOUNDS] + b"TAG" + f"{i:06d}".encode().ljust(125, b"\0")
            (folder / label / f"{i:06d}.mp3").write_bytes(data)
            total += len(data)
    return total


def first_pass(music: Path, cache: Path, workers: int | None) -> None:
    """Scan and prepare, as a search does before its first trial; prints what it did as JSON."""
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    started = time.perf_counter()
    data = open_task(DataSettings(source=str(music)), {"cnn": FeatureSettings()}, 0, cache, workers=workers)
    scanned = time.perf_counter()
    decoded, _, failed = data.prepare_features(workers)
    done = {"files": len(data.scan.rows), "features": decoded, "failed": len(failed)}
    print(json.dumps(done | {"scan_seconds": scanned - started, "features_seconds": time.perf_counter() - scanned}))


def watch(command: list[str]) -> tuple[dict, dict[str, float]]:
    """Run a first pass; returns what it printed, and peaks of resident memory in MiB."""
    import psutil

    peaks = {"all": 0.0, "driver": 0.0, "worker": 0.0}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                own = driver.memory_info().rss
                children = []
                for child in driver.children(recursive=True):
                    try:
                        children.append(child.memory_info().rss)
                    except psutil.NoSuchProcess:
                        continue
            except psutil.NoSuchProcess:
                break
            for name, n_bytes in (("all", own + sum(children)), ("driver", own), ("worker", max(children, default=0))):
                peaks[name] = max(peaks[name], n_bytes / 2**20)
            time.sleep(SAMPLE_SECONDS)
        said = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit(f"error: the first pass ended with exit code {process.returncode}")
    return json.loads(said), peaks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 2.0], metavar="H", help="sizes of the corpus (default: 1 2)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one on each core)")
    parser.add_argument("--first-pass", nargs=2, type=Path, metavar=("MUSIC", "CACHE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_pass:
        first_pass(*options.first_pass, options.workers)
        return 0
    if min(options.hours) * 3600 / CLIP_SECONDS < 8 * len(CLASSES):
        parser.error(f"--hours: at least {8 * len(CLASSES) * CLIP_SECONDS / 3600:.2f} hours are needed, 8 clips of each class")
    rows = []
    for hours in options.hours:
        with tempfile.TemporaryDirectory(prefix="bench_memory_") as folder:
            music, cache = Path(folder) / "music", Path(folder) / "cache"
            music.mkdir()
            n_bytes = write_corpus(music, round(hours * 3600 / CLIP_SECONDS))
            command = [sys.executable, __file__, "--first-pass", str(music), str(cache)]
            done, peaks = watch(command + (["--workers", str(options.workers)] if options.workers else []))
        rows.append((hours, peaks))
        print(
            f"{hours:g} h: {done['files']} files, {n_bytes / 2**20:.0f} MiB of mp3, {done['features'] * 320 / 1024:.0f} MiB of features; "
            f"scan {done['scan_seconds']:.0f} s, features {done['features_seconds']:.0f} s; peak {peaks['all']:.0f} MiB in all, "
            f"driver {peaks['driver']:.0f} MiB, largest worker {peaks['worker']:.0f} MiB"
            + (f"; {done['failed']} FAILED" if done["failed"] else ""),
            flush=True,
        )
    (short, first), (long, last) = min(rows, key=lambda row: row[0]), max(rows, key=lambda row: row[0])
    if long > short:
        growth = {name: (last[name] - first[name]) / (long - short) for name in first}
        shown = ", ".join(f"{name} {value:+.1f}" for name, value in growth.items())
        print(f"growth in MiB for each further hour: {shown}; features of an hour are 30 MiB of development tracks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
