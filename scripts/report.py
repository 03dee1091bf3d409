"""Write a study as one HTML page that needs no network: the verdict first, then what it rests on.

A composition root: the study is read and the page written by `search.report`, what the models' answers look like comes from `genre_models.evidence`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from pydantic import ValidationError
from rich.console import Console

from genre_models import resampling
from genre_models.errors import CorpusError, GenreModelsError
from genre_models.evidence import ValidationEvidence, read_looks
from genre_models.settings import DataSettings
from scripts.ending import exit_code_of
from scripts.final_request import choose_study
from search.errors import SearchError

if TYPE_CHECKING:
    from genre_models.corpus import Progress
    from genre_models.task_data import TaskData
    from search.study_view import StudyView

EPILOG = """what is on the page, in this order:
  the verdict            who won, the score with its interval, who ties with it, what is to be expected, the held-out score or how to get it
  families               the best of each side by side, with intervals and costs
  learning curves        of all trials; who was stopped when; which settings matter; what the score costs
  right and wrong        classes taken for one another, the mistakes the model was surest of with picture and sound, whether its probabilities
                         can be believed: validation tracks before the look at the held-out ones, those after it
  data, how to repeat    what the doctor found; versions and exact commands

Every search writes this page at its end, and so does a look; this command writes it again, with the corpus at hand for pictures and sound.
If the corpus can't be read the page is written without them. No held-out file is read here.

examples:
  python scripts/report.py --study best                    the best study of ./studies: studies/NAME/report.html
  python scripts/report.py --study cnn-gtzan --output report.html
  python scripts/report.py --study cnn-gtzan --data gtzan:/mnt/gtzan      the corpus was moved since the search
exit codes: 0 done; 2 bad input; 130 stopped by the user"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/report.py",
        description="One self-contained page about a study, to be opened in any browser or sent to somebody.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--study", default="best", metavar="NAME", help="the study, or 'best': the one whose winner scored best in validation (default)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--output", type=Path, metavar="FILE", help="where to write the page (default: report.html in the study's folder)")
    p.add_argument("--data", nargs="+", metavar="SOURCE", help="where the corpus is now, if it was moved since the search")
    return p


def _checked(output: Path) -> Path:
    """Where the page is to go, if it can."""
    path = output.expanduser().resolve()
    if path.is_dir() or not path.parent.is_dir():
        raise SearchError(f"--output {output}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}; give a file in a folder that exists")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False, emoji=False)
    return exit_code_of(lambda: _report(options, console), stopped="stopped", elsewhere="choose another place with --output, or free space there")


def _report(options: argparse.Namespace, console: Console) -> int:
    studies_dir = options.studies_dir.expanduser().resolve()
    name = choose_study(studies_dir, options.study, console)
    output = None if options.output is None else _checked(options.output)
    path = report_study(studies_dir, name, console, moved=options.data, output=output)
    console.print(f"report: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}  ({path.stat().st_size / 1e6:.1f} MB, opens in any browser)")
    return 0


def report_study(studies_dir: Path, name: str, console: Console, moved: Sequence[str] | None = None, output: Path | None = None) -> Path:
    """Write the report of a study, with the evidence that is there or can be made; the path of the page.

    Raises
    ------
    SearchError
        There is no such study, or it can't be read.
    OSError
        The page can't be written.
    """
    from genre_models.doctor import short_notes
    from genre_models.seal import looked_at_by_others
    from genre_models.split_words import cautioned, split_facts
    from search.location import locate
    from search.progress import Stages
    from search.report import gather_evidence, write_report
    from search.report.verdict import selection_of
    from search.study_view import read_study

    view = read_study(studies_dir, name)
    folder = locate(studies_dir, name).folder
    selected = selection_of(view, resampling)
    opened: list[TaskData] = []

    def development() -> tuple[Sequence[Mapping[str, Any]], str]:
        opened.append(open_data(view, studies_dir, moved, stages))
        return opened[0].development, opened[0].corpus.kind

    with Stages(console) as stages:
        make = ValidationEvidence(development)
        troubles = gather_evidence(view, selected[0], folder, make, GenreModelsError)
    if make.trouble is not None:
        troubles.append(f"pictures and sound: {make.trouble}")
    for trouble in troubles:
        console.print(f"note: {trouble}")
    doubts = short_notes(opened[0].scan, opened[0].corpus) if opened and "doctor" not in view.run else None  # studies of before have none
    looks = cautioned(read_looks(folder / "final"), view.run)
    about = {"of_split": split_facts(view.run), "looked_at_by": looked_at_by_others(studies_dir / ".seals", view.run.get("split_id"), name)}
    return write_report(view, folder, statistics=resampling, looks=looks, doubts=doubts, troubles=troubles, output=output, selected=selected, **about)


def open_data(view: StudyView, studies_dir: Path, moved: Sequence[str] | None, progress: Progress) -> TaskData:
    """The corpus of a study, dealt as in the search.

    Raises
    ------
    GenreModelsError
        The corpus can't be read, or is not the one that the study was made on: then some of these tracks might be held-out ones.
    """
    from genre_models.prepare import open_task

    run = view.run
    try:
        source = moved[0] if moved is not None and len(moved) == 1 else moved
        settings = DataSettings.model_validate(run["data"] | ({"source": source} if source else {}))
    except KeyError as error:
        raise CorpusError("run.json is missing or incomplete, so nobody knows which tracks are held out; run the search command again, it writes the file") from error
    except ValidationError as error:
        said = "; ".join(f"data.{'.'.join(map(str, item['loc'][:1]))}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors())
        raise CorpusError(f"--data {' '.join(moved or ())}: the study's settings don't go with it: {said}") from error
    data = open_task(settings, {}, run["seed"], studies_dir / ".cache", progress=progress, earlier=run)
    if (data.scan.fingerprint, data.split.split_id) != (run.get("corpus_fingerprint"), run.get("split_id")):
        raise CorpusError(f"{data.corpus.source}: not the corpus that study '{view.name}' was made on; put its files back as they were, or say where they are with --data SOURCE")
    return data


if __name__ == "__main__":
    sys.exit(main())
