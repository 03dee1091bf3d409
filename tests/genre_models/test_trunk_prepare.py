"""The child process that loads pretrained networks and passes tracks through them for the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from genre_models.content import content_hash
from genre_models.errors import GenreModelsError, SettingsError, TrunkUnavailable
from genre_models.features import feature_key
from genre_models.features.store import FeatureStore
from genre_models.features.trunk_store import TrunkStore
from genre_models.settings import FeatureSettings
from genre_models.trunks import prepare
from genre_models.trunks.prepare import prepare_trunks

SETTINGS = {
    "trunk": "mobilenet", "weights": "random", "sha256": None, "side": 32, "cut": "conv_pw_2_relu", "channels": "colour",
    "pooling": "average", "copy_frequency_mask": 4, "copy_time_mask": 4, "copy_masks": 1, "copy_fill": "zero",
}  # fmt: skip


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "_CHILD", "tests.genre_models.scripted_trunk_child")
    monkeypatch.setattr(prepare, "_PACKAGES", Path(__file__).resolve().parents[2])


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.usefixtures("scripted")
def test_what_a_child_says_comes_back() -> None:
    told: list[tuple] = []
    found = prepare_trunks([{"do": "work"}], {"kind": "audio"}, lambda *step: told.append(step))
    assert found == {"key": {"jobs": [{"do": "work"}], "task": {"kind": "audio"}}}
    assert told == [(1, 2, "vgg16")]
    assert prepare_trunks([], None) == {}


@pytest.mark.usefixtures("scripted")
def test_errors_come_out_as_they_are() -> None:
    with pytest.raises(SettingsError, match="^cut: nothing$"):
        prepare_trunks([{"do": "refuse"}], None)
    with pytest.raises(TrunkUnavailable, match="^vgg16: gone$") as caught:
        prepare_trunks([{"do": "unavailable"}], None)
    assert caught.value.trunk == "vgg16|imagenet|224"


@pytest.mark.usefixtures("scripted")
def test_a_child_that_dies_is_told_of() -> None:
    with pytest.raises(GenreModelsError, match="was killed by signal 9, by hand or because memory ran out"):
        prepare_trunks([{"do": "die"}], None)
    with pytest.raises(GenreModelsError, match=r"failed with exit code 1 .* it said last: .*RuntimeError: something \| unforeseen"):
        prepare_trunks([{"do": "break"}], None)


@pytest.mark.usefixtures("scripted")
def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_trunks([{"do": "sleep", "pid": str(tmp_path / "pid")}], None, interrupt)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_killed_driver_leaves_no_process(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        "from genre_models.trunks import prepare; prepare._CHILD = 'tests.genre_models.scripted_trunk_child'; "
        f"prepare.prepare_trunks([{{'do': 'sleep', 'pid': {str(tmp_path / 'pid')!r}}}], None)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    try:
        for _ in range(200):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
                break
            time.sleep(0.1)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.slow
def test_caches_are_filled_and_then_read(tmp_path: Path, images: Path) -> None:
    features = FeatureSettings(image_size=(16, 16)).model_dump(mode="json")
    tracks = [
        {"id": f"{path.parent.name}/{path.stem}", "label": path.parent.name, "path": str(path), "content": content_hash(path),
         "part": "train" if number % 5 else "validation"}
        for number, path in enumerate(sorted(images.rglob("*.png")))
    ]  # fmt: skip
    base = FeatureStore(tmp_path, "image", features, tracks)
    base.prepare(1)
    task = {"kind": "image", "cache_dir": str(tmp_path), "tracks": tracks}
    jobs = [{**SETTINGS, "features": features, "copies": 1}, {**SETTINGS, "cut": "conv_pw_1_relu", "pooling": "flat", "features": features}]
    told: list[tuple] = []
    facts = prepare_trunks(jobs, task, lambda *step: told.append(step))
    assert list(facts) == ["mobilenet|random|32"]
    assert facts["mobilenet|random|32"]["layers"]["conv_pw_2_relu"]["shape"] == [8, 8, 128]
    assert [total for done, total, _ in told if done == total] == [10, 8]  # copies of training tracks only
    pid = os.getpid()
    assert facts == prepare_trunks(jobs, task, lambda *step: pytest.fail(f"{pid}: computed twice: {step}"))

    def never(_: object) -> None:
        pytest.fail("it is all there")

    store = TrunkStore(base, tracks, tmp_path, SETTINGS, feature_key("image", features), facts["mobilenet|random|32"])
    ids = [track["id"] for track in tracks]
    store.passing = never
    assert store.features(ids).shape == (10, 128)
    assert np.isfinite(store.copies(ids[1:5], [1] * 4)).all()


@pytest.mark.slow
def test_a_plan_needs_no_weights(tmp_path: Path) -> None:
    wanted = {**SETTINGS, "weights": str(tmp_path / "not_there.weights.h5")}
    (found,) = prepare_trunks([wanted, {**wanted, "cut": "conv_pw_13_relu"}], None).values()
    assert (found["layers"]["conv_pw_13_relu"]["parameters"], found["sha256"]) == (3_228_864, None)
    with pytest.raises(TrunkUnavailable, match=r"not_there.weights.h5: there is no such file") as caught:
        prepare_trunks([{**wanted, "features": {}}], {"kind": "audio", "tracks": [], "cache_dir": str(tmp_path)})
    assert caught.value.trunk == prepare.trunk_key(wanted)
