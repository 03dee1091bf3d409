"""Ask a saved model about files: which class, how sure, by track, with the votes of its segments.

A composition root: the model and its answers are `genre_models.predict`'s, progress is shown by `search`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from rich.console import Console

from genre_models.doctor.findings import shown
from genre_models.errors import GenreModelsError
from genre_models.saved_model import SavedModel, load_saved, open_saved
from scripts.ending import exit_code_of
from search.errors import SearchError
from search.location import locate

if TYPE_CHECKING:
    from genre_models.predict import Prediction, Unread
    from genre_models.predict.files import Listed

EPILOG = """FILE is what the model was trained on: sound (wav flac au ogg mp3), images (png jpg), or for a model on a table of features
a table with the same columns, one track a row or several. Folders are read with all folders in them.
Features are made by the code and the settings of training, of the same opening of a track; probabilities are the model's own
unless --calibrated is given. With segments a track's probabilities are the mean of its windows'.

examples:
  python scripts/predict.py --study cnn ~/new_music
  python scripts/predict.py --model studies/cnn/final a.mp3 b.wav --top 3 --segments
  python scripts/predict.py --study cnn ~/new_music --csv predictions.csv --json predictions.json
  python scripts/predict.py --study cnn a.wav --json - | python -m json.tool
exit codes: 0 all were predicted; 1 some could not be read, they are named; 2 bad input, or nothing could be read; 130 stopped by the user"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/predict.py", description="Say which class each track belongs to, by a model that scripts/final_eval.py made.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=Path, metavar="DIR", help="studies/NAME/final, its model/, one of its also/FAMILY, or a copy of one")
    which.add_argument("--study", metavar="NAME", help="the study whose final/ is meant")
    p.add_argument("files", nargs="+", metavar="FILE", help="files, folders or tables")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--top", type=int, default=3, metavar="K", help="how many classes are named for each track (default: 3)")
    p.add_argument("--segments", action="store_true", help="show each window, or row of a table, of a track too")
    p.add_argument("--calibrated", action="store_true", help="scale probabilities by the temperature that suited the trial's validation tracks")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all that is said for programs; - for the standard output")
    p.add_argument("--csv", type=Path, metavar="FILE", help="write one row a track; - for the standard output")
    p.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one on each core)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = parser().parse_args(arguments)
    return exit_code_of(lambda: _predict_for_a_reader(options), stopped="stopped; files that were asked for are not written")


def _predict_for_a_reader(options: argparse.Namespace) -> int:
    try:
        return predict(options)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def predict(options: argparse.Namespace) -> int:
    """Predict all that was named."""
    from genre_models.predict import list_sources

    _check_options(options)
    model = open_saved(options.model or locate(options.studies_dir, options.study).folder / "final")
    temperature = _temperature(options, model)
    listed = list_sources(options.files, model)
    _spare_sources(options, listed)
    is_data = "-" in (str(options.json), str(options.csv))
    console = Console(stderr=is_data, soft_wrap=True, emoji=False, highlight=False, markup=False)
    _tell_model(console, model, listed, temperature)
    started = time.perf_counter()
    is_any_readable = any(source.reason is None for source in listed.sources)
    asked = load_saved(model) if is_any_readable else None  # a framework takes seconds to say that a file does not exist
    loaded = time.perf_counter()
    counts, unread = _run(options, console, model, asked, listed, temperature)
    seconds = time.perf_counter() - loaded
    _tell_totals(console, counts, unread, listed, seconds, loaded - started)
    return 0 if not unread else 1 if counts else GenreModelsError.exit_code


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what can't be done before anything is loaded; nothing of the user's is ever written over."""
    from genre_models.corpus.tracks import SUFFIXES

    for name, number in (("--top", options.top), ("--workers", options.workers)):
        if number is not None and number < 1:
            raise SearchError(f"{name} {number}: must be 1 or more")
    if str(options.json) == str(options.csv) == "-":
        raise SearchError("--json - and --csv -: only one of them can have the standard output; give the other a file")
    outputs = [os.path.realpath(path.expanduser()) for path in (options.json, options.csv) if path is not None and str(path) != "-"]
    if len(outputs) > len(set(outputs)):
        raise SearchError(f"--json and --csv: both are {outputs[0]}; give each a file of its own")
    inputs = {os.path.realpath(os.path.expanduser(name)) for name in options.files}
    for name, path in (("--json", options.json), ("--csv", options.csv)):
        if path is None or str(path) == "-":
            continue
        path = path.expanduser().absolute()
        if os.path.realpath(path) in inputs or path.suffix.lower() in (suffix for of_kind in SUFFIXES.values() for suffix in of_kind):
            raise SearchError(f"{name} {path}: is to be written, but it is one of the files to predict, or is named like one; give another name")
        if path.is_dir() or not path.parent.is_dir():
            raise SearchError(f"{name} {path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}; give a file in a folder that exists")


def _spare_sources(options: argparse.Namespace, listed: Listed) -> None:
    """A table that lies in a folder to predict is nothing to write over either."""
    sources = {os.path.realpath(source.path) for source in listed.sources}
    for name, path in (("--json", options.json), ("--csv", options.csv)):
        if path is not None and str(path) != "-" and os.path.realpath(path.expanduser()) in sources:
            raise SearchError(f"{name} {path}: is to be written, but it is one of the files to predict; give another name")


def _temperature(options: argparse.Namespace, model: SavedModel) -> float | None:
    if options.calibrated and model.temperature is None:
        raise SearchError(f"--calibrated: the search recorded no temperature for {model.name}; leave it out")
    return model.temperature if options.calibrated else None


def _run(
    options: argparse.Namespace, console: Console, model: SavedModel, asked: Any, listed: Listed, temperature: float | None
) -> tuple[Counter[str], int]:
    """Predict, show and write; how many tracks each class got, and how many could not be read."""
    from genre_models.predict import Unread
    from genre_models.predict.writing import CsvSink, JsonSink, open_whole
    from scripts.predict_terminal import TerminalSink

    counts, unread, started = Counter(), 0, time.perf_counter()
    with ExitStack() as stack:
        sinks: list[Any] = []
        if options.csv is not None:
            sinks.append(CsvSink(stack.enter_context(open_whole(options.csv)), model, options.segments))
        if options.json is not None:
            sinks.append(JsonSink(stack.enter_context(open_whole(options.json)), model, options.segments, options.top, temperature))
        sinks.append(TerminalSink(console, model, options.top, options.segments, silent="-" in (str(options.json), str(options.csv))))
        for found in _shown(console, model, asked, listed, temperature, options.workers):
            if isinstance(found, Unread):
                unread += 1
            else:
                counts[found.predicted] += 1
            for sink in sinks:
                sink.take(found)
        seconds = time.perf_counter() - started
        for sink in sinks:
            sink.end({"n_predicted": counts.total(), "n_unread": unread, "seconds": round(seconds, 3), "clips_per_second": round(counts.total() / seconds, 2)})
    for path in filter(None, (options.csv, options.json)):
        if str(path) != "-":
            console.print(f"written: {path}")
    return counts, unread


def _shown(
    console: Console, model: SavedModel, asked: Any, listed: Listed, temperature: float | None, workers: int | None
) -> Iterator[Prediction | Unread]:
    """The predictions, with progress beside them."""
    from genre_models.predict import Unread, predict_files
    from scripts.predict_terminal import Speed

    total = len(listed.sources)
    with Speed(console if console.is_terminal else Console(stderr=True, emoji=False), total) as speed:
        for done, found in enumerate(predict_files(model, asked, listed.sources, workers), 1):
            is_scaled = temperature is not None and not isinstance(found, Unread)
            yield found.at_temperature(temperature) if is_scaled else found
            speed.take(done)


def _tell_model(console: Console, model: SavedModel, listed: Listed, temperature: float | None) -> None:
    from scripts.predict_terminal import model_in_words

    for line in model_in_words(model, temperature):
        console.print(line)
    if listed.passed_over:
        console.print(f"{listed.passed_over} files in folders are of kinds that the model does not take, and are passed over")


def _tell_totals(console: Console, counts: Counter[str], unread: int, listed: Listed, seconds: float, loading: float) -> None:
    said = ", ".join(f"{shown(label)} {n}" for label, n in counts.most_common())
    failed = f", {unread} could not be read (named above)" if unread else ""
    console.print(f"{counts.total()} of {len(listed.sources)} tracks predicted{failed}{': ' + said if said else ''}")
    console.print(f"{counts.total() / max(seconds, 1e-9):.1f} clips/s: {counts.total()} in {seconds:.1f} s, and {loading:.1f} s to load the model")


if __name__ == "__main__":
    sys.exit(main())
