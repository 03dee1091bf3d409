"""A real search that tries the same configuration twice: a tie, told in the terminal, in leaderboard.csv, and by the final evaluation."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from genre_models import resampling
from search.study_view import read_study
from tests.test_end_to_end import command

SPACE = """
study: twice
data: {{source: "table:{table}", groups: {groups}, validation: {{holdout: 0.4}}}}
budget: {{min_epochs: 1, max_epochs: 4, reduction_factor: 2, trials: 5}}
engine: inline
sampler: random
scheduler: none
families:
  classical: {{input: table, model: logistic, linear_C: 1.0, min_trials: 2}}
  feedforward: {{input: table, units: "8", learning_rate: 0.01, min_trials: 2}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty tracks of two classes that overlap, three of an artist."""
    folder, rng = tmp_path_factory.mktemp("twice"), np.random.default_rng(3)
    with (folder / "table.csv").open("w", newline="") as table, (folder / "groups.csv").open("w", newline="") as groups:
        rows, names = csv.writer(table), csv.writer(groups)
        rows.writerow(["id", "a", "b", "label"])
        names.writerow(["track", "group"])
        for number in range(60):
            label = ("jazz", "pop")[number % 2]
            rows.writerow([f"{label}{number:02d}", *rng.normal(number % 2, 1.0, 2).round(4), label])
            names.writerow([f"{label}/{label}{number:02d}", f"artist{number // 6}-{number % 2}"])
    (folder / "twice.yaml").write_text(SPACE.format(table=folder / "table.csv", groups=folder / "groups.csv"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_trials_of_one_configuration_tie_and_the_cheaper_is_taken_where_that_is_preferred(place: Path) -> None:
    words = ("-m", "search.run", "--space", place / "twice.yaml", "--studies-dir", place / "studies")
    done = command(*words, "--prefer", "cheapest-within", "ties")
    assert done.returncode == 0, done.stdout + done.stderr
    view = read_study(place / "studies", "twice")
    selection = view.selection(resampling)
    copies = [each for each in selection.contenders if each.trial.family == "classical"]
    assert len(copies) >= 2
    told = selection.compare(*copies[:2])
    assert told.is_tie and told.p_value == 1.0 and told.difference == 0.0
    assert copies[0].items.groups is not None and len(set(copies[0].items.groups)) < len(copies[0].items.groups)
    networks = [each.items for each in selection.contenders if each.trial.family == "feedforward"]
    assert all(len(items.parts[0]) == 4 for items in networks), "hits of every epoch"
    assert all(each.items.parts[0].mean(axis=1).max() == pytest.approx(each.value) for each in selection.contenders)
    with (place / "studies" / "twice" / "leaderboard.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert sorted({row["against_winner"] for row in rows} - {"worse", "better"}) == ["tie", "winner"]
    winner = next(row for row in rows if row["against_winner"] == "winner")
    assert int(winner["trial"]) == selection.winner.trial.number == view.winner(resampling).number
    assert float(winner["macro_f1_low"]) < float(winner["macro_f1"]) < float(winner["macro_f1_high"])
    near = [each.trial for each in selection.contenders if each is selection.contenders[0] or selection.compare(selection.contenders[0], each).is_tie]
    assert selection.winner.trial.outcome["fit_seconds"] == min(trial.outcome["fit_seconds"] for trial in near)
    assert f"winner: trial {winner['trial']}, " in done.stdout and "by prefer: cheapest-within ties" in done.stdout
    assert "can't be told apart from" in done.stdout and "expected after the optimism of choosing among 5 full trials and " in done.stdout
    page = place / "studies" / "twice" / "report.html"
    assert "report:      " in done.stdout and f"won: trial {winner['trial']}<" in page.read_text() and "number to quote is still missing" in page.read_text()
    # The look agrees, and another rule is another winner.
    look = ("scripts/final_eval.py", "--studies-dir", place / "studies", "--study", "twice")
    assert command(*look).returncode == 0
    assert json.loads((place / "studies" / "twice" / "final" / "metrics.json").read_text())["trial"] == int(winner["trial"])
    assert "accuracy on held-out tracks" in page.read_text() and "held-out tracks, looked at once" in page.read_text()
    wrong = command(*look, "--prefer", "cheapest")
    assert wrong.returncode == 2 and "--prefer cheapest: write best, cheapest-within X" in wrong.stderr and "Traceback" not in wrong.stderr
    best = selection.contenders[0].trial.number
    other = command(*look, "--prefer", "best")
    assert other.returncode == (0 if best == int(winner["trial"]) else 3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_of_the_card_work_for_a_study_that_the_command_line_made(place: Path) -> None:
    studies = place / "other studies"
    space = place / "elsewhere.yaml"
    space.write_text((place / "twice.yaml").read_text().replace(f"{place}/table.csv", "/nowhere/table.csv"))
    made = command("-m", "search.run", "--space", space, "--data", f"table:{place / 'table.csv'}", "--study", "named", "--seed", "5", "--studies-dir", studies)
    assert made.returncode == 0, made.stdout + made.stderr
    view = read_study(studies, "named")
    best = view.winner(resampling)
    rule = ("--prefer", "cheapest-within", "1", "by", "seconds")
    assert command("scripts/final_eval.py", "--studies-dir", studies, "--study", "named", *rule).returncode == 0
    looked = json.loads((studies / "named" / "final" / "metrics.json").read_text())
    card = (studies / "named" / "final" / "card.md").read_text()
    shown, _, _, replayed = (shlex.split(line)[1:] for line in re.findall(r"^    (python .*)$", card, re.MULTILINE))
    again = command(*shown)
    assert again.returncode == 0 and "nothing is evaluated" in again.stdout, again.stderr
    done = command(*replayed)
    assert done.returncode == 0 and f"trial {looked['trial']}" in done.stdout, done.stderr
    page = html.unescape((studies / "named" / "report.html").read_text())
    is_another = looked["trial"] != best.number  # as far as the machine's clock says that an equal one was fitted in less time
    assert (f"of trial {looked['trial']}, not this winner" in page) == is_another == ("cheapest-within 1 by seconds" in page)
    assert tuple(shown[-len(rule) :]) == rule
