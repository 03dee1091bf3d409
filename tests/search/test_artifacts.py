"""Artifacts of trials while a search runs: the disk holds the best few and those under way, never all."""

from __future__ import annotations

import random
from pathlib import Path

from search.artifacts import TRIALS, Tidied
from search.confirm import finalists
from search.depot import open_depot
from search.trial import Trial


class Silent:
    """A monitor that hears how trials ended."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def ended(self, trial: Trial) -> None:
        self.heard.append(trial.number)


def ended(number: int, value: float | None, state: str = "COMPLETE", **spec: object) -> Trial:
    return Trial(number, state, {"family": "net", **spec}, end="full" if state == "COMPLETE" else "pruned", value=value)


def test_the_best_few_are_kept_and_the_others_go_as_they_end(tmp_path: Path) -> None:
    depot, silent, done = open_depot(str(tmp_path)), Silent(), []
    values = [n / 20 for n in range(20)]
    random.Random(3).shuffle(values)
    tidied = Tidied(silent, depot, [], maximize=True, keep=3)
    for number, value in enumerate(values):
        (tmp_path / TRIALS / f"{number:04d}").mkdir(parents=True)
        (tmp_path / TRIALS / "9999").mkdir(exist_ok=True)  # one under way
        done.append(ended(number, value, "PRUNED" if number % 4 == 0 else "COMPLETE"))
        tidied.ended(done[-1])
        best = {f"{t.number:04d}" for t in finalists(done, 3, maximize=True)}
        assert {p.name for p in (tmp_path / TRIALS).iterdir()} == best | {"9999"}
    assert silent.heard == list(range(20))


def test_what_an_earlier_run_kept_is_measured_against_and_confirmations_stay(tmp_path: Path) -> None:
    for name in ("0000", "0001", "0002"):
        (tmp_path / TRIALS / name).mkdir(parents=True)
    tidied = Tidied(Silent(), open_depot(str(tmp_path)), [ended(0, 0.9)], maximize=False, keep=1)
    tidied.ended(ended(2, 0.95, confirms=0))
    tidied.ended(ended(1, 0.5))
    assert {p.name for p in (tmp_path / TRIALS).iterdir()} == {"0001", "0002"}
