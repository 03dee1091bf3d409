"""Best validation so far against time: what can be read off such curves. Pure.

A curve is a list of (seconds since the command began, best value so far), only where the value improved, seconds rising.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

Curve = Sequence[tuple[float, float]]


def improvements(points: Iterable[tuple[float, float]], maximize: bool) -> list[tuple[float, float]]:
    """The curve of (seconds, value) in any order."""
    curve: list[tuple[float, float]] = []
    for seconds, value in sorted(points):
        if not curve or (value > curve[-1][1] if maximize else value < curve[-1][1]):
            curve.append((seconds, value))
    return curve


def best_at(curve: Curve, seconds: float) -> float | None:
    """Best value by then; None where there was none yet."""
    reached = [value for at, value in curve if at <= seconds]
    return reached[-1] if reached else None


def seconds_to(curve: Curve, target: float, maximize: bool, until: float) -> float | None:
    """First second at which the curve is as good as `target`; None where it is not by `until`."""
    return next((at for at, value in curve if at <= until and (value >= target if maximize else value <= target)), None)


def seconds_to_own_best(curve: Curve, until: float) -> float | None:
    """Second of the last improvement by `until`; None where there was none."""
    reached = [at for at, _ in curve if at <= until]
    return reached[-1] if reached else None


def ratio_to_best(ours: Curve, peer: Curve, maximize: bool, until: float) -> tuple[float, float | None] | None:
    """How long a peer took to its own final best, and how long we took to be as good.

    Returns
    -------
    (float, float or None) or None
        Seconds of the peer; ours, None where we were never as good by `until`. None alone where the peer has no value.
    """
    took = seconds_to_own_best(peer, until)
    if took is None:
        return None
    return took, seconds_to(ours, best_at(peer, until), maximize, until)


def times_faster(pairs: Iterable[tuple[float, float | None]]) -> list[float]:
    """Peer's seconds over ours of each pair, sorted; where we never got there we took infinitely long, which is 0 times as fast."""
    return sorted(0.0 if ours is None else peer / ours for peer, ours in pairs)


def band(curves: Mapping[int, Curve], seconds: Sequence[float], maximize: bool) -> list[tuple[float, float, float | None, float]]:
    """Median, worst and best over seeds at each of these seconds.

    A seed without a value stands behind all that have one. So a second counts from which on the median is of values that were measured, and medians only get better.

    Returns
    -------
    list of (second, median, worst, best)
        Worst is None as long as a seed has no value.
    """
    rows = []
    for second in seconds:
        ranked = sorted((value for curve in curves.values() if (value := best_at(curve, second)) is not None), reverse=maximize)
        middle = (len(curves) - 1) // 2, len(curves) // 2
        if middle[1] < len(ranked):
            worst = ranked[-1] if len(ranked) == len(curves) else None
            rows.append((second, (ranked[middle[0]] + ranked[middle[1]]) / 2, worst, ranked[0]))
    return rows


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range as text: ``5.10 (4.20–6.30)``."""
    if not values:
        return "–"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"
