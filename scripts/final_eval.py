"""Retrain a study's winner on all development tracks, look once at the held-out ones, and write the verdict.

A composition root: reads the study through `search`, trains and evaluates through `genre_models`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from pydantic import ValidationError
from rich.console import Console

from genre_models import look as looks
from genre_models import resampling
from genre_models.errors import CorpusError, GenreModelsError
from genre_models.families.own import add_own_families, require_family
from genre_models.framework import backend_of, import_keras, overridden_backend, require_backend
from genre_models.parts import describe_parts
from genre_models.retrain import Winner, complete
from genre_models.seal import Look, overlaps
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.terminal import PlainConsole
from genre_models.verdict import table
from scripts.final_request import choose_study, commands_of, preference_of, read_request
from search.errors import SearchError
from search.trial_cost import MISSING_COUNTRY

if TYPE_CHECKING:
    from genre_models.task_data import TaskData
    from search.study_view import StudyView

EPILOG = """what happens, in this order:
  1. the winner (best validation score among trials with the full budget, or best confirmed one) is trained again on all development tracks,
     for the epochs and with the learning rates that the search found
  2. the model is saved and hashed, and a receipt goes to studies/.seals/: from now on the held-out tracks are looked at
  3. the held-out tracks are evaluated, once; the verdict goes to studies/NAME/final/
The same command again shows the same verdict and evaluates nothing; after a kill it completes what was begun.
Another model on the same held-out tracks is refused: choosing by held-out scores would make them validation scores.
To compare families, ask for all of them at once: with --also families the best trial of each takes part in the same, only look.

examples:
  python scripts/final_eval.py --study best              the best study of ./studies
  python scripts/final_eval.py --study cnn-gtzan
  python scripts/final_eval.py --study all --also families
  python scripts/final_eval.py --study cnn --again "the first search had a bug"
exit codes: 0 done, or the same look shown again; 2 bad input; 3 sealed; 130 stopped by the user"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/final_eval.py",
        description="One honest number: train a study's winner on everything but the held-out tracks, and score it on those, once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--study", default="best", metavar="NAME", help="the study, or 'best': the one whose winner scored best in validation (default)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--also", choices=["families"], help="look at the best trial of every other family too, beside the winner, in the same look")
    p.add_argument(
        "--prefer", nargs="+", metavar=("RULE", "X"),
        help="who is the winner, where not as in the search: best, or cheapest-within X (a difference of the validation score, or ties), then, if you like, by COST",
    )  # fmt: skip
    p.add_argument("--again", metavar="REASON", help="look although the held-out tracks were looked at before; the reason is recorded")
    p.add_argument(
        "--data", nargs="+", metavar="SOURCE",
        help="where the corpus is now, if it was moved since the search; of a list of folders all, in its order and with their names",
    )  # fmt: skip
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says about the processor is no news to a user
    options = parser().parse_args(arguments)
    console = PlainConsole(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False, emoji=False)
    try:
        if options.again is not None and not options.again.strip():
            raise SearchError("--again needs a reason, in words; it is recorded beside the score")
        add_own_families()
        return evaluate_once(options, console)
    except (SearchError, GenreModelsError) as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(f"error: {error}", markup=False, highlight=False)
        return error.exit_code
    except OSError as error:  # a full disk, a folder that can't be written
        told = f"error: {error}; put that right, then run the same command again: it goes on where this one ended"
        Console(stderr=True, soft_wrap=True, emoji=False).print(told, markup=False, highlight=False)
        return SearchError.exit_code
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; run the same command again to go on", markup=False)
        return 130


def evaluate_once(options: argparse.Namespace, console: Console) -> int:
    """Show the look that there is, complete the one that was interrupted, or take a new one."""
    from search.lease import hold_lease
    from search.location import locate

    studies_dir = options.studies_dir.expanduser().resolve()
    prefer = preference_of(options.prefer)
    name = choose_study(studies_dir, options.study, console, prefer)
    view, request = read_request(studies_dir, name, options.again, families=options.also is not None, prefer=prefer)
    if options.also and not request.also:
        console.print(f"--also families: no family but {request.winner.family} has a trial with the full budget; the winner is looked at alone")
    standing, look = request.standing()
    if standing == "ours-closed":
        tell(request, look, view, "this look was taken before: the same receipt and numbers, nothing is evaluated", console)
        if (studies_dir / name / "report.html").is_file():
            tell_report(studies_dir / name / "report.html", console)
        return 0
    require_backend(backend_of(request.winner.spec))
    if note := overridden_backend(backend_of(request.winner.spec)):
        console.print(note)
    with hold_lease(locate(studies_dir, name)):  # no search may change the winner meanwhile
        view, request = read_request(studies_dir, name, options.again, families=options.also is not None, prefer=prefer)
        for one in (request.winner, *request.also):
            require_family(one.family, view.fingerprint.get("families", {}).get(one.family, {}).get("code"))
        if standing == "ours-open" and (by_now := view.winner(resampling).number) != request.winner.trial:
            console.print(f"trial {by_now} would win by now; the look at trial {request.winner.trial} was interrupted and is completed first")
        tell_plan(request, view, console)
        look = take(request, view, options.data, console, prefer)
    tell(request, look, view, "the verdict", console)
    write_report(studies_dir, name, options.data, console)
    return 0


def write_report(studies_dir: Path, name: str, moved: Sequence[str] | None, console: Console) -> None:
    """The study's page again, now with what the look found. The look is on its receipt by now: what is in the way of the page fails nothing."""
    from scripts.report import report_study

    try:
        tell_report(report_study(studies_dir, name, console, moved), console)
    except Exception as error:
        told = shlex.join(["python", "scripts/report.py", "--study", name, "--studies-dir", str(studies_dir)])
        console.print(f"note: no report was written ({type(error).__name__}: {error}); {told} tries again")


def tell_report(path: Path, console: Console) -> None:
    """Where the page is."""
    console.print(f"report: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def tell_plan(request: looks.Request, view: StudyView, console: Console) -> None:
    """Say what is about to happen, before it does."""
    winner, run = request.winner, view.run
    demo = " (demo: music made by this program, the score says nothing about real music)" if run.get("demo") else ""
    console.print(f"study {winner.study}: {run.get('source')}{demo}")
    console.print(f"winner: {in_words(winner)}")
    if winner.confirmed is not None:
        console.print(f"confirmed on {winner.confirmed.folds} folds: {winner.confirmed.metric} {winner.confirmed.value:.3f}")
    for other in request.also:
        console.print(f"also: {in_words(other)}")
    held_out = run.get("tracks", {}).get("held_out")
    console.print(f"one look at the {'' if held_out is None else f'{held_out} '}held-out tracks of split {request.split_id}")
    if request.again:
        console.print(f"a further look, because: {request.again}")


def in_words(winner: Winner) -> str:
    """A trial, its family and its score in validation."""
    parts = describe_parts(winner.spec)
    mean = "" if parts is None else f"mean over {parts}"
    if winner.has_epochs:
        where = f" at epoch {winner.best_epoch}" if parts is None else f" ({mean}; best after {winner.best_epoch} epochs, in the mean)"
    else:
        where = f" ({mean})" if mean else ""
    score = "" if winner.validation_accuracy is None else f", validation accuracy {winner.validation_accuracy:.3f}{where}"
    return f"trial {winner.trial}, {winner.family}{score}"


def take(request: looks.Request, view: StudyView, moved: Sequence[str] | None, console: Console, prefer: str | None = None) -> Look:
    """Open the corpus as the search did, and look."""
    from search.energy_section import EnergySettings
    from search.measured import Measures
    from search.progress import Stages

    def on_epoch(epoch: int, metrics: dict) -> None:
        told = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if name in ("loss", "accuracy"))
        console.print(f"  epoch {epoch}/{metrics['epochs']}{': ' + told if told else ''}")

    settings = EnergySettings.model_validate(view.run.get("energy") or {})  # studies of before do not say
    with Measures(settings, console.print) as measure, Stages(console) as stages:
        data = open_data(request, view, moved, stages)
        for other in overlaps(request.seal.path.parent, request.split_id, {row.id: row.content for row in data.split.test}):
            if other.same:
                console.print(f"note: {other.same} of these {len(data.split.test)} held-out tracks were looked at before, in split {other.split_id}")
            if other.namesakes:
                told = f"note: {other.namesakes} of these {len(data.split.test)} held-out tracks have the names of tracks that were looked at in split {other.split_id}, but other content"
                console.print(f"{told}: if they are the same music, in other files, they were looked at before")
        import_keras(backend_of(request.winner.spec))
        task = development_task(data, request, view, stages)
        task["about"] |= {"prefer": prefer, "commands": commands_of(request, view, prefer)}
        return looks.take(request, task, data.split.test, looks.Said(console.print, on_epoch, stages, measure), data.split.test_groups)


def development_task(data: TaskData, request: looks.Request, view: StudyView, progress) -> dict:
    """The development tracks, and where there is something to train what it is trained on.

    Raises
    ------
    GenreModelsError
        A family can't be had here, as without the weights of its network.
    """
    train = request.standing()[0] == "unopened"
    *_, failed = data.prepare_features(progress=progress) if train else ({},)
    task = data.task({"metric": view.metric, "direction": view.direction}, view.run["limits"])
    task["tracks"] = [track for track in task["tracks"] if track["id"] not in failed]
    task["backend"] = backend_of(request.winner.spec)
    task["about"] = {"corpus": data.corpus.name, "source": data.corpus.source, "data": view.run["data"], "tracks": view.run["tracks"]}
    if train:
        data.prepare_networks(task, progress)
        if data.unavailable:
            more = "; where a file has moved, name its new place in the space file and run the search command again, which then has nothing else to do"
            raise GenreModelsError("; ".join(dict.fromkeys(data.unavailable.values())) + more)
    return task


def open_data(request: looks.Request, view: StudyView, moved: Sequence[str] | None, progress) -> TaskData:
    """The corpus, scanned and dealt as in the search; where it has moved, the words of ``--data``.

    Raises
    ------
    CorpusError
        Its held-out tracks are not those of the study any more.
    """
    from genre_models.prepare import open_task

    run = view.run
    try:
        source = moved[0] if moved is not None and len(moved) == 1 else moved
        settings = DataSettings.model_validate(run["data"] | ({"source": source} if source else {}))
    except ValidationError as error:
        said = "; ".join(f"data.{'.'.join(map(str, item['loc'][:1]))}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors())
        raise CorpusError(f"--data {' '.join(moved or ())}: the study's settings don't go with it: {said}") from error
    models = (request.winner, *request.also)
    features = {one.family: FeatureSettings.of_resolved(one.spec["features"] | files_of(run, one.family)) for one in models}
    values = {one.family: {name: [value] for name, value in complete(one.spec, {})["params"].items()} for one in models}
    data = open_task(settings, features, run["seed"], request.studies_dir / ".cache", values=values, progress=progress, earlier=run)
    if (data.scan.fingerprint, data.split.split_id) != (run["corpus_fingerprint"], request.split_id):
        raise CorpusError(f"{data.corpus.source}: not the corpus that study '{view.name}' was made on. {_difference(request, view, data)}")
    require_same_files(view, data, [one.family for one in models])
    return data


def require_same_files(view: StudyView, data: TaskData, families: Sequence[str]) -> None:
    """Check that the files that features are made with are those that the trials had; before anything is trained.

    Raises
    ------
    CorpusError
        Another table or other weights lie there now, or the table has a column that was a feature then and is none any more: scores in
        validation would say nothing about what is looked at.
    """
    known = view.fingerprint.get("families", {})
    for family in families:
        before, now = known.get(family, {}).get("features", {}), data.fingerprint_features(family)
        for name in ("weights", "table"):
            if name in before and "?" not in (before[name], now[name]) and before[name] != now[name]:
                if str(now[name]).startswith(f"{before[name]} without "):
                    gone = now[name].partition(" without ")[2]
                    raise CorpusError(
                        f"features.{name} of {family}: {gone} of {data.features[family][name]} was a feature when study '{view.name}' was made and is none "
                        "any more (it is the file's length): search again, under another name"
                    )
                raise CorpusError(
                    f"features.{name} of {family}: {data.features[family][name]} is not the file that study '{view.name}' was made with (SHA-256 "
                    f"{_short(before[name])}, now {_short(now[name])}): put that file back, then run the same command again"
                )


def _short(found: object) -> str:
    if isinstance(found, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in found.items())
    return f"{found[:12]}…" if isinstance(found, str) and len(found) == 64 else str(found)


def files_of(run: dict, family: str) -> dict:
    """Where the search last found the files that a family's features are made with: weights and table may have moved since the trial."""
    known = run.get("features", {}).get(family, {})
    return {name: known[name] for name in ("weights", "table") if name in known}


def _difference(request: looks.Request, view: StudyView, data: TaskData) -> str:
    rows = {row.id: row.content for row in data.scan.rows if row.readable}
    look = request.standing()[1]
    changed = sorted(track for track, content in (look.opened["tracks"] if look else {}).items() if rows.get(track) != content)
    lost = f"Held-out tracks that changed or are gone: {', '.join(changed[:5])}{' …' if len(changed) > 5 else ''}. " if changed else ""
    there = f"There: {len(rows)} readable tracks, {len(data.scan.rows) - len(rows)} others"
    dealt = f"the study dealt {sum(view.run['tracks'].values())} tracks"
    files = "the files and FMA's table" if data.corpus.source.startswith("fma:") else "the files"
    return f"{lost}{there}; {dealt}. Put {files} back as they were, or say where they are with --data SOURCE"


def tell(request: looks.Request, look: Look, view: StudyView, title: str, console: Console) -> None:
    """The receipt, the scores, and where the files are."""
    folder = request.folder(look.number)
    console.print(f"\n{title}\n{look.describe()}\n")
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        console.print(f"{folder} holds no metrics.json any more; the receipt above is what is left")
        return
    console.print(table(metrics))
    if metrics.get("energy_kwh") is not None and metrics.get("emissions_kg") is None:
        console.print(MISSING_COUNTRY)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    more = "  families.png  also/" if look.also else ""
    console.print(f"files: {shown}/  metrics.json  predictions.csv  confusion.png  curves.png  reliability.png  card.md  model/{more}")


if __name__ == "__main__":
    sys.exit(main())
