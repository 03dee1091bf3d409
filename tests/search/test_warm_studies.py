"""A study that begins from others: real studies, the real driver, killed at any commit."""

from __future__ import annotations

import csv
import io
import multiprocessing
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search import run as command
from search.config import load_space
from search.errors import SearchError
from search.leaderboard import write_leaderboard
from search.study_view import StudyView, read_study
from tests.search.injected import die_at_commit
from tests.search.scripted_driver import FAMILIES, run, space_text

FORK = multiprocessing.get_context("fork")


def search(folder: Path, task: dict[str, Any] | None = None, text: str | None = None, **changes: Any) -> tuple[StudyView, str]:
    """A search in this process, and what it printed."""
    space = folder / "space.yaml"
    space.write_text(text or space_text(**{"engine": "inline", "trials": 8, "sampler": "tpe", **changes}))
    config = load_space(space, FAMILIES, {})
    console = Console(file=io.StringIO(), width=300)
    run(folder, config, task or {}, console)
    return read_study(folder, config.study), console.file.getvalue()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies: ``a`` of one family, ``b`` of two."""
    folder = tmp_path_factory.mktemp("studies")
    search(folder, study="a", trials=12, scheduler="none")
    search(folder, study="b", trials=12, families="fast slow", seed=5)
    return folder


@pytest.fixture
def studies(sources: Path, tmp_path: Path) -> Path:
    shutil.copytree(sources, tmp_path, dirs_exist_ok=True)
    return tmp_path


def origins(view: StudyView) -> list[str]:
    return [t.warm_start_of for t in view.trials if t.warm_start_of is not None and t.retry_of is None]


def test_the_best_of_another_study_is_tried_first_told_and_marked(studies: Path) -> None:
    before = read_study(studies, "a")
    best = sorted((t for t in before.trials if t.is_full), key=lambda t: -t.value)[:5]
    view, text = search(studies, warm_start=["a"])
    assert origins(view) == [f"a/{t.number}" for t in best]
    assert [t.params for t in view.trials[:5]] == [t.params for t in best]
    assert [t.spec["seed"] for t in view.trials] == [t.spec["seed"] for t in before.trials[:8]], "a seed is the study's and the number's"
    assert "warm start from 'a'" in text and "12 finished trials fit, 12 of them with the full budget" in text
    assert "other scheduler" in text, "what differs between the two is said"
    assert "the sampler learns from 12 of their trials" in text
    assert sum(t.counts for t in view.trials) == 8 and any(t.end == "pruned" for t in view.trials), "they count, and are stopped like any other"
    write_leaderboard(studies / "board.csv", view.trials, True, "val_accuracy", "demo")
    rows = list(csv.DictReader((studies / "board.csv").open()))
    assert {row["trial"]: row["warm_start_of"] for row in rows} == {str(t.number): t.warm_start_of or "" for t in view.trials}
    assert {t.number: t.spec for t in read_study(studies, "a").trials} == {t.number: t.spec for t in before.trials}


def test_of_several_studies_both_families_and_hyperband_gives_each_its_bracket(studies: Path) -> None:
    view, text = search(studies, warm_start=["b", "a"], families="fast slow", scheduler="hyperband", trials=12)
    taken = [t for t in view.trials if t.warm_start_of is not None]
    assert len(taken) == 5 and {t.family for t in taken} == {"fast", "slow"} and all(t.bracket is not None for t in taken)
    assert "warm start from 'b'" in text and "warm start from 'a'" in text


def test_what_does_not_fit_is_passed_over_and_what_is_refused_here_counts(studies: Path) -> None:
    narrow = space_text(engine="inline", trials=8, sampler="tpe", warm_start=["b"]).replace("quality: {float: [0, 1]}, width: {int: [3, 7]}", "quality: {float: [0, 1]}, width: {int: [3, 5]}")
    view, text = search(studies, {"widest": 4}, narrow)
    assert "passed over" in text and "family fast is not searched here" in text
    assert all(t.end == "refused" for t in view.trials if t.spec["params"]["width"] == 5)
    assert sum(t.counts for t in view.trials) == 8 and origins(view)


@pytest.mark.parametrize(("sampler", "quality"), [("random", "{float: [0, 1]}"), ("tpe", "{float: [0, 1]}"), ("grid", "{choice: [0.2, 0.4, 0.9]}")])
def test_with_the_source_gone_and_without_being_told_again_it_goes_on_as_if_never_stopped(tmp_path: Path, sampler: str, quality: str) -> None:
    def go(study: str, trials: int, warm_start: list[str]) -> list[tuple[Any, ...]]:
        text = space_text(engine="inline", sampler=sampler, study=study, trials=trials, warm_start=warm_start).replace("{float: [0, 1]}", quality)
        return [(t.params, t.spec["seed"], t.warm_start_of) for t in search(tmp_path, text=text)[0].trials]

    go("g", 9, [])
    whole = go("whole", 12, ["g"])
    go("s", 3, ["g"])
    shutil.rmtree(tmp_path / "g")  # what was taken is the study's own
    go("s", 7, ["g"])
    assert go("s", 12, []) == whole
    taken = [origin for *_, origin in whole if origin is not None]
    assert len(taken) == len(set(taken)) > 0
    assert sampler != "grid" or len({str(params) for params, *_ in whole}) == 12, "a grid tries nothing twice"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_any_commit_the_queue_loses_and_doubles_nothing(studies: Path) -> None:
    search(studies, study="whole", warm_start=["a"], trials=6)
    expected, deaths = origins(read_study(studies, "whole")), 0
    assert len(expected) == 5

    def armed(folder: Path, nth: int) -> None:
        die_at_commit(nth)
        search(folder, warm_start=["a"], trials=6)

    for nth in (*range(1, 10), *range(12, 60, 5)):
        folder = studies / f"kill-{nth}"
        shutil.copytree(studies / "a", folder / "a")
        process = FORK.Process(target=armed, args=(folder, nth))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        deaths += 1
        view, _ = search(folder, warm_start=["a"], trials=6)
        assert origins(view) == expected, f"killed at commit {nth}"
        assert sum(t.counts for t in view.trials) == 6 and all(t.end is not None for t in view.trials)
    assert deaths > 10


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm_start": ["nowhere"]}, r"no study 'nowhere' in .*there: a, b"),
        ({"warm_start": ["a", "s"]}, "study 's' can't begin from itself"),
        ({"warm_start": ["b"], "families": "fast", "study": "t", "_": "quality: {float: [0.99, 1]}"}, "study 'b' has nothing to begin from.*is not in float 0.99"),
        ({"warm_start": ["a"], "families": "fast"}, r"has nothing to begin from.*family slow is not searched here \(12\)"),
    ],
)
def test_a_study_that_can_not_be_begun_from_is_one_error(studies: Path, changes: dict[str, Any], message: str) -> None:
    instead = changes.pop("_", "quality: {float: [0, 1]}")
    text = space_text(**{"engine": "inline", **changes}).replace("quality: {float: [0, 1]}", instead)
    with pytest.raises(SearchError, match=message) as told:
        search(studies, text=text)
    assert told.value.exit_code == 2


def test_another_objective_is_refused(studies: Path) -> None:
    text = space_text(engine="inline", warm_start=["a"]) + "objective: {metric: val_accuracy, direction: minimize}\n"
    with pytest.raises(SearchError, match="study 'a' is to maximize val_accuracy, this one to minimize val_accuracy"):
        search(studies, text=text)


def test_a_study_that_has_begun_can_not_begin_again(studies: Path) -> None:
    search(studies, trials=2)
    with pytest.raises(SearchError, match="'s' has begun without a warm start, and can't begin again from a.*--study NAME"):
        search(studies, trials=4, warm_start=["a"])
    search(studies, study="t", trials=2, warm_start=["a"])
    with pytest.raises(SearchError, match="'t' has begun from a, and can't begin again from b"):
        search(studies, study="t", trials=4, warm_start=["b"])
    assert len(search(studies, study="t", trials=4)[0].trials) == 4


def test_the_command_says_so_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--space", "spaces/cnn.yaml", "--studies-dir", str(tmp_path), "--warm-start", "nowhere"]
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: no study 'nowhere'") and "Traceback" not in told
    assert command.main([*arguments[:-1], "../up"]) == 2
    assert "../up can't be a study's name" in capsys.readouterr().err.replace('"', "")
