from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_models import audio, parallel
from genre_models.corpus import open_corpus
from genre_models.features import image
from genre_models.scan import look_at, scan_corpus


@pytest.fixture
def spoilt(images: Path, write_image: Callable[..., Path]) -> Path:
    """A corpus of images with one of each kind of broken file."""
    folder = images / "dark"
    whole = (folder / "0.png").read_bytes()
    (folder / "empty.png").touch()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("not a picture")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    shutil.copy(folder / "0.png", folder / "copy.png")
    return images


def test_broken_files_are_rows_with_a_reason(spoilt: Path, tmp_path: Path) -> None:
    seen = []
    scan = scan_corpus(open_corpus(str(spoilt)), tmp_path / "cache", 2, lambda *state: seen.append(state))
    reasons = {row.id: row.reason for row in scan.rows if not row.readable}
    assert set(reasons) == {f"dark/{name}" for name in ("empty", "half", "text", "gone", "pipe")}
    assert "0 bytes" in reasons["dark/empty"]
    assert "truncated" in reasons["dark/half"]
    assert "PNG or JPEG" in reasons["dark/text"]
    assert "No such file" in reasons["dark/gone"]
    assert "not a regular file" in reasons["dark/pipe"]
    assert seen[-1] == (16, 16, "scan")
    rows = {row.id: row for row in scan.rows}
    assert (rows["dark/0"].width, rows["dark/0"].height, rows["dark/0"].duration_seconds) == (24, 24, None)
    assert rows["dark/0"].duplicate_group == rows["dark/copy"].duplicate_group is not None
    assert rows["dark/1"].duplicate_group is None


def test_second_scan_decodes_nothing_and_a_changed_file_is_seen(images: Path, tmp_path: Path, write_image: Callable[..., Path]) -> None:
    first = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 2)
    second = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 2)
    assert (first.decoded, first.cached, second.decoded, second.cached) == (10, 0, 0, 10)
    assert second.rows == first.rows
    write_image(images / "dark" / "0.png", value=99)
    third = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 2)
    assert third.decoded == 1
    assert third.fingerprint != first.fingerprint == second.fingerprint


def test_a_broken_cache_is_only_slower(images: Path, tmp_path: Path) -> None:
    first = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 2)
    (store,) = (tmp_path / "cache" / "scans").iterdir()
    store.write_text('{"path": 3\nnot json\n[]\n')
    assert scan_corpus(open_corpus(str(images)), tmp_path / "cache", 2).rows == first.rows


def test_audio_facts(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    path = write_tone(tmp_path / "a.wav", seconds=0.5, sr=44_100, channels=2, gain=0.5)
    facts = look_at(str(path), "audio")
    assert (facts["duration_seconds"], facts["sr"], facts["channels"]) == (0.5, 44_100, 2)
    assert facts["loudness_db"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    soundfile.write(tmp_path / "silence.wav", np.zeros(100), 22_050)
    assert look_at(str(tmp_path / "silence.wav"), "audio")["loudness_db"] == -120


def test_audio_that_cannot_be_decoded(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    whole = write_tone(tmp_path / "whole.wav").read_bytes()
    (tmp_path / "text.wav").write_text("these are words " * 20)
    (tmp_path / "header.wav").write_bytes(whole[:20])
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 22_050)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 22_050, subtype="FLOAT")
    for name, reason in [("text", "Format not recognised"), ("header", "decoded"), ("none", "no samples"), ("nan", "not finite")]:
        facts = look_at(str(tmp_path / f"{name}.wav"), "audio")
        assert reason in facts["reason"]
        assert str(tmp_path) not in facts["reason"]
        assert "content" in facts


def test_what_a_file_declares_is_bounded(
    tmp_path: Path, write_tone: Callable[..., Path], write_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 0.5)
    assert "at most" in look_at(str(write_tone(tmp_path / "long.wav")), "audio")["reason"]
    monkeypatch.setattr(image, "MAX_PIXELS", 100)
    assert "declares more than" in look_at(str(write_image(tmp_path / "large.png", size=(12, 12))), "image")["reason"]


@pytest.mark.parametrize(
    ("kind", "error", "again"),
    [
        ("image", OSError(errno.EIO, "Input/output error"), True),
        ("image", OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        ("image", MemoryError("no more"), True),
        ("image", OSError("image file is truncated"), False),
        ("image", SyntaxError("broken PNG file"), False),
        ("audio", OSError(errno.EIO, "Input/output error"), True),
        ("audio", OSError(errno.EINVAL, "begins with more than 64 ID3 tags"), False),
        ("audio", soundfile.LibsndfileError(2), True),  # the system's
        ("audio", soundfile.LibsndfileError(3), False),  # a malformed file
    ],
)
def test_what_may_pass_is_told_from_what_is_the_files_own(
    kind: str, error: Exception, again: bool, tmp_path: Path, write_tone: Callable[..., Path], write_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = write_image(tmp_path / "a.png") if kind == "image" else write_tone(tmp_path / "a.wav")
    monkeypatch.setattr("PIL.Image.open" if kind == "image" else "genre_models.sound_stream._open_known", fail)
    facts = look_at(str(path), kind)
    assert "can't be decoded" in facts["reason"]
    assert facts.get("again", False) is again


def test_a_disk_that_failed_once_is_asked_again(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_image = Image.open

    def open_or_fail(path: str, *arguments: object, **named: object) -> Image.Image:
        if Path(path).name == "0.png":
            raise OSError(errno.EIO, "Input/output error")
        return open_image(path, *arguments, **named)

    monkeypatch.setattr("genre_models.scan.run_jobs", lambda function, jobs, workers: ((number, function(*job)) for number, job in enumerate(jobs)))
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", open_or_fail)
        first = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 1)
    reason = "can't be decoded as an image: Input/output error"
    assert {row.id: row.reason for row in first.rows if not row.readable} == {"bright/0": reason, "dark/0": reason}
    second = scan_corpus(open_corpus(str(images)), tmp_path / "cache", 1)
    assert (second.decoded, second.cached) == (2, 8)
    assert all(row.readable for row in second.rows)


def test_a_decoder_that_kills_its_process_does_not_kill_the_run(tmp_path: Path) -> None:
    jobs = [(str(tmp_path / str(i)), i) for i in range(8)]
    results = dict(parallel.run_jobs(die_on_three, jobs, 2))
    assert isinstance(results[3], parallel.Lost)
    assert "died" in results[3].reason
    assert isinstance(results[5], parallel.Lost)
    assert "ZeroDivisionError" in results[5].reason
    assert [results[i] for i in (0, 1, 2, 4, 6, 7)] == [0, 1, 2, 4, 6, 7]


def test_a_decoder_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_STUCK_SECONDS", 1.5)
    results = dict(parallel.run_jobs(never_end_on_one, [(i,) for i in range(4)], 2))
    assert "did not end" in results[1].reason
    assert [results[i] for i in (0, 2, 3)] == [0, 2, 3]


def never_end_on_one(number: int) -> int:
    while number == 1:
        time.sleep(0.1)
    return number


def die_on_three(_path: str, number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number if number != 5 else 1 // 0


def test_ctrl_c_is_never_a_workers_affair() -> None:
    assert list(parallel.run_jobs(ignores_ctrl_c, [()], 1)) == [(0, True)]


def ignores_ctrl_c() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_do_not_outlive_a_killed_driver(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent("""
        import os, sys, time
        from genre_models.parallel import run_jobs
        def work(folder, number):
            open(f"{folder}/{os.getpid()}", "w").close()
            time.sleep(60)
        if __name__ == "__main__":
            list(run_jobs(work, [(sys.argv[1], i) for i in range(4)], 2))
        """)
    )
    (tmp_path / "pids").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids")], env=environment)
    wait_for(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    driver.kill()
    driver.wait()
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_ctrl_c_ends_the_workers_quietly(tmp_path: Path, images: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent("""
        import sys, time
        from genre_models.parallel import run_jobs
        if __name__ == "__main__":
            try:
                for _ in run_jobs(time.sleep, [(0,)] + [(60,)] * 4, 2):
                    print("ready", flush=True)
            except KeyboardInterrupt:
                sys.exit(130)
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background of a shell ignores Ctrl-C, and so would this
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the driver and its workers
    _, errors = driver.communicate(timeout=20)
    assert (driver.returncode, errors) == (130, "")


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_real_formats_are_read(real_data: Path) -> None:
    mp3 = look_at(str(real_data / "formats" / "fma_000002.mp3"), "audio")
    assert (mp3["sr"], mp3["channels"]) == (44_100, 2)
    assert mp3["duration_seconds"] == pytest.approx(30, abs=0.1)
    for path in (real_data / "formats").glob("*.ogg"):
        assert look_at(str(path), "audio")["duration_seconds"] > 4
    assert look_at(str(real_data / "formats" / "rgba" / "rock.00000.png"), "image")["channels"] == 4


def test_one_sample_that_no_features_can_be_made_of_is_found_by_the_scan(tmp_path: Path) -> None:
    """Else a held-out file would be refused only once the seal is open."""
    from genre_models.audio import Undecodable, load_clip, probe_audio

    y = np.zeros((22050, 2), np.float32)
    y[:, 0] = 0.1
    y[7] = 5e6
    soundfile.write(tmp_path / "loud.wav", y, 22050, subtype="FLOAT")
    for read in (probe_audio, lambda path: load_clip(path, 22050, 1.0)):
        with pytest.raises(Undecodable, match="a million times beyond full scale"):
            read(tmp_path / "loud.wav")
