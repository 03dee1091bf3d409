"""The rows of the FMA slides. No FMA corpus is needed: their presets run on the embedded one for function, and what can be compared without it is compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.replication import plan
from scripts.replication.boxes import CUT, DONE, ending_of
from scripts.replication.costs import FEEDFORWARD, NETWORKS
from scripts.replication.results import Outcome, Row
from scripts.replication.trainings import view_of
from scripts.replication.verdicts import CANNOT_TELL, all_of, claimed, is_exactly
from search.schedule import brackets

_N, _N_TRANSFER = 800, 1596
_ACCURACIES = (
    ("F05", "f03-feedforward-sizes", "dense 512-256 on 518 features, 0.495", 0.495, _N),
    ("F13", "f13-kostrzewa", "Kostrzewa CNN, 0.3975 (its paper: 0.5163)", 0.3975, _N),
    ("F14", "f14-hyperband", "Hyperband's space", None, None),
    ("F15", "f15-tuned-cnn", "tuned CNN, 0.3900", 0.39, _N),
    ("F17", "f17-kostrzewa-copies", "F13 on masked copies, 0.3225", 0.3225, _N),
    ("F18", "f18-tuned-copies", "tuned on masked copies, 0.3787", 0.37875, _N),
    ("F22", "f20-vgg16-fc2", "VGG16 fc2, RBF SVM, 0.4617", 0.4617, _N_TRANSFER),
    ("F23–F26", "f23-cuts", "four cuts, three classifiers, 0.4104 to 0.5012", 0.5012, _N_TRANSFER),
    ("F27", "f27-vgg16-rbf", "VGG16 block5_pool, RBF SVM, 0.4968", 0.4968, _N_TRANSFER),
    ("F28", "f28-resnet50-rbf", "ResNet50 conv5_block1_2_relu, RBF SVM, 0.5012", 0.5012, _N_TRANSFER),
)


def fma(studies_dir: Path) -> list[Row]:
    """Whether each preset runs, beside the score that was claimed on another corpus."""
    rows = []
    for name, preset, claim, value, n in _ACCURACIES:
        its = "" if value is None else str(claimed(value, n))
        rows.append(Row(name, claim, its, preset, [_ran(studies_dir, preset)]))
    return rows


def _ran(studies_dir: Path, preset: str) -> Outcome:
    run = plan.fma_run(preset)
    ended, view = ending_of(studies_dir, run), view_of(studies_dir, run)
    if ended is None or view is None:
        return Outcome("demo corpus", "" if ended is None else ended.why, "", "not run")
    if ended.how == CUT:
        tried = [trial for trial in view.trials if trial.reports]
        return Outcome("demo corpus", f"runs: cut by the box after {sum(len(t.reports) for t in tried)} epochs of {len(tried)} configurations", "no FMA corpus here", CANNOT_TELL)
    if ended.how != DONE:
        return Outcome("demo corpus", f"{ended.how} {ended.why}".strip(), "", CANNOT_TELL)
    full = sum(trial.is_full for trial in view.trials)
    return Outcome("demo corpus", f"runs: {full} configuration{'s' if full > 1 else ''} trained in {ended.seconds:.0f} s", "no FMA corpus here", CANNOT_TELL)


def counts(costs: Mapping[str, Any]) -> list[Row]:
    """Claims that no corpus is needed for: numbers of parameters, features, configurations, epochs."""
    rows = []
    if costs:
        sizes = [(units, costs[f"feedforward {units}"]["parameters"], claim) for units, claim in FEEDFORWARD.items()]
        told = ", ".join(f"{units}: {ours:,}" for units, ours, _ in sizes)
        rows.append(Row("F04–F12", "parameters of nine dense networks", ", ".join(f"{claim:,}" for _, _, claim in sizes), "f03-feedforward-sizes", [Outcome("–", told, "", all_of([is_exactly(ours, claim) for _, ours, claim in sizes]))]))
        for name, network in NETWORKS.items():
            ours, claim = costs[name]["parameters"], network.parameters
            rows.append(Row(network.row, f"parameters of {name}", f"{claim:,}", network.preset, [Outcome("–", f"{ours:,}", f"{ours - claim:+,}", is_exactly(ours, claim))]))
        rows.append(Row("F02", "518 features of 74 dimensions", "518", "f03-feedforward-sizes", [Outcome("–", str(costs["features"]), "", is_exactly(costs["features"], 518))]))
    return [*rows, *_hyperband()]


def _hyperband() -> list[Row]:
    rows = []
    for most, configurations, epochs in ((27, 49, 423), (81, 143, 1902)):
        plans = brackets(1, most, 3)
        ours, units = sum(each.configurations for each in plans), sum(size * level for each in plans for size, level in zip(each.sizes, each.levels, strict=True))
        resumed = sum(each.epochs for each in plans)
        told = f"{ours} in {units:,}; {resumed:,} where a trial that goes on does not start again"
        rows.append(Row("F30", f"Hyperband at R = {most}: configurations in epochs", f"{configurations} in {epochs:,}", "f14-hyperband", [Outcome("–", told, "", all_of([is_exactly(ours, configurations), is_exactly(units, epochs)]))]))
    return rows


def cost_table(costs: Mapping[str, Any]) -> str:
    """Parameters, operations and latency of each network, beside what was claimed."""
    lines = ["| row | network | parameters | GFLOP an item | ms an item, claimed | ms an item, here |", "|---|---|---|---|---|---|"]
    for name, network in NETWORKS.items():
        found = costs[name]
        claim = "–" if network.milliseconds is None else f"{network.milliseconds:g}"
        lines.append(f"| {network.row} | {name} | {found['parameters']:,} | {found['gflops']:.3g} | {claim} | {found['milliseconds']:.2f} ({found['low']:.2f} to {found['high']:.2f}) |")
    return "\n".join(lines)
