"""What the user reads: the leaderboard, the lines while it runs, the plan of a dry run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from search.config import load_space
from search.estimate import TypicalCost, typical_cost
from search.leaderboard import print_leaderboard, ranked, varied_parameters, write_leaderboard
from search.plan import plan_text
from search.progress import PlainMonitor, Standing, duration, live_view
from search.trial import Trial
from tests.search.scripted_driver import FAMILIES, space_text


def trial(number: int, end: str | None, reports: list[float], value: float | None = None, **params: object) -> Trial:
    states = {"full": "COMPLETE", "early-stop": "COMPLETE", "pruned": "PRUNED", "refused": "PRUNED", "nan": "FAIL", "orphan": "FAIL", None: "RUNNING"}
    outcome = {"interval": [value - 0.05, value + 0.05], "epochs": len(reports), "seconds": 61.0, "parameters": 12345} if value is not None else {}
    named = {"family": "cnn"} | {f"cnn/{name}": v for name, v in params.items()}
    return Trial(number, states[end], {"family": "cnn", "epochs": 3}, named, dict(enumerate(reports, 1)), end, "why" if end == "nan" else None, value, outcome)


TRIALS = [
    trial(0, "full", [0.3, 0.5], 0.5, depth=2, rate=0.01),
    trial(1, "pruned", [0.9], 0.9, depth=3, rate=0.01),
    trial(2, "early-stop", [0.4, 0.7, 0.6], 0.7, depth=4, rate=0.01),
    trial(3, "nan", [0.2], None, depth=5, rate=0.01),
    trial(4, "refused", [], None, depth=6, rate=0.01),
    trial(5, None, [0.1], None, depth=6, rate=0.01),
]


def printed(width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_leaderboard(console, TRIALS, True, "val_accuracy", title="study s (demo corpus)")
    return console.file.getvalue()


def test_only_full_budget_wins_however_good_a_pruned_one_looked() -> None:
    assert [t.number for t in ranked(TRIALS, maximize=True)][:3] == [2, 0, 1]
    assert [t.number for t in ranked(TRIALS, maximize=False)][:2] == [0, 2]


def test_the_confirmed_come_first_and_show_both_scores() -> None:
    confirming = trial(6, "full", [0.3, 0.4, 0.45], 0.45)
    confirming.spec |= {"confirms": 0, "folds": 5}
    other = trial(7, "full", [0.3, 0.4, 0.4], 0.4)
    other.spec |= {"confirms": 2, "folds": 5}
    trials = [*TRIALS, confirming, other]
    assert [t.number for t in ranked(trials, maximize=True)][:2] == [0, 2]
    console = Console(file=io.StringIO(), width=160)
    print_leaderboard(console, trials, True, "val_accuracy")
    rows = console.file.getvalue().splitlines()
    assert "confirmed" in rows[0] and "0.450" in rows[2] and "0.500" in rows[2] and "0.400" in rows[3]


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_and_says_demo(width: int) -> None:
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    for told in ("demo", "0.700", "0.650–0.750", "12,345", "depth 4"):
        assert told in text
    assert "0.900" not in text and "…" not in text
    assert "rate" not in text, "what never varies is not told"


def test_the_csv_has_every_trial_and_parameter(tmp_path: Path) -> None:
    write_leaderboard(tmp_path / "leaderboard.csv", TRIALS, True, "val_accuracy", "demo")
    with (tmp_path / "leaderboard.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(TRIALS) and {row["corpus"] for row in rows} == {"demo"}
    assert (rows[0]["rank"], rows[0]["trial"], rows[0]["val_accuracy"], rows[0]["cnn/depth"]) == ("1", "2", "0.7", "4")
    failed = next(row for row in rows if row["trial"] == "3")
    assert (failed["rank"], failed["state"], failed["end"], failed["reason"]) == ("", "FAIL", "nan", "why")
    assert varied_parameters(TRIALS) == ["cnn/depth"]


def test_plain_lines_tell_ends_reasons_and_the_new_best() -> None:
    console = Console(file=io.StringIO(), width=200)
    standing = Standing([], maximize=True, max_epochs=3, trials_wanted=6, minutes=None, elapsed=lambda: 75.0)
    monitor = PlainMonitor(console, standing)
    for each in TRIALS[:5]:
        monitor.started(each)
        monitor.ended(each)
    lines = console.file.getvalue().splitlines()
    assert "best so far" in lines[0] and "best so far" not in lines[1] and "best so far" in lines[2]
    assert "nan" in lines[3] and "why" in lines[3] and "refused before it was built" in lines[4]
    assert all(line.startswith("[1 min 15 s]") for line in lines)
    assert standing.counts_text() == "0 running, 2 complete, 2 pruned, 1 failed"
    assert standing.best_text() == "best 0.700 (0.650–0.750) by trial 2"


def test_the_live_display_draws_at_every_stage() -> None:
    for trials in ([], TRIALS[:2], TRIALS):
        standing = Standing(trials, maximize=True, max_epochs=3, trials_wanted=6, minutes=2.0, elapsed=lambda: 60.0)
        standing.started(TRIALS[5])
        standing.reported(TRIALS[5], 1)
        console = Console(file=io.StringIO(), width=100)
        console.print(live_view(standing))
        assert "epoch 1/3" in console.file.getvalue() and "1 min 00 s left" in console.file.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(None, "?"), (0.4, "0 s"), (59.6, "1 min 00 s"), (250, "4 min 10 s"), (3720, "1 h 02 min")])
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_plan_counts_epochs_and_names_refusals(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(space_text(epochs=27, trials=27))
    config = load_space(tmp_path / "s.yaml", FAMILIES, {})

    def screen(spec: dict) -> dict:
        if spec["params"]["width"] > 6:
            error = ValueError("too wide")
            error.reason_code = "refused"
            raise error
        return {"gflops": 0.1 * spec["params"]["width"], "parameters": 10, "epoch_gflops": 30.0 * spec["params"]["width"]}

    cost = typical_cost(config, {"slow": {}}, screen)
    assert 0.05 < cost.refused < 0.4 and cost.gflops[0] == pytest.approx(0.3) and cost.gflops[-1] == pytest.approx(0.6)
    text = plan_text(config, 1, cost)
    assert "rungs at epochs 1, 3, 9" in text and "about 81 epochs" in text and "729 if every trial" in text
    assert "too wide" in text and "on 2 workers" in text
    assert "would be refused" in plan_text(config, 1, TypicalCost([], [], 1.0, "too wide"))


@pytest.mark.parametrize(
    ("scheduler", "told", "epochs"),
    [
        ("hyperband", "27 at 1 → 9 at 3 → 3 at 9 → 1 at 27; 12 at 3 → 4 at 9 → 1 at 27; 6 at 9 → 2 at 27; 4 at 27", 27 + 18 + 18 + 18),
        ("asha_promotion", "pauses at 1, 3, 9", 81),
        ("none", "every trial runs to the end", 27 * 27),
    ],
)
def test_the_plan_of_each_scheduler(tmp_path: Path, scheduler: str, told: str, epochs: int) -> None:
    (tmp_path / "s.yaml").write_text(space_text(epochs=27, trials=27, scheduler=scheduler, confirm="{top: 3, folds: 5}"))
    text = plan_text(load_space(tmp_path / "s.yaml", FAMILIES, {}))
    assert told in text and f"about {epochs} epochs" in text and f"{3 * 5 * 27} epochs" in text
