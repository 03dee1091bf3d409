"""The bench of frugal searches: the table it replays, how well seconds are predicted on it, and that runs add up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scripts.bench_frugal import COSTS, errors_text, runs_text
from scripts.bench_schedulers import TABLE, family_of, two_families
from scripts.curves.frugal import WAYS, Extrapolating, with_costs, works_of
from scripts.curves.table import Row, read_table
from search.predicted_seconds import SecondsModel, Timed
from search.study_view import StudyView
from search.trial import Trial

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [replace(row, curve=replace(row.curve, family=family_of(row))) for row in read_table(TABLE)]


@pytest.fixture(scope="module")
def timed(rows: list[Row]) -> list[Timed]:
    return [Timed(row.curve.family, work, row.curve.seconds) for row, work in zip(rows, works_of(rows, two_families()), strict=True)]


def test_costs_are_stretched_to_fifty_and_sum_to_the_same(rows: list[Row], timed: list[Timed]) -> None:
    works = [one.work for one in timed]
    recorded, stretched, declared, dealt = ([row.curve.seconds for row in with_costs(rows, costs, works)] for costs in COSTS)
    assert max(declared) / min(declared) == pytest.approx(50) and np.argsort(declared, kind="stable").tolist() == np.argsort(works, kind="stable").tolist()
    assert max(recorded) / min(recorded) < 5 and max(stretched) / min(stretched) == pytest.approx(50)
    assert np.argsort(recorded).tolist() == np.argsort(stretched).tolist() and sorted(dealt) == pytest.approx(sorted(stretched)) and dealt != stretched
    assert sum(stretched) == pytest.approx(sum(recorded))


def test_recorded_seconds_are_predicted_better_than_by_their_median(timed: list[Timed]) -> None:
    off = [abs(np.log(SecondsModel(timed[:i] + timed[i + 1 :]).seconds(t.family, t.work) / t.seconds)) for i, t in enumerate(timed)]
    plain = [abs(np.log(t.seconds / np.median([t.seconds for t in timed]))) for t in timed]
    assert np.exp(np.median(off)) < 1.2 and np.mean(off) < 0.8 * np.mean(plain)
    few = [abs(np.log(SecondsModel(timed[:3]).seconds(t.family, t.work) / t.seconds)) for t in timed[3:]]
    assert np.exp(np.median(few)) < 1.4, "three trials set the level"
    lines = errors_text(timed).splitlines()
    assert len(lines) == 9 and lines[-1].startswith("log seconds over log work: slope 0.")


def test_a_curve_ends_where_no_whole_one_gained_enough() -> None:
    scheduler = Extrapolating((1,), 3, True)
    for number, last in enumerate((0.6, 0.7, 0.8)):
        whole = Trial(number, "COMPLETE", {"family": "a", "epochs": 3}, reports={1: 0.5, 2: 0.5, 3: last}, end="full", value=last)
        scheduler.rebuild([whole])
        scheduler.ended(whole, requeued=False)
    assert scheduler.decide(Trial(9, "RUNNING", {"family": "a"}), 2, 0.45) == "stop", "at most 0.45 + 0.3"
    assert scheduler.decide(Trial(8, "RUNNING", {"family": "a"}), 2, 0.51) == "continue"


def test_real_searches_are_compared_by_what_they_had_come_to() -> None:
    spec, outcome = {"family": "a", "epochs": 2}, {"fit_seconds": 30.0, "epochs": 2}
    whole = Trial(0, "COMPLETE", spec, reports={1: 0.3, 2: 0.5}, end="full", value=0.5, outcome=outcome, reported_at={1: 50.0, 2: 150.0})
    stopped = Trial(1, "PRUNED", spec, reports={1: 0.6}, end="pruned", reported_at={1: 100.0})
    line = runs_text([StudyView("s", True, "val_accuracy", {}, [whole, stopped])], [1, 2, 3]).splitlines()[-1]
    assert line == "| s | 0.300 | 0.600 | 0.600 | – | – | 0.500 | 2 | 3 | 15.00 |"


@pytest.mark.slow
def test_runs_add_up(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    command = [sys.executable, "scripts/bench_frugal.py", "--costs", "recorded", "--ways", WAYS[2].name, "--results", str(results)]
    first = subprocess.run([*command, "--seeds", "3"], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    kept = results.read_text()
    second = subprocess.run([*command, "--seeds", "4"], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    assert len(kept.splitlines()) == 6 and results.read_text().startswith(kept) and len(results.read_text().splitlines()) == 8
    assert "| epochs (as is) |" in first.stdout and "+0.0000 (+0.0000 to +0.0000)" in second.stdout and WAYS[2].name in second.stdout
