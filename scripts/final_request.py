"""Who wants to look: a study's winner, and where they are asked for the best of its other families.

A composition root's half of `scripts.final_eval`: reads studies through `search`, and says it in the words of `genre_models`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genre_models import resampling
from genre_models.look import Request
from genre_models.naive import CAVEAT
from genre_models.retrain import Confirmed, Expected, Winner, recorded_rates
from genre_models.seal import Look, Seal
from search.errors import SearchError, StudyError

if TYPE_CHECKING:
    from rich.console import Console

    from search.selection import Selection
    from search.study_view import StudyView
    from search.trial import Trial


def preference_of(words: Sequence[str] | None) -> str | None:
    """What ``--prefer`` says, as a study records it; None where it is not given.

    Raises
    ------
    SearchError
        It is no known rule.
    """
    from search.preference import read_preference

    if words is None:
        return None
    try:
        read_preference(" ".join(words))
    except ValueError as error:
        raise SearchError(f"--prefer {' '.join(words)}: {error}") from error
    return " ".join(words)


def choose_study(studies_dir: Path, name: str, console: Console, prefer: str | None = None) -> str:
    """The study of that name; for ``best``, the one with the best winner, where all can be compared; `prefer` as of `read_request`.

    Raises
    ------
    StudyError
        There is no study with a winner, or the studies are of different corpora, splits or objectives.
    """
    from search.study_view import damaged_studies, list_studies, read_study

    if name != "best":
        return name
    found: list[tuple[StudyView, float]] = []
    damaged = [f"study '{each}': {why}" for each, why in damaged_studies(studies_dir).items()]
    for each in list_studies(studies_dir):
        try:
            view = read_study(studies_dir, each)
        except StudyError as error:
            if not (studies_dir / each / "study.db").is_file():
                raise  # on PostgreSQL: a server that is away is no damage
            damaged.append(str(error))
            continue
        view.prefer = prefer or view.prefer
        if caveat := caveat_of(view):
            console.print(f"passed over: study '{each}': {caveat}")
            continue
        try:
            found.append((view, view.winner(resampling).value))
        except StudyError as error:
            console.print(f"passed over: {error}")
    if damaged and not found:
        raise StudyError(f"--study best: no study in {studies_dir} can be taken: {'; '.join(damaged)}")
    for trouble in damaged:
        console.print(f"left out: {trouble}")
    if not found:
        raise StudyError(f"--study best: no study in {studies_dir} has a winner yet; start one with python -m search.run --space spaces/cnn.yaml")
    if len({(view.run.get("corpus_fingerprint"), view.run.get("split_id"), view.metric, view.direction) for view, _ in found}) > 1:
        lines = "".join(
            f"\n  --study {view.name}: {view.run.get('source')}{' (demo)' if view.run.get('demo') else ''}, "
            f"split {view.run.get('split_id')}, {view.metric} {value:.3f}"
            for view, value in found
        )
        raise StudyError(f"--study best: these studies have different corpora, splits or objectives; their scores can't be compared. Name one:{lines}")
    sign = 1 if found[0][0].maximize else -1
    best, value = max(found, key=lambda pair: sign * pair[1])
    if len(found) > 1:
        console.print(f"best of {len(found)} studies: {best.name} ({best.metric} {value:.3f} in validation)")
    return best.name


def caveat_of(view: StudyView) -> str | None:
    """Why a study's scores are no result, as those of the naive split are; None where they are one."""
    is_naive = "naive" in (view.fingerprint.get("data", {}).get("split"), view.run.get("data", {}).get("split"))
    return view.run.get("caveat") or (CAVEAT if is_naive else None)


def read_request(
    studies_dir: Path, name: str, again: str | None, families: bool = False, prefer: str | None = None
) -> tuple[StudyView, Request]:
    """A study and its winner, as the one who looks; with `families` the best of each other family beside it.

    `prefer` names the winner in another way than the study does (`search.preference`). A look of this study that was interrupted comes first, whoever would
    win by now: its receipt is written, and no other command could complete it.

    Raises
    ------
    StudyError
        The study has no winner, no record of its data, or no held-out tracks; or its scores are no result.
    """
    from search.study_view import read_study

    view = read_study(studies_dir, name)
    view.prefer = prefer or view.prefer
    if caveat := caveat_of(view):
        raise StudyError(
            f"study '{name}': {caveat}: nothing that was chosen by them may look at held-out tracks. Search again without data.split: naive, "
            "under another name"
        )
    selection = view.selection(resampling)
    trial = selection.winner.trial
    if "split_id" not in view.run:
        path = studies_dir / name / "run.json"
        raise StudyError(f"study '{name}': {path} is missing or incomplete; run the search command again, it writes the file")
    if view.run["split_id"] is None:
        raise StudyError(f"study '{name}': its split lists name no test tracks, so nothing is held out and there is nothing to evaluate on")
    look = _interrupted(studies_dir, view, again)
    if look is not None:
        trial = next((t for t in view.trials if t.number == look.opened["trial"]), trial)
    others = best_of_others(view, trial) if families else ()
    if look is not None and look.also:
        named = [one.trial for one in look.also]
        others = sorted((t for t in view.trials if t.number in named), key=lambda t: named.index(t.number))
    also = tuple(replace(as_winner(view, other), expected=expected_of(view, selection_of_family(view, other.family))) for other in others)
    winner = replace(as_winner(view, trial), expected=expected_of(view, selection) if trial is selection.winner.trial else None)
    return view, Request(studies_dir, winner, view.run["split_id"], again, also)


def _interrupted(studies_dir: Path, view: StudyView, again: str | None) -> Look | None:
    """The newest look at the split, if it is this study's and was interrupted, and no other reason is given for a further one."""
    newest = next(reversed(Seal(studies_dir / ".seals", view.run["split_id"]).looks()), None)
    is_ours = newest is not None and newest.closed is None and newest.opened["study"] == view.name
    return newest if is_ours and again in (None, newest.opened["reason"]) else None


def commands_of(request: Request, view: StudyView, prefer: str | None) -> dict[str, str]:
    """The commands that a model's card tells, as text: ``look`` shows this look, ``replay`` trains its trial again, and is empty where that can't be had.

    ``study`` is what names the study to the other commands, ``final`` the folder of its looks; both quoted for a shell. ``environment`` stands before commands
    that need what the search needed.
    """
    from search.report.repeating import commands, environment_words, shown_folder, study_words

    folder = request.studies_dir / view.name
    trial = next(trial for trial in view.trials if trial.number == request.winner.trial)
    found = commands(view, folder, trial, prefer or "")
    return {"look": found["look"], "replay": found.get("replay", ""), "study": shlex.join(study_words(view, folder)), "final": shlex.quote(str(shown_folder(folder) / "final")), "environment": environment_words(view)}


def best_of_others(view: StudyView, winner: Trial) -> list[Trial]:
    """The best full-budget trial of each family but the winner's, by its score in the search, the best family first."""
    from search.confirm import finalists

    best: dict[str, Trial] = {}
    for trial in finalists(view.trials, len(view.trials), view.maximize):
        best.setdefault(trial.family, trial)
    return [trial for family, trial in best.items() if family != winner.family]


def as_winner(view: StudyView, trial: Trial) -> Winner:
    """A trial as the retrain takes it."""
    history, epochs = trial.outcome["history"], max(1, trial.outcome["best_epoch"])
    accuracy = trial.outcome.get("val_accuracy")  # the mean over the trial's parts
    if accuracy is None:
        accuracy = history[epochs - 1].get("val_accuracy", trial.value if view.metric == "val_accuracy" else None)
    rates = recorded_rates(history, epochs, trial.spec["params"])
    confirmed, temperature = confirmed_score(view, trial.number), trial.outcome.get("temperature")
    return Winner(view.name, trial.number, trial.spec, epochs, rates, tuple(history), accuracy, confirmed, temperature, gflops=trial.outcome.get("gflops"))


def selection_of_family(view: StudyView, family: str) -> Selection:
    """The best of a family as if it had been searched alone; what is confirmed does not count, as it does not for who is looked at."""
    from search.selection import Selection, contenders

    return Selection(contenders([trial for trial in view.trials if trial.family == family], view.maximize), view.maximize, resampling)


def expected_of(view: StudyView, selection: Selection) -> Expected | None:
    """What a winner's score is worth, in the words of the look; None where nothing was chosen among, or too little is known."""
    found = selection.expected if view.metric == "val_accuracy" else None  # beside accuracies a loss would only mislead
    return None if found is None or found.states == 1 else Expected(found.expected, found.interval, found.candidates, found.states)


def confirmed_score(view: StudyView, number: int) -> Confirmed | None:
    """The score by which a trial was chosen among those that were trained again on other folds; None if none were."""
    from search.confirm import confirmations

    trial = None if view.confirm is None else confirmations(view.trials, view.confirm["folds"]).get(number)
    if trial is None:
        return None
    accuracy = trial.outcome.get("val_accuracy", trial.value if view.metric == "val_accuracy" else None)
    return Confirmed(trial.spec["folds"], view.metric, trial.value, accuracy)
