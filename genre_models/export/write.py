"""The whole way from a saved model's folder to a file of another runtime that was shown to say the same."""

from __future__ import annotations

import importlib.util
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.durable import fsync_tree, write_text
from genre_models.errors import GenreModelsError
from genre_models.export import INPUT, LARGEST_DIFFERENCE
from genre_models.export.description import as_text, describe
from genre_models.export.usage import usage_text
from genre_models.framework import hushed

if TYPE_CHECKING:
    from genre_models.saved_model import SavedModel

NAMES = {"onnx": "model.onnx", "tflite": "model.tflite", "saved_model": "saved_model"}
_BATCH = 16


class TooDifferent(GenreModelsError):
    """The exported model does not say what the original says; nothing was written."""

    exit_code = 1


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    path : Path
        The file, or the folder of a SavedModel.
    usage : Path
        A program beside it that runs it on a file.
    n_bytes : int
    difference : float
        The largest of any probability to the original's.
    same_class : int
        Of how many items the most probable class is the same.
    n_items : int
    compared_on : str
        What these were, in words.
    """

    path: Path
    usage: Path
    n_bytes: int
    difference: float
    same_class: int
    n_items: int
    compared_on: str


def export_model(model: SavedModel, to: str, folder: Path, check: Sequence[str] = ()) -> Exported:
    """Convert, compare, and only then give the result its name.

    Parameters
    ----------
    model : SavedModel
    to : {"onnx", "tflite", "saved_model"}
    folder : Path
        Made where it is missing; an earlier export of the same kind in it is replaced.
    check : sequence of str
        Files to compare on; without any, what `genre_models.export.probes` finds.

    Raises
    ------
    TooDifferent
        A probability differs by more than `LARGEST_DIFFERENCE`.
    GenreModelsError
        A package is missing, the model has no such form, or the place holds something else.
    """
    from genre_models.export.probes import probe_items
    from genre_models.export.runtimes import open_exported
    from genre_models.saved_model import load_saved

    _require(to, model)
    target = folder / NAMES[to]
    _require_free(target, to)
    predict = load_saved(model)
    description = describe(model)
    items, compared_on = probe_items(model, check)
    partial = folder / f".{target.stem}.partial{target.suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _remove(partial)
        with hushed_errors():
            _convert(model, to, partial, description)
            found = _in_batches(open_exported(partial, to), items)
        expected = _in_batches(predict, items)
        difference = float(np.abs(found - expected).max())
        if not difference <= LARGEST_DIFFERENCE:  # NaN too
            raise TooDifferent(
                f"the exported model differs from the original by {difference:.2g} in a probability ({compared_on}), where at most {LARGEST_DIFFERENCE:g} is allowed: "
                f"nothing was written; take another form, or report this with {model.folder / 'pipeline.json'}"
            )
        if target.is_dir():
            shutil.rmtree(target)
        partial.replace(target)
    finally:
        _remove(partial)
    usage = folder / f"run_{to}.py"
    write_text(usage, usage_text(description, to, target.name))
    write_text(folder / "description.json", as_text(description))
    fsync_tree(folder)
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    return Exported(target, usage, _size(target), difference, same, len(items), compared_on)


@contextmanager
def hushed_errors() -> Iterator[None]:
    """What converters and runtimes print, in Python and C++, is kept: an error that they raise has its own words."""
    with warnings.catch_warnings(), hushed():
        warnings.simplefilter("ignore")
        yield


def _require(to: str, model: SavedModel) -> None:
    """Refuse before anything heavy is loaded."""
    if model.needs_family:
        raise GenreModelsError(f"--to {to}: {model.name} is loaded by its family's own file, {model.pipeline['code']['file']}, and has no form for other runtimes: export it by that code")
    is_network = model.file.suffix == ".keras"
    if not is_network and to != "onnx":
        raise GenreModelsError(f"--to {to}: {model.name} is a classifier of scikit-learn, which has this form in no runtime: take --to onnx")
    needed = ["onnx", "onnxruntime"] if to == "onnx" else []
    needed += ["tf2onnx"] if to == "onnx" and (is_network or (model.folder / "trunk.keras").exists()) else []
    needed += ["skl2onnx"] if not is_network else []
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise GenreModelsError(f"--to {to} needs {', '.join(missing)}, not installed here: pip install -c constraints.txt -e '.[export]'")


def _require_free(target: Path, to: str) -> None:
    is_ours = (target / "saved_model.pb").is_file() if to == "saved_model" else target.is_file()
    if target.exists() and not is_ours:
        raise GenreModelsError(f"{target}: is there already, and is no earlier export; give another folder with --output")


def _convert(model: SavedModel, to: str, path: Path, description: dict[str, Any]) -> None:
    from genre_models.export import networks

    if to == "onnx":
        _write_onnx(model, path, description)
        return
    network = networks.load_network(model.file)
    (networks.to_tflite if to == "tflite" else networks.to_saved_model)(network, path, description)


def _write_onnx(model: SavedModel, path: Path, description: dict[str, Any]) -> None:
    import onnx
    from onnx import helper

    from genre_models.export import networks

    network_file = model.file if model.file.suffix == ".keras" else model.folder / "trunk.keras"
    made = networks.to_onnx(networks.load_network(network_file), path) if network_file.exists() else None
    if model.file.suffix == ".skops":
        from genre_models.export import classifiers
        from genre_models.sklearn_model import load_vectors_predictor

        classifier = classifiers.to_onnx(load_vectors_predictor(model.folder))
        made = classifier if made is None else classifiers.behind(made, classifier)
    made.doc_string = f"{model.name}; input {INPUT}: {description['input']['values']}"
    helper.set_model_props(made, {"description": as_text(description), "labels": "\n".join(description["labels"])})
    onnx.save(made, path)


def _in_batches(run: Any, items: np.ndarray) -> np.ndarray:
    return np.concatenate([run(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH)])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
