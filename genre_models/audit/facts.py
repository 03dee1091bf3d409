"""What the scan tells of a file besides its music, as columns that a classifier takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from genre_models.doctor.formats import PROPERTIES
from genre_models.scan import ScanRow

_RARE = 5  # a category of fewer tracks is one with others as rare
_MOST_CATEGORIES = 200
_LOSSY = (".mp3", ".ogg")

NUMBERS: dict[str, tuple[Callable[[ScanRow], float | None], str]] = {
    "length": (lambda row: row.duration_seconds, "{:.2f} s"),
    "loudness": (lambda row: row.loudness_db, "{:.1f} dB"),
    "clipping": (lambda row: row.clipped_share, "{:.2%} of samples"),
    "silence": (lambda row: row.silent_share, "{:.1%} of seconds"),
    "bit rate": (lambda row: 0.008 * row.bytes / row.duration_seconds if row.path.suffix.lower() in _LOSSY and row.duration_seconds else None, "{:.0f} kbit/s"),
    "width": (lambda row: row.width, "{:.0f} pixels"),
    "height": (lambda row: row.height, "{:.0f} pixels"),
    "contrast": (lambda row: row.contrast, "{:.0f} of 255"),
    "brightness": (lambda row: row.brightness, "{:.0f} of 255"),
}
CATEGORIES: dict[str, Callable[[ScanRow], str | None]] = {
    **{name: value_of for name, value_of in PROPERTIES.items() if name != "size"},  # width and height say it
    "cut short": lambda row: "yes" if row.missing else "no",
}


@dataclass(frozen=True)
class Fact:
    """One column.

    Attributes
    ----------
    name : str
    values : np.ndarray of float [shape=(n,)]
        Numbers, NaN where there is none; or numbers of categories.
    categories : tuple of str
        By number; empty where the values are numbers themselves.
    form : str
        How a number is written.
    """

    name: str
    values: np.ndarray
    categories: tuple[str, ...] = ()
    form: str = "{:g}"

    def of(self, places: np.ndarray) -> str:
        """What it is for some of the tracks, in words: the median, or the commonest."""
        here = self.values[places]
        here = here[np.isfinite(here)]
        if not len(here):
            return "unknown"
        if not self.categories:
            low, middle, high = np.quantile(here, [0.25, 0.5, 0.75])
            return f"median {self.form.format(middle)} (middle half {self.form.format(low)} to {self.form.format(high)})"
        number, n = Counter(here.astype(int).tolist()).most_common(1)[0]
        return f"{n / len(here):.0%} {self.categories[number]}"


def facts_of(rows: Sequence[ScanRow]) -> list[Fact]:
    """The facts that are known of all tracks, and differ between some.

    Parameters
    ----------
    rows : sequence of ScanRow
        Readable.
    """
    found = []
    for name, (number_of, form) in NUMBERS.items():
        numbers = [number_of(row) for row in rows]
        # The bit rate is known of lossy files alone; all else that is known of some only was looked at by another version.
        if name == "bit rate" or None not in numbers:
            values = np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)
            if len(np.unique(values[np.isfinite(values)])) > 1:
                found.append(Fact(name, values, form=form))
    for name, value_of in CATEGORIES.items():
        texts = [value_of(row) or "unknown" for row in rows]
        common = [text for text, n in Counter(texts).most_common(_MOST_CATEGORIES) if n >= _RARE]
        number = {text: place for place, text in enumerate(common)}
        values = np.array([number.get(text, len(common)) for text in texts], dtype=np.float64)
        if len(np.unique(values)) > 1:
            found.append(Fact(name, values, (*common, "something rare")))
    return found


def hints(fact: Fact, is_positive: np.ndarray) -> bool:
    """Whether a fact alone is spread differently over two kinds of tracks than chance would have it, at a glance and rather too often.

    A chi-squared test of tenths, or categories, at 5 %, by the normal approximation of E. B. Wilson and M. M. Hilferty (1931).
    """
    cells = _cells(fact)
    table = np.stack([np.bincount(cells[kind], minlength=cells.max() + 1) for kind in (is_positive, ~is_positive)]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    freedom = table.shape[1] - 1
    if freedom < 1:
        return False
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    chi_squared = float(((table - expected) ** 2 / expected).sum())
    return ((chi_squared / freedom) ** (1 / 3) - 1 + 2 / (9 * freedom)) / np.sqrt(2 / (9 * freedom)) > 1.645


def _cells(fact: Fact) -> np.ndarray:
    if fact.categories:
        return fact.values.astype(int)
    known = np.isfinite(fact.values)
    edges = np.unique(np.quantile(fact.values[known], np.linspace(0.1, 0.9, 9)))
    return np.where(known, np.searchsorted(edges, fact.values, "right"), len(edges) + 1)
