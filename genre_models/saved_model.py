"""A saved model as its folder tells of it: what it takes, what it says, and whether its files are those that were evaluated.

Owns: finding ``pipeline.json`` and the ``metrics.json`` that belongs to it, and checking both before anything is loaded. Loads no framework.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.archives import require_sound_archive
from genre_models.durable import sha256_file
from genre_models.errors import GenreModelsError
from genre_models.memory import MIB, bounded_growth
from genre_models.own_models import is_loaded_by_family
from genre_models.pipeline_check import check_pipeline
from genre_models.sound_networks import features_with_copy

if TYPE_CHECKING:
    import numpy as np

PIPELINE, METRICS = "pipeline.json", "metrics.json"
MODEL_FILES = ("model.keras", "model.skops")
#: What loading a model may take: a file may declare, or unpack to, anything.
_GROWTH_MIB, _GROWTH_PER_MIB = 512, 6
_LARGEST_JSON = 64 * 2**20  # bytes; a history of a thousand epochs takes a few hundred kilobytes


@dataclass(frozen=True)
class SavedModel:
    """A folder with a model.

    Attributes
    ----------
    folder : Path
        Holds ``pipeline.json`` and the model's files.
    pipeline : dict
        What ``pipeline.json`` says.
    metrics : dict or None
        What the look at this model said; None where there is no such file beside the model.
    unchecked : str or None
        Why the model's files could not be compared with those that were evaluated; None where they were, and are the same.
    """

    folder: Path
    pipeline: Mapping[str, Any]
    metrics: Mapping[str, Any] | None
    unchecked: str | None

    @property
    def file(self) -> Path:
        """The model itself; of several files of a user's own family, the first by name."""
        return self.folder / _model_files(self.folder, self.pipeline)[0]

    @property
    def needs_family(self) -> bool:
        """Whether only the file of the user's own family that made it loads it."""
        return is_loaded_by_family(self.pipeline)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.pipeline["labels"])

    @property
    def input(self) -> Mapping[str, Any]:
        """How a file becomes an array: ``kind``, ``features``, ``table``, ``trunk``."""
        alone = {"kind": self.pipeline["kind"], "features": self.pipeline["features"], "table": None, "trunk": None}
        found = alone | self.pipeline.get("input", {})  # models of before other inputs do not say
        return found | {"features": features_with_copy(found["kind"], found["features"], self.folder)}

    @property
    def kind(self) -> str:
        """What it takes: "audio", "image", "table"; of audio "handcrafted", or what a network of sound makes of it, by the network's name."""
        return self.input["kind"]

    @property
    def segments(self) -> int:
        """Windows that a track is cut into."""
        return self.pipeline.get("segments", 1)

    @property
    def temperature(self) -> float | None:
        """What suited the probabilities of its trial's validation tracks; nothing is scaled by it unless that is asked for."""
        return self.pipeline.get("temperature")

    @property
    def family(self) -> str:
        return self.pipeline["spec"]["family"]

    @property
    def name(self) -> str:
        """Which model it is, in words."""
        return f"{self.family} from study {self.pipeline['study']}, trial {self.pipeline['trial']}"


def open_saved(path: str | Path) -> SavedModel:
    """Read what a saved model says of itself, and compare its files with what was evaluated.

    Parameters
    ----------
    path : str or Path
        ``studies/NAME/final``, its ``model/``, one of its ``also/FAMILY``, or a copy of any of these.

    Raises
    ------
    GenreModelsError
        It is no such folder, a file can't be read or says what can't be, or a file is not the one that was evaluated.
    """
    folder = _model_folder(Path(path).expanduser())
    pipeline = _read_json(folder / PIPELINE)
    check_pipeline(folder / PIPELINE, pipeline)
    if not _model_files(folder, pipeline):
        wanted = pipeline["code"]["model"] if is_loaded_by_family(pipeline) else MODEL_FILES
        raise GenreModelsError(f"{folder}: has a {PIPELINE}, but none of {' and '.join(wanted)}; bring the model's file back")
    metrics_path, prefix = _metrics_of(folder)
    metrics = None if metrics_path is None else _read_json(metrics_path)
    if metrics is None:
        return SavedModel(folder, pipeline, None, f"no {METRICS} lies beside the model")
    known = _recorded_hashes(metrics, prefix)
    for name, sha256 in known.items():
        _check_hash(folder / name, sha256, metrics_path)
    main = metrics if not prefix else None  # the scores of another family's best stand in a list there, without its name
    return SavedModel(folder, pipeline, main, None if known else f"{metrics_path} has no hash of it")


def load_saved(model: SavedModel) -> Callable[[np.ndarray], np.ndarray]:
    """The function from arrays to probabilities that the evaluation used; Keras is imported for networks only.

    What a user's own family saved in its way is loaded by its file, which the environment names; what that takes is not bounded.

    Raises
    ------
    GenreModelsError
        A file can't be loaded safely; or the family's file is not named, or is another.
    """
    from genre_models.final import load_predictor

    for name in (*_model_files(model.folder, model.pipeline), "trunk.keras"):
        if (model.folder / name).exists():
            require_sound_archive(model.folder / name)
    if model.file.suffix == ".keras" or (model.folder / "trunk.keras").exists():
        from genre_models.framework import prepare_backend

        prepare_backend(None)
    try:
        with nullcontext() if model.needs_family else bounded_growth(_growth_mib(model.folder)):
            predict = load_predictor(model.folder)
    except GenreModelsError:
        raise
    except Exception as error:  # Keras raises whatever the part that failed raises
        raise GenreModelsError(f"{model.file}: can't be loaded in safe mode ({first_line(error)}): bring the file back as it was saved") from error

    def checked(batch: np.ndarray) -> np.ndarray:
        try:
            p = predict(batch)
        except GenreModelsError:
            raise
        except Exception as error:
            found = f"{model.file}: does not take what {PIPELINE} says it does, arrays of shape {batch.shape[1:]} ({first_line(error)})"
            raise GenreModelsError(f"{found}: bring both files back as they were saved") from error
        _check_probabilities(model, p, len(batch))
        return p

    return checked


def _growth_mib(folder: Path) -> float:
    return _GROWTH_MIB + _GROWTH_PER_MIB * sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / MIB


def first_line(error: Exception) -> str:
    """The beginning of what an error says, or its name."""
    return (str(error).strip().splitlines() or [""])[0][:300] or type(error).__name__


def _check_probabilities(model: SavedModel, p: np.ndarray, n: int) -> None:
    import numpy as np

    if p.shape != (n, len(model.labels)) or not np.isfinite(p).all() or np.abs(p.sum(axis=1) - 1).max(initial=0) > 1e-3:
        found = f"{model.file}: one probability for each of {len(model.labels)} labels must come out, adding up to 1, but got shape {p.shape}"
        raise GenreModelsError(f"{found}: bring it and {PIPELINE} back as they were saved")


def _model_folder(path: Path) -> Path:
    if not path.exists() and path.name == "final" and path.parent.is_dir():
        name = path.parent.name
        raise GenreModelsError(f"{path}: study '{name}' has no final model yet; make one with {_final_eval(path.parent)}")
    if not path.is_dir():
        raise GenreModelsError(f"{path}: {'is a file' if path.exists() else 'no such folder'}; give a study's final/ folder, or the model/ in it")
    if (path / PIPELINE).is_file():
        return path
    if path.name == "final" and (of_look := _of_looks(path)) is not None:
        return of_look
    if (path / "model" / PIPELINE).is_file():
        return path / "model"
    if (path / "study.db").exists() or (path / "final").is_dir():
        made = f"make one with {_final_eval(path)}" if _of_looks(path / "final") is None else "give its final/"
        raise GenreModelsError(f"{path}: is a study, not a model; {made}")
    raise GenreModelsError(f"{path}: holds no {PIPELINE}; give a study's final/ folder, or the model/ in it, as scripts/final_eval.py writes them")


def _of_looks(final: Path) -> Path | None:
    """The model of the newest look that was carried to its end; where there is none, of the newest that was begun.

    Looks are counted over all studies of a split: a study's first is not always number 1, and lies in ``look-N/`` then.
    """
    numbered = {1: final} | {int(found[1]): look for look in final.glob("look-*") if (found := re.fullmatch(r"look-(\d+)", look.name))}
    made = {number: look for number, look in numbered.items() if (look / "model" / PIPELINE).is_file()}
    ended = [number for number, look in made.items() if (look / METRICS).is_file()]
    return made[max(ended or made)] / "model" if made else None


def _final_eval(study: Path) -> str:
    studies = "" if study.parent in (Path(), Path("studies"), Path.cwd() / "studies") else f" --studies-dir {shlex.quote(str(study.parent))}"
    return f"python scripts/final_eval.py --study {shlex.quote(study.name)}{studies}"


def _model_files(folder: Path, pipeline: Mapping[str, Any]) -> list[str]:
    """Files of the model itself that are there."""
    wanted = sorted(pipeline["code"]["model"]) if is_loaded_by_family(pipeline) else MODEL_FILES
    return [name for name in wanted if (folder / name).is_file()]


def _metrics_of(folder: Path) -> tuple[Path | None, str]:
    """The look that a model belongs to, and where in its folder the model lies."""
    for up, prefix in ((folder.parent, ""), (folder.parents[1] if len(folder.parents) > 1 else None, f"also/{folder.name}/")):
        if up is not None and (up / METRICS).is_file() and (prefix or folder.name == "model") and (not prefix or folder.parent.name == "also"):
            return up / METRICS, prefix
    return None, ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"has {path.stat().st_size / 2**20:.0f} MiB, far more than any such file")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("is no object")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise GenreModelsError(f"{path}: can't be read ({getattr(error, 'strerror', None) or first_line(error)}): bring it back as it was saved") from error


def _recorded_hashes(metrics: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """SHA-256 of the model's files by their names in its folder, as the look recorded them; looks of before know the winner's model alone."""
    recorded = metrics.get("files")
    if isinstance(recorded, dict):
        mine = {name.removeprefix(prefix): sha256 for name, sha256 in recorded.items() if name.startswith(prefix)}
        return {name: str(sha256) for name, sha256 in mine.items() if "/" not in name}
    name, sha256 = metrics.get("model"), metrics.get("model_sha256")
    return {name: str(sha256)} if not prefix and name in MODEL_FILES and sha256 else {}


def _check_hash(path: Path, sha256: str, metrics_path: Path) -> None:
    try:
        found = sha256_file(path)
    except OSError as error:
        raise GenreModelsError(f"{path}: can't be read ({error.strerror or error}), but {metrics_path} names it: bring it back as it was evaluated") from error
    if found != sha256:
        raise GenreModelsError(
            f"{path}: has SHA-256 {found[:12]}…, but the model that was evaluated had {sha256[:12]}… ({metrics_path}): it is another model; bring it back, or "
            f"give a folder with the model alone, which nothing is said about"
        )
