"""What the reports got wrong, each fault shown: what is measured for it, and the section of the page. The one way in for `scripts/replicate.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.replication import faults_choosing, faults_energy, faults_intervals, faults_segments, faults_validating


@dataclass(frozen=True)
class Fault:
    """A fault: the rows that have it, what shows it (`_Given` to a dict), and how that is told."""

    title: str
    rows: str
    measure: Callable[[_Given], dict[str, Any]]
    render: Callable[[Any], str]


class _Given(NamedTuple):
    data: str
    folder: Path
    minutes: float
    studies_dir: Path | None
    table: str | None


FAULTS: dict[str, Fault] = {
    "validating": Fault(
        "Validating on the test tracks",
        "G10-G15",
        lambda given: faults_validating.measure(given.data, given.folder, given.minutes, given.studies_dir),
        faults_validating.render,
    ),
    "choosing": Fault(
        "Choosing by test score",
        "F03-F12",
        lambda given: faults_choosing.measure(given.data, given.folder, given.minutes, given.table),
        faults_choosing.render,
    ),
    "segments": Fault(
        "Segments of one track on both sides", "G06", lambda given: faults_segments.measure(given.data, given.folder), faults_segments.render
    ),
    "energy": Fault("CO2 of a constant power", "G02, G03, G05", lambda given: faults_energy.measure(given.folder), faults_energy.render),
    "intervals": Fault("Differences within chance", "all", lambda given: faults_intervals.measure(), faults_intervals.render),
}


def measure(name: str, data: str, folder: Path, minutes: float, studies_dir: Path | None = None, table: str | None = None) -> dict[str, Any]:
    """What shows a fault; of development tracks alone, and kept in `folder`: the same call goes on where it stopped.

    Parameters
    ----------
    name : str
        One of `FAULTS`.
    data : str
        As `data.source` of a space file.
    folder : Path
        May be the same for all faults.
    minutes : float
        Of each study that is trained here, over all calls.
    studies_dir : Path, optional
        Finished trainings behind the rows (`scripts.replication.runs`); sweeps there are read instead of trained.
    table : str, optional
        File with features of the tracks.

    Returns
    -------
    dict
        JSON-able; for `render`.

    Raises
    ------
    SearchError, GenreModelsError
        The corpus can't be had, or a study failed.
    """
    return FAULTS[name].measure(_Given(data, folder, minutes, studies_dir, table))


def render(results: Mapping[str, Mapping[str, Any]], command: str = "python scripts/replicate.py faults --data gtzan:FOLDER") -> str:
    """The section of the page.

    Parameters
    ----------
    results : mapping of str to dict
        From `measure`; faults that are not in it are left out.
    command : str
        By which they are measured.
    """
    parts = [f"## What the reports got wrong, shown\n\n    {command}\n\nNothing here looks at a held-out track. Intervals are 95 %."]
    parts += [f"### {fault.title} ({fault.rows})\n\n{fault.render(results[name])}" for name, fault in FAULTS.items() if name in results]
    return "\n\n".join(parts) + "\n"
