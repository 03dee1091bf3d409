"""Seconds to a score: the space that is searched, and one run of a scripted command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from scripts import bench_mixed
from search.errors import SearchError

ROOT = Path(__file__).parents[2]


def test_families_on_handcrafted_features_take_the_table_and_networks_their_files(tmp_path: Path) -> None:
    words = ["--input", "image", "--table", str(tmp_path / "t.csv"), "--weights", f"vgg16={tmp_path / 'w.h5'}"]
    space = yaml.safe_load(bench_mixed.space_of(bench_mixed.parser().parse_args(words), tmp_path).read_text())
    assert space["data"]["input"] == "image" and space["budget"]["trials"] is None
    for family in ("classical", "feedforward"):
        assert space["families"][family]["input"] == "table"
        assert space["families"][family]["features"]["table"] == str((tmp_path / "t.csv").resolve())
    assert space["families"]["vgg16"]["features"]["weights"] == {"vgg16": str((tmp_path / "w.h5").resolve())}
    assert space["families"]["cnn"] == yaml.safe_load((ROOT / "spaces/all.yaml").read_text())["families"]["cnn"]


def test_weights_of_a_family_that_is_not_searched_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="--weights vgg19=w.h5: must be FAMILY=FILE, with a family of .*all.yaml: cnn, vgg16"):
        bench_mixed.space_of(bench_mixed.parser().parse_args(["--weights", "vgg19=w.h5"]), tmp_path)


@pytest.mark.slow
def test_a_search_ends_where_it_reaches_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "space.yaml").write_text("study: s\nengine: inline\nfeatures: {n_mels: 32}\nbudget: {min_epochs: 1, max_epochs: 3}\nfamilies: {cnn: {depth: 2, filters: 8}}\n")
    monkeypatch.setattr(sys, "argv", ["bench_mixed.py", "--space", str(tmp_path / "space.yaml"), "--reach", "0.2", "--seeds", "0", "--minutes", "2"])
    assert bench_mixed.main() == 0
    told = capsys.readouterr().out
    assert "cold: 1 of 1 reached it" in told and "warm: 1 of 1 reached it" in told and "| cnn |" in told
