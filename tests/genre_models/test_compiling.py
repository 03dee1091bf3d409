"""Two processes must not compile into one cache at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import portalocker
import pytest

from genre_models.errors import CacheError
from genre_models.features.compiling import compiling_alone

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from genre_models.features.compiling import compiling_alone
for turn in range(2):
    with compiling_alone("something"):
        began = time.time()
        time.sleep(0.4)
        print(turn, began, time.time())
"""


def test_first_turns_of_processes_do_not_overlap(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [line.split() for process in started for line in process.communicate(timeout=60)[0].splitlines()]
    assert len(lines) == 6
    first = sorted((float(began), float(ended)) for turn, began, ended in lines if turn == "0")
    assert all(earlier[1] <= later[0] for earlier, later in zip(first, first[1:], strict=False))


def test_a_process_that_dies_in_it_lets_go(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    dead = subprocess.Popen([sys.executable, "-c", PROGRAM.replace("0.4", "60")], cwd=ROOT, env=environment)
    while not list(tmp_path.glob("genre-search-compiling-*")):
        time.sleep(0.02)
    dead.kill()
    dead.wait()
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.splitlines()) == 2


def test_without_locks_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise portalocker.LockException("[Errno 37] No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    for _ in range(2):
        with pytest.raises(CacheError, match=r"the file system has no locks .*No locks available.*TMPDIR"), compiling_alone("nothing else's name"):
            pytest.fail("went on without a lock")


#: What two processes of a first run do at the same time, then what a third one does with what they compiled.
FIRST = "import numpy as np; from genre_models.features.mel import log_mel; log_mel(np.ones(4096, np.float32), sr=8000, n_fft=512, hop_length=256, n_mels=16, normalise='unit')"
THEN = "import numpy as np; from genre_models.features.handcrafted import handcrafted_features as f; print(f(np.random.default_rng(0).normal(size=22050).astype(np.float32), sr=22050, n_fft=2048, hop_length=512).shape)"


@pytest.mark.slow  # librosa is compiled anew
def test_processes_that_decode_at_the_same_time_in_a_new_environment_leave_a_cache_that_works(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "TMPDIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", FIRST], cwd=ROOT, env=environment) for _ in range(3)]
    assert [process.wait(300) for process in started] == [0, 0, 0]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "numba").rglob("*.nb[ci]")}
    assert len(kept) > 20
    done = subprocess.run([sys.executable, "-c", THEN], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "(518,)\n", done.stderr
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items()), "what was compiled once is compiled no more"


@pytest.mark.slow  # librosa is compiled anew
def test_what_is_used_after_it_is_loaded_compiles_nothing_more(tmp_path: Path) -> None:
    """That would be done by several processes at once: the lock is held while librosa is loaded, and no longer."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "TMPDIR": str(tmp_path)}

    def compiled_by(program: str) -> set[str]:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=300, check=True)
        return {path.name for path in (tmp_path / "numba").rglob("*.nbi")}

    loaded = compiled_by("from genre_models.features.compiling import librosa_loaded; librosa_loaded()")
    assert any("_localmax" in name for name in loaded)
    assert compiled_by(FIRST) == loaded
    assert compiled_by("import numpy as np; from genre_models.features.compiling import librosa_loaded as load; load().feature.melspectrogram(y=np.ones(4096, np.float32))") == loaded
