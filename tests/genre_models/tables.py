"""Makers of tables of features, in the layouts that are in circulation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genre_models.features.handcrafted import feature_names


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV with one header row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def gtzan_rows(n: int = 3, segments: int = 0, classes: Sequence[str] = ("blues", "rock")) -> list[list[object]]:
    """Rows ``filename, length, a, b, label`` as GTZAN's tables have them; with `segments` those of the table of 3-second rows."""
    rng = np.random.default_rng(0)
    rows = []
    for label in classes:
        for number in range(n):
            for segment in range(segments or 1):
                name = f"{label}.{number:05d}.{segment}.wav" if segments else f"{label}.{number:05d}.wav"
                rows.append([name, 660_000 + number, *rng.standard_normal(2).round(6), label])
    return rows


def write_gtzan(path: Path, n: int = 3, segments: int = 0, classes: Sequence[str] = ("blues", "rock")) -> Path:
    """Write `gtzan_rows`."""
    return write_csv(path, ["filename", "length", "a", "b", "label"], gtzan_rows(n, segments, classes))


def write_fma(path: Path, numbers: Sequence[int], seed: int = 0) -> Path:
    """Write ``features.csv`` as FMA has it: three header rows, one with the index's name, the tracks."""
    names = [name.split(".") for name in feature_names()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for place, title in enumerate(("feature", "statistics", "number")):
            writer.writerow([title, *(name[place] for name in names)])
        writer.writerow(["track_id", *("" for _ in names)])
        for number, row in zip(numbers, np.random.default_rng(seed).standard_normal((len(numbers), len(names))), strict=True):
            writer.writerow([number, *(f"{value:.10e}" for value in row)])
    return path
