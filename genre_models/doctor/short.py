"""The doctor in a few lines, from the scan alone: what a search says before it begins."""

from __future__ import annotations

from genre_models.corpus import Corpus
from genre_models.doctor.classes import find_in_classes
from genre_models.doctor.files import find_in_files
from genre_models.doctor.findings import Finding, shown
from genre_models.doctor.formats import find_formats
from genre_models.doctor.gtzan import find_known_faults
from genre_models.scan import Scan

_NAMED = 3  # files that a line names; all of them are in the doctor's own report
_TOLD_ELSEWHERE = ("unreadable", "empty")  # a search names these itself


def short_notes(scan: Scan, corpus: Corpus) -> list[str]:
    """What a user should know of a corpus before a search, a line each; nothing is decoded or read.

    Copies of recordings are told by the notes of a split.

    Parameters
    ----------
    scan : Scan
    corpus : Corpus

    Returns
    -------
    list of str
        The gravest first; empty where nothing is wrong. Names are whole, control characters in them are escaped.
    """
    found = [*find_in_files(scan), *find_formats(scan), *find_in_classes(scan), *find_known_faults(corpus, scan)]
    told = [finding for finding in found if finding.severity != "note" and finding.kind not in _TOLD_ELSEWHERE]
    lines = [_line(finding) for finding in sorted(told, key=lambda finding: finding.severity)]  # "harm" comes before "warning"
    if lines:
        lines.append(f"the whole report: python scripts/doctor.py --data {shown(corpus.source)}")
    return lines


def _line(finding: Finding) -> str:
    names = [shown(row.id) for case in finding.cases for row in case.rows]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    which = f": {', '.join(names[:_NAMED])}{more}" if names else ""
    return f"{'HARM' if finding.severity == 'harm' else 'warning'}: {finding.title}{which}"
