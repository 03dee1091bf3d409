"""The audit: it finds what it should, is silent where there is nothing, and sees no music."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from genre_models.audit import audit_split
from genre_models.audit import audit as audits
from genre_models.audit.classifier import ask, deal
from genre_models.audit.facts import facts_of, hints
from genre_models.resampling.auc import auc_of
from genre_models.scan import Scan, ScanRow
from genre_models.settings import DataSettings
from genre_models.split import Split
from genre_models.split import deal as deal_split
from search import run
from search.location import locate
from tests.genre_models.test_split import make_row


def make_rows(n: int = 240, seed: int = 0, **changes: Callable[[int], object]) -> list[ScanRow]:
    """Tracks of four classes whose lengths and loudness are chance."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        row = make_row(f"{'abcd'[i % 4]}/{i:04d}", content=f"{seed}-{i}")
        facts = {"duration_seconds": 30 + rng.normal(0, 0.1), "loudness_db": rng.normal(-18, 4), "sr": 22_050, "channels": 1, "clipped_share": 0.0}
        rows.append(replace(row, **facts | {name: value_of(i) for name, value_of in changes.items()}))
    return rows


def dealt(rows: list[ScanRow]) -> Split:
    return deal_split(Scan(tuple(rows), "f"), DataSettings(), 0)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classifier without its process, whose start takes seconds."""
    monkeypatch.setattr(audits, "run_jobs", lambda function, jobs, workers: ((number, function(*job)) for number, job in enumerate(jobs)))


def test_facts_are_what_differs_and_is_known_of_all() -> None:
    rows = make_rows(40, channels=lambda i: 1 + (i < 20), contrast=lambda i: None if i == 3 else i, missing=lambda i: "half" if i % 2 else None)
    found = {fact.name: fact for fact in facts_of(rows)}
    assert set(found) == {"length", "loudness", "number of channels", "cut short"}
    first = np.arange(40) < 20
    assert (found["number of channels"].of(np.flatnonzero(first)), found["cut short"].of(np.flatnonzero(first))) == ("100% 2", "50% no")
    assert re.fullmatch(r"median \d\d.\d\d s .middle half \d\d.\d\d s to \d\d.\d\d s.", found["length"].of(np.flatnonzero(first)))
    mixed = [replace(row, path=Path(f"/m/{i}{('.wav', '.mp3')[i % 2]}"), bytes=120_000 * (1 + i % 3)) for i, row in enumerate(rows)]
    rates = next(fact for fact in facts_of(mixed) if fact.name == "bit rate").values
    assert np.isnan(rates[::2]).all() and np.allclose(rates[1::2].max(), 0.008 * 360_000 / 30, rtol=0.05)


def test_labels_and_names_and_contents_are_no_facts() -> None:
    rows = make_rows(60)
    others = [replace(row, id=f"x/{row.id}", label="other", content="c" + row.content, decoded="d", bytes=row.bytes + i) for i, row in enumerate(rows)]
    for one, other in zip(facts_of(rows), facts_of(others), strict=True):
        assert one.name == other.name and (one.values == other.values).all()


def test_a_side_of_other_lengths_is_told_and_the_length_is_named(in_this_process: None, tmp_path: Path) -> None:
    split = dealt(make_rows())
    split = replace(split, test=tuple(replace(row, duration_seconds=row.duration_seconds - 0.4) for row in split.test))
    for briefly in (True, False):
        found = audit_split(split, tmp_path, briefly=briefly)
        (warning,) = found.warnings
        assert warning.startswith("WARNING: train from held out: can be told by facts of the files alone: AUC 0.9")
        assert "the length gives it away (alone 0.9" in warning and re.search(r"train median (29.9|30.0)\d s .*held out median 29.[56]\d s", warning)
    by_question = {answer.question: answer for answer in found.answers}
    assert not by_question["train from validation"].is_told and not by_question["the class"].is_told
    assert by_question["train from held out"].facts[0][0] == "length"
    assert found.as_data()["answers"][0]["is_told"] is True


@pytest.mark.parametrize(
    ("name", "of_side"),
    [("sampling rate", {"sr": 44_100}), ("clipping", {"clipped_share": 0.02}), ("number of channels", {"channels": 2}), ("loudness", {"loudness_db": -6.0})],
)
def test_other_facts_are_named_too(in_this_process: None, tmp_path: Path, name: str, of_side: dict) -> None:
    split = dealt(make_rows())
    changed = replace(split, validation=tuple(replace(row, **of_side) if i % 5 else row for i, row in enumerate(split.validation)))
    (warning,) = audit_split(changed, tmp_path, briefly=True).warnings
    assert "train from validation" in warning and f"the {name} gives it away" in warning


def test_a_class_that_files_tell_is_said_of_development_tracks_alone(in_this_process: None, tmp_path: Path) -> None:
    rows = make_rows(200, loudness_db=lambda i: -10.0 - 6 * (i % 4) + 0.01 * i)
    split = dealt(rows)
    answer = audit_split(split, tmp_path).answers[-1]
    assert answer.is_told and answer.score > 0.9 and answer.chance == pytest.approx(0.25, abs=0.02) and "most by the loudness" in answer.line
    only_held_out = replace(dealt(make_rows(200)), test=split.test)
    assert not audit_split(only_held_out, tmp_path).answers[-1].is_told
    assert not audit_split(split, tmp_path).warnings, "a fact of classes is the same on all sides"


def test_chance_is_seldom_told(in_this_process: None, tmp_path: Path) -> None:
    told = [answer.is_told for seed in range(8) for answer in audit_split(dealt(make_rows(120, seed)), tmp_path).answers[:2]]
    assert sum(told) <= 1 and len(told) == 16


def test_where_no_fact_hints_nobody_is_asked_and_an_answer_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = replace(dealt(make_rows(80, duration_seconds=lambda i: 30.0, loudness_db=lambda i: -18.0)))
    monkeypatch.setattr(audits, "run_jobs", None)
    assert {answer.why_not for answer in audit_split(same, tmp_path, briefly=True).answers} == {"the files do not differ in any fact that the scan knows"}
    split = dealt(make_rows(80))
    few = replace(split, test=split.test[:4])
    assert audit_split(few, tmp_path, briefly=True).answers[0].why_not == "a side has 4 tracks or groups, 10 are needed"
    calls = []
    monkeypatch.setattr(audits, "run_jobs", lambda function, jobs, workers: (calls.append(1) or (0, function(*job)) for job in jobs))
    first = audit_split(split, tmp_path)
    asked = len(calls)
    assert asked and audit_split(split, tmp_path) == first and len(calls) == asked
    next((tmp_path / "audits").iterdir()).write_text("{")  # damaged: asked again
    assert audit_split(split, tmp_path) == first and len(calls) == asked + 1


def test_copies_are_in_one_fold() -> None:
    groups = np.repeat(np.arange(40), 3)
    y = (np.arange(40) % 4 == 0).astype(int).repeat(3)
    fold_of = deal(y, groups, 0)
    assert all(len(set(fold_of[groups == group])) == 1 for group in range(40))
    assert {fold: int(y[fold_of == fold].sum()) for fold in range(3)} == {0: 12, 1: 9, 2: 9}
    # Each group a value of its own: who has seen its copies would know all.
    assert ask([groups.astype(float).tolist()], [False], y.tolist(), groups.tolist())["score"] < 0.75


def test_the_area_is_that_of_pairs_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    scores, kinds = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in scores[kinds] for b in scores[~kinds]]
    auc, interval = auc_of(scores, kinds)
    assert auc == pytest.approx(np.mean(pairs)) and interval[0] < auc < interval[1]
    assert auc_of(kinds.astype(float), kinds)[1][1] == 1.0 and auc_of(kinds.astype(float), kinds)[1][0] < 1.0
    assert auc_of([1.0, 2.0, 3.0], [True, False, False])[1] is None
    with pytest.raises(ValueError, match="both kinds"):
        auc_of([1.0, 2.0], [True, True])
    torn_less = auc_of(np.repeat(scores, 5), np.repeat(kinds, 5), np.repeat(np.arange(60), 5))[1]
    alone = auc_of(np.repeat(scores, 5), np.repeat(kinds, 5))[1]
    assert torn_less[1] - torn_less[0] > 1.8 * (alone[1] - alone[0]), "five copies of a track are not five tracks"


def test_the_intervals_of_the_area_hold_the_truth_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        kinds = np.arange(60) < 20
        scores = rng.normal(kinds * 0.8, 1.0)  # the truth is the normal distribution's share at 0.8 / sqrt(2)
        low, high = auc_of(scores, kinds)[1]
        held += low <= 0.71420 <= high
    assert 0.92 < held / 400 <= 0.99


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_hint_is_seldom_chance_and_a_difference_is_one(seed: int) -> None:
    rows = make_rows(100, seed)
    fact = next(fact for fact in facts_of(rows) if fact.name == "loudness")
    is_positive = np.random.default_rng(seed).permutation(100) < 30
    moved = replace(fact, values=fact.values + 10.0 * is_positive)
    assert hints(moved, is_positive)
    drawn = [hints(fact, np.random.default_rng([seed, i]).permutation(100) < 30) for i in range(40)]
    assert sum(drawn) <= 12


def test_a_search_says_it_before_it_begins_and_is_silent_where_nothing_is_wrong(in_this_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre_models.doctor.short_notes", lambda scan, corpus: ["a doubt of the doctor's"])
    fair = dealt(make_rows())
    torn = replace(fair, test=tuple(replace(row, sr=44_100) for row in fair.test))
    for split, said in ((torn, 1), (fair, 0)):
        console = Console(record=True, width=400)
        data = SimpleNamespace(scan=None, corpus=None, split=split, cache_dir=tmp_path)
        doubts = run._tell_doubts(data, SimpleNamespace(study="mine"), locate(Path("studies").resolve(), "mine"), console)
        lines = console.export_text().splitlines()
        assert sum(line.startswith("audit: WARNING: train from held out") for line in lines) == said
        assert ("audit: the whole answer: python scripts/audit.py --study mine" in lines) == bool(said)
        assert doubts[0] == "a doubt of the doctor's" and len(doubts) == 1 + said and all(doubt.startswith("WARNING") for doubt in doubts[1:])
