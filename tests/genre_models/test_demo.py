"""The demo corpus: deterministic, complete or absent, audible, and varied."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from genre_models.demo import MARKER, render_demo
from genre_models.demo.styles import CHORDS, STYLES, Part, Style
from genre_models.demo.track import render_track
from genre_models.errors import CacheError, CorpusError

REPOSITORY = Path(__file__).resolve().parents[2]
SR = 22050


def fingerprints(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_demo(tmp_path_factory.mktemp("demo") / "corpus", seed=0, tracks_per_style=6, seconds=2.0, workers=1)


def test_layout(corpus: Path) -> None:
    names = [style.name for style in STYLES]
    assert len(names) == 8 and names == sorted(names)
    assert sorted(path.name for path in corpus.iterdir()) == sorted([*names, MARKER])
    for name in names:
        assert sorted(path.name for path in (corpus / name).iterdir()) == [f"{name}.{number:05d}.wav" for number in range(6)]
    assert [path.name for path in corpus.parent.iterdir() if "rendering" in path.name] == []


def test_bytes_do_not_depend_on_the_number_of_processes(corpus: Path, tmp_path: Path) -> None:
    parallel = render_demo(tmp_path / "parallel", seed=0, tracks_per_style=6, seconds=2.0, workers=2)
    assert fingerprints(parallel) == fingerprints(corpus)


def test_seeds_and_tracks_differ_and_each_track_stands_alone(corpus: Path) -> None:
    first = render_track("waltz", 3, 0, 2.0)
    with wave.open(str(corpus / "waltz" / "waltz.00003.wav")) as file:
        assert file.readframes(file.getnframes()) == first.tobytes()
    assert not np.array_equal(first, render_track("waltz", 3, 1, 2.0))
    digests = [digest for name, digest in fingerprints(corpus).items() if name != MARKER]
    assert len(set(digests)) == len(digests) == 48


def test_audio_is_sane(corpus: Path) -> None:
    for path in corpus.rglob("*.wav"):
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SR, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
        assert len(samples) == 2 * SR
        assert np.mean(np.abs(samples) > 0.99) < 0.001, path.name
        assert np.sqrt(np.mean(samples**2)) > 0.003, path.name  # -50 dB: quiet, not silent
        assert abs(np.mean(samples)) < 0.02, path.name


def test_loudness_does_not_tell_the_style() -> None:
    """The spread inside the styles is larger than that between their means."""

    def level_db(name: str, number: int) -> float:
        return 10 * np.log10(np.mean((render_track(name, number, 5, 0.5) / 32768.0) ** 2))

    levels = np.array([[level_db(style.name, number) for number in range(8)] for style in STYLES])
    assert np.mean(levels.std(axis=1)) > levels.mean(axis=1).std()


def test_tracks_of_a_style_are_no_near_copies(corpus: Path) -> None:
    for style in STYLES:
        spectra = []
        for path in sorted((corpus / style.name).iterdir()):
            with wave.open(str(path)) as file:
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
            spectra.append(np.fft.rfft(samples / np.linalg.norm(samples), 2 * len(samples)))
        for one, other in itertools.combinations(spectra, 2):
            # The largest correlation over all shifts: a copy that begins later is found too.
            assert np.max(np.abs(np.fft.irfft(one * np.conj(other)))) < 0.8, style.name


def test_second_call_renders_nothing(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    calls: list[tuple[int, int, str]] = []
    assert render_demo(corpus, 0, lambda *call: calls.append(call), tracks_per_style=6, seconds=2.0) == corpus
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_progress_counts_every_track(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    render_demo(tmp_path / "corpus", 0, lambda *call: calls.append(call), tracks_per_style=1, seconds=0.5)
    assert [done for done, _, _ in calls] == sorted({done for done, _, _ in calls})
    assert calls[-1] == (8, 8, "demo corpus")


def test_other_content_is_never_overwritten(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds another demo corpus"):
        render_demo(corpus, seed=1, tracks_per_style=6, seconds=2.0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.wav").write_bytes(b"precious")
    with pytest.raises(CorpusError, match="new or empty folder"):
        render_demo(tmp_path / "mine", tracks_per_style=1, seconds=0.5)
    assert (tmp_path / "mine" / "song.wav").read_bytes() == b"precious"


@pytest.mark.parametrize("sizes", [{"tracks_per_style": 0}, {"seconds": 0.1}, {"seconds": float("nan")}])
def test_sizes_out_of_range_are_refused(tmp_path: Path, sizes: dict[str, float]) -> None:
    with pytest.raises(CorpusError, match="must be at least"):
        render_demo(tmp_path / "corpus", **sizes)
    assert list(tmp_path.iterdir()) == []


def test_without_locks_nothing_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(CacheError, match=r"the file system has no locks \(No locks available\); .*--studies-dir"):
        render_demo(tmp_path / "corpus", tracks_per_style=1, seconds=0.5)
    assert not any(path.is_dir() for path in tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_rendering_leaves_nothing_that_counts(corpus: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from genre_models.demo import render_demo; "
        f"render_demo(Path({str(tmp_path / 'corpus')!r}), 0, tracks_per_style=6, seconds=2.0, workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    deadline = time.monotonic() + 30.0
    while not any(tmp_path.rglob("*.wav")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "corpus").exists()
    assert any(tmp_path.glob(".corpus.rendering-*")), "killed too late to show anything"

    render_demo(tmp_path / "corpus", 0, tracks_per_style=6, seconds=2.0, workers=1)
    assert fingerprints(tmp_path / "corpus") == fingerprints(corpus)
    assert not any(tmp_path.glob(".corpus.rendering-*"))


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_styles_are_well_formed(style: Style) -> None:
    """Every pattern spells known symbols, every chord and timbre exists."""
    from genre_models.demo.instruments import TIMBRES

    for progression in style.progressions:
        for chord in progression.split():
            root, quality = chord.split(":")
            assert 0 <= int(root) < 12 and quality in CHORDS
    for kit in style.drums:
        assert set(kit) <= {"kick", "snare", "rim", "hat", "ride"}
        assert all(set(pattern) <= set("Xxo?. ") and len(pattern.split()) % style.beats == 0 for pattern in kit.values())
    for part in (style.bass, style.comp, style.lead):
        assert isinstance(part, Part) and set(part.timbres) <= set(TIMBRES)
        assert all(set(pattern) <= set("13578camw. ") and set(pattern) - set(". ") for pattern in part.patterns)
