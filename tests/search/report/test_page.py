"""The page as a file: everything is in it, nothing is asked for, and no name becomes markup."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from genre_models import resampling
from genre_models.split_words import cautioned, split_facts
from search import run
from search.location import locate
from search.report import gather_evidence, write_report
from search.report.page import as_json
from search.report.verdict import selection_of
from search.study_view import StudyView
from tests.search.report.test_evidence import CURVE, PNG, TABLE, item, write
from tests.search.report.views import first, full, look, stopped, view_of

HOSTILE = "</script><script>alert(1)</script><!--'\"{{7*7}}%{x}\u202e\x07"


def page_of(view: StudyView, folder: Path, **more: object) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return write_report(view, folder, statistics=resampling, **more).read_text(encoding="utf-8")


def scripts_of(page: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_policy_names_the_scripts_that_are_there_and_nothing_is_fetched(tmp_path: Path) -> None:
    page = page_of(view_of([full(0, 0.75), stopped(1, 0.3)]), tmp_path / "s")
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1])
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts_of(page)}
    assert len(hashes) == 2 and hashes == set(re.search(r"script-src ([^;]*)", policy)[1].split())
    assert policy.startswith("default-src 'none';") and "unsafe-eval" not in policy and "http" not in policy
    rest = without_scripts(page)
    assert not re.search(r"""(src|href|action)\s*=\s*["']?(https?:|//)""", rest) and "@import" not in rest and "url(" not in rest
    assert "cnn won: trial 0" in rest


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    trials = [full(0, 0.75, right=first(90), params={f"cnn/{HOSTILE}": 0.5}), full(1, 0.7, HOSTILE, right=first(84), params={f"cnn/{HOSTILE}": 0.7})]
    run = {"source": HOSTILE, "demo": True, "split_id": HOSTILE, "data": {"source": HOSTILE}, "doctor": [HOSTILE], "caveat": HOSTILE, "versions": {HOSTILE: HOSTILE}, "machine": {"platform": HOSTILE}}
    view = view_of(trials, run)
    view.name = HOSTILE
    table = {"corner": HOSTILE, "columns": [HOSTILE], "rows": [{"name": HOSTILE, "note": HOSTILE, "cells": [{"text": HOSTILE, "shade": 0.5, "tone": HOSTILE}]}]}
    curve = json.loads(json.dumps(CURVE).replace("as it is", json.dumps(HOSTILE)[1:-1]))
    items = [item("t.json", "table", HOSTILE, caption=HOSTILE), item("c.json", "curve", HOSTILE), item("a.png", "image", HOSTILE, group=HOSTILE, caption=HOSTILE), item("../x", "image", HOSTILE)]
    write(tmp_path / "s" / "trials" / "0000" / "evidence", items, t_json=json.dumps(table).encode(), c_json=json.dumps(curve).encode(), a_png=PNG)
    page = page_of(view, tmp_path / "s", looks=[look(0)], troubles=[HOSTILE])
    assert len(scripts_of(page)) == 2 and page.count("</script>") == 3 and "<script>alert" not in page
    assert "49%{x}" not in page and "\u202e" not in page and "\x07" not in page
    data = data_of(page)
    assert HOSTILE in {trial["f"] for trial in data["trials"]} and data["curves"][0]["series"][0]["name"] == HOSTILE
    assert "&lt;script&gt;alert(1)" in without_scripts(page)


def test_evidence_of_the_look_takes_the_place_of_the_winners_validation(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    view = view_of([full(0, 0.75, right=first(90)), full(1, 0.7, "svm", right=first(84))])
    for number in (0, 1):
        write(folder / "trials" / f"{number:04d}" / "evidence", [item("t.json", "table", f"validation of {number}")], t_json=json.dumps(TABLE).encode())
    before = page_of(view, folder)
    assert before.index("validation of 0") < before.index("validation of 1") and "held out confusion" not in before
    write(folder / "final" / "evidence", [item("t.json", "table", "held out confusion")], t_json=json.dumps(TABLE).encode())
    after = page_of(view, folder, looks=[{**look(0), "folder": folder / "final"}])
    assert "held out confusion" in after and "validation of 0" not in after and "validation of 1" in after
    stale = page_of(view, folder, looks=[{**look(1), "folder": folder / "final"}])  # the look was at what is not the winner any more
    assert "held out confusion" not in stale and "validation of 0" in stale


def test_what_can_not_be_made_costs_itself_alone(tmp_path: Path) -> None:
    folder, view, asked = tmp_path / "s", view_of([full(0, 0.75), full(1, 0.7, "svm"), full(2, 0.6, "rf")]), []
    for number in (0, 1):
        (folder / "trials" / f"{number:04d}").mkdir(parents=True)

    def make(artifacts: Path, target: Path, about: str, winner: bool) -> None:
        asked.append((artifacts.name, target.parent.name, about, winner))
        if winner:
            raise RuntimeError("no predictions")

    troubles = gather_evidence(view, selection_of(view, resampling)[0], folder, make, RuntimeError)
    assert asked == [("0000", "0000", "trial 0 (cnn, the winner)", True), ("0001", "0001", "trial 1 (svm)", False)]  # of the third nothing was kept
    assert troubles == ["trial 0 (cnn, the winner): no predictions"]
    assert "no predictions" in page_of(view, folder, troubles=troubles)
    with pytest.raises(KeyError):
        gather_evidence(view, None, folder, lambda *_: {}["bug"], RuntimeError)


def test_a_study_without_a_winner_and_one_of_before_have_a_page_too(tmp_path: Path) -> None:
    page = without_scripts(page_of(view_of([stopped(0, 0.3)], {}), tmp_path / "s"))
    assert "There is no winner yet" in page and "Nobody has looked at the files" in page
    assert "nothing against this corpus" in page_of(view_of([], {"doctor": []}), tmp_path / "t")


def test_commands_are_quoted_for_a_shell(tmp_path: Path) -> None:
    view = view_of([full(0, 0.75)], {"data": {"source": ["/my music", "$(rm -rf)"]}, "seed": 3})
    page = html.unescape(page_of(view, tmp_path / "a b" / "s"))
    assert f"python -m search.run --space '{tmp_path}/a b/s/space.yaml' --study s --data '/my music' '$(rm -rf)' --seed 3 --studies-dir '{tmp_path}/a b' --replay 0" in page
    assert f"python scripts/final_eval.py --study s --studies-dir '{tmp_path}/a b'" in page


def test_how_the_split_was_dealt_and_whether_artists_may_be_on_both_sides(tmp_path: Path) -> None:
    data = {"test_fraction": 0.2, "split_seed": 0, "split": None, "groups": "auto", "near_duplicates": "group", "source": "m", "input": "image"}
    run = {"data": data, "source": "gtzan:m", "split_id": "abc", "tracks": {"train": 8, "validation": 2, "held_out": 3}}
    view = view_of([full(0, 0.75)], run)
    page = html.unescape(page_of(view, tmp_path / "s", looks=cautioned([look(0)], run), of_split=split_facts(run)))
    assert "20% of each class held out at random by groups (seed 0)" in page and "copies of a recording; whether an artist is on both sides is not known" in page
    assert "But whether an artist is on both sides is not known; on music of other artists expect less." in page and "--data m --input image" in page
    by_artist = {**run, "data": {**data, "groups": "artist"}}
    assert "caution" not in cautioned([look(0)], by_artist)[0] and split_facts(by_artist)[1] == ("on one side", "copies of a recording and artists")
    assert "caution" not in cautioned([look(0)], run | {"demo": True})[0] and split_facts({}) == []


def test_commands_say_what_the_command_line_laid_over_the_file(tmp_path: Path) -> None:
    run = {"data": {"source": "music", "split": "naive"}, "seed": 3, "storage": "env:STUDIES", "artifacts": "s3://bucket/a b"}
    page = html.unescape(page_of(view_of([full(0, 0.75)], run, prefer="cheapest-within 0.01 by energy"), tmp_path / "s"))
    given = "--split naive --storage env:STUDIES --artifacts 's3://bucket/a b' --prefer cheapest-within 0.01 by energy"
    assert f"--data music --seed 3 {given} --studies-dir {tmp_path}" in page
    for file, used, words in (("best", "best", ""), ("cheapest-within ties", "best", "--prefer best "), ("cheapest-within ties", "cheapest-within ties", "")):
        laid = html.unescape(page_of(view_of([full(0, 0.75)], {"data": {"source": "m"}, "prefer_in_file": file}, prefer=used), tmp_path / "s"))
        assert f"--data m {words}--studies-dir {tmp_path}" in laid
    assert "--split" not in html.unescape(page_of(view_of([full(0, 0.75)], {"data": {"source": "m", "split": "official"}, "artifacts": None}), tmp_path / "s"))


@pytest.mark.parametrize(
    ("prefer", "offered"),
    [(None, None), ("cheapest-within 0.3", "--prefer cheapest-within 0.3"), ("cheapest-within 0", None)],  # the last leads to the best, whatever was looked at
)
def test_the_command_that_shows_a_look_at_another_trial_is_one_that_is_not_refused(tmp_path: Path, prefer: str | None, offered: str | None) -> None:
    view = view_of([full(0, 0.75, right=first(90)), full(1, 0.5, right=first(60), fit_seconds=1.0)])
    page = html.unescape(page_of(view, tmp_path / "s", looks=[look(1) | {"prefer": prefer}]))
    told = re.findall(r"python scripts/final_eval\.py[^<]*", page)
    assert told == ([] if offered is None else [f"python scripts/final_eval.py --study s --studies-dir {tmp_path} {offered}"])
    assert ("were looked at already, with another trial than this winner" in page) == (offered is None)
    plain = html.unescape(page_of(view, tmp_path / "t", looks=[look(0) | {"prefer": prefer}]))
    assert f"python scripts/final_eval.py --study s --studies-dir {tmp_path}<" in plain


def test_a_page_that_can_not_be_written_fails_no_search(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=2000)
    run._write_report(locate(tmp_path, "none"), SimpleNamespace(storage=None), None, console)
    assert console.file.getvalue().startswith("note: no report was written (StudyError: no study 'none'") and f"python scripts/report.py --study none --studies-dir {tmp_path} tries again" in console.file.getvalue()


def test_what_the_whole_search_took_is_told_with_how_that_is_known(tmp_path: Path) -> None:
    view = view_of([full(0, 0.75)])
    assert "by this search" not in page_of(view, tmp_path / "s")
    parts = {"cpu": {"kwh": 2e-4, "how": "modelled"}, "ram": {"kwh": 1e-4, "how": "constant"}, "gpu": None, "country": "DEU"}
    view.cost = {"energy_kwh": 3e-4, "emissions_kg": 1e-4, "energy": parts}
    page = without_scripts(page_of(view, tmp_path / "s"))
    assert re.search(r"Energy: 0\.3 Wh by this search.*CPU 0\.2 Wh modelled, RAM 0\.1 Wh constant.*\(DEU\)\.", page)


def test_json_in_a_script_can_not_end_it() -> None:
    text = as_json({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"a": "</script><!--&\u2028"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"a": float("nan")})
