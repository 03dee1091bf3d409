"""Names of files and classes, and texts in tables, that would steer a terminal, a page or a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genre_models.corpus import open_corpus
from genre_models.errors import CorpusError, GenreModelsError
from scripts.doctor import main as doctor
from search.errors import SearchError
from search.run import main as search

ESCAPES = ["\x1b[2J", "a\x1b]0;title\x07", "line\nbreak", "\u202egnp", "\x9b31m", "back\x08space"]
#: Strange, but only letters: these stay.
LETTERS = ["<script>alert(1)<∕script>", "[bold]x[∕bold]", "{{7*7}}", "=cmd|' !A0", "-rf", " b ", "ü é", "$(touch x)", "..x"]


def make_images(root: Path, labels: list[str], names: list[str]) -> Path:
    rng = np.random.default_rng(0)
    for label in labels:
        (root / label).mkdir(parents=True)
        for name in names:
            Image.fromarray(rng.integers(0, 255, (16, 24), np.uint8)).save(root / label / f"{name}.png")
    return root


def test_a_search_says_names_that_steer_a_terminal_as_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_images(tmp_path / "music", ["rock", "pop", "\x1b[31mred"], ["a", "b", "c", *ESCAPES])
    for name in ESCAPES:
        (root / "rock" / f"{name}.png").write_bytes(b"broken")
    space = tmp_path / "space.yaml"
    space.write_text("engine: inline\nfeatures: {image_size: [16, 24]}\nfamilies: {cnn: {depth: 2}}")
    assert search(["--space", str(space), "--data", str(root), "--studies-dir", str(tmp_path / "studies"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "6 files can't be decoded" in out and "rock/\\x1b[2J.png" in out
    assert not any(sign in out for sign in "\x1b\x07\x08\x9b\u202e")


@pytest.mark.parametrize("root", [GenreModelsError, SearchError])
def test_no_message_steers_a_terminal(root: type[Exception]) -> None:
    assert str(root("a\x1b[31m\nb\tc \u202e ü")) == "a\\x1b[31m\nb\tc \\u202e ü"


def test_texts_of_a_table_that_steer_a_terminal(tmp_path: Path) -> None:
    rows = "".join(f"{label}{i}.wav,{i},{i * i},{label}\n" for label in ("blues", "pop") for i in range(4))
    (tmp_path / "t.csv").write_text(f"filename,a\x1b[2Jb,tempo,label\n{rows}evil\x1b[31m.wav,1,2,pop\n")
    corpus = open_corpus(f"table:{tmp_path / 't.csv'}")
    assert len(corpus.tracks) == 9
    (tmp_path / "t.csv").write_text("filename,tempo,squared,label\n" + rows + "evil\x1b[31m.wav,1,2,pop\n" * 2)
    with pytest.raises(CorpusError, match="evil") as told:
        open_corpus(f"table:{tmp_path / 't.csv'}")
    assert "\x1b" not in str(told.value)


def test_strange_letters_are_only_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Markup of the terminal's library, of HTML and of templates is shown as it stands."""
    root = make_images(tmp_path / "music", LETTERS[:4] + LETTERS[4:5], ["a", *LETTERS[:3]])
    for label in LETTERS[:5]:
        (root / label / f"{LETTERS[0]}.png").write_bytes(b"broken")
    assert len(open_corpus(str(root)).labels) == 5
    doctor(["--data", str(root), "--html", str(tmp_path / "page.html"), "--studies-dir", str(tmp_path / "studies"), "--workers", "1"])
    out, page = capsys.readouterr().out, (tmp_path / "page.html").read_text()
    assert "[bold]x" in out and "{{7*7}}" in out and "{{7*7}}" in page
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
