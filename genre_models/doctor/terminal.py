"""An examination in a terminal: the verdict first, then what was found, names whole."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genre_models.doctor.examination import Examination
from genre_models.doctor.findings import Case, Finding, shown

_STYLES = {"harm": "bold red", "warning": "yellow", "note": "cyan"}
_SHOWN = 12  # things of a finding, unless all are asked for
_WORDS_WIDTH = 76  # of the column with sentences
_NARROW = 110  # below it files stand under the sentences, not beside them


def print_examination(console: Console, examination: Examination, everything: bool = False) -> None:
    """Print what was found.

    Parameters
    ----------
    console : Console
        Where it is no terminal it is made as wide as the longest name.
    examination : Examination
    everything : bool
        Every file, however many.
    """
    corpus, scan = examination.corpus, examination.scan
    n_readable = sum(row.readable for row in scan.rows)
    style = "bold red" if examination.count("harm") else "bold green"
    folder = _common_folder(examination)
    lines = [Text(f"{shown(corpus.name)}: {examination.verdict}", style)]
    what = {"audio": "audio files", "image": "images", "table": "tracks of a table"}[corpus.kind]
    lines.append(Text(f"{n_readable:,} readable {what} of {len(scan.rows):,}, {len(corpus.labels)} classes, in {shown(folder)}"))
    lines += [Text(shown(note)) for note in corpus.notes]
    places = [_where(finding, folder, everything) for finding in examination.findings]
    if not console.is_terminal:  # a log has no edge to wrap at
        console.width = max([console.width, *(len(line) for place in places for line in place.plain.splitlines())]) + _WORDS_WIDTH + 20
    for line in lines:
        console.print(line, overflow="fold")
    if places:
        console.print(_table(examination.findings, places, beside=console.width >= _NARROW))


def _common_folder(examination: Examination) -> Path:
    rows = examination.scan.rows
    if examination.corpus.kind == "table":
        return rows[0].path
    return Path(os.path.commonpath([row.path.parent.parent for row in rows]))


def _table(findings: tuple[Finding, ...], places: list[Text], beside: bool) -> Table:
    table = Table(show_lines=True, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=_WORDS_WIDTH if beside else None)
    if beside:
        table.add_column(overflow="fold")
    for finding, place in zip(findings, places, strict=True):
        told = Text.assemble((shown(finding.title), "bold"), "\n", shown(finding.meaning), "\n", (shown(finding.remedy), "italic"))
        severity = Text(finding.severity, _STYLES[finding.severity])
        table.add_row(severity, told, place) if beside else table.add_row(severity, Text("\n").join([told, place]))
    return table


def _where(finding: Finding, folder: Path, everything: bool) -> Text:
    cases = finding.cases if everything else finding.cases[:_SHOWN]
    lines = [_case(case, folder) for case in cases] + [Text(shown(fact)) for fact in finding.facts]
    if len(finding.cases) > len(cases):
        lines.append(Text(f"… and {len(finding.cases) - len(cases)} more (--all, --html or --json have them)", "dim"))
    return Text("\n").join(lines)


def _case(case: Case, folder: Path) -> Text:
    """The files of a case, and what is known of them."""
    names = [shown(row.path.relative_to(folder) if row.path.is_relative_to(folder) and row.path != folder else row.id) for row in case.rows]
    return Text.assemble(" = ".join(names), (f": {shown(case.detail)}" if case.detail else "", "dim"))
