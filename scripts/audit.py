"""Ask whether a split means something: can its sides be told apart by what has nothing to do with music, and does an artist lie on two of them?

A composition root: the split is dealt and judged by `genre_models`, space files and studies are read through `search`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from pydantic import ValidationError
from rich.console import Console

from genre_models.errors import CorpusError
from genre_models.settings import DataSettings
from scripts.ending import exit_code_of
from search.errors import SearchError

if TYPE_CHECKING:
    from genre_models.task_data import TaskData
    from search.progress import Stages

EPILOG = """what it asks:
  train from held out      a classifier that sees lengths, loudness, clipping, formats, sizes, borders, brightness of files, and nothing of their music, tries
  train from validation    to tell the sides apart. It should not be able to: AUC 0.5. If it can, the fact that gives it away is named, with what it is on both sides
  the class                can it be told from these facts alone? Then a network may learn them instead of music (development tracks only)
  artists                  those with tracks on two sides, by the corpus's table or the tags of the files

Of held-out tracks nothing but the scan's facts is used. A search asks the first two itself, in short, and says so where there is something to say.

examples:
  python scripts/audit.py --data ~/music                                     the split of a space file that leaves data: alone
  python scripts/audit.py --space spaces/cnn.yaml --data gtzan:~/gtzan       that of this file
  python scripts/audit.py --study cnn-gtzan --json audit.json                that of a study, as it was dealt
exit codes: 0 nothing tells the sides apart; 1 something does; 2 bad input; 130 stopped by the user"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/audit.py",
        description="Try to tell the sides of a split apart without hearing a note.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--data", nargs="+", metavar="SOURCE", help="demo, a folder of class folders, gtzan:FOLDER, fma:FOLDER; several folders make one corpus")
    p.add_argument("--space", type=Path, metavar="FILE", help="the space file whose data: section and seed deal the split")
    p.add_argument("--study", metavar="NAME", help="a study whose split it is")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the answers for programs")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies and the cache are (default: ./studies)")
    p.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one on each core)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    console = Console(soft_wrap=not sys.stdout.isatty(), emoji=False, highlight=False, markup=False)
    return exit_code_of(lambda: _audit(options, console), stopped="stopped; what was decoded so far is known the next time")


def _audit(options: argparse.Namespace, console: Console) -> int:
    from genre_models.audit import audit_split
    from search.progress import Stages

    started = time.monotonic()
    if options.workers is not None and options.workers < 1:
        raise SearchError(f"--workers {options.workers}: must be 1 or more")
    if options.json is not None and not options.json.expanduser().absolute().parent.is_dir():
        raise CorpusError(f"{options.json}: there is no folder {options.json.expanduser().absolute().parent}; make it, or choose another place")
    studies_dir = options.studies_dir.expanduser().resolve()
    with Stages(Console(stderr=True, emoji=False)) as progress:
        data = _open(options, studies_dir, progress)
        found = audit_split(data.split, data.cache_dir)
        artists = _artists(data, options.workers, progress)
    sides = f"{len(data.split.train)} train, {len(data.split.validation)} validation, {len(data.split.test)} held out"
    told = {"source": data.corpus.source, "split_id": data.split.split_id, "sides": sides, **found.as_data(), "artists": artists}
    if options.json is not None:
        from genre_models.durable import write_text

        write_text(options.json.expanduser().absolute(), json.dumps({"schema": 1, **told}, indent=1) + "\n")
    _print(console, data, told, [answer.line for answer in found.answers])
    console.print(f"{time.monotonic() - started:.1f} s")
    return 1 if found.warnings or artists["on_two_sides"] else 0


def _open(options: argparse.Namespace, studies_dir: Path, progress: Stages) -> TaskData:
    """The corpus, scanned and dealt as a search would, or as a study was.

    Raises
    ------
    CorpusError
        There is nothing to audit, or too much.
    """
    from genre_models.prepare import open_task

    if options.study is not None and options.space is not None or not (options.study or options.space or options.data):
        raise CorpusError("give one of --study NAME, --space FILE (with or without --data SOURCE), or --data SOURCE alone")
    given = {} if options.data is None else {"source": options.data[0] if len(options.data) == 1 else options.data}
    settings, seed, earlier = _settings(options, studies_dir, given)
    return open_task(settings, {}, seed, studies_dir / ".cache", workers=options.workers, progress=progress, earlier=earlier)


def _settings(options: argparse.Namespace, studies_dir: Path, given: dict[str, Any]) -> tuple[DataSettings, int, dict[str, Any] | None]:
    if options.space is not None:
        from genre_models.families import FAMILIES
        from genre_models.families.own import add_own_families
        from search.config import load_space
        from search.run import SECTIONS

        add_own_families()
        config = load_space(options.space, FAMILIES, SECTIONS, {f"data.{key}": value for key, value in given.items()})
        return config.sections["data"], config.seed, None
    run = None
    if options.study is not None:
        from search.study_view import read_study

        run = read_study(studies_dir, options.study).run
        if "data" not in run:
            raise CorpusError(f"study '{options.study}': its run.json is missing or incomplete; run the search command again, it writes the file")
    try:
        return DataSettings.model_validate((run or {}).get("data", {}) | given), (run or {}).get("seed", 0), run
    except ValidationError as error:
        said = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise CorpusError(f"--data {' '.join(options.data or ())}: {said}") from error


def _artists(data: TaskData, workers: int | None, progress: Stages) -> dict[str, Any]:
    """How many tracks say their artist, and which artists lie on several sides."""
    from genre_models.known_groups import artists_on_two_sides, find_names

    names, source = find_names(data.scan, data.cache_dir, workers, progress)
    sides = {"train": data.split.train, "validation": data.split.validation, "held out": data.split.test}
    torn = artists_on_two_sides(names, sides)
    known = {name for name, _ in names.values() if name}
    return {"source": source, "tracks": sum(name is not None for name, _ in names.values()), "artists": len(known), "on_two_sides": torn}


def _print(console: Console, data: TaskData, told: dict[str, Any], lines: list[str]) -> None:
    console.print(f"{data.corpus.name}: {told['sides']}")
    for note in data.split.notes:
        console.print(note)
    console.print(f"facts of files that differ: {', '.join(told['facts']) or 'none'}")
    for line in (*lines, *told["warnings"]):
        console.print(line, style="bold red" if line.startswith("WARNING") else None)
    artists, n = told["artists"], len(data.scan.rows)
    if not artists["tracks"]:
        console.print("artists: not known of any track; a CSV with columns track,group (data.groups: FILE) can say them")
        return
    torn = artists["on_two_sides"]
    console.print(f"artists: {artists['tracks']} of {n} tracks say theirs ({artists['source']}), {artists['artists']} artists")
    if torn:
        shown = "; ".join(f"{name.removeprefix('artist ')} ({', '.join(sides)})" for name, sides in list(torn.items())[:5])
        more = f"; and {len(torn) - 5} more" if len(torn) > 5 else ""
        console.print(
            f"WARNING: {len(torn)} artists have tracks on more than one side: {shown}{more}; a model that knows the artist scores too well: "
            "write data.groups: artist, for a new study",
            style="bold red",
        )


if __name__ == "__main__":
    sys.exit(main())
