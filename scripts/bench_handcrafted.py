"""What the 518 handcrafted features cost: seconds for a 30 s clip, where they go, and what sharing one constant-Q transform saves.

    python scripts/bench_handcrafted.py
    python scripts/bench_handcrafted.py --clips 96             the rate on all cores, once processes have started
    python scripts/bench_handcrafted.py --data FOLDER
    python scripts/bench_handcrafted.py --table FILE --lists TRAIN VALIDATION    does a table's column of the file's length tell the class?

Without --data the clips are the demo's music, so that anybody can repeat it. Prints Markdown. With --table nothing is timed: one RBF SVM (C = 3,
standardised) is scored with the columns of the file's length, which are no features of this project, and without.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # steps are timed on one core

import numpy as np

SECONDS = 30.0


def steps_of(clips: list) -> dict[str, list[float]]:
    """Seconds of each step, one number a clip; the first clip is computed once before, since librosa compiles some of its code."""
    from genre_models.features.handcrafted import handcrafted_features

    how = {"sr": 22_050, "n_fft": 2_048, "hop_length": 512}
    handcrafted_features(clips[0], **how)
    taken: dict[str, list[float]] = {}
    for y in clips:
        seconds: dict[str, float] = {}
        handcrafted_features(y, **how, seconds=seconds)
        for step, spent in seconds.items():
            taken.setdefault(step, []).append(spent)
    return taken


def three_transforms(clips: list) -> float:
    """Seconds a clip of chroma CQT, chroma CENS and tonnetz where each makes a transform of its own, as calls with ``y=`` do."""
    import librosa

    def three(y) -> None:
        librosa.feature.chroma_cqt(y=y, sr=22_050, bins_per_octave=12)
        librosa.feature.chroma_cens(y=y, sr=22_050, bins_per_octave=12)
        librosa.feature.tonnetz(y=y, sr=22_050, bins_per_octave=12)

    three(clips[0])
    started = time.perf_counter()
    for y in clips:
        three(y)
    return (time.perf_counter() - started) / len(clips)


def through_the_store(paths: list[Path], folder: Path) -> tuple[float, float]:
    """Seconds a clip from files to the cache on all cores: with the start of the processes and their imports, and of the last three in four."""
    from genre_models.content import content_hash
    from genre_models.features.store import FeatureStore
    from genre_models.settings import FeatureSettings

    tracks = [{"id": str(path), "path": str(path), "content": content_hash(path)} for path in paths]
    store = FeatureStore(folder, "handcrafted", FeatureSettings(clip_seconds=SECONDS).model_dump(mode="json"), tracks)
    steps: list[tuple[int, float]] = []
    done = store.prepare(progress=lambda n, *_: steps.append((n, time.perf_counter())))
    if done.failed:
        raise SystemExit(f"error: {next(iter(done.failed.values()))}")
    (first, began), (last, ended) = next(step for step in steps if step[0] >= len(tracks) / 4), steps[-1]
    return done.seconds / max(1, done.decoded), (ended - began) / max(1, last - first)


def tell_length(path: Path, lists: list[Path]) -> None:
    """Score one SVM with and without a table's columns of the file's length: on five random folds, and from one list of tracks to another."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    from genre_models.features.table import read_table
    from genre_models.track_names import tidy

    table = read_table(path)
    if table.with_sizes is None or table.labels is None or len(set(table.ids)) < len(table.ids):
        raise SystemExit(f"error: {path}: must have a column of the file's length, the class of each track, and one row a track")
    train, validation = ([tidy(line) for line in each.read_text().splitlines() if line.strip()] for each in lists)
    y, row_of = np.array(table.labels), {id: row for row, id in enumerate(table.ids)}
    print("| columns | five random folds | from list to list |\n|---|---|---|")
    for which in (table.with_sizes, table):
        svm = make_pipeline(StandardScaler(), SVC(C=3.0))
        folds = cross_val_score(svm, which.X, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))
        rows, asked = ([row_of[id] for id in ids if id in row_of] for ids in (train, validation))
        to_list = svm.fit(which.X[rows], y[rows]).score(which.X[asked], y[asked])
        print(f"| {len(which.columns)} | {folds.mean():.3f} | {to_list:.3f} ({len(rows)} to {len(asked)} tracks) |")


def report(clips: list, read: float, paths: list[Path], folder: Path) -> None:
    """Measure and print."""
    from genre_models.parallel import available_cores

    taken = steps_of(clips)
    mean = {step: statistics.mean(spent) for step, spent in taken.items()}
    total = sum(mean.values())
    lasting = statistics.mean(len(y) for y in clips) / 22_050
    print(f"{len(clips)} clips of {lasting:.1f} s on the average; librosa's code compiled before; statistics count with their feature\n")
    print("| step | ms a clip | share |\n|---|---|---|")
    for step, spent in sorted(mean.items(), key=lambda item: -item[1]):
        print(f"| {step} | {spent * 1e3:.0f} | {spent / total:.0%} |")
    print(f"| all 518 features, one core | {total * 1e3:.0f} | 100% |")
    print(f"| reading and resampling the file, beside that | {read * 1e3:.0f} | |\n")
    one = sum(mean[step] for step in ("CQT", "chroma CQT", "chroma CENS, tonnetz"))
    three = three_transforms(clips)
    print(
        f"chroma CQT, chroma CENS and tonnetz: {one * 1e3:.0f} ms a clip with one transform (with statistics), {three * 1e3:.0f} ms with "
        f"three ({three / one:.1f} times)"
    )
    stored, steady = through_the_store(paths, folder / "cache")
    print(
        f"from files to the cache, {available_cores()} cores: {stored:.2f} s a clip over {len(paths)} clips, start and imports included; {steady:.3f} s "
        "a clip over the last three in four"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24, help="clips, with the demo's music a multiple of 8")
    parser.add_argument("--data", type=Path, help="folder with audio files below it instead of the demo's music")
    parser.add_argument("--table", type=Path, metavar="FILE", help="a table of features, with a column of the file's length")
    parser.add_argument("--lists", type=Path, nargs=2, metavar=("TRAIN", "VALIDATION"), help="with --table: text files, a track a line")
    options = parser.parse_args()
    if (options.table is None) != (options.lists is None):
        parser.error("--table and --lists go together")
    if options.table:
        tell_length(options.table, options.lists)
        return
    from genre_models.audio import load_clip
    from genre_models.corpus import SUFFIXES
    from genre_models.demo import render_demo

    with tempfile.TemporaryDirectory(prefix="bench-handcrafted-") as name:
        folder = Path(name)
        music = options.data or render_demo(folder / "music", tracks_per_style=max(1, options.clips // 8), seconds=SECONDS)
        paths = sorted(path for path in music.rglob("*") if path.suffix.lower() in SUFFIXES["audio"])[: options.clips]
        if not paths:
            raise SystemExit(f"error: {music}: no audio files below it")
        started = time.perf_counter()
        clips = [load_clip(path, 22_050, SECONDS, pad=False) for path in paths]
        read = (time.perf_counter() - started) / len(clips)
        print(f"music: {options.data or 'the demo, synthesised'}")
        report(clips, read, paths, folder)


if __name__ == "__main__":
    main()
