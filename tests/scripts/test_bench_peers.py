"""The comparison with other tools: what is read off curves, lines that add up, what a kill left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from scripts import bench_peers
from scripts.peers import curves, records, tables
from scripts.peers.engines import variant, write_space
from scripts.peers.process_tree import Bystanders, ProcessTree
from scripts.peers.running import Run, space_hash
from scripts.peers.study_facts import _training_seconds, configurations_of, timed, winner_of
from scripts.peers.survival import survived
from scripts.peers.watching import Seen, StudyWatch
from search.errors import SearchError
from search.study_view import StudyView
from search.trial import Trial

ROOT = Path(__file__).parents[2]
PEER = [(20.0, 0.2), (100.0, 0.5), (700.0, 0.6)]


def line(engine: str = "ours", seed: int = 0, curve=((10.0, 0.3), (50.0, 0.5)), **more) -> dict:
    known = {"engine": engine, "seed": seed, "minutes": 12, "space": "cnn", "corpus": "demo", "cores": 2, "killed": False, "maximize": True, "curve": list(curve)}
    known |= {"winner": {"trial": 4, "value": 0.5, "state": "COMPLETE"}, "best": 0.5, "wall_seconds": 730.0, "epochs": 100, "trials": {"COMPLETE": 3, "PRUNED": 20}, "training_seconds": 1200.0, "workers": 2, "overhead_seconds": 260.0}
    return known | {"peak_mib": 2000.0, "load_before": 0.1, "precision": "float32", "folds": {"value": 0.5, "interval": [0.4, 0.6]}} | more


def test_a_curve_is_what_improved_in_the_order_of_time() -> None:
    points = [(3.0, 0.2), (1.0, 0.1), (2.0, 0.4), (4.0, 0.4), (5.0, 0.5)]
    assert curves.improvements(points, maximize=True) == [(1.0, 0.1), (2.0, 0.4), (5.0, 0.5)]
    assert curves.improvements(points, maximize=False) == [(1.0, 0.1)]


def test_seconds_to_a_peers_own_best() -> None:
    assert curves.seconds_to(PEER, 0.5, True, 720) == 100.0
    assert curves.seconds_to(PEER, 0.61, True, 720) is None
    assert curves.ratio_to_best([(10.0, 0.3), (70.0, 0.65)], PEER, True, 720) == (700.0, 70.0)
    assert curves.ratio_to_best([(10.0, 0.59)], PEER, True, 720) == (700.0, None)
    assert curves.ratio_to_best([(10.0, 0.5)], PEER, True, 600) == (100.0, 10.0), "what comes after the time does not count"
    assert curves.ratio_to_best([(10.0, 0.5)], [], True, 600) is None
    assert curves.ratio_to_best([(10.0, 1.0)], [(30.0, 2.0), (60.0, 1.5)], False, 600) == (60.0, 10.0)


def test_what_was_never_reached_is_no_time_but_the_worst_ratio() -> None:
    assert curves.times_faster([(700.0, 70.0), (600.0, None), (300.0, 100.0)]) == [0.0, 3.0, 10.0]


def test_a_band_waits_for_half_of_the_seeds_and_never_gets_worse() -> None:
    several = {0: [(10.0, 0.2), (30.0, 0.6)], 1: [(20.0, 0.4)], 2: [(40.0, 0.5)]}
    rows = curves.band(several, [5.0, 10.0, 20.0, 30.0, 40.0], maximize=True)
    assert rows == [(20.0, 0.2, None, 0.4), (30.0, 0.4, None, 0.6), (40.0, 0.5, 0.4, 0.6)]
    late = {**several, 3: [(35.0, 0.1)]}
    medians = [row[1] for row in curves.band(late, [5.0, 10.0, 20.0, 30.0, 35.0, 40.0, 50.0], maximize=True)]
    assert medians == sorted(medians) and len(medians) == 3, "the late seed's low first score is no fall"
    assert [row[1] for row in curves.band({seed: [(at, -value) for at, value in curve] for seed, curve in several.items()}, [40.0], maximize=False)] == [-0.5]


def test_lines_add_up_and_the_newest_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "peers.jsonl"
    assert records.read_lines(path) == []
    for each in (line(), line(seed=1), line(epochs=7)):
        records.append_line(path, each)
    path.write_bytes(path.read_bytes()[:-1])  # as if a kill had cut off the end of the last
    records.append_line(path, line("optuna"))
    found = records.read_lines(path)
    assert [(each["engine"], each["seed"], each["epochs"]) for each in found] == [("ours", 0, 7), ("ours", 1, 100), ("optuna", 0, 100)]
    keys = [{name: value for name, value in line(engine, seed).items() if name in records.KEY} for engine in ("ours", "optuna") for seed in (0, 1)]
    assert [(key["engine"], key["seed"]) for key in records.missing_runs(keys, found)] == [("optuna", 1)]


def test_scores_on_folds_come_later_of_those_lines_that_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "peers.jsonl"
    bare = line(cores=len(os.sched_getaffinity(0)))
    bare.pop("folds")
    for each in (bare, bare | {"seed": 1, "folds": {"value": 0.7}}, bare | {"engine": "optuna"}):
        records.append_line(results, each)
    asked = []
    monkeypatch.setattr(bench_peers, "_json_of", lambda words, run: asked.append(words) or {"value": 0.6, "words": words[0], "configurations": 9})
    monkeypatch.setattr(sys, "argv", ["bench_peers.py", "--engines", "ours", "--results", str(results), "--work", str(tmp_path), "--rescore"])
    assert bench_peers.main() == 0 and bench_peers.main() == 0
    found = {(each["engine"], each["seed"]): each.get("folds") for each in records.read_lines(results)}
    assert found == {("ours", 0): {"value": 0.6, "words": "scripts.peers.rescoring"}, ("ours", 1): {"value": 0.7}, ("optuna", 0): None}
    assert next(each["configurations"] for each in records.read_lines(results) if "words" in (each.get("folds") or {})) == 9
    assert len(asked) == 1 and asked[0][asked[0].index("--study") + 1] == "ours-0-12" and asked[0][-4:] == ["--trial", "4", "--value", "0.5"]


def test_one_winner_that_can_not_be_scored_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    results = tmp_path / "peers.jsonl"
    for seed in (0, 1):
        bare = line(seed=seed, cores=len(os.sched_getaffinity(0)))
        bare.pop("folds")
        records.append_line(results, bare)

    def scored(words: list[str], run: Run) -> dict:
        if run.seed == 0:
            raise SearchError("is not the study that was measured")
        return {"value": 0.6, "configurations": 9}

    monkeypatch.setattr(bench_peers, "_json_of", scored)
    monkeypatch.setattr(sys, "argv", ["bench_peers.py", "--engines", "ours", "--results", str(results), "--work", str(tmp_path), "--rescore"])
    assert bench_peers.main() == 1 and "error: ours, seed 0: is not the study" in capsys.readouterr().err
    assert [each.get("folds") for each in records.read_lines(results)] == [None, {"value": 0.6}]


def test_another_study_than_the_one_that_was_measured_is_not_scored_for_it(tmp_path: Path) -> None:
    from scripts.peers.rescoring import rescore

    study = optuna.create_study(storage=f"sqlite:///{(tmp_path / 's').mkdir() or tmp_path / 's' / 'study.db'}", study_name="s", direction="maximize")
    done = optuna.trial.create_trial(state=optuna.trial.TrialState.COMPLETE, value=0.6, intermediate_values={1: 0.6}, user_attrs={"spec": {"family": "cnn"}})
    study.add_trial(done)
    with pytest.raises(SearchError, match=r"is not the study that was measured: its trial 0 has 0\.600000, that of the line 0\.700000"):
        rescore(tmp_path / "none.yaml", None, tmp_path, "s", 0, 5, trial=0, value=0.7)


def test_no_winner_of_another_space_or_of_after_the_time_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    results = tmp_path / "peers.jsonl"
    bare = line(cores=len(os.sched_getaffinity(0)))
    bare.pop("folds")
    records.append_line(results, bare | {"space_sha256": "of another"})
    records.append_line(results, bare | {"seed": 1, "best": 0.4})
    monkeypatch.setattr(bench_peers, "_json_of", None)
    monkeypatch.setattr(sys, "argv", ["bench_peers.py", "--engines", "ours", "--results", str(results), "--work", str(tmp_path), "--rescore"])
    assert bench_peers.main() == 1
    told = capsys.readouterr().err
    assert "seed 0: ours.yaml: is not what was measured" in told and "seed 1: its winner, trial 4 with 0.5, came after the time" in told


def test_what_was_measured_is_kept_whatever_becomes_of_its_score_on_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "peers.jsonl"

    def stopped(words: list[str], run: Run) -> dict:
        if "rescoring" in words[0]:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(bench_peers, "_json_of", stopped)
    monkeypatch.setattr(bench_peers, "measure", lambda run: line(cores=len(run.cores)) | run.key | {"folds": None})
    monkeypatch.setattr(sys, "argv", ["bench_peers.py", "--engines", "ours", "--seeds", "0", "--results", str(results), "--work", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        bench_peers.main()
    assert [(each["engine"], each["folds"]) for each in records.read_lines(results)] == [("ours", None)]


@pytest.mark.parametrize(("text", "wanted"), [("{", "is no JSON"), ("[]", "must be a JSON object"), ('{"engine": "ours"}', "has no seed, minutes")])
def test_a_line_that_is_none_is_named(text: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "peers.jsonl"
    path.write_text(f"{json.dumps(line())}\n{text}\n")
    with pytest.raises(SearchError, match=rf"peers\.jsonl:2: .*{wanted}"):
        records.read_lines(path)


def test_engines_take_turns() -> None:
    assert records.round_robin(["a", "b", "c"], [5, 6]) == [("a", 5), ("b", 5), ("c", 5), ("b", 6), ("c", 6), ("a", 6)]


def test_tables_pair_seeds_and_say_what_was_not_reached() -> None:
    lines = [line(), line(seed=1, curve=[(10.0, 0.7)]), line("optuna", 0, PEER), line("optuna", 1, PEER), line("ray-tune", 3, PEER)]
    (found,) = [row for row in tables.speed_table(lines).splitlines() if "optuna" in row]
    assert found == "| ours | optuna | 2 | 700 (700–700) | 10 (10–10) | 35.0 (0.0–70.0) | 1 |"
    (row,) = [row for row in tables.engine_table(lines).splitlines() if row.startswith("| optuna")]
    assert "| 2 | 0.600 (0.600–0.600) | 0.500 [0.400–0.600, 0.400–0.600] |" in row and "| 17.8 (17.8–17.8) % |" in row
    assert tables.survival_table(lines) == ""
    assert tables.seed_table(lines).splitlines() == [
        "| seed | ours | ray-tune | optuna |", "|---|---|---|---|", "| 0 | 0.500 | – | **0.600** |", "| 1 | **0.700** | – | 0.600 |", "| 3 | – | **0.600** | – |",
    ]  # fmt: skip


def test_a_survival_table_tells_a_second_run_that_failed() -> None:
    kept = {"epochs_before": 50, "epochs_kept": 40, "trials_before": 6, "trials_kept": 6, "under_way": 2, "taken_up": 1, "error": "broken | pipe"}
    lines = [line("ray-tune", killed=True, trained_again=12, survival=kept | {"second_run": 1, "seconds_to_next_epoch": None})]
    assert "| ray-tune | 1 | 40 of 50 | 6 of 6 | 1 of 2 | 12 | – | broken / pipe |" in tables.survival_table(lines)


def test_what_a_kill_left_is_counted_trial_by_trial() -> None:
    before = [Seen(float(step), number, step, 0.1) for number, last in ((0, 9), (1, 5), (2, 4), (3, 2)) for step in range(1, last + 1)]
    after = [Seen(50.0, 4, step, 0.1, came_with_trial=True) for step in (1, 2, 3)] + [Seen(60.0, 4, 4, 0.1), Seen(61.0, 2, 3, 0.1), Seen(62.0, 2, 4, 0.1)]
    states = {0: "COMPLETE", 1: "RUNNING", 2: "RUNNING", 3: "RUNNING"}
    later = {0: "COMPLETE", 1: "FAIL", 2: "PRUNED", 3: "RUNNING", 4: "PRUNED"}
    # 0 is kept whole; 4 goes on for 1 from epoch 3; 2 goes on as itself from epoch 2; nobody takes up 3.
    assert survived(before, states, after, later, {4: {"retry_of": 1}}) == {
        "epochs_before": 20, "epochs_kept": 9 + 3 + 2, "trials_before": 1, "trials_kept": 1, "under_way": 3, "taken_up": 2,
    }  # fmt: skip


def test_what_waited_at_the_kill_and_was_ended_as_it_stood_is_kept() -> None:
    before = [Seen(float(step), 0, step, 0.1) for step in (1, 2, 3)]
    assert survived(before, {0: "WAITING"}, [], {0: "PRUNED"}, {})["epochs_kept"] == 3
    assert survived(before, {0: "RUNNING"}, [], {0: "FAIL"}, {})["epochs_kept"] == 0
    assert survived(before, {0: "RUNNING"}, [], {0: "RUNNING"}, {})["epochs_kept"] == 0


def test_seconds_of_training_count_each_epoch_once() -> None:
    rows = [{"epoch": epoch, "seconds": 2.0} for epoch in range(1, 6)]
    paused_and_lost = [trial(0, {}, "FAIL", outcome={"history": rows[:3]}), trial(1, {}, spec={"retry_of": 0, "first": 0}, outcome={"history": rows})]
    assert _training_seconds(paused_and_lost) == 10.0, "the history of the second begins with that of the first"
    promoted = [trial(0, {}, "PRUNED", outcome={"history": rows[:3]}), trial(1, {}, spec={"peer": {"promoted": 0}}, outcome={"history": rows})]
    assert _training_seconds(promoted) == 10.0
    assert _training_seconds([trial(0, {}, outcome={"history": rows}), trial(1, {}, outcome={"history": rows})]) == 20.0
    assert _training_seconds([trial(0, {}, outcome={"fit_seconds": 9.0})]) is None


def trial(number: int, reports: dict[int, float], state: str = "COMPLETE", **more) -> Trial:
    return Trial(number, state, {"family": "cnn", "seed": number, "epochs": 3} | more.pop("spec", {}), reports=reports, **more)


def test_reports_stand_at_the_time_that_the_engine_kept() -> None:
    """An engine that writes a trial's epochs together at its end keeps their times; the search began 10 seconds after the command."""
    trials = [trial(0, {1: 0.1, 2: 0.2}, reported_at={1: 5.0, 2: 9.0}), trial(1, {1: 0.3}), trial(2, {1: 0.1, 2: 0.4}, spec={"retry_of": 0})]
    seen = [Seen(19.0, 0, 1, 0.1), Seen(19.0, 0, 2, 0.2), Seen(25.0, 1, 1, 0.3), Seen(26.0, 2, 1, 0.1, came_with_trial=True), Seen(30.0, 2, 2, 0.4)]
    assert [at for at, *_ in timed(seen, trials, keeps_times=False)] == [19.0, 19.0, 25.0, 30.0]
    assert timed(seen, trials) == [(15.0, 0, 1, 0.1), (19.0, 0, 2, 0.2), (25.0, 1, 1, 0.3), (30.0, 2, 2, 0.4)]


def test_the_winner_is_the_best_that_its_engine_calls_complete() -> None:
    trials = [trial(0, {1: 0.9}, "PRUNED"), trial(1, {1: 0.5, 2: 0.4}), trial(2, {1: 0.5}), trial(3, {1: 0.95}, spec={"confirms": 1})]
    assert winner_of(StudyView("s", True, "val_accuracy", {}, trials)).number == 1
    assert winner_of(StudyView("s", True, "val_accuracy", {}, trials[:1])).number == 0
    trials[2].reports[3] = 0.8
    reports = [(50.0, 1), (90.0, 2), (130.0, 2)]
    found = [winner_of(StudyView("s", True, "val_accuracy", {}, trials), reports, limit).number for limit in (130.0, 129.0)]
    assert found == [2, 1], "what came to its end after the time has not won"


def test_what_was_promoted_is_the_same_configuration() -> None:
    trials = [trial(0, {1: 0.1}), trial(1, {1: 0.2}, spec={"peer": {"promoted": 0}}), trial(2, {1: 0.2}, spec={"peer": {"promoted": 1}}), trial(3, {}, spec={"retry_of": 2, "first": 2})]
    assert configurations_of([*trials, trial(4, {1: 0.1}), trial(5, {1: 0.1}, spec={"confirms": 4})]) == 2


def test_a_watch_sees_what_comes_into_a_study(tmp_path: Path) -> None:
    watch = StudyWatch(tmp_path / "study.db", time.monotonic())
    watch.look()
    assert watch.seen == [] and watch.states() == {} and watch.attribute("epochs_trained") is None
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}")
    first = study.ask()
    first.set_user_attr("spec", {"family": "cnn"})
    watch.look()
    first.report(0.5, 1)
    watch.look()
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED, intermediate_values={1: 0.5, 2: 0.6}))
    study.set_user_attr("epochs_trained", 3)
    watch.look()
    assert [(s.number, s.step, s.value, s.came_with_trial) for s in watch.seen] == [(0, 1, 0.5, False), (1, 1, 0.5, True), (1, 2, 0.6, True)]
    assert watch.states() == {0: "RUNNING", 1: "PRUNED"} and watch.specs() == {0: {"family": "cnn"}} and watch.attribute("epochs_trained") == 3


def test_a_tree_is_killed_with_those_that_left_it() -> None:
    """The child starts another in a session of its own and ends, as Ray's daemons outlive their parent."""
    inner = "import time; held = b'x' * (64 * 2**20); time.sleep(120)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}], start_new_session=True, stdin=subprocess.DEVNULL); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    tree, end = ProcessTree(process.pid), time.monotonic() + 60
    while tree.peak_mib < 64 and time.monotonic() < end:
        tree.look()
        time.sleep(0.05)
    process.communicate()
    assert tree.most == 2 and tree.peak_mib > 64
    assert len(tree.living()) == 1
    tree.kill()
    assert tree.living() == []


def test_what_others_take_meanwhile_is_seen_and_what_is_measured_is_not() -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    meant, other = busy
    beside, all_but_other = Bystanders(), Bystanders()
    try:
        before = time.monotonic()
        beside.look({meant.pid})
        all_but_other.look({other.pid, meant.pid})
        time.sleep(1.5)
        beside.look({meant.pid})
        all_but_other.look({other.pid, meant.pid})
        took = time.monotonic() - before
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert 0.1 < beside.seconds - all_but_other.seconds < 1.2 * took, "of the two that are busy, the one that is not meant"


def test_a_space_is_known_by_what_all_engines_get_of_it(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"

    def hashed(text: str) -> str:
        file.write_text(text)
        return space_hash(file)

    first = hashed("data: {source: /home/me, test_fraction: 0.2}\nfamilies: {cnn: {depth: 2}}\nprecision: auto\nenergy: {measure: false}")
    assert first == hashed("families: {cnn: {depth: 2}}\ndata: {source: demo, test_fraction: 0.2}\nprecision: float32")
    assert first != hashed("families: {cnn: {depth: 3}}\ndata: {source: demo, test_fraction: 0.2}")


def test_lines_of_several_commits_are_told_apart() -> None:
    assert "Commit: a1." in tables.conditions([line(revision="a1"), line("optuna", revision="a1")])
    told = tables.conditions([line(revision="a1", beside=0.02, space_sha256="x"), line("optuna", revision="b2"), line("optuna", 1, revision="b2")])
    assert "**Not of one commit**: a1: ours 0; b2: optuna 0, optuna 1." in told and "2.0 (2.0–2.0) % of a core (1 of 3 runs say)" in told
    assert "**Not of one space**: x: ours 0; not noted: optuna 0, optuna 1." in told


def test_a_trial_that_waits_for_another_run_is_one_with_the_one_that_was_stopped() -> None:
    rows = [tables.engine_table([line(trials={"COMPLETE": 3, "FAIL": 2, "WAITING": 2}, **more)]) for more in ({}, {"configurations": 4})]
    assert "| 100 (100–100) | 5 (5–5) |" in rows[0] and "| 100 (100–100) | 4 (4–4) |" in rows[1]


def test_a_space_is_changed_and_nothing_else(tmp_path: Path) -> None:
    import yaml

    space = ROOT / "spaces" / "cnn.yaml"
    write_space(space, {"precision": "float32", "budget.trials": 7, "data.input": "image"}, tmp_path / "copy.yaml")
    expected = yaml.safe_load(space.read_text())
    expected["precision"], expected["budget"]["trials"], expected["data"]["input"] = "float32", 7, "image"
    assert yaml.safe_load((tmp_path / "copy.yaml").read_text()) == expected


def test_a_variant_of_ours_is_an_engine_of_its_own() -> None:
    made = variant(["eager", "budget.min_epochs=1", "precision=float32", "scheduler=none"])
    assert made.name == "ours-eager" and made.changes == {"precision": "float32", "budget.min_epochs": 1, "scheduler": "none"}
    lines = [line("ours-eager", curve=[(35.0, 0.6)]), line("optuna", 0, PEER)]
    assert "| ours-eager | optuna | 1 | 700 (700–700) | 35 (35–35) | 20.0 (20.0–20.0) | 0 |" in tables.speed_table(lines)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ours-with", "eager"], "error: --ours-with eager: must be a name and KEY=VALUE"),
        (["--ours-with", "float32", "a=1"], "error: --ours-with float32: there is an engine ours-float32 already"),
        (["--rescore"], "error: --rescore: give the --work folder of the measurement too"),
        (["--rescore", "--work", "w", "--kill-at-half"], "error: --rescore: scores winners on folds, of searches that nobody killed: leave out --kill-at-half"),
        (["--folds", "1"], "error: --folds 1: must be 2 or more"),
        (["--engines"], "error: --engines: name one at least"),
        (["--engines", "spearmint"], "error: --engines spearmint: no such engine; there are: ours"),
        (["--minutes", "0"], "error: --minutes 0: must be more than 0"),
        (["--cores", "4096"], "error: --cores 4096: this process may use"),
        (["--report"], "has no lines yet"),
    ],
)
def test_what_can_not_be_measured_is_said_in_a_line(words: list[str], told: str, tmp_path: Path, monkeypatch, capsys) -> None:
    from scripts.ending import exit_code_of

    monkeypatch.setattr("sys.argv", ["bench_peers.py", *words, "--results", str(tmp_path / "none.jsonl")])
    assert exit_code_of(bench_peers.main, stopped="") == 2
    assert told in capsys.readouterr().err


def test_names_of_corpora_tell_no_folder() -> None:
    assert bench_peers.corpus_name("gtzan:/home/me/music/gtzan", "image") == "gtzan image"
    assert bench_peers.corpus_name("/home/me/tunes", None) == "tunes" and bench_peers.corpus_name("demo", None) == "demo"


def test_the_report_draws_a_picture(tmp_path: Path, monkeypatch, capsys) -> None:
    for each in (line(versions={"keras": "3"}, machine={"cpu": "a", "flags": []}), line("optuna", 0, PEER)):
        records.append_line(tmp_path / "peers.jsonl", each)
    monkeypatch.setattr("sys.argv", ["bench_peers.py", "--report", "--results", str(tmp_path / "peers.jsonl"), "--picture", str(tmp_path / "images" / "peers.png")])
    assert bench_peers.main() == 0
    assert "### cnn on demo, 12 minutes, 2 cores" in capsys.readouterr().out
    assert (tmp_path / "images" / "peers.png").read_bytes().startswith(b"\x89PNG")
