"""What the user sees while a search runs: a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.config import Budget
from search.confirm import finalists
from search.cost_text import Spending
from search.roster import Roster, reported_epochs
from search.study import StudyOwner
from search.trial import Trial

#: Seconds between two lines of standing where there is no terminal.
_STATUS_SECONDS = 30.0


class Standing:
    """Counts, best value and pace of a search, from what a monitor is told.

    Attributes
    ----------
    best : Trial or None
        The leader among trials with the full budget.
    """

    def __init__(
        self,
        trials: list[Trial],
        *,
        maximize: bool,
        max_epochs: int,
        trials_wanted: int | None,
        minutes: float | None,
        elapsed: Callable[[], float],
        spending: Spending | None = None,
    ) -> None:
        self.maximize, self.max_epochs = maximize, max_epochs
        self.trials_wanted, self.minutes = trials_wanted, minutes
        self.trials = {t.number: t for t in trials}
        self._roster, self._ends = Roster(trials), Counter(_end_in_words(t) for t in trials if t.counts)
        self.best = next(iter(finalists(trials, 1, maximize)), None)
        self.running: dict[int, tuple[Trial, int, float | None]] = {}
        self._reported, self._spending = reported_epochs(trials), spending
        self._elapsed, self._elapsed_before = elapsed, elapsed()
        self._ended_here = 0

    @property
    def elapsed(self) -> float:
        """Seconds, over all runs of the study."""
        return self._elapsed()

    def started(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self._roster.note(trial)
        self.running[trial.number] = (trial, max(trial.reports, default=0), trial.best(self.maximize))

    @property
    def epochs_text(self) -> str:
        """ "461 epochs"."""
        return f"{self._reported} epochs" if self._spending is None else self._spending.epochs_text

    @property
    def energy_text(self) -> str:
        """ "; 12.3 Wh", empty as long as nothing is known."""
        told = "" if self._spending is None else self._spending.energy_text
        return f"; {told}" if told else ""

    def reported(self, trial: Trial, epoch: int) -> None:
        self._reported += 1
        self.running[trial.number] = (trial, epoch, trial.best(self.maximize))

    def paused(self, trial: Trial) -> None:
        self._roster.note(trial)
        self.running.pop(trial.number, None)

    def ended(self, trial: Trial) -> bool:
        """Take in an end; True if this trial now leads."""
        self.trials[trial.number] = trial
        self._roster.note(trial)
        self.running.pop(trial.number, None)
        self._ended_here += trial.counts
        self._ends[_end_in_words(trial)] += trial.counts
        candidates = [t for t in (self.best, trial) if t is not None]
        self.best = next(iter(finalists(candidates, 1, self.maximize)), None)
        return self.best is trial

    @property
    def counted(self) -> int:
        """Trials that count towards the budget."""
        return self._roster.counted

    def counts_text(self) -> str:
        """ "2 running, 3 complete, 7 pruned, 1 failed"."""
        parts = [f"{len(self.running)} running"] + [f"{self._ends[k]} {k}" for k in ("complete", "pruned", "failed")]
        parts += [told] if (told := self.paused_text()) else []
        lost = self._roster.lost
        return ", ".join(parts + ([f"{lost} lost and requeued"] if lost else []))

    def paused_text(self) -> str:
        """ "4 paused (checkpoints 12 MB)", empty where none is."""
        paused, roster = self._roster.paused_count, self._roster
        held = sum(t.checkpoint["bytes"] for t in (*roster.running, *roster.waiting, *roster.paused) if t.checkpoint is not None) if paused else 0
        return f"{paused} paused (checkpoints {held / 1e6:.1f} MB)" if paused else ""

    def seconds_left(self) -> float | None:
        """The shortest of what the budget's totals leave, or None if none can be told yet."""
        left = [] if self._spending is None else self._spending.seconds_left()
        if self.minutes is not None:
            left.append(max(0.0, 60 * self.minutes - self.elapsed))
        if self.trials_wanted is not None and self._ended_here >= 2:
            pace = (self.elapsed - self._elapsed_before) / self._ended_here
            left.append(pace * max(0, self.trials_wanted - self.counted))
        return min(left, default=None)

    def best_text(self) -> str:
        """The leader and its interval in words."""
        if self.best is None:
            return self._best_on_the_way()
        interval = self.best.outcome.get("interval")
        told = f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else ""
        return f"best {self.best.value:.3f}{told} by trial {self.best.number}"

    def _best_on_the_way(self) -> str:
        reached = [t for t in list(self.trials.values()) if t.reports and t.state != "FAIL"]  # a copy: the driver's thread adds to them meanwhile
        sign = 1 if self.maximize else -1
        leader = max(reached, key=lambda t: sign * t.best(self.maximize), default=None)
        if leader is None:
            return "no score yet"
        return f"best on the way {leader.best(self.maximize):.3f} by trial {leader.number}, none at full budget yet"


def _end_in_words(trial: Trial) -> str:
    return "failed" if trial.state == "FAIL" else trial.state.lower()


def duration(seconds: float | None) -> str:
    """ "1 h 02 min", "4 min 10 s", "12 s", "?"."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def pausing_text(trial: Trial, maximize: bool) -> str:
    """One line on a trial that waits."""
    return f"trial {trial.number} {trial.family}: waits at epoch {trial.paused}, {trial.best(maximize):.3f}"


def progress_text(trial: Trial, epoch: int) -> str:
    """ "epoch 3/27", or "fold 2/5" once the first is done."""
    epochs = trial.spec.get("epochs", 0)
    if trial.parts > 1 and epoch >= epochs:
        return f"part {min(epoch - epochs + 2, trial.parts)}/{trial.parts}"
    return f"epoch {epoch}/{epochs}" if epochs else f"epoch {epoch}"


def ending_text(trial: Trial, leads: bool) -> str:
    """One line on how a trial ended."""
    seconds = trial.outcome.get("seconds")
    spent = f", {duration(seconds)}" if seconds is not None else ""
    if trial.confirms is not None and trial.state == "COMPLETE":
        interval = trial.outcome.get("interval")
        told = f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else ""
        return f"trial {trial.confirms} confirmed on {trial.spec['folds']} folds: {trial.value:.3f}{told}{spent}"
    epochs = min(max(trial.reports, default=0), trial.spec.get("epochs", sys.maxsize))
    if trial.is_full:
        how = "complete" if trial.end == "full" else "complete (stopped early by itself)"
        after = "" if trial.is_at_once else f" after {epochs} epochs"
        return f"trial {trial.number} {trial.family}: {how}, {trial.value:.3f}{after}{spent}{'  ← best so far' if leads else ''}"
    value = f", {trial.value:.3f}" if trial.value is not None else ""
    reason = f": {trial.reason}" if trial.reason and trial.end != "pruned" else ""
    if trial.end == "refused":
        return f"trial {trial.number} {trial.family}: refused before it was built{reason}"
    return f"trial {trial.number} {trial.family}: {trial.end}{value} at epoch {epochs}{spent}{reason}"


class PlainMonitor:
    """Lines, for logs and pipes."""

    def __init__(self, console: Console, standing: Standing) -> None:
        self._console, self._standing = console, standing
        self._told = time.monotonic()

    def started(self, trial: Trial) -> None:
        self._standing.started(trial)

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        self._standing.reported(trial, epoch)
        if time.monotonic() - self._told >= _STATUS_SECONDS:
            self._tell_standing()

    def paused(self, trial: Trial) -> None:
        self._standing.paused(trial)
        self.note(pausing_text(trial, self._standing.maximize))

    def ended(self, trial: Trial) -> None:
        self.note(ending_text(trial, self._standing.ended(trial)))

    def note(self, text: str) -> None:
        self._console.print(f"[{duration(self._standing.elapsed)}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _tell_standing(self) -> None:
        self._told = time.monotonic()
        s = self._standing
        of = f"/{s.trials_wanted}" if s.trials_wanted else ""
        self.note(f"{s.counted}{of} trials, {s.epochs_text}{s.energy_text}; {s.counts_text()}; {s.best_text()}; about {duration(s.seconds_left())} left")


class LiveMonitor:
    """A display that is redrawn in place; ends of trials scroll by above it."""

    def __init__(self, console: Console, standing: Standing, live: Live) -> None:
        self._console, self._standing, self._live = console, standing, live

    def started(self, trial: Trial) -> None:
        self._standing.started(trial)

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        self._standing.reported(trial, epoch)

    def paused(self, trial: Trial) -> None:
        self._standing.paused(trial)
        self._console.print(Text(pausing_text(trial, self._standing.maximize), style="dim"))

    def ended(self, trial: Trial) -> None:
        leads = self._standing.ended(trial)
        self._console.print(Text(ending_text(trial, leads), style="bold green" if leads else "dim"))

    def note(self, text: str) -> None:
        self._console.print(Text(text, style="yellow"))


def live_view(standing: Standing) -> Group:
    """The display as a picture of this moment."""
    left = f", about {duration(standing.seconds_left())} left" if standing.seconds_left() is not None else ""
    lines: list[Table | Text] = []
    if standing.trials_wanted:
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            f"{standing.counted}/{standing.trials_wanted} trials",
            ProgressBar(total=standing.trials_wanted, completed=standing.counted, width=40),
            f"{standing.epochs_text}{standing.energy_text}",
        )
        lines.append(bar)
    lines += [Text(f"{duration(standing.elapsed)}{left}; {standing.counts_text()}"), Text(standing.best_text(), style="green")]
    body = Table.grid(padding=(0, 2))
    for number, (trial, epoch, best) in sorted(standing.running.items()):
        told = f"best {best:.3f}" if best is not None else "starting"
        bar = ProgressBar(total=standing.max_epochs, completed=epoch, width=27)
        body.add_row(f"  trial {number}", trial.family, bar, progress_text(trial, epoch), told)
    return Group(*lines, body)


class _Redrawn:
    """Asks for the view anew at every refresh."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def __rich__(self) -> Group:
        return live_view(self._standing)


@contextmanager
def watch(console: Console, standing: Standing) -> Iterator[PlainMonitor | LiveMonitor]:
    """The monitor that fits the console."""
    if not console.is_terminal:
        yield PlainMonitor(console, standing)
        return
    with Live(_Redrawn(standing), console=console, refresh_per_second=4, transient=True) as live:
        yield LiveMonitor(console, standing, live)


@contextmanager
def watch_study(console: Console, owner: StudyOwner, budget: Budget) -> Iterator[PlainMonitor | LiveMonitor]:
    """The monitor for a study that is opened, with what it already holds."""
    standing = Standing(
        list(owner.trials.values()),
        maximize=owner.maximize,
        max_epochs=budget.max_epochs,
        trials_wanted=budget.trials,
        minutes=budget.minutes,
        elapsed=lambda: owner.elapsed_seconds,
        spending=Spending(owner.spent, budget),
    )
    with watch(console, standing) as monitor:
        if standing.trials:
            monitor.note(f"going on with study '{owner.name}': {standing.counted} trials so far, {standing.best_text()}")
        yield monitor


class Stages:
    """Progress of what comes before the search: bars in a terminal, one line a stage elsewhere.

    Call it with ``(done, total, what)``; use it as a context manager.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: dict[str, TaskID] = {}
        self._told: set[str] = set()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> Stages:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Take in that `done` of `total` are done of `what`."""
        if self._console.is_terminal:
            if what not in self._bars:
                self._bars[what] = self._progress.add_task(what, total=total)
            self._progress.update(self._bars[what], completed=done, total=total)
        elif what not in self._told:
            self._told.add(what)
            self._console.print(f"{what}: {total} …", markup=False, highlight=False)
