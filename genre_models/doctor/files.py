"""Single files that are broken, empty of music, clipped or short. From the scan alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from genre_models.doctor.findings import Case, Finding, counted
from genre_models.scan import Scan, ScanRow
from genre_models.settings import AUTO_CLIP_SECONDS

CLIPPED_SHARE = 0.001
"""Share of samples at full scale from which a file counts as clipped."""
SILENT_SHARE = 0.5
"""Share of silent seconds from which a file counts as mostly silent."""
SHORT = 0.5
"""Part of the clip length below which a file counts as too short."""
_BLANK_CONTRAST = 8  # of 255
_NO_CONTENT = ("is empty", "holds no samples")


def find_in_files(scan: Scan) -> list[Finding]:
    """Findings on files one by one."""
    broken = [row for row in scan.rows if not row.readable]
    readable = [row for row in scan.rows if row.readable]
    empty = [row for row in broken if (row.reason or "").startswith(_NO_CONTENT)]
    found = [_unreadable([row for row in broken if row not in empty], len(scan.rows)), _empty(empty)]
    if scan.kind == "audio":
        found += [_truncated(readable), _silent(readable), _clipped(readable), _short(readable)]
    if scan.kind == "image":
        found.append(_blank(readable))
    return [finding for finding in found if finding.cases]


def clip_seconds(rows: list[ScanRow]) -> float:
    """What ``features.clip_seconds: auto`` comes to, about: the median duration, at most 29.7 s."""
    durations = [row.duration_seconds for row in rows if row.readable and row.duration_seconds is not None]
    return min(AUTO_CLIP_SECONDS, statistics.median(durations)) if durations else AUTO_CLIP_SECONDS


def _cases(rows: list[ScanRow], detail: Callable[[ScanRow], str]) -> tuple[Case, ...]:
    return tuple(Case((row,), detail(row)) for row in rows)


def _unreadable(rows: list[ScanRow], total: int) -> Finding:
    return Finding(
        "unreadable",
        "harm" if len(rows) > total / 2 else "warning",
        f"{counted(len(rows), 'file')} can't be decoded",
        "They are left out of every search, so the corpus is smaller than its folder, and classes may lose unequally.",
        "Replace them with whole copies, or remove them.",
        _cases(rows, lambda row: row.reason or ""),
    )


def _empty(rows: list[ScanRow]) -> Finding:
    return Finding(
        "empty",
        "warning",
        f"{counted(len(rows), 'file is', 'files are')} empty",
        "There is nothing in them; they are left out.",
        "Replace or remove them; a download or a copy was probably cut off.",
        _cases(rows, lambda row: row.reason or ""),
    )


def _truncated(rows: list[ScanRow]) -> Finding:
    rows = [row for row in rows if row.missing]
    return Finding(
        "truncated",
        "warning",
        counted(len(rows), "file ends before it should", "files end before they should"),
        "What is there is used, and padded with silence where it is shorter than a clip.",
        "Replace them with whole copies.",
        _cases(rows, lambda row: row.missing or ""),
    )


def _silent(rows: list[ScanRow]) -> Finding:
    rows = [row for row in rows if (row.silent_share or 0) >= SILENT_SHARE]
    return Finding(
        "silent",
        "warning",
        f"{counted(len(rows), 'file is', 'files are')} silent, for most of their length or all of it",
        "A label on silence is noise: no model can learn it, and all are scored on it.",
        "Listen to them; replace or remove them.",
        _cases(rows, lambda row: "silent throughout" if row.silent_share == 1 else f"{row.silent_share or 0:.0%} of its seconds are silent"),
    )


def _clipped(rows: list[ScanRow]) -> Finding:
    rows = sorted((row for row in rows if (row.clipped_share or 0) >= CLIPPED_SHARE), key=lambda row: -(row.clipped_share or 0))
    return Finding(
        "clipped",
        "warning",
        f"{counted(len(rows), 'file is', 'files are')} clipped",
        "Samples at full scale are distorted. Where it is a habit of one class's source, a model may learn the distortion instead of the music.",
        "Get another copy where there is one; see whether one class has most of them.",
        _cases(rows, lambda row: f"{row.clipped_share or 0:.2%} of its samples are at full scale"),
    )


def _short(rows: list[ScanRow]) -> Finding:
    least = SHORT * clip_seconds(rows)
    rows = [row for row in rows if row.duration_seconds is not None and row.duration_seconds < least]
    return Finding(
        "short",
        "warning",
        f"{counted(len(rows), 'file is', 'files are')} shorter than {least:.1f} s, half of a clip",
        "The rest of their clip is silence, which tells a model more of the file than of the music.",
        "Replace them, remove them, or set features.clip_seconds to what most files have.",
        _cases(rows, lambda row: f"{row.duration_seconds or 0:.1f} s"),
    )


def _blank(rows: list[ScanRow]) -> Finding:
    rows = [row for row in rows if row.contrast is not None and row.contrast <= _BLANK_CONTRAST]
    return Finding(
        "blank",
        "warning",
        f"{counted(len(rows), 'image is', 'images are')} of one colour",
        "There is no music to be seen in them: a label on nothing is noise.",
        "Draw them again, or remove them.",
        _cases(rows, lambda row: ""),
    )
