"""What the dashboard takes to answer, beside the stock optuna-dashboard on the same study.

    python scripts/bench_dashboard.py                  1,000 trials of 27 epochs
    python scripts/bench_dashboard.py --trials 60
    python scripts/bench_dashboard.py --browser

Makes a study with records as a search writes them (outcomes with a history, scores by item, intervals), then asks both applications for the same, in one process and in
turns: the first time, again at once, and again after the study has changed. That is the server's time; with --browser also what a reader waits for: both as servers, and
Chromium (.ci/chromium.sh) until the plots of the study's page are drawn.
"""

from __future__ import annotations

import argparse
import io
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from optuna.distributions import FloatDistribution, IntDistribution

from genre_models.item_scores import describe_items, scores_of
from search.location import locate
from search.study import StudyOwner
from search.trial import End

EPOCHS, ITEMS, NAME = 27, 500, "bench"


def make_study(studies_dir: Path, n_trials: int) -> None:
    """A study in which two of three trials were stopped at a rung."""
    (studies_dir / NAME).mkdir(parents=True)
    owner = StudyOwner(locate(studies_dir, NAME), maximize=True, fingerprint={"objective": {"metric": "val_accuracy"}})
    chance = np.random.default_rng(0)
    for number in range(n_trials):
        add_trial(owner, number, chance)
    owner.close()


def add_trial(owner: StudyOwner, number: int, chance: np.random.Generator) -> None:
    """One more."""
    epochs = (3, 9, EPOCHS)[number % 3]
    params = {"family": "cnn", "cnn/rate": float(chance.uniform(1e-4, 1e-2)), "cnn/depth": int(chance.integers(2, 6)), "cnn/filters": int(chance.integers(8, 64))}
    spec = {"family": "cnn", "epochs": EPOCHS, "seed": number, "params": dict(params), "retry_of": None}
    domains = {"cnn/rate": FloatDistribution(1e-4, 1e-2, log=True), "cnn/depth": IntDistribution(2, 5), "cnn/filters": IntDistribution(8, 64)}
    trial = owner.start(spec, {name: (params[name], domain) for name, domain in domains.items()})
    curve = [float(x) for x in np.sort(chance.uniform(0.1, 0.9, epochs))]
    for epoch, value in enumerate(curve, 1):
        owner.report(trial.number, epoch, value)
    history = [{"epoch": e, "loss": 1.0 / e, "accuracy": v, "val_loss": 1.0 / e, "val_accuracy": v, "learning_rate": 1e-3} for e, v in enumerate(curve, 1)]
    ids = [f"track {i}" for i in range(ITEMS)]
    hits = chance.integers(0, 2, (epochs, ITEMS)).astype(bool)
    items = describe_items([ids], [scores_of("val_accuracy", np.zeros(ITEMS, int), np.ones((ITEMS, 1)), hits)], "val_accuracy", {})
    outcome = {"value": curve[-1], "best_epoch": epochs, "epochs": epochs, "stopped_early": False, "history": history, "items": items, "seconds": 60.0, "parameters": 24_587}
    outcome["interval"] = [curve[-1] - 0.05, curve[-1] + 0.05]
    owner.finish(trial.number, End.FULL if epochs == EPOCHS else End.PRUNED, value=curve[-1], outcome=outcome)


def ask(app: Callable[..., Any], path: str) -> tuple[float, int]:
    """Seconds and bytes of an answer."""
    environ = {
        **{"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": "localhost", "SERVER_NAME": "localhost", "SERVER_PORT": "80"},
        **{"wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http", "HTTP_ACCEPT_ENCODING": ""},
    }
    status: list[str] = []
    started = time.perf_counter()
    body = b"".join(app(environ, lambda told, headers, exc_info=None: status.append(told)))
    seconds = time.perf_counter() - started
    if not status[0].startswith("200"):
        raise RuntimeError(f"{path}: {status[0]}: {body[:200]!r}")
    return seconds, len(body)


def forget(app: Any) -> None:
    """The stock application keeps trials for up to ten seconds; what is measured is not that."""
    app._inmemory_cache._trials_last_fetched_at.clear()


def in_browser(studies_dir: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from asking for a study's page until its plots are drawn, of both servers in turns."""
    from search.dashboard.folder_storage import FolderStorage
    from tests.browser import running_browser

    own, stock = ([sys.executable, "-m", "search.dashboard", "--studies-dir", str(studies_dir), "--port", "0"], [sys.executable, "-m", "optuna_dashboard._cli"])
    port = free_port()
    stock += [f"sqlite:///{studies_dir / NAME / 'study.db'}", "--port", str(port)]
    seconds: dict[str, list[float]] = {"search.dashboard": [], "optuna-dashboard": []}
    with subprocess.Popen(own, stdout=subprocess.PIPE, text=True) as ours, subprocess.Popen(stock, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as theirs:
        try:
            url = ours.stdout.readline().split()[1]
            pages = {"search.dashboard": f"{url}dashboard/studies/{FolderStorage(studies_dir).get_study_id_from_name(NAME)}", "optuna-dashboard": f"http://127.0.0.1:{port}/dashboard/studies/1"}
            with running_browser() as browser:
                for name, page in [*pages.items()] * (rounds + 1):
                    wait_for_port(port)
                    browser.open("about:blank")
                    started = time.perf_counter()
                    browser.open(page)
                    browser.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 6", 120)
                    seconds[name].append(time.perf_counter() - started)
        finally:
            ours.terminate()
            theirs.terminate()
    return {name: found[1:] for name, found in seconds.items()}  # the first is the browser's own beginning


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Until somebody listens."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nobody listens on port {port}")


def in_process(n_trials: int, rounds: int) -> None:
    """Ask both applications, and print what they took."""
    from optuna_dashboard import _app

    from search.dashboard import app as ours
    from search.dashboard.folder_storage import FolderStorage
    from search.dashboard.guard import Guard

    made: list[Any] = []
    ours.wsgi = lambda *given, **named: made.append(_app.wsgi(*given, **named)) or made[-1]  # to reach its memory of trials
    with tempfile.TemporaryDirectory() as folder:
        studies_dir = Path(folder)
        started = time.perf_counter()
        make_study(studies_dir, n_trials)
        print(f"{n_trials} trials written in {time.perf_counter() - started:.1f} s, {(studies_dir / NAME / 'study.db').stat().st_size / 2**20:.1f} MiB")
        storage = FolderStorage(studies_dir)
        guarded = Guard(ours.make_app(storage, studies_dir, False))
        stock = _app.wsgi(f"sqlite:///{studies_dir / NAME / 'study.db'}")
        apps = {"search.dashboard": (guarded, made[0], storage.get_study_id_from_name(NAME)), "optuna-dashboard": (stock, stock, 1)}
        first = {name: ask(app, f"/api/studies/{number}") for name, (app, _, number) in apps.items()}
        again: dict[str, list[float]] = {name: [] for name in apps}
        changed: dict[str, list[float]] = {name: [] for name in apps}
        lists: dict[str, list[float]] = {name: [] for name in apps}
        owner = StudyOwner(locate(studies_dir, NAME), maximize=True, fingerprint={"objective": {"metric": "val_accuracy"}})
        chance = np.random.default_rng(1)
        time.sleep(1.2)  # a file that has just changed is read again
        for _ in range(rounds):
            for name, (app, inner, number) in apps.items():
                forget(inner)
                again[name].append(ask(app, f"/api/studies/{number}")[0])
                lists[name].append(ask(app, "/api/studies")[0])
        for _ in range(rounds):
            add_trial(owner, owner.next_number, chance)
            for name, (app, inner, number) in apps.items():
                forget(inner)
                changed[name].append(ask(app, f"/api/studies/{number}")[0])
        page = median(ask(guarded, "/")[0] for _ in range(rounds))
        owner.close()
    print(f"{'answers, in ms':18}  {'study, first':>12}  {'again':>8}  {'one trial more':>14}  {'bytes':>10}  {'list':>6}")
    for name in apps:
        cells = [1000 * seconds for seconds in (first[name][0], median(again[name]), median(changed[name]), median(lists[name]))]
        print(f"{name:18}  {cells[0]:12,.0f}  {cells[1]:8,.0f}  {cells[2]:14,.0f}  {first[name][1]:10,}  {cells[3]:6.1f}")
    print(f"page of all studies: {1000 * page:.1f} ms")


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("--trials", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=7, help="answers of which the median is told")
    p.add_argument("--browser", action="store_true", help="measure in a browser too")
    options = p.parse_args()
    in_process(options.trials, options.rounds)
    if options.browser:
        with tempfile.TemporaryDirectory() as folder:
            make_study(Path(folder), options.trials)
            for name, seconds in in_browser(Path(folder), options.rounds).items():
                print(f"{name:18}  plots drawn after {median(seconds):.1f} s (median of {len(seconds)}, {min(seconds):.1f} to {max(seconds):.1f})")


if __name__ == "__main__":
    main()
