"""How a split was dealt, in words: for cards and reports, from what a study keeps of its data settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def how_dealt(data: Mapping[str, Any]) -> str:
    """Which tracks are held out, of a study's ``data`` settings."""
    split = data.get("split")
    if isinstance(split, dict):
        return "lists that were given: " + ", ".join(f"{part} {file}" for part, file in split.items() if file)
    if split == "official":
        return "the one that the corpus was published with"
    return f"{data['test_fraction']:.0%} of each class held out at random by groups (seed {data['split_seed']}), before anything was trained"


def kept_together(data: Mapping[str, Any], source: str) -> tuple[str, str]:
    """What never lies on two sides; and, where artists may, a doubt about that, else an empty text."""
    copies = "copies of a recording" if data.get("near_duplicates") == "group" else "files of the same bytes"
    known = {"auto": " and artists" if source.startswith("fma:") else "", "artist": " and artists", "album": " and albums", "recording": ""}
    beside = known.get(data["groups"], f" and the groups of {data['groups']}")
    is_known = "artist" in beside or "groups of" in beside
    return copies + beside, "" if is_known else "whether an artist is on both sides is not known"


def split_facts(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for a report, of a study's ``run.json``; none where it does not say."""
    data = run.get("data")
    if not data or run.get("split_id") is None:
        return []
    together, doubt = kept_together(data, str(run.get("source", "")))
    return [("held out", how_dealt(data)), ("on one side", f"{together}; {doubt}" if doubt else together)]


def cautioned(looks: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Looks for a report, with what is to be said beside their numbers (``caution``) where artists may be on both sides."""
    data = run.get("data")
    doubt = "" if not data or run.get("demo") else kept_together(data, str(run.get("source", "")))[1]
    return [dict(look) | ({"caution": f"{doubt}; on music of other artists expect less"} if doubt else {}) for look in looks]
