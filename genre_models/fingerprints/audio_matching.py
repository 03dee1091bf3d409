"""Which sound files hold the same recording: codes that share exact pieces at one shift, verified over their whole overlap.

Source
------
Haitsma and Kalker (ISMIR 2002), section 6: candidates by exact matches of sub-fingerprints, then the bit errors of the whole block. Votes for a
shift as in Wang, An Industrial-Strength Audio Search Algorithm (ISMIR 2003), section 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genre_models.fingerprints.audio_code import SECONDS_A_FRAME
from genre_models.fingerprints.codes import n_known, similarity, trimmed

LEAST_SIMILARITY = 0.5
_PIECE = 0x03FFFFFC  # the 24 of 32 bands whose signs make an exact piece
_PIECE_KNOWN = 12  # of these that must mean something
_VOTES = 3  # exact pieces at one shift that make two files worth a comparison
_NEIGHBOURS = 32  # files that a piece is compared with: the next ones that have it too; copies of one recording are still all connected
_SHIFTS = 3  # shifts tried for two files
_LEAST_SECONDS, _LEAST_PART = 5.0, 0.5  # of overlap, the shorter of: seconds, part of the shorter file
_LEAST_TOLD = 0.25  # of the frames of an overlap must have signs enough for a piece: a steady tone has some where it begins
_SIGMA = 5.0  # what a short overlap must be above chance
_SIGNS_ALIKE = 4  # neighbouring frames share samples: so many signs say what one does
_MANY = 10_000  # files; of so many or more only every second, fourth, ... piece is looked at
_SHIFT_BASE = 1 << 13


class Match(NamedTuple):
    """Two codes of one recording.

    Attributes
    ----------
    one, other : int
        Numbers of the codes; ``one < other``.
    similarity : float
    shift : int
        Frame of `one` on which frame 0 of `other` lies; of images in columns, and not the same everywhere.
    """

    one: int
    other: int
    similarity: float
    shift: int


def match_audio(codes: Sequence[np.ndarray]) -> list[Match]:
    """Find the codes that are of one recording.

    Parameters
    ----------
    codes : sequence of np.ndarray [shape=(frames, 2), dtype=uint32]

    Returns
    -------
    list of Match
        Sorted. Where many codes are of one recording not all their pairs are named, but enough to connect them.
    """
    matches: dict[tuple[int, int], Match] = {}
    for one, other, shift in _candidates(codes):
        a, b = trimmed(codes[one]), trimmed(codes[other])
        for near in (shift - 1, shift, shift + 1):
            found = Match(one, other, _verified(a, b, near), near)
            if found.similarity > matches.get((one, other), found._replace(similarity=0.0)).similarity:
                matches[one, other] = found
    return [match for _, match in sorted(matches.items())]


def _verified(one: np.ndarray, other: np.ndarray, shift: int) -> float:
    """The similarity at a shift; 0 where it, or the overlap, says too little."""
    score, overlap = similarity(one, other, shift)
    least_frames = min(_LEAST_SECONDS / SECONDS_A_FRAME, _LEAST_PART * min(len(one), len(other)))
    if overlap < least_frames or min(_told(one), _told(other)) < _LEAST_TOLD:
        return 0.0
    independent = max(1.0, min(n_known(one), n_known(other)) * overlap / min(len(one), len(other)) / _SIGNS_ALIKE)
    return score if score >= max(LEAST_SIMILARITY, _SIGMA / math.sqrt(independent)) else 0.0


def _told(code: np.ndarray) -> float:
    """Part of a code's frames that have signs enough."""
    return float((np.bitwise_count(code[:, 1] & np.uint32(_PIECE)) >= _PIECE_KNOWN).mean())


def _candidates(codes: Sequence[np.ndarray]) -> list[tuple[int, int, int]]:
    """Pairs of codes with a shift at which they share exact pieces."""
    piece, file, frame = _pieces(codes)
    votes = []
    for step in range(1, _NEIGHBOURS + 1):
        same = (piece[step:] == piece[:-step]) & (file[step:] != file[:-step])
        if not (piece[step:] == piece[:-step]).any():
            break
        # Sorted by piece, then file: the first of two has the smaller number.
        shift = frame[:-step][same].astype(np.int64) - frame[step:][same]
        votes.append((file[:-step][same].astype(np.int64) * len(codes) + file[step:][same]) * _SHIFT_BASE + shift + _SHIFT_BASE // 2)
    if not votes:
        return []
    keys, counts = np.unique(np.concatenate(votes), return_counts=True)
    next_to = np.zeros(len(keys), bool)
    next_to[:-1] = np.diff(keys) == 1  # one frame further: the true shift may lie between two frames
    together = counts + np.where(next_to, np.append(counts[1:], 0), 0)
    order = [n for n in np.argsort(-together, kind="stable") if together[n] >= _VOTES]
    taken: dict[tuple[int, int], list[int]] = {}
    for n in order:
        pair, shift = divmod(int(keys[n]), _SHIFT_BASE)
        shifts = taken.setdefault(divmod(pair, len(codes)), [])
        if len(shifts) < _SHIFTS:
            shifts.append(shift - _SHIFT_BASE // 2)
    return [(one, other, shift) for (one, other), shifts in taken.items() for shift in shifts]


def _pieces(codes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact pieces of all codes, sorted: their bits, the number of the code, and the frame."""
    every = 1 << max(0, math.ceil(math.log2(max(1, len(codes)) / _MANY)))
    pieces, files, frames = [], [], []
    for number, code in enumerate(codes):
        words = code[:, 0] & np.uint32(_PIECE)
        known = np.bitwise_count(code[:, 1] & np.uint32(_PIECE)) >= _PIECE_KNOWN
        known[1:] &= words[1:] != words[:-1]  # a sound that stays as it is would vote for every shift
        # The same pieces are passed over in all files, so those that are looked at still meet.
        at = np.flatnonzero(known & ((words >> 2) % every == 0))
        pieces.append(words[at])
        files.append(np.full(len(at), number, np.int32))
        frames.append(at.astype(np.int16))
    if not pieces:
        return np.empty(0, np.uint32), np.empty(0, np.int32), np.empty(0, np.int16)
    piece, file, frame = np.concatenate(pieces), np.concatenate(files), np.concatenate(frames)
    order = np.lexsort((frame, file, piece))
    return piece[order], file[order], frame[order]
