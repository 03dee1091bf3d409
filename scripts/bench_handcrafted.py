"""What the 518 handcrafted features cost: seconds for a 30 s clip, where they go, and what sharing one constant-Q transform saves.

    python scripts/bench_handcrafted.py
    python scripts/bench_handcrafted.py --data FOLDER

Without --data the clips are the demo's music, so that anybody can repeat it. Prints Markdown.
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


def through_the_store(paths: list[Path], folder: Path) -> float:
    """Seconds a clip from files to the cache on all cores, start of the processes and their imports included."""
    from genre_models.content import content_hash
    from genre_models.features.store import FeatureStore
    from genre_models.settings import FeatureSettings

    tracks = [{"id": str(path), "path": str(path), "content": content_hash(path)} for path in paths]
    store = FeatureStore(folder, "handcrafted", FeatureSettings(clip_seconds=SECONDS).model_dump(mode="json"), tracks)
    done = store.prepare()
    if done.failed:
        raise SystemExit(f"error: {next(iter(done.failed.values()))}")
    return done.seconds / max(1, done.decoded)


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
    stored = through_the_store(paths, folder / "cache")
    print(f"from files to the cache, {available_cores()} cores: {stored:.2f} s a clip over {len(paths)} clips (start and imports included)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24, help="clips, with the demo's music a multiple of 8")
    parser.add_argument("--data", type=Path, help="folder with audio files below it instead of the demo's music")
    options = parser.parse_args()
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
