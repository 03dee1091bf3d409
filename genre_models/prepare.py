"""From the ``data:`` and ``features:`` sections to what workers are given, and nothing more.

Searches and final evaluations both come through here, so both deal the same split. The held-out tracks stay in
:attr:`TaskData.split`; :meth:`TaskData.task` leaves them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_models.corpus import Corpus, Progress, open_corpus
from genre_models.features import feature_key, resolve_features
from genre_models.features.store import FeatureStore
from genre_models.folds import deal_folds
from genre_models.scan import Scan, ScanRow, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.split import Split, deal


@dataclass(frozen=True)
class TaskData:
    """A corpus, scanned and dealt.

    Attributes
    ----------
    corpus : Corpus
    scan : Scan
    split : Split
    features : dict
        Family to its resolved feature settings.
    cache_dir : Path
    seed : int
        The study's; deals folds.
    validation_folds : int or None
        ``data.validation.folds``.
    """

    corpus: Corpus
    scan: Scan
    split: Split
    features: dict[str, dict[str, Any]]
    cache_dir: Path
    seed: int = 0
    validation_folds: int | None = None

    @property
    def development(self) -> list[dict[str, str]]:
        """Training and validation tracks as plain rows ``{id, label, path, content, part}``, sorted by id."""
        parts = (("train", self.split.train), ("validation", self.split.validation))
        rows = [_row(track, part) for part, tracks in parts for track in tracks]
        return sorted(rows, key=lambda row: row["id"])

    def folds(self, k: int) -> dict[str, int]:
        """Fold (from 0) of each development track, by its id, where they are dealt into `k`.

        Raises
        ------
        CorpusError
            A class has too few tracks for that.
        """
        return deal_folds(self.split.groups, k, self.seed)

    def task(
        self, objective: Mapping[str, str], limits: Mapping[str, float | None], fold_counts: Collection[int] = ()
    ) -> dict[str, Any]:
        """What a worker builds its objective from (docs/design.md, section 5); no held-out item is in it.

        Parameters
        ----------
        objective, limits : mapping
        fold_counts : collection of int
            Numbers of folds that trials may ask for, besides that of ``data.validation``; 1 is none.

        Raises
        ------
        CorpusError
            A class has too few tracks for that many folds.
        """
        deals = {k: self.folds(k) for k in sorted({self.validation_folds, *fold_counts} - {None, 1})}
        tracks = self.development
        if deals:
            tracks = [track | {"folds": {str(k): fold[track["id"]] for k, fold in deals.items()}} for track in tracks]
        return {
            "labels": list(self.split.labels),
            "kind": self.corpus.kind,
            "demo": self.corpus.demo,
            "cache_dir": str(self.cache_dir),
            "objective": dict(objective),
            "limits": dict(limits),
            "tracks": tracks,
        }

    def fingerprint(self) -> dict[str, Any]:
        """What of the data a resumed study must match."""
        found = {
            "content": self.scan.fingerprint,
            "split_id": self.split.split_id,
            "train": _digest([track.labelled_id for track in self.split.train]),
            "validation": _digest([track.labelled_id for track in self.split.validation]),
        }
        if self.validation_folds is not None:
            found["folds"] = _digest([f"{id} {fold}" for id, fold in sorted(self.folds(self.validation_folds).items())])
        return found

    def prepare_features(self, workers: int | None = None, progress: Progress | None = None) -> tuple[int, int, dict[str, str]]:
        """Compute what is missing of the development tracks' features.

        Returns
        -------
        (decoded, cached, failed)
            Files decoded now, rows found in the cache, and the reason for each track that could not be decoded.
        """
        decoded, cached, failed = 0, 0, {}
        distinct = {feature_key(self.corpus.kind, settings): settings for settings in self.features.values()}
        for settings in distinct.values():
            store = FeatureStore(self.cache_dir, self.corpus.kind, settings, self.development)
            done = store.prepare(workers, progress)
            decoded, cached = decoded + done.decoded, cached + done.cached
            failed |= done.failed
        return decoded, cached, failed


def open_task(
    data: DataSettings,
    features: Mapping[str, FeatureSettings],
    seed: int,
    cache_dir: Path,
    *,
    fold_counts: Collection[int] = (),
    workers: int | None = None,
    progress: Progress | None = None,
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
    fold_counts : collection of int
        Numbers of folds that `TaskData.task` will be asked for: too few tracks for them are then said before anything is computed.
    workers : int, optional
        Processes; None takes all cores.
    progress : callable, optional
        ``(done, total, what)``.

    Raises
    ------
    CorpusError
        If the corpus can't be used; one line that names the path and the remedy.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    corpus = open_corpus(data.source, data.input, cache_dir, progress, subset=data.subset)
    scan = scan_corpus(corpus, cache_dir, workers, progress)
    split = deal(scan, data, seed)
    resolved = {family: resolve_features(settings, scan) for family, settings in features.items()}
    opened = TaskData(corpus, scan, split, resolved, cache_dir, seed, data.validation.folds)
    for k in set(fold_counts) - {1}:
        opened.folds(k)
    return opened


def _row(track: ScanRow, part: str) -> dict[str, str]:
    return {"id": track.id, "label": track.label, "path": str(track.path), "content": track.content, "part": part}


def _digest(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
