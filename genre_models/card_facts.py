"""What a card says of data, licences and costs, each in a few words; what is not known is said to be unknown, or left out where it was never measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genre_models.split_words import how_dealt, kept_together

_GTZAN = (
    "GTZAN (Tzanetakis and Cook 2002): its recordings have no stated licence and are used for research; it has repetitions, wrong labels and many excerpts of the "
    "same artists (Sturm, arXiv:1306.1461)"
)
_FMA = "FMA (Defferrard et al. 2017): each track has the Creative Commons licence that its artist chose"
_DEMO = "music made by this program; no one else has rights in it"
_UNKNOWN = "unknown to this program: see to it that you may use the recordings, and pass on what was learned from them"


def data_lines(about: Mapping[str, Any] | None, metrics: Mapping[str, Any], pipeline: Mapping[str, Any]) -> list[str]:
    """Corpus, licence and split, a point each.

    Parameters
    ----------
    about : mapping or None
        From `genre_models.retrain`'s task: ``corpus``, ``source``, ``data`` (settings), ``tracks`` (counts); None in models of before it was kept.
    metrics, pipeline : mapping
    """
    source = "" if about is None else str(about["source"])
    named = "not recorded" if about is None else f"{about['corpus']} ({source})"
    lines = [f"Corpus: {named}; {pipeline['n_tracks']} tracks to learn from, {metrics['n_tracks']} held out.", f"Licence: {_licence(source, metrics['demo'])}."]
    trunk = pipeline.get("input", {}).get("trunk")
    if trunk:
        which = "Keras' ImageNet weights" if trunk["weights"] == "imagenet" else f"weights {trunk['weights']}"
        lines.append(f"The pretrained network in it ({trunk['trunk']}, {which}) has a licence of its own, unknown to this program.")
    return [*lines, f"Split: {_split(about, metrics)}"]


def _licence(source: str, is_demo: bool) -> str:
    if is_demo:
        return _DEMO
    known = [text for prefix, text in (("gtzan:", _GTZAN), ("fma:", _FMA)) if any(part.strip().startswith(prefix) for part in source.split(","))]
    all_known = known and all(part.strip().startswith(("gtzan:", "fma:")) for part in source.split(","))
    return "; ".join(known if all_known else [*known, _UNKNOWN])


def _split(about: Mapping[str, Any] | None, metrics: Mapping[str, Any]) -> str:
    groups = f"{metrics['n_groups']} groups of held-out tracks" if metrics["n_groups"] != metrics["n_tracks"] else "no two held-out tracks belong together"
    if about is None:
        return f"as the study's run.json says. Kept on one side: {groups}."
    together, doubt = kept_together(about["data"], str(about["source"]))
    return f"{how_dealt(about['data'])}. Kept on one side: {together} ({groups}){'; ' + doubt if doubt else ''}."


def naive_line(about: Mapping[str, Any] | None) -> str:
    """What stands above everything where segments of one track were learned from and validated on."""
    if about is None or about["data"].get("split") != "naive":
        return ""
    return "\n\n**NAIVE SPLIT**: segments of one track were learned from and validated on; the validation score is no result.\n"


def cost_rows(metrics: Mapping[str, Any], pipeline: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was measured of training, evaluation and use, each with its name; nothing is said of what was not."""
    rows = [("training", _spent(pipeline.get("train_seconds"), _part(metrics, "retrain")))]
    rows.append(("evaluation, once", _spent(None, {**_part(metrics, "evaluation"), "peak_ram_mib": None})))  # its memory has a row of its own
    rows.append((f"energy{'' if metrics.get('emissions_kg') is None else ' and CO₂'} of both", _energy(metrics)))
    latency = metrics.get("latency") or {}
    made, network = (_milliseconds(latency.get(key)) for key in ("features_ms", "network_ms"))
    if made or network:
        parts = [f"{what} {text}" for what, text in (("features", made), ("network", network)) if text]
        clip = f" for a clip of {latency['clip_seconds']:g} s" if latency.get("clip_seconds") else ""
        threads = f", {latency['threads']} thread{'s' * (latency['threads'] != 1)}" if latency.get("threads") else ""
        rows.append(("one track, in use", f"{', '.join(parts)}{clip}{threads}"))
    if metrics.get("disk_bytes"):
        rows.append(("on disk", f"{metrics['disk_bytes'] / 1e6:.2f} MB"))
    rows.append(("memory of evaluation", f"{metrics['peak_ram_evaluation_mib']:.0f} MiB at most, the process as a whole"))
    return [(name, text) for name, text in rows if text]


def _part(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = (metrics.get("cost") or {}).get(name)
    return found if isinstance(found, dict) else {}


def _spent(seconds: float | None, cost: Mapping[str, Any]) -> str:
    wall = cost.get("wall_seconds", seconds)
    said = [] if wall is None else [_seconds(wall)]
    said += [f"{_seconds(cost['cpu_seconds'])} of processors"] if cost.get("cpu_seconds") is not None else []
    said += [f"{cost['peak_ram_mib']:.0f} MiB"] if cost.get("peak_ram_mib") is not None else []
    return ", ".join(said)


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def _energy(metrics: Mapping[str, Any]) -> str:
    if metrics.get("energy_kwh") is None:
        return ""
    carbon = f", {1000 * metrics['emissions_kg']:.2g} g CO₂" if metrics.get("emissions_kg") is not None else ""
    energies = [_part(metrics, name).get("energy") for name in ("retrain", "evaluation")]
    energy = next((each for each in energies if isinstance(each, dict)), {})
    parts = [f"{part} {energy[part]['how']}" for part in ("cpu", "ram", "gpu") if isinstance(energy.get(part), dict) and energy[part].get("how")]
    where = f", grid of {energy['country']}" if energy.get("country") else ""
    return f"{1000 * metrics['energy_kwh']:.2g} Wh{carbon}" + (f" ({', '.join(parts)}{where})" if parts or where else "")


def _milliseconds(found: Mapping[str, Any] | None) -> str:
    if not found or found.get("median") is None:
        return ""
    return f"{found['median']:.3g} ms" + (f" (95 % under {found['p95']:.3g})" if found.get("p95") is not None else "")
