"""Who is doing what, against a look at all trials."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.roster import Roster
from search.trial import End, Trial

moves = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["pause", "resume", "full", "pruned", "nan", "lost", "confirm"])), max_size=40)


@given(moves)
def test_it_agrees_with_a_look_at_all_trials_at_every_step(told: list[tuple[int, str]]) -> None:
    trials: dict[int, Trial] = {}
    roster = Roster()

    def begin(**spec: int) -> None:
        number = len(trials)
        trials[number] = Trial(number, "WAITING" if "retry_of" in spec else "RUNNING", {"family": "a", "retry_of": None, **spec})
        roster.note(trials[number])

    for _ in range(6):
        begin()
    for place, move in told:
        alive = [t for t in trials.values() if t.end is None]
        if not alive:
            break
        trial = alive[place % len(alive)]
        if move == "confirm":
            begin(confirms=trial.number)
        elif move == "pause" and trial.state == "RUNNING":
            trial.state, trial.paused = "WAITING", 3
        elif move == "resume":
            trial.state, trial.paused = "RUNNING", None
        elif move in ("full", "pruned", "nan", "lost"):
            end = End("worker-lost" if move == "lost" else move)
            trial.end, trial.state, trial.paused = str(end), end.state, None
        roster.note(trial)
        if move == "lost":
            begin(retry_of=trial.number, first=trial.root)
        everyone = list(trials.values())
        assert roster.running == [t for t in everyone if t.state == "RUNNING"]
        assert roster.waiting == [t for t in everyone if t.state == "WAITING" and t.paused is None]
        assert roster.paused == [t for t in everyone if t.paused is not None] == roster.paused_of(t.root for t in everyone)
        assert roster.paused_count == len(roster.paused)
        assert roster.counted == sum(t.counts for t in everyone)
        assert roster.lost == sum(t.end is not None and not t.counts and t.confirms is None for t in everyone)
        assert roster.has_full == any(t.is_full for t in everyone)
        assert roster.taken == sum(t.counts or (t.confirms is None and (t.state == "RUNNING" or t.paused is not None)) for t in everyone)
        for each in everyone:
            assert roster.successor(each) is next((t for t in everyone if t.retry_of == each.number), None)
    assert vars(Roster(trials.values())) == vars(roster), "rebuilt from the study it is the same"
