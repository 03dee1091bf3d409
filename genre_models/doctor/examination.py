"""Everything that can be told about a corpus: scanned, compared, judged."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from genre_models.corpus import Corpus, Progress
from genre_models.doctor.classes import find_in_classes
from genre_models.doctor.duplicates import find_duplicates
from genre_models.doctor.files import find_in_files
from genre_models.doctor.findings import SEVERITIES, Finding
from genre_models.doctor.formats import find_formats
from genre_models.doctor.gtzan import find_known_faults
from genre_models.fingerprints import SameRecordings, find_same_recordings
from genre_models.scan import Scan, scan_corpus


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes
    ----------
    corpus : Corpus
    scan : Scan
    same : SameRecordings
    findings : tuple of Finding
        The gravest first.
    seconds : dict of str to float
        By what was done: ``"scan"``, ``"copies"``.
    """

    corpus: Corpus
    scan: Scan
    same: SameRecordings
    findings: tuple[Finding, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, severity: str) -> int:
        """Things of one severity."""
        return sum(finding.count for finding in self.findings if finding.severity == severity)

    @property
    def verdict(self) -> str:
        """The first line of every report."""
        harm, warnings = self.count("harm"), self.count("warning")
        graver = f"{harm} {'thing' if harm == 1 else 'things'} would corrupt a result" if harm else "nothing would corrupt a result"
        return f"{graver}; {warnings} {'warning' if warnings == 1 else 'warnings'}" if warnings else graver


def examine(corpus: Corpus, cache_dir: Path, workers: int | None = None, progress: Progress | None = None) -> Examination:
    """Look at every file of a corpus, and at all of them together.

    Parameters
    ----------
    corpus : Corpus
    cache_dir : Path
        Of scans and fingerprints: a second look decodes nothing.
    workers : int or None
        Processes; None for one on each core.
    progress : callable, optional

    Raises
    ------
    CorpusError, CacheError
    """
    started = time.monotonic()
    scan = scan_corpus(corpus, cache_dir, workers, progress)
    scanned = time.monotonic()
    same = find_same_recordings(scan, cache_dir, workers, progress)
    compared = time.monotonic()
    found = [*find_duplicates(scan, same), *find_in_files(scan), *find_formats(scan), *find_in_classes(scan), *find_known_faults(corpus, scan, same)]
    ordered = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return Examination(corpus, scan, same, tuple(ordered), {"scan": scanned - started, "copies": compared - scanned})
