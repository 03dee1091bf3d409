"""What the items of a trial are: which files become which arrays, through which pretrained network, and where those are kept.

An `Input` follows from a family's declaration, its parameters and its feature settings; every reader of items goes through it: the driver, which
makes them before a search; workers; the final evaluation. Importing this module loads no framework.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from genre_models.errors import ConfigurationRefused, GenreModelsError
from genre_models.families import FAMILIES
from genre_models.features import feature_key, feature_shape
from genre_models.framework import DEFAULT_BACKEND, backend_of
from genre_models.settings import FeatureSettings

if TYPE_CHECKING:
    from genre_models.training_data import DevelopmentData

MOST_STORES = 4  # held by a worker at once: each may hold `genre_models.training_data.HELD_BYTES`
MOST_MASKS = 4  # settings of masks whose copies are made before a search
COPY_PARAMETERS = ("copy_frequency_mask", "copy_time_mask", "copy_masks", "copy_fill")
_DECIDING = ("input", "cut", "channels", "pooling", "copies", *COPY_PARAMETERS)  # parameters that items follow from


@dataclass(frozen=True)
class Input:
    """Items of one kind.

    Attributes
    ----------
    kind : {"audio", "image", "handcrafted", "table", "vggish", "yamnet"}
        How a file becomes an array: a log-mel spectrogram, pixels, the 518 features of its sound, its rows in a table, what a network makes of its sound.
    features : dict
        The family's resolved feature settings.
    trunk : dict or None
        Trunk settings (`genre_models.trunks`), where the array then goes through a pretrained network.
    as_vector : bool
        Whether the family takes vectors: a network's map is then laid out as one.
    """

    kind: str
    features: dict[str, Any]
    trunk: dict[str, Any] | None = None
    as_vector: bool = False

    @property
    def trunk_key(self) -> str:
        """Which network with which weights at which side."""
        return "|".join(str(self.trunk[name]) for name in ("trunk", "weights", "side"))


def input_of(family: str, params: Mapping[str, Any], features: Mapping[str, Any], kind: str) -> Input:
    """What a family with these parameters trains on.

    Parameters
    ----------
    family : str
    params : mapping
        Every declared parameter, or at least those that decide.
    features : mapping
        The family's resolved feature settings.
    kind : {"audio", "image", "table"}
        Of the corpus.

    Raises
    ------
    ConfigurationRefused
        Parameter `input` names nothing that can be had.
    """
    inputs = FAMILIES[family].inputs if family in FAMILIES else "spectrogram"
    if inputs == "spectrogram":
        return Input(kind, dict(features))
    from genre_models.sound_networks import NETWORKS
    from genre_models.trunks.registry import TRUNKS

    if inputs == "trunk":
        return Input(kind, dict(features), _trunk_settings(family, params["cut"], params, features))
    wanted = params["input"]
    if wanted in ("handcrafted", "table", *NETWORKS):
        return Input(wanted, dict(features), as_vector=True)
    trunk, slash, cut = wanted.partition("/")
    if not slash or not cut or trunk not in TRUNKS:
        known = ", ".join(f"{name}/{known.cuts[0]}" for name, known in TRUNKS.items())
        raise ConfigurationRefused(f"families.{family}.input: found {wanted!r}; it must be handcrafted, table, {', '.join(NETWORKS)}, or NETWORK/LAYER such as {known}")
    return Input(kind, dict(features), _trunk_settings(trunk, cut, params, features), as_vector=True)


def _trunk_settings(trunk: str, cut: str, params: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    weights = FeatureSettings.model_validate({"weights": features.get("weights", "imagenet")}).weights_of(trunk)
    settings = {"trunk": trunk, "weights": weights, "sha256": None, "side": features.get("trunk_side", 224), "cut": cut}
    settings |= {name: params[name] for name in ("channels", "pooling")}
    return settings | {name: params[name] for name in COPY_PARAMETERS if name in params}


def possible_inputs(family: str, values: Mapping[str, Sequence[Any]], features: Mapping[str, Any], kind: str) -> Iterator[tuple[Input, int]]:
    """Every input that a space may ask for, with the largest number of copies of it.

    Copies are left out where their masks may have more than a few settings: each is a pass of its own through the network, and is made by the
    first trial that asks for it.

    Parameters
    ----------
    family : str
    values : mapping of str to sequence
        Of each declared parameter all values that it may take; of a range of floats the ends.
    features : mapping
    kind : str

    Raises
    ------
    ConfigurationRefused
        See `input_of`.
    """
    names = [name for name in _DECIDING if name in values and name != "copies"]
    copies = max(values.get("copies", (0,)))
    masks = [name for name in COPY_PARAMETERS if name in names]
    if math.prod(len(values[name]) for name in masks) > MOST_MASKS:
        copies = 0
    # Without copies masks have no effect, and the first will do.
    for chosen in product(*(values[name] if copies or name not in masks else values[name][:1] for name in names)):
        yield input_of(family, dict(zip(names, chosen, strict=True)), features, kind), int(copies)


def trial_input(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Input:
    """What a trial trains on; files are where the task says, wherever they lay when the trial began, and their weights' hash is filled in."""
    features = spec["features"] | task.get("files", {}).get(spec["family"], {})
    found = input_of(spec["family"], spec["params"], features, task["kind"])
    if found.trunk is None or "trunks" not in task:
        return found
    facts = task["trunks"].get(found.trunk_key, {})
    return replace(found, trunk=found.trunk | {"sha256": facts.get("sha256")})


def trunk_facts(found: Input, task: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the task knows of the input's pretrained network; None where there is none.

    Raises
    ------
    ConfigurationRefused
        It has no such layer, or its weights do not reach it.
    """
    if found.trunk is None:
        return None
    facts = task.get("trunks", {}).get(found.trunk_key)
    if facts is None:
        raise GenreModelsError(f"{found.trunk['trunk']}: the task does not describe this network with {found.trunk['weights']} weights")
    if found.trunk["cut"] not in facts["layers"]:
        raise ConfigurationRefused(f"cut: {found.trunk['trunk']} has no layer {found.trunk['cut']!r} within its weights")
    return facts


def item_shape(found: Input, task: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of one item as the family gets it: (height, width, channels), or (numbers,) of a vector."""
    if found.kind == "table":
        return (int(table_facts(found, task)["n_features"]),)
    if found.trunk is None:
        return feature_shape(found.kind, found.features)
    shape = tuple(int(side) for side in trunk_facts(found, task)["layers"][found.trunk["cut"]]["shape"])
    if found.trunk["pooling"] != "flat":
        return shape[-1:]
    return (math.prod(shape),) if found.as_vector else shape


def table_facts(found: Input, task: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the task knows of the input's table."""
    try:
        return task["tables"][found.features["table"]]
    except KeyError as error:
        raise GenreModelsError(f"features.table: the task does not describe {found.features.get('table')}") from error


def describe_input(spec: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """An input in plain values, for the file beside a saved model: how files become what the model takes."""
    found = trial_input(spec, task)
    table = None
    if found.kind == "table":
        table = {"path": found.features["table"], **{key: table_facts(found, task)[key] for key in ("sha256", "columns")}}
    return {"kind": found.kind, "features": found.features, "table": table, "trunk": found.trunk}


def development_data(
    spec: Mapping[str, Any], task: Mapping[str, Any], tracks: Sequence[Mapping[str, Any]], stores: dict[str, Any] | None = None
) -> DevelopmentData:
    """Development tracks as a family's `fit` takes them.

    Parameters
    ----------
    spec, task : mapping
        As in docs/design.md, sections 4 and 5.
    tracks : sequence of mapping
        Those of the task, each with the ``part`` it has in this training.
    stores : dict, optional
        Kept by the caller between calls with the same task: what one trial has opened serves the next.
    """
    from genre_models.segments import segment_count
    from genre_models.source_data import SourceData
    from genre_models.training_data import DevelopmentData

    stores = {} if stores is None else stores
    found = trial_input(spec, task)
    metric = task["objective"]["metric"]
    if found.trunk is None and not found.as_vector:
        return DevelopmentData(_held(found, task, stores), task["labels"], tracks, metric, segment_count(spec))
    return SourceData(found, task, tracks, lambda other: _held(other, task, stores), spec["params"].get("copies", 0))


def _held(found: Input, task: Mapping[str, Any], stores: dict[str, Any]) -> Any:
    """The store of an input, opened and read once, however trials deal and cut the tracks; the last few are held."""
    from genre_models.training_data import MemoryStore

    key = source_key(found, task)
    if key not in stores:
        store = open_store(found, task)
        ids = [track["id"] for track in task["tracks"]]
        stores[key] = MemoryStore(store, store.items_of(ids)[0] if hasattr(store, "items_of") else ids)
    stores[key] = stores.pop(key)  # the newest last
    for oldest in list(stores)[:-MOST_STORES]:
        del stores[oldest]
    return stores[key]


def open_store(found: Input, task: Mapping[str, Any]) -> Any:
    """The store of an input, as `trial_input` gives it; nothing is read yet but a table's list of items."""
    from genre_models.features.store import FeatureStore

    if found.kind == "table":
        from genre_models.features.table_store import TableStore

        return TableStore(task["cache_dir"], table_facts(found, task), task["tracks"])
    base = FeatureStore(task["cache_dir"], found.kind, found.features, task["tracks"])
    if found.trunk is None:
        return base
    from genre_models.features.trunk_store import TrunkStore

    facts = trunk_facts(found, task)
    return TrunkStore(base, task["tracks"], task["cache_dir"], at_hand(found.trunk, task), feature_key(found.kind, found.features), facts)


def at_hand(trunk: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Trunk settings with the file of weights where it lies on this machine; everywhere else it goes by the path that the space file gave."""
    return {**trunk, "weights": task.get("places", {}).get(trunk["weights"], trunk["weights"]), **backend_named(task)}


def backend_named(task: Mapping[str, Any]) -> dict[str, str]:
    """``{"backend": …}`` where networks run on another backend than TensorFlow: what they give there is kept under another name."""
    backend = backend_of(task)
    return {} if backend == DEFAULT_BACKEND else {"backend": backend}


def source_key(found: Input, task: Mapping[str, Any]) -> str:
    """Name of an input's items: 16 hex digits over everything that their numbers follow from."""
    named: list[Any] = [found.kind]
    named += [table_facts(found, task)["key"]] if found.kind == "table" else [feature_key(found.kind, found.features)]
    if found.trunk is not None:
        trunk = {key: value for key, value in found.trunk.items() if key != "weights" or found.trunk["sha256"] is None}
        named.append(trunk | backend_named(task))
    return hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=8).hexdigest()
