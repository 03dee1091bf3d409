"""An examination as data, and as one page: self-contained, without a script, every name escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genre_models.doctor.classes import class_sizes
from genre_models.doctor.examination import Examination
from genre_models.doctor.findings import SEVERITIES, Case, Finding, shown
from genre_models.scan import ScanRow

SCHEMA = 1
_SETS_DRAWN, _FILES_DRAWN = 60, 6  # of a finding, and of a set: a page of ten thousand copies must still open


def as_data(examination: Examination) -> dict[str, Any]:
    """What was found, for programs (``--json``); names and paths as they are."""
    corpus, scan = examination.corpus, examination.scan
    return {
        "schema": SCHEMA,
        "source": corpus.source,
        "corpus": corpus.name,
        "kind": corpus.kind,
        "files": len(scan.rows),
        "readable": sum(row.readable for row in scan.rows),
        "classes": {label: {"readable": readable, "files": files} for label, (readable, files) in class_sizes(scan).items()},
        "verdict": examination.verdict,
        "counts": {severity: examination.count(severity) for severity in SEVERITIES},
        "compared": examination.same.compared,
        "seconds": {name: round(seconds, 3) for name, seconds in examination.seconds.items()},
        "findings": [_finding(finding) for finding in examination.findings],
        "notes": list(corpus.notes),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    told = {name: getattr(finding, name) for name in ("kind", "severity", "title", "meaning", "remedy")}
    return told | {"facts": list(finding.facts), "cases": [_case(case) for case in finding.cases]}


def _case(case: Case) -> dict[str, Any]:
    files = [{"id": row.id, "class": row.label, "path": str(row.path)} for row in case.rows]
    return {"files": files, "detail": case.detail}


def rows_to_draw(examination: Examination) -> list[ScanRow]:
    """Tracks whose pictures belong on the page: copies side by side, and single files that can be decoded."""
    if examination.corpus.kind not in ("audio", "image"):
        return []
    rows: dict[str, ScanRow] = {}
    for finding in examination.findings:
        for case in finding.cases[:_SETS_DRAWN] if finding.severity != "note" else ():
            rows |= {row.id: row for row in case.rows[:_FILES_DRAWN] if row.readable}
    return list(rows.values())


def as_page(examination: Examination, pictures: Mapping[str, str]) -> str:
    """The page (``--html``).

    Parameters
    ----------
    examination : Examination
    pictures : mapping of str to str
        Data URIs by track id.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    data = as_data(examination)
    largest = max((sizes["files"] for sizes in data["classes"].values()), default=1)
    page = environment.get_template("page.html")
    return page.render(data=data, pictures=pictures, largest=largest, sets_drawn=_SETS_DRAWN, files_drawn=_FILES_DRAWN)
