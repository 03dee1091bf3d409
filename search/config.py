"""A space file as the engine uses it: schema, validation of all at once, and the fingerprint of what makes trials comparable.

Pure but for reading the one file. Knows nothing of the task: its sections and families come as pydantic models and declarations from
the composition root. Loads nothing heavier than pydantic and PyYAML: a bad file is refused in well under a second.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from search.depot import refusal
from search.domains import plain
from search.energy_section import EnergySettings, check_energy
from search.family_section import DeclaredFamily, read_families, resolve_overrides
from search.fingerprint import family_part
from search.location import STORAGE_PATTERN, STORAGE_REMEDY
from search.peers import OURS, PEERS
from search.preference import read_preference
from search.problems import Problems, nearest, shown
from search.sampler_rules import check_combinations, check_sampler
from search.space import FamilySpace
from search.space_file import read_space_file
from search.task_section import validated

__all__ = ["Budget", "Confirm", "Objective", "Resources", "SearchConfig", "Settings", "load_space"]

#: Of a study.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")

Count = Annotated[int, Field(ge=1)]
#: Of the budget, what decides where trials are compared.
_RUNGS = {"min_epochs", "max_epochs", "reduction_factor"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Objective(_Section):
    """What is searched for."""

    metric: str = Field(default="val_accuracy", min_length=1)
    direction: Literal["maximize", "minimize"] = "maximize"


class Budget(_Section):
    """Epochs of a trial, what its rungs are counted in, and totals of the study over all its runs: trials, minutes, epochs, kWh, kg of CO2 equivalents; null is no limit.

    With `resource: seconds` the first rung of asha is at `min_seconds` of a trial's training, and the next are a factor further each, whatever number of
    epochs that is.
    """

    min_epochs: Count = 1
    max_epochs: Count = 27
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    resource: Literal["epochs", "seconds"] = "epochs"
    min_seconds: Annotated[float, Field(gt=0)] | None = None
    trials: Count | None = 60
    minutes: Annotated[float, Field(gt=0)] | None = None
    epochs: Count | None = None
    kwh: Annotated[float, Field(gt=0)] | None = None
    kg_co2: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _epochs_are_a_range(self) -> Budget:
        if self.min_epochs > self.max_epochs:
            raise ValueError(f"min_epochs <= max_epochs must hold, but got min_epochs={self.min_epochs}, max_epochs={self.max_epochs}")
        return self

    @model_validator(mode="after")
    def _seconds_have_a_first_rung(self) -> Budget:
        if self.resource == "seconds" and self.min_seconds is None:
            raise ValueError("resource: seconds needs min_seconds, the first rung: what about three epochs of a middling configuration take (--dry-run tells what one does)")
        if self.resource == "epochs" and self.min_seconds is not None:
            raise ValueError(f"min_seconds is {self.min_seconds:g}, but rungs are in epochs: add resource: seconds, or take it out")
        return self


class Share(_Section):
    """What the workers of one family need; what is left out is as for all."""

    cpus: Count | None = None
    gpus: Annotated[float, Field(ge=0)] | None = None
    custom: dict[str, Annotated[float, Field(gt=0)]] | None = None


class Resources(_Section):
    """What one trial may use: processor cores, GPUs, memory in GiB, 10^9 floating point operations of one item's forward pass.

    `checkpoints_gib` is what the checkpoints of all trials may take on disk together; a trial that runs saves its state at each rung and
    every `checkpoint_minutes`. `worker_memory_gib` bounds what a worker's process takes (None: its share of the machine): one that is over
    half of it is replaced between trials, one that is over it is ended. A worker that gives no sign of life for `first_epoch_minutes`, or later
    for the longer of `hang_minutes` and twenty times its slowest epoch, is taken for hanging. `custom` are a cluster's own resources, and
    `families` what trials of some families need instead. A node of a cluster that does not see the files that trials read gets them sent once
    (`shipping`: auto), up to `ship_gib`; with always every node does, onto a disk of its own.
    """

    cpus: Count = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    worker_memory_gib: Annotated[float, Field(gt=0)] | None = None
    checkpoints_gib: Annotated[float, Field(ge=0)] = 10
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5
    first_epoch_minutes: Annotated[float, Field(gt=0)] = 60
    hang_minutes: Annotated[float, Field(gt=0)] = 10
    custom: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    families: dict[str, Share] = Field(default_factory=dict)
    shipping: Literal["auto", "always", "never"] = "auto"
    ship_gib: Annotated[float, Field(gt=0)] = 4
    gflops: Annotated[float, Field(gt=0)] | None = None


class Confirm(_Section):
    """Score the best `top` trials again on `folds` folds of the development tracks before one of them is named the winner."""

    top: Annotated[int, Field(ge=2, le=20)] = 3
    folds: Annotated[int, Field(ge=2, le=20)] = 5


class Settings(_Section):
    """The engine's own keys of a space file.

    A new study tries the best configurations of the studies `warm_start` first, and its sampler learns from their trials.
    With `frugal` it draws several configurations for each trial, and of these a cheap one is the likelier the cheaper it is. With `try_defaults` the first
    trial of each family is what it declares as defaults, as near as the space comes to it, and ``tpe`` and ``gp`` draw some of the next ones near it.
    With `skip_unavailable` families that can't be had here (say, for lack of a file) are left out of this run instead of ending it.
    `storage` is ``env:NAME``, a PostgreSQL database whose URL that environment variable holds; without it trials are in SQLite in the study's folder.
    `artifacts` is a folder, or a URL such as ``s3://bucket/prefix``, below which what trials leave lies, and their checkpoints; without it that is the
    study's folder. `prefer` names the winner: ``best``, or ``cheapest-within X``, the cheapest of those at most X worse than the best, or with X = ties of
    those that a paired test can't tell from it; ``by COST`` after it says what is to be cheap (`search.preference`).
    """

    study: str
    objective: Objective = Objective()
    budget: Budget = Budget()
    scheduler: Literal["asha", "asha_promotion", "hyperband", "none"] = "asha"
    repeats: Annotated[int, Field(ge=1, le=20)] = 1
    confirm: Confirm | None = None
    prefer: str = "best"
    sampler: Literal["tpe", "random", "grid", "gp", "cmaes"] = "tpe"
    frugal: bool = False
    try_defaults: bool = False
    warm_start: list[str] = Field(default_factory=list)
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    engine: Literal["ray", "inline", "keras-tuner", "ray-tune", "ray-tune-reuse", "ray-tune-fit"] = "ray"
    workers: Count | None = None
    resources: Resources = Resources()
    backend: Literal["tensorflow", "torch", "jax"] = "tensorflow"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    skip_unavailable: bool = False
    storage: str | None = None
    artifacts: str | None = None
    energy: EnergySettings = EnergySettings()

    @field_validator("prefer")
    @classmethod
    def _preference_is_known(cls, prefer: str) -> str:
        read_preference(prefer)
        return prefer

    @field_validator("warm_start", mode="before")
    @classmethod
    def _one_study_may_stand_alone(cls, studies: object) -> object:
        return [studies] if isinstance(studies, str) else studies

    @field_validator("warm_start")
    @classmethod
    def _warm_starts_are_names(cls, studies: list[str]) -> list[str]:
        if bad := [name for name in studies if not _NAME.fullmatch(name)]:
            raise ValueError(f"{shown(bad[0])} can't be a study's name; write the names of studies in the same folder, as in warm_start: [NAME, NAME]")
        return studies

    @field_validator("study")
    @classmethod
    def _study_is_a_name(cls, study: str) -> str:
        if not _NAME.fullmatch(study):
            raise ValueError("must be 1 to 80 letters, digits, dots, - or _, and must not start with a dot; write study: NAME")
        if study == "best":
            raise ValueError("best is reserved: it names the study whose winner scores best; write study: NAME")
        return study


@dataclass(frozen=True)
class SearchConfig:
    """A valid space file. The engine's keys are fields here; the task's are in `sections`.

    Attributes
    ----------
    path : Path
    source_text : str
        The file as written.
    families : dict of str to FamilySpace
    sections : dict of str to pydantic model
        Task sections as given, by name.
    family_sections : dict of str to dict of str to pydantic model
        Family to the task sections that families may override, with the family's changes.
    prefer_in_file : str
        What the file says, whatever the command line laid over it.

    The other fields are those of `Settings`.
    """

    path: Path
    source_text: str
    study: str
    objective: Objective
    budget: Budget
    scheduler: str
    repeats: int
    confirm: Confirm | None
    prefer: str
    sampler: str
    frugal: bool
    try_defaults: bool
    warm_start: list[str]
    seed: int
    engine: str
    workers: int | None
    resources: Resources
    backend: str
    precision: str
    skip_unavailable: bool
    storage: str | None
    artifacts: str | None
    energy: EnergySettings
    families: dict[str, FamilySpace]
    sections: dict[str, BaseModel]
    family_sections: dict[str, dict[str, BaseModel]]
    prefer_in_file: str = "best"

    @property
    def gives_gpus(self) -> bool:
        """Whether trials may use a GPU: they are given one, or train in the driver's own process."""
        given = [self.resources.gpus, *(share.gpus or 0 for share in self.resources.families.values())]
        return any(given) or self.engine in ("inline", "keras-tuner")

    def fingerprint_parts(self) -> dict[str, Any]:
        """What must be the same for trials to be comparable, JSON-able.

        Each parameter is one line of text. Left out is what may change between runs: other budgets, seeds, workers, sampler, and which of our own engines runs the trials.
        """
        families = {
            name: family_part(space)
            | {section: model.model_dump(mode="json") for section, model in self.family_sections[name].items()}
            for name, space in self.families.items()
        }
        return {
            "families": families,
            **{name: model.model_dump(mode="json") for name, model in self.sections.items()},
            "objective": self.objective.model_dump(mode="json"),
            "budget": self.budget.model_dump(mode="json", include=_RUNGS | ({"resource", "min_seconds"} if self.budget.resource == "seconds" else set())),
            "scheduler": self.scheduler,
            "backend": self.backend,
            "precision": self.precision,
            "engine": self.engine if self.engine in PEERS else OURS,
            **({"repeats": self.repeats} if self.repeats > 1 else {}),
        }

    def fingerprint_defaults(self) -> dict[str, Any]:
        """What a study did that was made before a key, or one of its families' parameters, existed."""
        families = {name: {key: plain(value) for key, value in space.defaults.items()} for name, space in self.families.items()}
        return {"families": families, "engine": OURS, "backend": Settings.model_fields["backend"].default}


def load_space(
    path: Path,
    families: Mapping[str, DeclaredFamily],
    sections: Mapping[str, type[BaseModel]],
    overrides: Mapping[str, object] | None = None,
    *,
    per_family: Collection[str] = ("features",),
    metrics: Mapping[str, str] | None = None,
) -> SearchConfig:
    """Read and check a space file.

    Parameters
    ----------
    path : Path
    families : mapping of name to declared family
    sections : mapping of name to pydantic model
        The task's own sections.
    overrides : mapping of dotted key to value, optional
        Laid over the file, such as ``{"budget.trials": 5}``: the command line.
    per_family : collection of str
        Those of `sections` that a family may override.
    metrics : mapping of name to direction, optional
        Metrics that objectives report. Given, others are refused, and so is a direction that is not the metric's.

    Raises
    ------
    SpaceFileError
        With every problem of the file.
    """
    path, overrides = Path(path), dict(overrides or {})
    problems = Problems(path, overrides)
    text, data = read_space_file(path, problems)
    prefer_in_file = str(data.get("prefer", "best"))
    data = _laid_over(data, overrides)
    if data.get("study") is None:
        data["study"] = path.stem
    if metrics is not None:
        data["objective"] = _with_direction(data.get("objective"), metrics, problems)
    problems.unknown_keys((), data, (*Settings.model_fields, "families", *sections))

    own = {key: data[key] for key in Settings.model_fields if key in data}
    _require_variable(own, problems)
    _require_place(own, problems)
    settings = validated((), own, Settings, problems)
    models = {name: validated((name,), data.get(name), model, problems) for name, model in sections.items()}
    overridable = {name: sections[name] for name in per_family if name in sections}
    spaces = read_families(data.get("families"), families, tuple(overridable), problems)
    named = data.get("families") if isinstance(data.get("families"), dict) else {}
    check_sampler(data.get("sampler"), [name for name in named if name in families], spaces, problems)
    sound = {name: data.get(name) or {} for name in overridable if models[name] is not None}
    family_sections = resolve_overrides(data.get("families"), tuple(families), sound, overridable, problems)
    if settings is not None:
        check_energy(settings.energy, settings.budget.kwh, settings.budget.kg_co2, problems)
        wanted = {"frugal": settings.frugal, "try_defaults": settings.try_defaults}
        check_combinations(settings.sampler, wanted, settings.scheduler, settings.budget.resource, problems)
    for name in sorted(set() if settings is None else settings.resources.families):
        if name not in named:
            problems.add(("resources", "families", name), "no such family in this file", nearest(name, tuple(named)))
    problems.raise_if_any()
    fields = {name: getattr(settings, name) for name in Settings.model_fields}
    return SearchConfig(path=path, source_text=text, families=spaces, sections=models, family_sections=family_sections, prefer_in_file=prefer_in_file, **fields)


def _require_variable(own: dict[str, Any], problems: Problems) -> None:
    """Note a `storage` that is not the name of a variable, without showing it: it may hold a password."""
    storage = own.get("storage")
    if storage is not None and not (isinstance(storage, str) and STORAGE_PATTERN.fullmatch(storage)):
        own.pop("storage")
        problems.add(("storage",), "found something else (not shown, it may hold a password)", "must be env:NAME", STORAGE_REMEDY)


def _require_place(own: dict[str, Any], problems: Problems) -> None:
    """Note `artifacts` that can be neither a folder nor a URL to write to; shown where there can be no password in it."""
    artifacts = own.get("artifacts")
    if isinstance(artifacts, str) and (why := refusal(artifacts)) is not None:
        own.pop("artifacts")
        hidden = re.search("[@?#]", artifacts) is not None
        problems.add(("artifacts",), "found something else (not shown, it may hold a password)" if hidden else f"found {shown(artifacts)}", why)


def _with_direction(objective: object, metrics: Mapping[str, str], problems: Problems) -> object:
    """The objective section with the metric's own direction where the file gives none; problems are added."""
    if not isinstance(objective, dict | None):
        return objective  # the schema says what is wrong with it
    given = objective or {}
    metric = given.get("metric", Objective().metric)
    if not isinstance(metric, str):
        return objective
    if metric not in metrics:
        problems.add(("objective", "metric"), f"found {shown(metric)}", nearest(metric, tuple(metrics)))
    elif given.get("direction", metrics[metric]) != metrics[metric] and given["direction"] in ("maximize", "minimize"):
        problems.add(("objective", "direction"), f"found {shown(given['direction'])}", f"{metric} is to {metrics[metric]}")
    return {"direction": metrics.get(metric, "maximize"), **given}


def _laid_over(data: Mapping[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    """A copy of the file's data with the overrides in it."""
    merged = dict(data)
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        place = merged
        for parent in parents:
            inside = place.get(parent)
            if not isinstance(inside, dict | None):
                break  # the schema says that a mapping should be here
            place[parent] = dict(inside or {})
            place = place[parent]
        else:
            place[last] = value
    return merged
