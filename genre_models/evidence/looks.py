"""What the looks at held-out tracks came to, in words that a report understands; reads ``metrics.json`` and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Scores by their names for people, the most important one first.
_SCORES = {"accuracy": "accuracy", "macro F1": "macro_f1", "log loss": "log_loss", "calibration error": "ece"}


def read_looks(final: Path) -> list[dict[str, Any]]:
    """The looks that a study took.

    Parameters
    ----------
    final : Path
        ``studies/NAME/final``.

    Returns
    -------
    list of dict
        The first one first: ``look``, ``folder`` (Path), ``reason``, ``prefer`` (the rule it was asked for with, or None), ``trial``, ``family``, ``n`` (tracks), ``scores``: a list of ``{"name", "value", "interval"}``, the most important
        one first, and ``others``: ``{"family", "trial", "value", "interval", "against"}`` of models in the same look. Files that are none of ours are passed over.
    """
    found = []
    for path in [final / "metrics.json", *sorted(final.glob("look-*/metrics.json"))]:
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
            found.append(_look(metrics, path.parent))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return sorted(found, key=lambda look: look["look"])


def _look(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    scores = [{"name": name, "value": float(metrics[key]), "interval": _ends(metrics.get(f"{key}_ci95"))} for name, key in _SCORES.items()]
    others = [
        {"family": str(each["family"]), "trial": int(each["trial"]), "value": float(each["accuracy"]), "interval": _ends(each.get("accuracy_ci95")), "against": _against(each.get("compared"))}
        for each in metrics.get("also", ())
    ]
    return {
        "look": int(metrics["look"]), "folder": folder, "reason": metrics.get("reason"), "prefer": metrics.get("prefer"), "trial": int(metrics["trial"]), "family": str(metrics["family"]),
        "n": int(metrics["n_tracks"]), "scores": scores, "others": others,
    }  # fmt: skip


def _ends(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def _against(compared: dict[str, Any] | None) -> str:
    if not compared:
        return ""
    return "tie" if compared["tie"] else "better" if compared["difference"] > 0 else "worse"
