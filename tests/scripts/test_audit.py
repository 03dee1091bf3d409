"""The command that audits a split: what it says, writes and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import audit
from tests import tiny_study
from tests.genre_models.test_known_groups import write_tagged


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 12 noises, four an artist."""
    folder = tmp_path_factory.mktemp("audited") / "music"
    for number in range(24):
        label = ("folk", "rock")[number % 2]
        write_tagged(folder / label / f"{number:02d}.flac", number, artist=f"{label} {number // 8}")
    return folder


def run(music: Path, *arguments: object) -> int:
    return audit.main(["--studies-dir", str(music.parent / "studies"), "--workers", "1", *map(str, arguments)])


def test_artists_on_two_sides_end_with_1_and_groups_by_artist_with_0(music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("data: {groups: artist}\nfamilies: {cnn: {depth: 2}}\n")
    assert run(music, "--data", music, "--json", tmp_path / "a.json") == 1
    out = capsys.readouterr().out
    assert "artists: 24 of 24 tracks say theirs (the tags of the files), 6 artists" in out
    told = json.loads((tmp_path / "a.json").read_text())
    torn = told["artists"]["on_two_sides"]
    assert (told["schema"], told["artists"]["artists"]) == (1, 6) and len(torn) >= 3 and all(len(sides) > 1 for sides in torn.values())
    assert f"WARNING: {len(torn)} artists have tracks on more than one side: {next(iter(torn)).removeprefix('artist ')} (" in out
    assert "write data.groups: artist" in out
    assert {answer["question"] for answer in told["answers"]} == {"train from held out", "train from validation", "the class"}
    assert run(music, "--space", tmp_path / "s.yaml", "--data", music) == 0
    out = capsys.readouterr().out
    assert "groups by artist, from the tags of the files: 24 of 24 tracks, 6 artists" in out and "WARNING" not in out


def test_a_study_is_audited_as_it_was_dealt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tiny_study.make_corpus(tmp_path / "corpus")
    tiny_study.make_study(tmp_path / "studies", "one", corpus, values=(0.5,), split_seed=3)
    assert run(corpus, "--study", "one") == 0
    out = capsys.readouterr().out
    assert out.startswith("corpus: 18 train, 6 validation, 6 held out")
    assert "train from held out: not asked: a side has 6 tracks or groups, 10 are needed" in out
    assert "artists: not known of any track" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --study NAME, --space FILE"),
        (("--study", "a", "--space", "b.yaml"), "give one of"),
        (("--study", "gone"), "no study 'gone'"),
        (("--data", "/nowhere/at/all"), "/nowhere/at/all: no such folder"),
        (("--data", "gtzan:"), "needs a folder after the colon"),
        (("--data", "demo", "--json", "/nowhere/at/all/x.json"), "there is no folder"),
        (("--space", "/nowhere/x.yaml"), "x.yaml"),
    ],
)
def test_bad_input_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    assert audit.main(["--studies-dir", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "Traceback" not in error
