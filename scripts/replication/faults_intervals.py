"""Fault: differences that are within chance, told as findings. Intervals of the published accuracies, from their numbers of test tracks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from scripts.replication.faults_published import COMPARED, SHARES, Share, difference_interval, most_disagreement, standard_errors
from scripts.replication.faults_words import accuracy, interval_text, table_text


def measure() -> dict[str, Any]:
    """Nothing to measure: both tables are calculations from what is printed.

    Returns
    -------
    dict
        ``shares`` and ``compared``, JSON-able.
    """
    shares = {row: asdict(each) | {"accuracy": each.accuracy, "interval": list(each.interval)} for row, each in SHARES.items()}
    return {"shares": shares, "compared": [_comparison(SHARES[first], SHARES[second], words) for first, second, words in COMPARED]}


def _comparison(first: Share, second: Share, words: str) -> dict[str, Any]:
    z, p_value = standard_errors(first, second)
    same = first.n == second.n
    found = {"first": first.row, "second": second.row, "claim": words, "z": z, "p_value": p_value, "n": first.n if same else None}
    found |= {"difference": first.accuracy - second.accuracy, "interval": list(difference_interval(first, second))}
    return found | {"most_disagreement": most_disagreement(first.hits - second.hits) if same else None}


def render(found: dict[str, Any]) -> str:
    """Lines of the page."""
    shares = [
        [row, each["system"], f"{each['hits']} of {each['n']}", f"{each['accuracy']:.4f} ({accuracy(each['interval'][0])} to {accuracy(each['interval'][1])})"]
        for row, each in found["shares"].items()
    ]
    compared = [
        [
            f"{each['first']} - {each['second']}", each["claim"], interval_text(each["difference"], each["interval"]), f"{each['z']:.2f}", f"{each['p_value']:.2g}",
            _paired(each),
        ]
        for each in found["compared"]
    ]  # fmt: skip
    return (
        "Claimed: accuracies without intervals. Wilson's 95 %, from hits and number of test tracks:\n\n"
        + table_text(["row", "system", "hits", "accuracy (95 %)"], shares)
        + "\n\nWhat is concluded from them, as of independent test tracks. Systems tested on the same tracks differ for certain only where they agree on most: the "
        "last column has the most tracks that they may answer differently for the difference to be told from chance (McNemar's exact test, 5 %).\n\n"
        + table_text(["rows", "conclusion", "difference (95 %)", "standard errors", "p", "may disagree on"], compared)
    )


def _paired(each: dict[str, Any]) -> str:
    if each["n"] is None:
        return "other test tracks"
    most = each["most_disagreement"]
    return "no disagreement would do" if most is None else f"{min(most, each['n'])} of {each['n']}"
