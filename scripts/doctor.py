"""Look at a corpus before anything is searched on it: broken files, copies, classes that something but the music tells apart.

A composition root: the corpus is read and judged by `genre_models.doctor`, progress is shown by `search`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from pydantic import ValidationError
from rich.console import Console

from genre_models.errors import CorpusError
from genre_models.settings import DataSettings
from scripts.ending import exit_code_of
from search.errors import SearchError

if TYPE_CHECKING:
    from genre_models.doctor import Examination
    from search.progress import Stages

EPILOG = """what it looks for:
  files      that can't be decoded, are empty, end before they should, are silent, clipped, or too short
  copies     the same bytes; the same samples or pixels in other bytes; the same recording encoded again, louder, softer, resized,
             or cut by a second or two; within a class, and under two classes, where one label must be wrong
  formats    odd sampling rates, channels, sizes and lengths; and any of these, borders or colour maps that go with the class
  classes    that are small or unequal
  GTZAN      its published repetitions and distorted excerpts (Sturm 2012, 2013), if the corpus is GTZAN

A search finds the copies too and keeps them on one side of its split; copies under two classes it leaves out (data.near_duplicates).
What was decoded once is known the next time: scans and fingerprints are kept in STUDIES-DIR/.cache, where a search finds them as well.

examples:
  python scripts/doctor.py --data ~/music
  python scripts/doctor.py --data gtzan:~/gtzan --html doctor.html      the copies side by side, on one page
  python scripts/doctor.py --data ~/music --json doctor.json && python -m search.run --space spaces/cnn.yaml --data ~/music
exit codes: 0 nothing would corrupt a result; 1 something would; 2 bad input; 130 stopped by the user"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/doctor.py",
        description="Look at every file of a corpus, and say what would corrupt a result, what costs tracks or accuracy, and what to do.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--data", required=True, nargs="+", metavar="SOURCE",
        help="demo, a folder of class folders, gtzan:FOLDER, fma:FOLDER, or table:FILE; several folders make one corpus",
    )  # fmt: skip
    p.add_argument("--input", choices=("auto", "audio", "image", "table"), default="auto", help="which kind of file, where there are two (default: the more)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write what was found for programs")
    p.add_argument("--html", type=Path, metavar="FILE", help="write one page with pictures; it needs no network")
    p.add_argument("--all", action="store_true", help="name every file in the terminal, however many")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="whose cache is used (default: ./studies)")
    p.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one on each core)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 220, emoji=False, highlight=False, markup=False)
    return exit_code_of(lambda: _examine(options, console), stopped="stopped; what was decoded so far is known the next time")


def _examine(options: argparse.Namespace, console: Console) -> int:
    from genre_models.corpus import open_corpus
    from genre_models.doctor import examine
    from genre_models.doctor.report import as_data
    from genre_models.doctor.terminal import print_examination
    from search.progress import Stages

    started = time.monotonic()
    if options.workers is not None and options.workers < 1:
        raise SearchError(f"--workers {options.workers}: must be 1 or more")
    settings = _settings(options)
    for file in filter(None, (options.json, options.html)):
        _check_writable(file)
    cache_dir = options.studies_dir.expanduser().resolve() / ".cache"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with Stages(Console(stderr=True, emoji=False)) as progress:
        corpus = open_corpus(settings.source, settings.input, cache_dir, progress)
        found = examine(corpus, cache_dir, options.workers, progress)
        if options.json is not None:
            _write(options.json, json.dumps(as_data(found), indent=1) + "\n")
        if options.html is not None:
            _write(options.html, _page(found, options.workers, progress))
    print_examination(console, found, options.all)
    for file in filter(None, (options.json, options.html)):
        console.print(f"written: {file}", soft_wrap=True)
    known = found.same.cached + found.scan.cached
    console.print(
        f"{time.monotonic() - started:.1f} s: scan {found.seconds['scan']:.1f} s, copies {found.seconds['copies']:.1f} s; "
        f"{found.scan.decoded:,} files decoded, {found.same.computed:,} fingerprints made, {known:,} known from before"
    )
    return 1 if found.count("harm") else 0


def _settings(options: argparse.Namespace) -> DataSettings:
    """The source as a space file would have it, with the same checks."""
    source = options.data[0] if len(options.data) == 1 else options.data
    try:
        return DataSettings.model_validate({"source": source, "input": options.input})
    except ValidationError as error:
        said = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise CorpusError(f"--data {' '.join(options.data)}: {said}") from error


def _check_writable(file: Path) -> None:
    """Refuse a place that can't be written before an hour is spent, not after.

    Raises
    ------
    CorpusError
    """
    folder = file.expanduser().absolute().parent
    if file.expanduser().is_dir():
        raise CorpusError(f"{file}: is a folder; give the name of a file")
    if not folder.is_dir():
        raise CorpusError(f"{file}: there is no folder {folder}; make it, or choose another place")


def _write(file: Path, text: str) -> None:
    from genre_models.durable import write_text

    write_text(file.expanduser().absolute(), text)


def _page(found: Examination, workers: int | None, progress: Stages) -> str:
    from genre_models.doctor.pictures import draw
    from genre_models.doctor.report import as_page, rows_to_draw

    return as_page(found, draw(rows_to_draw(found), found.corpus.kind, workers, progress))


if __name__ == "__main__":
    sys.exit(main())
