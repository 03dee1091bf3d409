"""What a SIGKILL of a whole search at half time left: of the epochs that were trained by then, how many need not be trained again. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.peers.watching import Seen

ENDED = ("COMPLETE", "PRUNED", "FAIL")


def survived(
    before: Iterable[Seen], states_before: Mapping[int, str], after: Iterable[Seen], states_after: Mapping[int, str], specs: Mapping[int, Mapping[str, Any]]
) -> dict[str, int]:
    """Epochs and trials that were there at the kill, and those of them that are still of use when the second run has ended.

    Parameters
    ----------
    before, after : iterable of Seen
        Reports seen until the kill, and from the second start on.
    states_before, states_after : mapping of trial number to state
    specs : mapping of trial number to specification
        ``retry_of`` names the trial that one goes on with.

    Returns
    -------
    dict
        ``epochs_before``, ``epochs_kept``, ``trials_before`` (ended by the kill), ``trials_kept``, ``under_way`` (trials that were not over) and
        ``taken_up`` (those of them that the second run went on with). Of a trial that had ended all epochs are kept if the study still has it. Of
        one under way those are kept that its successor did not train: that came with it, or, where it goes on under its own number, that are
        below the first epoch it reported anew. Those of a trial that nobody takes up are lost.
    """
    epochs = Counter(seen.number for seen in {(s.number, s.step): s for s in before}.values())
    ended = [number for number, state in states_before.items() if state in ENDED]
    under_way = [number for number in states_before if number not in ended]
    after = list(after)
    successor = {spec["retry_of"]: number for number, spec in specs.items() if spec.get("retry_of") is not None}
    kept_trials = [number for number in ended if states_after.get(number) in ENDED]
    kept, taken_up = sum(epochs[number] for number in kept_trials), 0
    for number in under_way:
        goes_on = successor.get(number, number)
        reports = [seen for seen in after if seen.number == goes_on]
        if goes_on != number:
            taken_up += 1
            kept += min(epochs[number], sum(seen.came_with_trial for seen in reports))
        elif reports:
            taken_up += 1
            kept += min(epochs[number], min(seen.step for seen in reports) - 1)
        elif states_after.get(number) in ENDED and epochs[number] and states_after[number] != "FAIL":
            kept += epochs[number]  # it had waited, and was ended as it stood
    return {
        "epochs_before": sum(epochs.values()),
        "epochs_kept": kept,
        "trials_before": len(ended),
        "trials_kept": len(kept_trials),
        "under_way": len(under_way),
        "taken_up": taken_up,
    }
