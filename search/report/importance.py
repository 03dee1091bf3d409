"""Which settings decide whether a trial is among the best, by Optuna's PED-ANOVA, family by family."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.levelling import levelled
from search.report.curves import shown_trials
from search.study_view import StudyView
from search.trial import Trial

#: With fewer trials of a family the best tenth of them is two or three, and says nothing.
LEAST_TRIALS = 20
_BARS, _SLICES = 12, 6


def importances(view: StudyView) -> list[dict[str, Any]]:
    """Importance of each searched parameter, and the parameters' values against scores.

    Scores are levelled to the full budget (`search.levelling`), so that stopped trials, which are most, say something too.

    Returns
    -------
    list of dict
        A family each that has enough trials: ``family``, ``trials``, ``bars`` ``[[name, share], …]``, the most important first, and ``slices``, of the most important ones
        ``{"name", "log", "choices" (or None), "points": [[trial's number, value], …]}``.

    Source
    ------
    Watanabe, Bansal, Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces", IJCAI 2023, arXiv:2304.10255; for parameters with conditions as Optuna
    extends it, arXiv:2601.20800.
    """
    trials = [trial for trial in shown_trials(view) if trial.state in ("COMPLETE", "PRUNED")]
    level, found = levelled(trials, view.maximize), []
    for family in dict.fromkeys(trial.family for trial in trials):
        own = [trial for trial in trials if trial.family == family]
        if len(own) >= LEAST_TRIALS:
            shares = _shares(own, level, view.distributions, view.maximize)
            if shares:
                slices = [_slice(own, name, view.distributions[name]) for name in list(shares)[:_SLICES]]
                bars = [[name.rpartition("/")[2], round(share, 4)] for name, share in list(shares.items())[:_BARS]]
                found.append({"family": family, "trials": len(own), "bars": bars, "slices": slices})
    return found


def _shares(trials: list[Trial], level: Mapping[int, float], distributions: Mapping[str, BaseDistribution], maximize: bool) -> dict[str, float]:
    """Parameter, by its name in the study, to its share of the importance of all; the most important first."""
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    for trial in trials:
        known = {name: value for name, value in trial.params.items() if name != "family" and name in distributions}
        try:
            study.add_trial(optuna.trial.create_trial(params=known, distributions={name: distributions[name] for name in known}, value=level[trial.number]))
        except ValueError:
            continue  # a value that its parameter can't take any more, after the program's declarations changed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of conditions under which a parameter was hardly tried: its share is then small
        found = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    return {name: share for name, share in found.items() if share > 0}


def _slice(trials: list[Trial], name: str, distribution: BaseDistribution) -> dict[str, Any]:
    is_choice = isinstance(distribution, CategoricalDistribution)
    points = [[trial.number, str(trial.params[name]) if is_choice else float(f"{trial.params[name]:.4g}")] for trial in trials if name in trial.params]
    choices = [str(choice) for choice in distribution.choices] if is_choice else None
    return {"name": name.rpartition("/")[2], "log": bool(getattr(distribution, "log", False)), "choices": choices, "points": points}
