"""What is listed as opened by workers is all that they open: here everything else is taken away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_models.errors import CacheError
from genre_models.families import FAMILIES
from genre_models.features import trunk_store
from genre_models.prepare import open_task
from genre_models.task_data import TaskData
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.sources import development_data
from genre_models.worker_files import add_worker_files
from tests.tiny_study import make_corpus

OBJECTIVE = {"metric": "val_accuracy", "direction": "maximize"}


def opened(folder: Path, family: str, settings: FeatureSettings, **params: Any) -> tuple[TaskData, dict[str, Any], dict[str, Any]]:
    params = FAMILIES[family].defaults() | params
    values = {family: {name: [value] for name, value in params.items()}}
    data = open_task(DataSettings(source=str(make_corpus(folder / "music"))), {family: settings}, 0, folder / "cache", values=values, workers=1)
    data.prepare_features(workers=1)
    return data, data.task(OBJECTIVE, {}), {"family": family, "params": params, "features": data.features[family]}


def sent(task: dict[str, Any], files: list[tuple[tuple[str, ...], tuple[str, ...]]], driver: Path, node: Path) -> dict[str, Any]:
    """The task as it is on a machine that has the listed files elsewhere, and no others."""
    task = json.loads(json.dumps(task))
    node.mkdir()
    for keys, inside in files:
        *parents, last = keys
        holder = task
        for key in parents:
            holder = holder[key]
        source, target = Path(holder[last]), node / Path(holder[last]).name
        for name in inside:
            if (source / name).is_dir():
                shutil.copytree(source / name, target / name)
        if not inside:
            shutil.copy(source, target)
        holder[last] = str(target)
    driver.rename(driver.with_name("gone"))
    return task


def test_features_of_a_spectrogram_family_are_read_without_the_corpus(tmp_path: Path) -> None:
    data, task, spec = opened(tmp_path / "driver", "cnn", FeatureSettings(image_size=(32, 32)))
    (tmp_path / "driver" / "cache" / "features-of-another").mkdir()
    ids = [track["id"] for track in task["tracks"]]
    expected = development_data(spec, task, task["tracks"]).features(ids)
    files = add_worker_files(task, data.inputs["cnn"])
    there = sent(task, files, tmp_path / "driver", tmp_path / "node")
    assert [path.name for path in (tmp_path / "node" / "cache").iterdir()] == [files[0][1][0]] and len(files) == 1
    assert np.array_equal(development_data(spec, there, there["tracks"]).features(ids), expected)
    for rows in (tmp_path / "node" / "cache").rglob("rows.bin"):
        rows.unlink()
    with pytest.raises(CacheError, match="24 of 24 items have no features"):
        development_data(spec, there, there["tracks"]).features(ids)


def test_a_table_is_read_without_its_file(tmp_path: Path) -> None:
    (tmp_path / "driver").mkdir()
    names = [path.relative_to(tmp_path / "driver" / "music").with_suffix("").as_posix() for path in make_corpus(tmp_path / "driver" / "music").rglob("*.png")]
    rng = np.random.default_rng(0)
    table = tmp_path / "driver" / "features.csv"
    table.write_text("track,a,b\n" + "".join(f"{name},{rng.normal():.4f},{rng.normal():.4f}\n" for name in sorted(names)))
    shutil.rmtree(tmp_path / "driver" / "music")
    data, task, spec = opened(tmp_path / "driver", "classical", FeatureSettings(table=str(table)), input="table")
    ids = [track["id"] for track in task["tracks"]]
    expected = development_data(spec, task, task["tracks"]).features(ids)
    files = add_worker_files(task, data.inputs["classical"])
    there = sent(task, files, tmp_path / "driver", tmp_path / "node")
    assert np.array_equal(development_data(spec, there, there["tracks"]).features(ids), expected) and expected.shape == (len(ids), 2)


@pytest.mark.slow
def test_a_network_s_outputs_and_its_weights_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genre_models.trunks.facts import facts_of
    from genre_models.trunks.network import build_network, symbolic_network
    from genre_models.trunks.registry import TRUNKS
    from genre_models.trunks.weights import hash_of_file

    trunk = TRUNKS["mobilenet"]
    (tmp_path / "driver").mkdir()
    weights = str(tmp_path / "driver" / "mine.weights.h5")
    build_network(trunk, 32, False).save_weights(weights)
    params = {"cut": "conv_pw_2_relu", "pooling": "average", "fine_tune_blocks": 1, "fine_tune_after": 1}
    settings = FeatureSettings(weights=weights, trunk_side=32, image_size=(32, 32))
    data, task, spec = opened(tmp_path / "driver", "mobilenet", settings, **params)
    task["trunks"] = {f"mobilenet|{weights}|32": facts_of(symbolic_network(trunk, 32, False), trunk.blocks) | {"sha256": hash_of_file(weights)}}

    def numbers(task: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """What is in the cache, and what is computed when it is asked for."""
        monkeypatch.setattr(trunk_store, "_VERIFIED", {})  # as another process would have it
        items = development_data(spec, task, task["tracks"])
        return items.features(items.train_ids), items.at(items.trunk.boundary(1)).features(items.train_ids)

    development_data(spec, task, task["tracks"])
    files = add_worker_files(task, data.inputs["mobilenet"])
    kept = Path(task["cache_dir"])
    assert {path.name for path in kept.glob("trunk-*")} <= set(files[0][1]) and files[1] == (("places", weights), ())
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "driver", copy)
    expected = numbers(task)
    shutil.rmtree(tmp_path / "driver")
    copy.rename(tmp_path / "driver")
    there = sent(task, files, tmp_path / "driver", tmp_path / "node")
    found = numbers(there)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True)) and expected[1].std() > 0
