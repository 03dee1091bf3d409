"""Real training, paused, moved, repeated: the curves are the same to the last bit (CPU, float32)."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from search.study_view import read_study
from search.trial import Trial
from tests.test_end_to_end import command
from tests.tiny_study import make_corpus

SPACE = """
study: again
data: {{source: {corpus}, validation: {validation}}}
features: {{image_size: [16, 24], segments: 2}}
budget: {{min_epochs: 1, max_epochs: 4, reduction_factor: 2, trials: {trials}}}
scheduler: {scheduler}
confirm: {confirm}
sampler: {sampler}
precision: float32
families:
  cnn:
    depth: {{int: [1, 2]}}
    filters: {{choice: [4, 8]}}
    kernel: 3
    learning_rate: {{float: [1e-3, 1e-2], log: true}}
    dropout: {{float: [0.1, 0.3]}}
    mixup: {{choice: [0.0, 0.2]}}
    random_crop: true
    time_shift: 0.2
    batch_size: 8
"""


def write_space(folder: Path, **changes: Any) -> Path:
    corpus = folder / "music"
    if not corpus.exists():
        make_corpus(corpus)
    values = {"corpus": corpus, "validation": "{holdout: 0.3}", "trials": 6, "scheduler": "hyperband", "confirm": "null", "sampler": "tpe"}
    path = folder / "again.yaml"
    path.write_text(SPACE.format(**values | changes))
    return path


def search(folder: Path, studies: str, *more: str) -> list[Trial]:
    done = command("-m", "search.run", "--space", folder / "again.yaml", "--studies-dir", folder / studies, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_study(folder / studies, "again").trials


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hyperband_search_with_folds_pauses_and_a_paused_trial_replays_as_one_that_was_not(tmp_path: Path) -> None:
    write_space(tmp_path, validation="{folds: 2}", confirm="{top: 2, folds: 3}")
    trials = search(tmp_path, "studies", "--workers", "2")
    assert all(t.end is not None for t in trials) and not list((tmp_path / "studies" / "again" / "checkpoints").iterdir())
    full = [t for t in trials if t.is_full]
    assert full and all(sorted(t.reports) == [1, 2, 3, 4, 5] and t.outcome["parts"] == 2 for t in full)
    assert len([t for t in trials if t.confirms is not None and t.outcome["parts"] == 3]) == min(2, len(full))
    paused = next(t for t in sorted(trials, key=lambda t: -len(t.reports)) if t.bracket == 0)
    same = command("-m", "search.run", "--space", tmp_path / "again.yaml", "--studies-dir", tmp_path / "studies", "--replay", str(paused.number))
    assert same.returncode == 0 and "the same: all" in same.stdout, same.stdout + same.stderr
    missing = command("-m", "search.run", "--space", tmp_path / "again.yaml", "--studies-dir", tmp_path / "studies", "--replay", "99")
    assert missing.returncode == 2 and "no such trial" in missing.stderr and "Traceback" not in missing.stderr


def _leg(task: dict[str, Any], spec: dict[str, Any], checkpoints: str, pause_at: int | None, resume: str | None, results: Any) -> None:
    """A worker of its own: trains to `pause_at`, or to the end."""
    from search.worker import Errand, Workplace, build_objective, run_trial

    objective = build_objective(Workplace("genre_models.objective:build", task, ""))
    curve: dict[int, dict[str, float]] = {}

    def ask(epoch: int, metrics: dict[str, float]) -> str:
        curve[epoch] = {name: value for name, value in metrics.items() if name != "seconds"}
        return "pause" if epoch == pause_at else "continue"

    outcome = run_trial(objective, Errand(0, spec, f"{checkpoints}/work", f"{checkpoints}/0000", resume), ask)
    results.put((curve, outcome))


@pytest.mark.slow
def test_paused_at_a_rung_and_resumed_in_another_process_the_curve_is_that_of_one_never_paused(tmp_path: Path) -> None:
    write_space(tmp_path, scheduler="none", trials=1)
    trial = search(tmp_path, "studies", "--engine", "inline")[0]
    task = _task_of(tmp_path)
    context = multiprocessing.get_context("spawn")
    legs = []
    for pause_at, resume in ((2, None), (None, str(tmp_path / "cp" / "0000" / "0002"))):
        results = context.Queue()
        process = context.Process(target=_leg, args=(task, trial.spec, str(tmp_path / "cp"), pause_at, resume, results))
        process.start()
        legs.append(results.get(timeout=100))
        process.join()
    (before, first), (after, second) = legs
    assert first["checkpoint"]["epoch"] == 2 and first["checkpoint"]["bytes"] > 0 and sorted(after) == [3, 4]
    undisturbed = {entry["epoch"]: entry for entry in trial.outcome["history"]}
    for epoch, metrics in (before | after).items():
        assert metrics == {name: undisturbed[epoch][name] for name in metrics}, f"epoch {epoch}"
    assert (second["value"], second["best_epoch"]) == (trial.value, trial.outcome["best_epoch"])


def _task_of(folder: Path) -> dict[str, Any]:
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    data = DataSettings.model_validate({"source": str(folder / "music"), "validation": {"holdout": 0.3}})
    features = {"cnn": FeatureSettings(image_size=(16, 24), segments=2)}
    opened = open_task(data, features, 0, folder / "studies" / ".cache")
    return opened.task({"metric": "val_accuracy", "direction": "maximize"}, {"gflops": None, "memory_mib": None})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_one_worker_a_whole_search_repeats_from_its_seed_on_either_engine(tmp_path: Path) -> None:
    write_space(tmp_path, scheduler="asha_promotion", trials=8)
    ray = search(tmp_path, "ray", "--workers", "1")
    inline = search(tmp_path, "inline", "--engine", "inline")
    told = [[(t.spec, t.params, t.reports, t.end, t.value) for t in trials] for trials in (ray, inline)]
    assert told[0] == told[1]
