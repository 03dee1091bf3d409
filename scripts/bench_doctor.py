"""How much the doctor finds of faults that are planted, how often it cries wolf, and how fast it is.

    python scripts/bench_doctor.py --images GTZAN/images_original --sounds GTZAN/clips_15s GTZAN/genres_original

Beside the real files, copies of some of them are written into a temporary folder, each with one fault: encoded again, louder or softer, resized,
cut by a second, filed under another class. A planted file is found if it ends in the set of its original; a false alarm is a pair of files
of which neither is the other's copy. Pairs among the real files themselves are told apart: those that are published (Sturm 2013), those of one name
in two of the folders, and the others, which someone has to look at. Sound files also get faults that no comparison is needed for. With --demo the
synthesised corpus, 480 tracks of a few instruments, is one more test of false alarms.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CROP_SECONDS, CLIP_SECONDS = 1.013, 30.0  # no multiple of a frame
Fault = Callable[[Path, Path], None]


def encoded(y: np.ndarray, sr: int, **options: Any) -> tuple[np.ndarray, int]:
    """Samples after a lossy encoder."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, y, sr, **options)
    stream.seek(0)
    return soundfile.read(stream, dtype="float32")


MP3_LOWEST = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": 0.99}


def sound_faults() -> dict[str, Callable[[np.ndarray, int], tuple[str, np.ndarray, int, dict[str, Any]]]]:
    """What is done to samples: suffix, samples, rate and how they are written."""
    import soxr

    def cut(y: np.ndarray, sr: int) -> np.ndarray:
        return y[round(CROP_SECONDS * sr) :]

    return {
        "mp3, lowest quality": lambda y, sr: ("mp3", y, sr, MP3_LOWEST),
        "ogg, low quality": lambda y, sr: ("ogg", y, sr, {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.9}),
        "12 dB softer": lambda y, sr: ("wav", y / 4, sr, {}),
        "6 dB louder, clipped": lambda y, sr: ("wav", np.clip(2 * y, -1, 1), sr, {}),
        "at 44.1 kHz, stereo": lambda y, sr: ("wav", np.stack([soxr.resample(y, sr, 44_100)] * 2, axis=1), 44_100, {}),
        "without its first second": lambda y, sr: ("wav", cut(y, sr), sr, {}),
        "without its last second": lambda y, sr: ("wav", y[: -len(y) + len(cut(y, sr))], sr, {}),
        "cut, softer, and mp3": lambda y, sr: ("mp3", cut(y, sr) / 2, sr, MP3_LOWEST),
    }


def image_faults() -> dict[str, Callable[[Any], tuple[str, Any, dict[str, Any]]]]:
    """What is done to an image: suffix, image and how it is saved."""
    from PIL import Image

    def cut(image: Any) -> Any:
        return image.crop((round(image.width * CROP_SECONDS / CLIP_SECONDS), 0, image.width, image.height))

    return {
        "JPEG, quality 50": lambda image: ("jpg", image, {"quality": 50}),
        "resized to 224 × 224": lambda image: ("png", image.resize((224, 224), Image.Resampling.BILINEAR), {}),
        "resized to 96 × 96": lambda image: ("png", image.resize((96, 96), Image.Resampling.BILINEAR), {}),
        "darker (gain 0.6)": lambda image: ("png", image.point(lambda value: 0.6 * value), {}),
        "without its first second": lambda image: ("png", cut(image), {}),
        "cut, stretched, and JPEG": lambda image: ("jpg", cut(image).resize(image.size, Image.Resampling.BILINEAR), {"quality": 50}),
    }


def plant(folder: Path, kind: str, originals: list[Path], labels: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Write the faulty copies; returns for each fault the ids of planted file and original."""
    rng = random.Random(0)
    planted: dict[str, list[tuple[str, str]]] = {}
    for path in originals:
        label = path.parent.name
        other = rng.choice([each for each in labels if each != label])
        original = f"{label}/{path.stem}"
        for number, (fault, where) in enumerate([*((name, label) for name in faults_of(kind)), ("copied to another class", other), ("encoded, to another class", other)]):
            stem = f"{path.stem}-fault{number}"
            place = folder / where / stem
            if fault == "copied to another class":
                shutil.copy(path, place.with_name(f"{stem}{path.suffix}"))
            else:
                write_fault(path, place, kind, next(iter(faults_of(kind))) if fault.startswith("encoded") else fault)
            planted.setdefault(fault, []).append((f"{where}/{stem}", original))
    return planted


def faults_of(kind: str) -> dict[str, Any]:
    """The faults of one kind of file."""
    return sound_faults() if kind == "audio" else image_faults()


def write_fault(path: Path, place: Path, kind: str, fault: str) -> None:
    """Write one faulty copy; its suffix is added to `place`."""
    if kind == "audio":
        import soundfile

        y, sr = soundfile.read(path, dtype="float32")
        suffix, y, sr, options = sound_faults()[fault](y, sr)
        soundfile.write(place.with_name(f"{place.name}.{suffix}"), y, sr, **options)
        return
    from PIL import Image

    suffix, image, options = image_faults()[fault](Image.open(path).convert("RGB"))
    image.save(place.with_name(f"{place.name}.{suffix}"), **options)


def look(source: list[str], cache: Path, workers: int | None) -> tuple[Any, dict[str, float]]:
    """Examine a corpus twice; the examination, and files a second of each look."""
    from genre_models.corpus import open_corpus
    from genre_models.doctor import examine

    corpus = open_corpus(source[0] if len(source) == 1 else source, "auto", cache)
    speeds = {}
    for name in ("first", "again"):
        started = time.perf_counter()
        found = examine(corpus, cache, workers)
        speeds[name] = len(corpus.tracks) / (time.perf_counter() - started)
        if name == "first":
            speeds |= {f"{part} seconds": seconds for part, seconds in found.seconds.items()}
    return found, speeds


def name_of(id: str) -> str:
    """GTZAN's name of a track or of a planted copy of it."""
    return id.rpartition("/")[2].partition("@")[0].partition("-fault")[0]


def tell_real(found: Any) -> set[frozenset[str]]:
    """Print the pairs among the real files; returns them by name."""
    from genre_models.doctor.gtzan import published_sets

    pairs = {frozenset(map(name_of, (pair.one, pair.other))) for pair in found.same.pairs}
    published = [set(names) for names in published_sets()]
    kinds = Counter(
        "one name, in two folders" if len(pair) == 1 else "published" if any(pair <= names for names in published) else "not published" for pair in pairs
    )
    print(f"  among the real files: {len(pairs)} pairs: {dict(kinds)}")
    for pair in sorted(sorted(pair) for pair in pairs if len(pair) > 1 and not any(pair <= names for names in published)):
        print(f"    to be looked at: {' and '.join(pair)}")
    return pairs


def tell_planted(found: Any, planted: dict[str, list[tuple[str, str]]], real: set[frozenset[str]]) -> None:
    """Print recall by fault, and false alarms."""
    set_of = {id: number for number, ids in enumerate(found.same.sets) for id in ids}
    across = {row.id for finding in found.findings if finding.kind == "copies-across" for case in finding.cases for row in case.rows}
    ids = {row.id.partition("@")[0]: row.id for row in found.scan.rows}
    print("  | fault | planted | found |\n  |---|---|---|")
    for fault, pairs in planted.items():
        hits = [copy for copy, original in pairs if set_of.get(ids[copy], copy) == set_of.get(ids[original], original)]
        reported = f" ({sum(ids[copy] in across for copy in hits)} of them as under two classes)" if "another class" in fault else ""
        print(f"  | {fault} | {len(pairs)} | {len(hits)}{reported} |")
    names = [frozenset((name_of(pair.one), name_of(pair.other))) for pair in found.same.pairs]
    wrong = {pair for pair in names if len(pair) > 1 and pair not in real and not joined(pair, real)}
    n_files = len(found.scan.rows)
    print(f"  false alarms: {len(wrong)} among {n_files * (n_files - 1) // 2:,} pairs of files {[sorted(pair) for pair in wrong] or ''}")


def joined(pair: frozenset[str], real: set[frozenset[str]]) -> bool:
    """Whether two names are in one set of the real files, perhaps through others."""
    from genre_models.fingerprints.same_recording import join

    return any(pair <= set(names) for names in join([sorted(each) for each in real if len(each) > 1]))


def tell_single_faults(sounds: list[Path], folder: Path, cache: Path, workers: int | None) -> None:
    """Plant faults of single files, and print what is found of them."""
    import soundfile

    for number, path in enumerate(sounds):
        y, sr = soundfile.read(path, dtype="float32")
        place = folder / ("odd" if number % 2 else "even")
        place.mkdir(exist_ok=True, parents=True)
        shutil.copy(path, place / f"{number}-whole.wav")
        (place / f"{number}-empty.wav").touch()
        (place / f"{number}-unreadable.wav").write_bytes(random.Random(number).randbytes(5_000))
        soundfile.write(place / f"{number}-silent.wav", np.zeros(len(y) + number), sr)
        soundfile.write(place / f"{number}-clipped.wav", np.clip(8 * y / np.abs(y).max(), -1, 1), sr)
        soundfile.write(place / f"{number}-short.wav", y[: 4 * sr], sr)
        for suffix in ("wav", "ogg", "mp3"):
            whole = place / f"{number}-whole-{suffix}.{suffix}"
            soundfile.write(whole, y, sr, format=suffix.upper())
            data = whole.read_bytes()
            (place / f"{number}-truncated-{suffix}.{suffix}").write_bytes(data[: len(data) * 9 // 10])
    found, _ = look([str(folder)], cache, workers)
    print("  | fault of a single file | planted | found | others called so |\n  |---|---|---|---|")
    for kind in ("empty", "unreadable", "truncated", "silent", "clipped", "short"):
        called = [row.id for finding in found.findings if finding.kind == kind for case in finding.cases for row in case.rows]
        planted = [row.id for row in found.scan.rows if f"-{kind}" in row.id]
        others = [id for id in called if f"-{kind}" not in id]
        print(f"  | {kind} | {len(planted)} | {len(set(planted) & set(called))} | {len(others)} {others[:3] or ''} |")


def main() -> int:
    """Run the command."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=Path, metavar="DIR", help="class folders of spectrogram images, named as GTZAN's")
    p.add_argument("--sounds", type=Path, nargs="+", metavar="DIR", help="class folders of sound files, named as GTZAN's")
    p.add_argument("--planted", type=int, default=60, help="images that get copies (default: 60); sound files all do")
    p.add_argument("--demo", action="store_true", help="look at the synthesised corpus too")
    p.add_argument("--workers", type=int, metavar="N")
    options = p.parse_args()
    sources = {"image": [options.images] if options.images else [], "audio": options.sounds or []}
    with tempfile.TemporaryDirectory(prefix="bench_doctor_") as temporary:
        work = Path(temporary)
        for kind, folders in sources.items():
            if folders:
                measure(kind, [folder.resolve() for folder in folders], work, options)
        if options.sounds:
            tell_single_faults(sorted(options.sounds[0].glob("*/*.wav")), work / "single", work / "cache", options.workers)
        if options.demo:
            found, speeds = look(["demo"], work / "cache", options.workers)
            print(f"demo: {len(found.scan.rows)} tracks, {len(found.same.pairs)} pairs; {speeds['first']:.1f} files a second")
    return 0


def measure(kind: str, folders: list[Path], work: Path, options: argparse.Namespace) -> None:
    """The real files alone, then with the planted ones."""
    files = sorted(path for folder in folders for path in folder.glob("*/*") if path.is_file())
    found, speeds = look(list(map(str, folders)), work / f"cache-{kind}", options.workers)
    shown = ", ".join(f"{name} {value:.1f}" for name, value in speeds.items())
    print(f"{kind}: {len(files)} real files; files a second: {shown}")
    real = tell_real(found)
    known = {name for pair in real if len(pair) > 1 for name in pair}
    originals = [path for path in files if path.stem not in known and path.parent.parent == folders[0]]
    if kind == "image":
        originals = sorted(random.Random(1).sample(originals, min(options.planted, len(originals))))
    mixed = work / f"planted-{kind}"
    for path in files:
        (mixed / path.parent.name).mkdir(parents=True, exist_ok=True)
        if path.parent.parent == folders[0]:
            (mixed / path.parent.name / path.name).symlink_to(path)
    planted = plant(mixed, kind, originals, sorted({path.parent.name for path in files}))
    found, speeds = look([str(mixed), *map(str, folders[1:])], work / f"cache-{kind}", options.workers)
    tell_planted(found, planted, real)


if __name__ == "__main__":
    sys.exit(main())
