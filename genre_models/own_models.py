"""Models that their family's own file saves and loads: what ``pipeline.json`` says of them, and how they come back.

A model's folder holds files and no code. What loads them is the function `load` of a family's file that the environment names (`families.own`), and only where that
file has the SHA-256 that ``pipeline.json`` tells; nothing in the folder is run. Loads no framework itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from genre_models.durable import sha256_file
from genre_models.errors import GenreModelsError
from genre_models.families.own import loader_of, own_code, own_file, own_loader
from genre_models.own_loop import Predict, track_probabilities
from genre_models.sound_networks import NETWORKS

#: Names in a model's folder that have a meaning to the program.
_TAKEN = ("pipeline.json", "model.keras", "model.skops", "model.json", "trunk.keras")
TRUNK = "trunk.keras"
_TRACKS, _MOST_DIFFERENCE = 32, 5e-3  # of the check that a model comes back as it was; on a GPU sums are rounded otherwise
_CHECKED: set[str] = set()  # SHA-256 of the files whose families were found, in this process, to save and load


def is_own_file(name: str) -> bool:
    """Whether a file of that name in a model's folder is one of the family's own."""
    return "/" not in name and name not in _TAKEN and Path(name).stem not in NETWORKS


def describe_code(family: str, folder: Path) -> dict[str, Any] | None:
    """What ``pipeline.json`` says of the code behind a model that was just saved; None of a family that comes with the program.

    Returns
    -------
    dict or None
        ``file`` (its name) and ``sha256``; ``model``, the SHA-256 of each file that `load` reads, by name, or None where the program itself loads the model.

    Raises
    ------
    GenreModelsError
        The family has `load`, and saved nothing, or something under a name that is not its own.
    """
    path = own_file(family)
    if path is None:
        return None
    files = None if own_loader(family) is None else {each.name: sha256_file(each) for each in _saved(family, folder)}
    return {"file": Path(path).name, "sha256": own_code(family), "model": files}


def _saved(family: str, folder: Path) -> list[Path]:
    found = sorted(folder.iterdir())
    wrong = [each.name for each in found if not each.is_file() or not is_own_file(each.name)]
    if wrong or not found:
        names = ", ".join((*_TAKEN, *NETWORKS))
        told = f"save wrote {wrong[0]}" if wrong else "save wrote no file"
        raise GenreModelsError(f"family '{family}': {told}: it must write one file or more, directly into the folder it is given, under names other than {names}")
    return found


def add_trunk(code: Mapping[str, Any] | None, data: Any, folder: Path) -> None:
    """Where vectors come from a pretrained network, put that beside a model that its family loads: the folder is then a whole pipeline."""
    if code is None or code["model"] is None or getattr(data, "trunk", None) is None:
        return
    from genre_models.families.feedforward_network import vector_trunk

    vector_trunk(data.trunk).save(folder / TRUNK)


def is_loaded_by_family(pipeline: Mapping[str, Any]) -> bool:
    """Whether the family's own file is needed to load a model."""
    return (pipeline.get("code") or {}).get("model") is not None


def load_own(folder: Path, pipeline: Mapping[str, Any]) -> Predict:
    """The function from features to probabilities that the family's `load` makes of a folder; its files are compared with their hashes first.

    Raises
    ------
    GenreModelsError
        The environment does not name the file that made the model; a file is missing or another; `load` fails.
    """
    family, code = pipeline["spec"]["family"], pipeline["code"]
    load = loader_of(family, code)
    for name, sha256 in code["model"].items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            found = "has changed" if path.is_file() else "is missing"
            raise GenreModelsError(f"{path}: {found} since the model was saved (SHA-256 {sha256[:12]}…): bring the file back as it was saved")
    return _loaded(family, load, folder)


def _loaded(family: str, load: Callable[[Path], Any], folder: Path) -> Predict:
    try:
        predict = load(folder)
    except GenreModelsError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise GenreModelsError(f"{folder}: load of family '{family}' fails ({type(error).__name__}: {' '.join(str(error).split())[:300]})") from error
    if not callable(predict):
        raise GenreModelsError(f"{folder}: load of family '{family}' must give a function from features to probabilities, but gave {type(predict).__name__}")
    return lambda batch: np.asarray(predict(batch), dtype=np.float32)


def checked(family: str, fit: Callable[..., Any]) -> Callable[..., Any]:
    """`fit`; of a family that loads its own models, with the first one saved, loaded and compared, so that it does not turn out after the search that it can't be.

    Parameters
    ----------
    family : str
    fit : callable
        ``fit(data, **given) -> Fitted``.
    """
    load = own_loader(family)
    return fit if load is None or own_code(family) in _CHECKED else partial(_fit_and_check, family, load, fit)


def _fit_and_check(family: str, load: Callable[[Path], Any], fit: Callable[..., Any], data: Any, **given: Any) -> Any:
    fitted, ids = fit(data, **given), data.validation_ids[:_TRACKS]
    with TemporaryDirectory() as name:
        folder = Path(name)
        fitted.save(folder)
        _saved(family, folder)
        said, expected = track_probabilities(_loaded(family, load, folder), data, ids), fitted.predict(ids)
    if said.shape != expected.shape or not np.abs(said - expected).max(initial=0) <= _MOST_DIFFERENCE:
        raise GenreModelsError(f"family '{family}': what load makes of the files of save says something else than the trained model: both must be of the best epoch's weights")
    _CHECKED.add(own_code(family))
    return fitted
