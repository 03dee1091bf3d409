"""Evidence as it is read: what belongs together, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.report.evidence import read_evidence

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
MP3 = b"ID3" + b"0" * 40
TABLE = {"corner": "truth", "columns": ["a", "b"], "rows": [{"name": "a", "cells": [{"text": "3", "shade": 7, "tone": "good"}, {"text": "1", "shade": 0.25, "tone": "<b>"}]}]}
CURVE = {"x": "said", "y": "right", "range": [0, 1], "series": [{"name": "as it is", "style": "points", "x": [0.5], "y": [0.4], "low": [0.3], "high": [0.5], "text": ["9"]}]}


def write(folder: Path, items: list[dict], **files: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    (folder / "index.json").write_text(json.dumps({"schema": 1, "about": "six tracks", "items": items}))
    return folder


def item(path: str, kind: str = "image", title: str = "t", **more: str) -> dict:
    return {"title": title, "kind": kind, "path": path, "alt": "what it is", **more}


def test_a_picture_and_its_sound_are_one_piece_and_groups_stand_together(tmp_path: Path) -> None:
    items = [item("t.json", "table", "alone"), item("a.png", group="g"), item("a.mp3", "audio", group="g"), item("a.png", title="u", group="g"), item("c.json", "curve")]
    evidence = read_evidence(write(tmp_path / "e", items, a_png=PNG, a_mp3=MP3, t_json=json.dumps(TABLE).encode(), c_json=json.dumps(CURVE).encode()))
    assert (evidence.about, evidence.troubles) == ("six tracks", [])
    assert [(group, [piece.title for piece in pieces]) for group, pieces in evidence.groups()] == [("", ["alone"]), ("g", ["t", "u"]), ("", ["t"])]
    both = evidence.pieces[1]
    assert both.image.startswith("data:image/png;base64,") and both.audio.startswith("data:audio/mpeg;base64,")
    cells = evidence.pieces[0].table["rows"][0]["cells"]
    assert cells == [{"text": "3", "shade": 1.0, "tone": "good"}, {"text": "1", "shade": 0.25, "tone": "bad"}]
    assert evidence.pieces[-1].curve["series"][0]["low"] == [0.3]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (item("../secret.png"), "no plain file name"),
        (item("/etc/passwd"), "no plain file name"),
        (item("..\\secret.png"), "no plain file name"),
        (item(""), "no plain file name"),
        (item("link.png"), "not in its folder"),
        (item("absent.png"), "not in its folder"),
        (item("page.html"), "no image of a kind"),
        (item("drawing.svg"), "no image of a kind"),
        (item("large.png"), "larger than 2 MiB"),
        (item("a.png", "script"), "none of table, image, audio, curve"),
        (item("a.png", "table"), ""),
        (item("uneven.json", "table"), "longer or shorter"),
        (item("many.json", "table"), "more than 5000 cells"),
        (item("nan.json", "curve"), "not finite"),
        (item("deep.json", "table"), ""),
        (item("huge.json", "table"), ""),
        (item("list.json", "table"), ""),
        ({"kind": "image"}, "title"),
        ("a.png", ""),
    ],
)
def test_what_is_no_evidence_is_told_and_the_rest_is_shown(tmp_path: Path, wrong: object, why: str) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    uneven = {"columns": ["a"], "rows": [{"name": "x", "cells": []}]}
    many = {"columns": ["a"] * 100, "rows": [{"name": "x", "cells": []}] * 60}
    nan = {**CURVE, "series": [{**CURVE["series"][0], "y": [float("nan")]}]}
    files = {"a_png": PNG, "page_html": b"<script>1</script>", "drawing_svg": b"<svg onload='1'/>", "large_png": PNG + bytes(3 << 20)}
    files |= {name: json.dumps(told).encode() for name, told in (("uneven_json", uneven), ("many_json", many), ("nan_json", nan))}
    files |= {"deep_json": b"[" * 100_000, "huge_json": json.dumps(TABLE).replace("0.25", "1" + "0" * 400).encode(), "list_json": b"[[]]"}
    folder = write(tmp_path / "e", [wrong, item("a.png", title="good")], **files)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    evidence = read_evidence(folder)
    assert [piece.title for piece in evidence.pieces] == ["good"]
    assert len(evidence.troubles) == 1 and why in evidence.troubles[0]


def test_a_broken_index_is_one_trouble_and_none_is_none(tmp_path: Path) -> None:
    assert read_evidence(tmp_path / "nowhere") is None
    folder = write(tmp_path / "e", [])
    (folder / "index.json").write_text('{"items": ')
    assert len(read_evidence(folder).troubles) == 1
    (folder / "index.json").unlink()
    (folder / "index.json").symlink_to("/etc/hostname")
    assert "not in its folder" in read_evidence(folder).troubles[0]


def test_evidence_has_a_limit_in_all(tmp_path: Path) -> None:
    big = PNG + bytes((2 << 20) - 100)
    evidence = read_evidence(write(tmp_path / "e", [item("a.png", title=str(i)) for i in range(6)], a_png=big))
    assert len(evidence.pieces) == 4 and "more than 8 MiB" in evidence.troubles[0]
