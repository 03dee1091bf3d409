"""From the ``data:`` and ``features:`` sections to a corpus that is scanned and dealt.

Searches and final evaluations both come through here, so both deal the same split.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from genre_models.availability import Unavailable, require_inputs, settings_of_family, single_values
from genre_models.corpus import Progress, open_corpus
from genre_models.errors import ConfigurationRefused, SettingsError
from genre_models.features import resolve_features
from genre_models.fingerprints import find_same_recordings
from genre_models.known_groups import KnownGroups, find_known_groups
from genre_models.naive import require_families_with_segments
from genre_models.scan import Scan, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.sources import possible_inputs
from genre_models.split import deal
from genre_models.task_data import TaskData


def open_task(
    data: DataSettings,
    features: Mapping[str, FeatureSettings],
    seed: int,
    cache_dir: Path,
    *,
    values: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    fold_counts: Collection[int] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    earlier: Mapping[str, Any] | None = None,
) -> TaskData:
    """Open, scan and deal a corpus.

    Parameters
    ----------
    data : DataSettings
    features : mapping
        Family to its feature settings.
    seed : int
        Deals validation from training tracks, and folds.
    cache_dir : Path
    values : mapping, optional
        Family to the values that each of its parameters may take (of a range the ends); without it its defaults.
    fold_counts : collection of int
        Numbers of folds that `TaskData.task` will be asked for: too few tracks for them are then said before anything is computed.
    workers : int, optional
        Processes; None takes all cores.
    progress : callable, optional
        ``(done, total, what)``.
    earlier : mapping, optional
        ``run.json`` of the study that goes on or is evaluated: of the same corpus, its copies and groups are taken as it found them, so that its split
        stands whatever a later program finds. A study of before near copies were looked for has none, and one of before lists with copies on two sides
        were refused may have them.

    Raises
    ------
    CorpusError
        If the corpus can't be used; one line that names the path and the remedy.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    corpus = open_corpus(data.source, data.input, cache_dir, progress, subset=data.subset)
    scan = scan_corpus(corpus, cache_dir, workers, progress)
    earlier = earlier if earlier and earlier.get("corpus_fingerprint") == scan.fingerprint else None
    same = _same_recordings(scan, data, cache_dir, workers, progress, earlier)
    known = _known_groups(scan, data, cache_dir, workers, progress, earlier)
    was_lenient = None if earlier is None or "on_two_sides" in earlier.get("data", {}) else True
    split = deal(scan, data, seed, same, known, was_lenient)
    resolved = {family: settings_of_family(family, resolve_features(settings, scan), corpus) for family, settings in features.items()}
    if data.split == "naive":
        require_families_with_segments(values or {family: single_values(family) for family in features}, resolved)
    inputs, unavailable = {}, {}
    for family, settings in resolved.items():
        try:
            inputs[family] = list(possible_inputs(family, (values or {}).get(family) or single_values(family), settings, corpus.kind))
            require_inputs(family, inputs[family], corpus)
        except ConfigurationRefused as error:
            raise SettingsError(str(error)) from error
        except Unavailable as error:
            unavailable[family] = str(error)
    opened = TaskData(
        corpus, scan, split, resolved, cache_dir, seed, data.validation.folds, inputs, unavailable,
        same_recording=same, known_groups=known, naive={"seed": seed, "holdout": data.validation.holdout} if data.split == "naive" else None,
        left_out=dict((earlier or {}).get("left_out", {})), is_settled="left_out" in (earlier or {}),
    )  # fmt: skip
    for k in set(fold_counts) - {1}:
        opened.folds(k)
    return opened


def _same_recordings(
    scan: Scan, data: DataSettings, cache_dir: Path, workers: int | None, progress: Progress | None, earlier: Mapping[str, Any] | None
) -> tuple[tuple[str, ...], ...]:
    if earlier is not None:
        return tuple(map(tuple, earlier.get("same_recording", ())))
    if data.near_duplicates == "ignore":
        return ()
    return find_same_recordings(scan, cache_dir, workers, progress).sets


def _known_groups(
    scan: Scan, data: DataSettings, cache_dir: Path, workers: int | None, progress: Progress | None, earlier: Mapping[str, Any] | None
) -> KnownGroups | None:
    if data.groups not in ("artist", "album"):
        return None
    kept = (earlier or {}).get("known_groups")
    if kept is not None and kept["by"] == data.groups:
        return KnownGroups.of_data(kept)
    return find_known_groups(scan, data.groups, cache_dir, workers, progress)
