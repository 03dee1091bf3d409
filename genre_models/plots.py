"""Pictures of a result: the confusion heatmap, the learning curves, how reliable its probabilities are. Files only, no window is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
_LARGEST_SIDE = 40.0  # inches: a picture of hundreds of classes must fit into memory
INK, FAINT = "#1f2933", "#6b7785"
TRAIN, VALIDATION, RETRAIN, BEST = "#3d6fb4", "#d9722e", "#2a9d78", "#9aa5b1"
DEMO = "#b4451a"


def draw_confusion(path: Path, metrics: dict) -> None:
    """Counts of truth against prediction; colour is the part of the true class, so that classes of different size compare.

    Parameters
    ----------
    path : Path
        The PNG file to write.
    metrics : dict
        As in ``metrics.json``.
    """
    labels, counts = metrics["labels"], np.array(metrics["confusion"])
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
    side = min(2.6 + 0.56 * len(labels), _LARGEST_SIDE)
    figure = _figure(max(side + 1.2, 5.8), side + 0.5)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="GnBu", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*counts.shape):
        _write_cell(axes, row, column, counts[row, column], shares[row, column])
    axes.set_xticks(range(len(labels)), [_literal(label) for label in labels], rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), [f"{_literal(label)}  ({n})" for label, n in zip(labels, support[:, 0], strict=True)])
    axes.set_xticks(np.arange(-0.5, len(labels)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(labels)), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0, colors=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted", color=FAINT)
    axes.set_ylabel("truth (tracks)", color=FAINT)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03, format=lambda share, _: f"{100 * share:.0f} %")
    bar.set_label("part of the true class", color=FAINT)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, colors=INK)
    score, interval = f"accuracy {100 * metrics['accuracy']:.1f} %", metrics["accuracy_ci95"]
    between = "" if interval is None else "  (95 % interval {:.1f} to {:.1f} %)".format(*(100 * end for end in interval))
    _title(figure, metrics, f"{score}{between} on {metrics['n_tracks']} held-out tracks")
    _save(figure, path)


def _write_cell(axes: Axes, row: int, column: int, count: int, share: float) -> None:
    if row == column or count:  # empty cells off the diagonal stay quiet
        colour = "white" if share > 0.6 else INK if count else FAINT
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontweight="bold" if row == column else "normal", fontsize=10)


def draw_curves(path: Path, metrics: dict, search: Sequence[dict], retrain: Sequence[dict]) -> None:
    """Loss and accuracy by epoch: of the winning trial in the search, and of its retrain.

    Parameters
    ----------
    path : Path
        The PNG file to write.
    metrics : dict
        As in ``metrics.json``.
    search, retrain : sequence of dict
        One for each epoch; keys that a family did not record are left out of the picture.
    """
    figure, longest = _figure(10.0, 4.2), max(len(search), len(retrain))
    parts = metrics.get("validated_by", "hold-out")
    shown, marked = "search", "best epoch"
    if parts != "hold-out":
        shown, marked = "search, fold 1" if "folds" in parts else "search, training 1", "mean best epoch"
    fitted = metrics["epochs"] is None  # a family without epochs: points at 1, and nothing to mark
    if fitted:
        metrics, longest = metrics | {"epochs": 1}, 1
    for axes, (name, label) in zip(figure.subplots(1, 2), {"loss": "loss (nats)", "accuracy": "accuracy"}.items(), strict=True):
        _line(axes, search, name, TRAIN, "-", f"{shown}, training")
        _line(axes, search, f"val_{name}", VALIDATION, "-", f"{shown}, validation")
        _line(axes, retrain, name, RETRAIN, (0, (4, 1.5)), "retrain, all development tracks")
        if fitted:
            axes.set_xticks([])
        else:
            _mark_epoch(axes, metrics["epochs"], marked, longest)
        axes.set_ylabel(label, color=FAINT)
        axes.set_xlim(0.5, longest + 0.5)
        axes.grid(axis="y", color="#e4e7eb")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
        if name == "accuracy":
            axes.set_ylim(0.0, 1.02)
            _mark_held_out(axes, metrics)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, labelcolor=INK)
    epochs = f"retrain for {metrics['epochs']} epoch{'s' if metrics['epochs'] > 1 else ''}"
    _title(figure, metrics, "the winning trial, and its fit to all development tracks" if fitted else f"the winning trial, and its {epochs}")
    _save(figure, path)


def draw_families(path: Path, metrics: dict) -> None:
    """Accuracy of the best of each family, on the held-out tracks and in validation.

    Parameters
    ----------
    path : Path
        The PNG file to write.
    metrics : dict
        As in ``metrics.json``, with what was looked at beside the winner.
    """
    entries = [metrics, *metrics["also"]][::-1]  # the winner on top
    figure = _figure(8.0, 1.9 + 0.42 * len(entries))
    axes = figure.subplots()
    for place, entry in enumerate(entries):
        score = entry["accuracy"]
        low, high = entry["accuracy_ci95"] or (score, score)
        held_out = {"fmt": "D", "color": INK, "capsize": 4, "markersize": 5, "label": "held-out, 95 % interval"}
        axes.errorbar([score], [place], xerr=[[score - low], [high - score]], **held_out)
        if entry["validation_accuracy"] is not None:
            axes.plot([entry["validation_accuracy"]], [place], "o", color=VALIDATION, label="validation, by which it was chosen")
    axes.set_yticks(range(len(entries)), [f"{entry['family']}{' (winner)' if entry is metrics else ''}, trial {entry['trial']}" for entry in entries])
    axes.set_ylim(-0.6, len(entries) - 0.4)
    axes.set_xlim(0.0, 1.02)
    axes.set_xlabel("accuracy", color=FAINT)
    axes.grid(axis="x", color="#e4e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    named = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # one of each
    figure.legend(named.values(), named, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    _title(figure, metrics, f"the best of each family, on the same {metrics['n_tracks']} held-out tracks")
    _save(figure, path)


def draw_reliability(path: Path, metrics: dict) -> None:
    """Accuracy against confidence in bins, as the model's probabilities are and scaled by the temperature of its validation; below, how many tracks.

    Parameters
    ----------
    path : Path
        The PNG file to write.
    metrics : dict
        As in ``metrics.json``.
    """
    found = metrics["calibration"]
    figure = _figure(6.2, 6.4)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color=BEST, linewidth=1, zorder=0)
    shown = [("reliability", VALIDATION, "o", f"as they are (calibration error {metrics['ece']:.3f})", -0.008)]
    if found["reliability_scaled"] is not None:
        shown.append(("reliability_scaled", RETRAIN, "D", f"at temperature {found['temperature']:.3g} ({found['ece']:.3f})", 0.008))
    for key, colour, marker, label, aside in shown:
        for number, each in enumerate(found[key]):
            low, high = each["accuracy_ci95"] or (each["accuracy"], each["accuracy"])
            reach = [[each["accuracy"] - low], [high - each["accuracy"]]]
            look = {"fmt": marker, "color": colour, "capsize": 2, "markersize": 5, "linewidth": 1, "label": label if number == 0 else None}
            axes.errorbar([each["confidence"]], [each["accuracy"]], yerr=reach, **look)
            counts.bar((each["low"] + each["high"]) / 2 + aside, each["n"], width=0.016, color=colour)
    axes.set_ylabel("accuracy, 95 % interval", color=FAINT)
    axes.set_ylim(-0.02, 1.02)
    counts.set_ylabel("tracks", color=FAINT)
    counts.set_xlabel("probability given to the predicted class", color=FAINT)
    counts.set_xlim(0.0, 1.02)
    for each in (axes, counts):
        each.grid(axis="y", color="#e4e7eb")
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(colors=INK)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    _title(figure, metrics, f"can the probabilities be believed? {metrics['n_tracks']} held-out tracks")
    _save(figure, path)


def _mark_epoch(axes: Axes, epoch: int, what: str, longest: int) -> None:
    axes.axvline(epoch, color=BEST, linewidth=1, zorder=0)
    late = epoch > 0.8 * longest  # then the words go to the left of the line, where there is room
    where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    where |= {"ha": "right" if late else "left", "color": FAINT, "fontsize": 8}
    axes.annotate(what, (epoch, 1.0), (-3 if late else 3, -10), **where)
    axes.set_xlabel("epoch", color=FAINT)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _line(axes: Axes, history: Sequence[dict], key: str, colour: str, style: object, label: str) -> None:
    points = [(number, epoch[key]) for number, epoch in enumerate(history, start=1) if epoch.get(key) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, linestyle=style, label=label, marker="o" if len(points) == 1 else None)


def _mark_held_out(axes: Axes, metrics: dict) -> None:
    score = metrics["accuracy"]
    low, high = metrics["accuracy_ci95"] or (score, score)
    look = {"fmt": "D", "color": INK, "capsize": 4, "markersize": 5, "label": "held-out, 95 % interval"}
    axes.errorbar([metrics["epochs"]], [score], [[score - low], [high - score]], **look)


def _figure(width: float, height: float) -> Figure:
    """A figure that no window system and no global state knows of (inches)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    return figure


def _literal(name: str) -> str:
    """A name of the user's, in which a dollar begins no formula."""
    return name.replace("$", r"\$")


def _title(figure: Figure, metrics: dict, what: str) -> None:
    look = f", look {metrics['look']}" if metrics["look"] > 1 else ""
    demo = "  ·  DEMO: synthesised music" if metrics["demo"] else ""
    figure.suptitle(f"{_literal(metrics['study'])}, trial {metrics['trial']}{look}{demo}\n{what}", color=DEMO if demo else INK, fontsize=10.5)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})  # the same picture is the same bytes
