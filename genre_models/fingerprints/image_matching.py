"""Which images show the same: codes compared in four parts along time, each at the shift that suits it.

So an image that was cut at one end and stretched to its old width still agrees, part by part. All pairs are looked at coarsely, by matrix
products in blocks; those that agree at all are compared in full.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from genre_models.fingerprints.audio_matching import Match
from genre_models.fingerprints.codes import decode

LEAST_SIMILARITY = 0.2
_COARSE_LEAST = 0.2  # of averages over 2 × 2 signs, where strangers come closer too: 1 in 10,000
_PARTS = 4
_SHIFTS = 8  # columns to either side
_LEAST_WITHIN = 0.7  # of a part's columns must lie within the other image
_LEAST_KNOWN = 0.02  # of a part's signs: where there are fewer, agreement counts for less
_SIGMA = 8.0  # what an image of few pixels must be above chance
_BLOCK = 512


def match_images(codes: Sequence[np.ndarray], independent: Sequence[int]) -> list[Match]:
    """Find the codes that are of one picture.

    Parameters
    ----------
    codes : sequence of np.ndarray [shape=(columns, 2), dtype=uint32]
    independent : sequence of int
        Of each, how many signs can be independent (`genre_models.fingerprints.image_code.independent_signs`).

    Returns
    -------
    list of Match
        Sorted; their shift is that of the first part.
    """
    matches = []
    for one, other in _candidates(codes):
        a, b = decode(codes[one])[None], decode(codes[other])[None]
        (forth, shift), (back, back_shift) = _compare(a, b, _SHIFTS), _compare(b, a, _SHIFTS)
        score = max(float(forth[0, 0]), float(back[0, 0]))
        known = min(np.abs(a).mean(), np.abs(b).mean()) * min(independent[one], independent[other])
        if score >= max(LEAST_SIMILARITY, _SIGMA / math.sqrt(max(1.0, known))):
            matches.append(Match(one, other, score, int(-shift[0, 0]) if forth[0, 0] >= back[0, 0] else int(back_shift[0, 0])))
    return sorted(matches)


def _candidates(codes: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
    starts = range(0, len(codes), _BLOCK)
    for begin in starts:
        block = _coarse(codes[begin : begin + _BLOCK])
        for further in starts[begin // _BLOCK :]:
            scores, _ = _compare(block, block if further == begin else _coarse(codes[further : further + _BLOCK]), _SHIFTS // 2)
            for one, other in np.argwhere(scores >= _COARSE_LEAST):
                if begin + one < further + other:
                    yield int(begin + one), int(further + other)


def _coarse(codes: Sequence[np.ndarray]) -> np.ndarray:
    """Signs of some codes, averaged over two columns and two bands [shape=(n, columns / 2, bands / 2)]."""
    signs = decode(np.stack(codes))
    n, columns, bands = signs.shape
    return signs.reshape(n, columns // 2, 2, bands // 2, 2).mean(axis=(2, 4))


def _compare(ones: np.ndarray, others: np.ndarray, n_shifts: int) -> tuple[np.ndarray, np.ndarray]:
    """Compare each of some codes with each of others.

    Parameters
    ----------
    ones : np.ndarray [shape=(n, columns, bands)]
        Cut into the parts that are shifted.
    others : np.ndarray [shape=(m, columns, bands)]
    n_shifts : int
        Columns that a part may lie further left or right in the other.

    Returns
    -------
    np.ndarray [shape=(n, m)], np.ndarray [shape=(n, m), dtype=int]
        Cosine over all parts, each at its best shift; and the shift of the first part.
    """
    columns = ones.shape[1]
    width = columns // _PARTS
    energy_of_ones, energy_of_others = (np.pad((each**2).sum(axis=2).cumsum(axis=1), ((0, 0), (1, 0))) for each in (ones, others))
    shape = (len(ones), len(others))
    total, energy, energies, first_shift = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int16)
    for part in range(_PARTS):
        best = np.full(shape, -np.inf)
        dots, of_one, of_other = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for shift in range(-n_shifts, n_shifts + 1):
            begin, end = max(0, part * width + shift), min(columns, (part + 1) * width + shift)
            if end - begin < _LEAST_WITHIN * width:
                continue
            a = (energy_of_ones[:, end - shift] - energy_of_ones[:, begin - shift])[:, None]
            b = (energy_of_others[:, end] - energy_of_others[:, begin])[None]
            dot = ones[:, begin - shift : end - shift].reshape(shape[0], -1) @ others[:, begin:end].reshape(shape[1], -1).T
            least = _LEAST_KNOWN * width * ones.shape[2]
            score = dot / np.sqrt(np.maximum(a, least) * np.maximum(b, least))
            better = score > best
            best = np.where(better, score, best)
            dots, of_one, of_other = np.where(better, dot, dots), np.where(better, a, of_one), np.where(better, b, of_other)
            if part == 0:
                first_shift[better] = shift
        total, energy, energies = total + dots, energy + of_one, energies + of_other
    return total / np.sqrt(np.maximum(energy * energies, 1.0)), first_shift
