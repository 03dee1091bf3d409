"""From tracks to predictions, in their order: decoded in parallel, predicted a batch at a time, with bounded memory.

Features come from `genre_models.features.compute_features`, windows from `genre_models.segments.cut`, probabilities from the predictor of the evaluation and the same
batches of it: what is said of held-out tracks in their order is what the look said, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.features.store import decode_one
from genre_models.final import BATCH
from genre_models.parallel import Lost, run_jobs
from genre_models.predict.classes import Prediction, Unread
from genre_models.segments import by_owner, cut

if TYPE_CHECKING:
    from genre_models.predict.files import Source
    from genre_models.saved_model import SavedModel

Predict = Callable[[np.ndarray], np.ndarray]
MOST_HELD_BYTES = 128 * 2**20  # of features that wait for a slow file before them


def predict_files(model: SavedModel, predict: Predict, sources: Sequence[Source], workers: int | None = None) -> Iterator[Prediction | Unread]:
    """Predict tracks.

    Parameters
    ----------
    model : SavedModel
    predict : callable
        From `genre_models.saved_model.load_saved`.
    sources : sequence of Source
    workers : int or None
        Processes that decode; None for one on each core.

    Yields
    ------
    Prediction or Unread
        Of each track, in their order, as soon as its batch is done.
    """
    with closing(_items(model, sources, workers)) as made:
        for number, found in _in_order(made, lambda tracks: _score(predict, tracks)):
            if isinstance(found, str):
                yield Unread(sources[number].name, found)
            else:
                track = by_owner(found, np.zeros(len(found), np.int64), 1)[0]
                yield Prediction(sources[number].name, model.labels, track, found)


def _items(model: SavedModel, sources: Sequence[Source], workers: int | None) -> Iterator[tuple[int, np.ndarray | str]]:
    """Items of each track [shape=(n_items, ...)] by its number, or why there are none, in the order in which they are ready."""
    todo = [number for number, source in enumerate(sources) if source.rows is None and source.reason is None]
    for number, source in enumerate(sources):
        if source.reason is not None:
            yield number, source.reason
        elif source.rows is not None:
            yield number, source.rows
    jobs = [(model.kind, dict(model.input["features"]), str(sources[number].path), None) for number in todo]
    with closing(run_jobs(decode_one, jobs, workers)) as results:
        for place, found in results:
            number = todo[place]
            if isinstance(found, np.ndarray):
                yield number, cut(found[None], model.segments)
            else:
                reason = found.reason if isinstance(found, Lost) else found
                yield number, reason.removeprefix(f"{sources[number].path}: ")


def _in_order(made: Iterator[tuple[int, Any]], score: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Iterator[tuple[int, np.ndarray | str]]:
    """Scores in the order of the numbers, from 0 without a gap; `made` may come in any order.

    A batch is of consecutive tracks, unless one file takes so long that those behind it would fill the memory: then they are scored as they stand.
    """
    waiting: dict[int, Any] = {}
    ready: list[tuple[int, Any]] = []
    following = held_bytes = 0
    for number, found in made:
        waiting[number] = found
        held_bytes += _bytes(found)
        while following in waiting:
            held_bytes -= _bytes(waiting[following])
            ready.append((following, waiting.pop(following)))
            following += 1
        while sum(_is_to_score(found) for _, found in ready) >= BATCH:
            last = [place for place, (_, found) in enumerate(ready) if _is_to_score(found)][BATCH - 1]
            yield from _scored(ready[: last + 1], score)
            del ready[: last + 1]
        if held_bytes > MOST_HELD_BYTES:
            early = [(number, found) for number, found in sorted(waiting.items()) if _is_to_score(found)]
            for start in range(0, len(early), BATCH):
                waiting.update((number, _Scored(p)) for number, p in _scored(early[start : start + BATCH], score))
            held_bytes = 0
    yield from _scored(ready, score)


class _Scored:
    """Probabilities of a track's items, as what waits for its turn."""

    def __init__(self, p: np.ndarray) -> None:
        self.p = p


def _is_to_score(found: Any) -> bool:
    return isinstance(found, np.ndarray)


def _bytes(found: Any) -> int:
    return found.nbytes if _is_to_score(found) else 0


def _scored(tracks: Sequence[tuple[int, Any]], score: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Iterator[tuple[int, np.ndarray | str]]:
    items = [found for _, found in tracks if _is_to_score(found)]
    scores = iter(score(items) if items else ())
    for number, found in tracks:
        yield number, next(scores) if _is_to_score(found) else found.p if isinstance(found, _Scored) else found


def _score(predict: Predict, tracks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Probabilities of the items of some tracks, a track at a time [shape=(n_items, n_classes)]; batches as of `genre_models.final`."""
    items = np.concatenate(tracks)
    p = np.concatenate([predict(items[first : first + BATCH]) for first in range(0, len(items), BATCH)])
    return np.split(p, np.cumsum([len(track) for track in tracks])[:-1])
