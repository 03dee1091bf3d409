"""The picture of a comparison: best validation so far against time, of each engine the median over seeds in the band from worst to best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.peers.curves import band
from scripts.peers.records import Line
from scripts.peers.tables import engines_of, runs_of

#: Told apart by people who see red and green alike (Okabe and Ito 2008).
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000")
STYLES = ("solid", "dashed", "dotted")  # for more engines than there are colours
FIRST_SECOND = 5.0
SECONDS_DRAWN = 400


def draw_curves(path: Path, lines: Sequence[Line]) -> None:
    """Write the PNG file; all lines are of one comparison (`tables.comparisons`).

    Time is on a logarithmic axis: a search's first minutes are where engines differ.
    """
    from matplotlib.figure import Figure

    maximize, until = lines[0]["maximize"], 60 * lines[0]["minutes"]
    seconds = np.geomspace(min(FIRST_SECOND, until / 2), until, SECONDS_DRAWN).tolist()
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    for place, engine in enumerate(engines_of(lines)):
        colour, dashes = COLOURS[place % len(COLOURS)], STYLES[place // len(COLOURS) % len(STYLES)]
        runs = runs_of(lines, engine)
        rows = band({seed: run["curve"] for seed, run in runs.items()}, seconds, maximize)
        if rows:
            at, middle, worst, best = zip(*rows, strict=True)
            known = [(second, low, high) for second, low, high in zip(at, worst, best, strict=True) if low is not None]  # from when on all seeds have a score
            if known:
                axes.fill_between(*zip(*known, strict=True), step="post", color=colour, alpha=0.15, linewidth=0)
            axes.step(at, middle, where="post", color=colour, linestyle=dashes, linewidth=1.8, label=f"{engine} ({len(runs)} seed{'s' if len(runs) > 1 else ''})")
    axes.set_xscale("log")
    axes.set_xlim(seconds[0], until)
    ticks = [tick for tick in (10, 30, 60, 120, 300, 720, 1800, 3600) if seconds[0] <= tick <= until]
    axes.set_xticks(ticks, [f"{tick} s" if tick < 60 else f"{tick // 60} min" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("since the command began")
    axes.set_ylabel("best validation so far")
    axes.set_title(f"{lines[0]['space']} on {lines[0]['corpus']}, {lines[0]['cores']} cores: median and range over seeds", fontsize=10, loc="left")
    axes.grid(axis="y", color="#e4e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
