"""A study that is finished before it began: real storage, a real corpus of tiny pictures, scripted trials."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = [16, 24]  # height, width in pixels
LABELS = ("blues", "metal", "pop")


def make_corpus(folder: Path, per_class: int = 10, seed: int = 0) -> Path:
    """Pictures of noise around a grey that differs by class: mostly told apart, not always."""
    rng = np.random.default_rng(seed)
    for number, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.normal(90 + 40 * number + rng.normal(0, 20), 30, SIZE).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{label}.{i:05d}.png")
    return folder


def make_spec(family: str = "fake", params: dict | None = None, seed: int = 7, epochs: int = 3) -> dict:
    """A trial's specification (docs/design.md, section 4)."""
    from genre_models.settings import FeatureSettings

    features = FeatureSettings(image_size=SIZE).model_dump(mode="json")
    return {"family": family, "params": params or {}, "features": features, "epochs": epochs, "seed": seed, "precision": "float32", "retry_of": None}


def make_study(
    studies_dir: Path,
    name: str,
    corpus: Path,
    values=(0.4, 0.7, 0.6),
    spec: dict | None = None,
    facts: dict | None = None,
    confirmed: dict[int, float] | None = None,
    metric: str = "val_accuracy",
    families: tuple[str, ...] = (),
    **data,
) -> None:
    """A study with one full trial for each of `values`, the second epoch being the best of each; `facts` are added to their outcomes.

    `confirmed` has the value that a trial, by its number, came to on 5 folds; `families` that of each trial, where they differ.
    """
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings
    from search.location import locate
    from search.study import StudyOwner
    from search.trial import End

    spec = spec or make_spec()
    settings = DataSettings(source=list(map(str, corpus)) if isinstance(corpus, list) else str(corpus), **data)
    task = open_task(settings, {spec["family"]: FeatureSettings.model_validate(spec["features"])}, 0, studies_dir / ".cache", workers=1)
    task.prepare_features(workers=1)
    (studies_dir / name).mkdir(parents=True)
    owner = StudyOwner(locate(studies_dir, name), maximize=metric == "val_accuracy", fingerprint={"objective": {"metric": metric}})
    for number, value in enumerate(values):
        family = families[number] if families else spec["family"]
        trial = owner.start(spec | {"seed": spec["seed"] + number, "family": family}, {})
        history = [
            {"epoch": e, "loss": 1 / e, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": value - 0.1 * abs(e - 2), "learning_rate": 1e-3 / e}
            for e in range(1, spec["epochs"] + 1)
        ]
        outcome = {"value": value, "best_epoch": 2, "epochs": spec["epochs"], "stopped_early": False, "history": history} | (facts or {})
        if family == "fitted":
            outcome |= {"best_epoch": 1, "history": [history[1] | {"epoch": spec["epochs"], "learning_rate": 0.0}]}
        owner.finish(trial.number, End.FULL, value=value, outcome=outcome)
    if confirmed:
        owner.note_confirmation({"top": len(confirmed), "folds": 5})
    for number, value in (confirmed or {}).items():
        trial = owner.start(owner.trials[number].spec | {"folds": 5, "repeats": 1, "confirms": number}, {})
        owner.finish(trial.number, End.FULL, value=value, outcome={"value": value, "val_accuracy": value, "parts": 5, "parts_wanted": 5})
    owner.close()
    run = {
        "data": settings.model_dump(mode="json"),
        "source": task.corpus.source,
        "features": task.features,
        "seed": 0,
        "kind": task.corpus.kind,
        "demo": task.corpus.demo,
        "labels": list(task.split.labels),
        "corpus_fingerprint": task.scan.fingerprint,
        "split_id": task.split.split_id,
        "tracks": {"train": len(task.split.train), "validation": len(task.split.validation), "held_out": len(task.split.test)},
        "limits": {"gflops": None, "memory_mib": None},
    }
    (studies_dir / name / "run.json").write_text(json.dumps(run))
