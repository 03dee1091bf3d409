"""The first pass over a corpus, beside a plain librosa loop on one core; then the second pass.

    python scripts/bench_features.py

Renders clips of 30 s (the demo's music, so that anybody can repeat it), computes their log-mel features at the default
settings (128 x 1280 a clip) both ways, and then starts a search on them to see how soon its first epoch is done.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SPACE = """study: first
data: {{source: "{music}"}}
budget: {{max_epochs: 1, trials: 1}}
families: {{cnn: {{filters: 4, depth: 3, pool: "2-4"}}}}
"""


def plain_loop(paths: list[Path]) -> float:
    """Seconds of the loop that a tutorial shows, one process, one thread, in an interpreter of its own."""
    code = (
        "import sys, time, librosa, numpy as np\n"
        "started = time.perf_counter()\n"
        "for path in sys.stdin.read().split('\\n'):\n"
        "    y, sr = librosa.load(path, sr=22050, duration=29.7)\n"
        "    S = librosa.feature.melspectrogram(y=y, sr=sr, n_fft=2048, hop_length=512, n_mels=128)\n"
        "    librosa.power_to_db(S, ref=np.max)\n"
        "print(time.perf_counter() - started)\n"
    )
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    text = "\n".join(map(str, paths))
    done = subprocess.run([sys.executable, "-c", code], input=text, env={**os.environ, **one}, capture_output=True, text=True, check=True)
    return float(done.stdout)


def first_epoch(folder: Path, music: Path) -> tuple[float, str]:
    """Seconds from the search command to its first epoch in the study, and what it said of its features."""
    space = folder / "first.yaml"
    space.write_text(SPACE.format(music=music))
    database = folder / "studies" / "first" / "study.db"
    started = time.perf_counter()
    command = [sys.executable, "-m", "search.run", "--space", str(space), "--studies-dir", str(folder / "studies")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while process.poll() is None and not _reported(database):
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        said = process.communicate()[0]
    return seconds, next((line for line in said.splitlines() if line.startswith("features:") and "decoded" in line), said)


def _reported(database: Path) -> bool:
    try:
        with sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True) as connection:
            return bool(connection.execute("SELECT count(*) FROM trial_intermediate_values").fetchone()[0])
    except sqlite3.Error:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=240, help="clips of 30 s, a multiple of 8")
    options = parser.parse_args()
    from genre_models.demo import render_demo
    from genre_models.parallel import available_cores
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    with tempfile.TemporaryDirectory(dir=ROOT / "studies", prefix=".bench-") as name:
        folder = Path(name)
        music = render_demo(folder / "music", tracks_per_style=options.clips // 8, seconds=30.0)
        started = time.perf_counter()
        task = open_task(DataSettings(source=str(music)), {"cnn": FeatureSettings()}, 0, folder / "studies" / ".cache")
        scanned = time.perf_counter() - started
        paths = [Path(row["path"]) for row in task.development]
        loop = plain_loop(paths)
        started = time.perf_counter()
        decoded, _, _ = task.prepare_features()
        first = time.perf_counter() - started
        started = time.perf_counter()
        again, cached, _ = task.prepare_features()
        second = time.perf_counter() - started
        n = len(paths)
        print(f"scan of {len(task.scan.rows)} clips of 30 s: {scanned:.1f} s, {len(task.scan.rows) / scanned:.0f} clips/s")
        print(f"plain librosa loop, one core: {loop:.1f} s for {n} clips, {n / loop:.1f} clips/s (imports not counted)")
        print(f"first pass, {available_cores()} cores: {first:.1f} s, {decoded / first:.1f} clips/s: {loop / first:.2f} times the loop (imports counted)")
        print(f"second pass: {again} decoded, {cached} from the cache, {second:.2f} s")
        seconds, said = first_epoch(folder, music)
        print(f"a search on it: first epoch in the study {seconds:.1f} s after the command; it said: {said}")


if __name__ == "__main__":
    main()
