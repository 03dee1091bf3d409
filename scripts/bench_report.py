"""What a report weighs, and how long it takes to write and to open, with few trials and with many.

    python scripts/bench_report.py                       60 and 1,000 trials of spaces/all.yaml
    python scripts/bench_report.py --trials 1000 --scheduler none       no trial is stopped: 27 epochs each

The study is written by the real driver, scheduler and storage on a simulated clock (scripts/bench_scale.py), each trial with its score on 200 items, so that the
winner is compared with all others and the optimism of the choice is estimated, as at the end of a search. Evidence is not part of it: it weighs
a few hundred kB whatever the number of trials. A page is open when the plots that one sees are drawn (the page says so itself; those further down are drawn when one comes near), in a new
Chromium without a window and without a cache; the smallest, median and largest of several openings are given, and the same for a window as high as the page, where all
plots are drawn at once.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from genre_models import resampling
from genre_models.families import FAMILIES
from genre_models.item_scores import describe_items, scores_of
from genre_models.settings import DataSettings, FeatureSettings
from scripts.bench_scale import Scripted, open_loop, outcome_of
from search.config import load_space
from search.report import write_report
from search.study_view import read_study
from search.trial import Trial, trial_seed

N_ITEMS = 200
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OFF = ("disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions")


def find_chromium() -> str | None:
    """A Chromium on this machine, or None."""
    return next((found for name in CHROMIUM if (found := shutil.which(name)) is not None), None)


def chromium_command(chromium: str, profile: str, width: int, height: int) -> list[str]:
    """Chromium without a window, without a network of its own, with a new profile."""
    return [chromium, "--headless", "--no-sandbox", *(f"--{name}" for name in _OFF), f"--user-data-dir={profile}", f"--window-size={width},{height}", "--enable-logging=stderr"]


def open_page(chromium: str, page: Path, width: int = 1400, height: int = 1000, timeout: float = 60) -> tuple[float, str, str]:
    """Open a page once.

    Returns
    -------
    (milliseconds, document, log)
        From the beginning of the navigation until the plots that are in the window are drawn; the document as it then is; what the browser said.

    Raises
    ------
    RuntimeError
        The page did not draw its plots.
    """
    with tempfile.TemporaryDirectory() as profile:
        command = [*chromium_command(chromium, profile, width, height), "--dump-dom", page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    drawn = re.search(r'data-drawn-ms="(\d+)"', done.stdout[:10_000])
    if drawn is None:
        raise RuntimeError(f"{page}: its plots were not drawn; the browser said: {done.stderr[-2000:]}")
    return float(drawn[1]), done.stdout, done.stderr


def outcome_with_items(trial: Trial) -> dict[str, Any]:
    """What a real objective returns: `outcome_of`, and which of the items were told right after each epoch."""
    hardness = np.random.default_rng(0).permutation(N_ITEMS) / N_ITEMS
    noise = np.random.default_rng(trial_seed(3, trial.number)).normal(0, 0.1, (len(trial.reports), N_ITEMS))
    values = np.array([trial.reports[epoch] for epoch in sorted(trial.reports)])
    table = hardness + noise < values[:, None]
    best = table[int(values.argmax())]
    p = np.stack([~best, best], axis=1).astype(float)
    told = scores_of("val_accuracy", np.ones(N_ITEMS, int), p, table)
    return outcome_of(trial) | {"items": describe_items([[f"t{i:04d}" for i in range(N_ITEMS)]], [told], "val_accuracy", {})}


def make_study(studies_dir: Path, trials: int, scheduler: str) -> None:
    """A finished study of so many trials."""
    changes = {"budget.trials": trials, "budget.max_epochs": 27, "sampler": "random", "scheduler": scheduler, "study": "many", "skip_unavailable": True}
    config = load_space(ROOT / "spaces" / "all.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings}, changes)
    loop = open_loop(studies_dir, config)
    Scripted(loop, 8, outcome_with_items).run()
    loop.owner.close()


def measure(trials: int, scheduler: str, chromium: str | None, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        studies_dir = Path(folder)
        make_study(studies_dir, trials, scheduler)
        started = time.perf_counter()
        view = read_study(studies_dir, "many")
        read = time.perf_counter()
        page = write_report(view, studies_dir / "many", statistics=resampling, doubts=[])
        written = time.perf_counter()
        heights = {"open_ms": 1_000, "open_whole_ms": 7_000}
        opened = {} if chromium is None else {name: _spread([open_page(chromium, page, height=height)[0] for _ in range(repeats)]) for name, height in heights.items()}
        return {
            "trials": trials,
            "scheduler": scheduler,
            "reports": sum(len(trial.reports) for trial in view.trials),
            "full": sum(trial.is_full for trial in view.trials),
            "megabytes": round(page.stat().st_size / 1e6, 2),
            "of_them_plotly": round(_plotly_bytes() / 1e6, 2),
            "read_seconds": round(read - started, 2),
            "write_seconds": round(written - read, 2),
            **opened,
        }


def _spread(milliseconds: list[float]) -> dict[str, float]:
    return {"smallest": min(milliseconds), "median": statistics.median(milliseconds), "largest": max(milliseconds), "openings": len(milliseconds)}


def _plotly_bytes() -> int:
    from search.report.page import plotly_js

    return len(plotly_js()[0].encode())


def main() -> int:
    """Print a row of JSON for each number of trials."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--trials", type=int, nargs="+", default=[60, 1000], metavar="N")
    p.add_argument("--scheduler", default="asha", choices=("asha", "none"))
    p.add_argument("--repeats", type=int, default=5, metavar="N", help="openings of each page")
    options = p.parse_args()
    chromium = find_chromium()
    if chromium is None:
        print("note: no Chromium on this machine, so nothing is opened", file=sys.stderr)
    for trials in options.trials:
        print(json.dumps(measure(trials, options.scheduler, chromium, options.repeats)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
