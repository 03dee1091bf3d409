"""What a study's data are, once they are dealt: what workers are given of them, and nothing more.

The held-out tracks stay in :attr:`TaskData.split`; :meth:`TaskData.task` leaves them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genre_models.corpus import Corpus, Progress
from genre_models.errors import CorpusError, SettingsError, TrunkUnavailable
from genre_models.features import feature_key
from genre_models.features.store import FeatureStore
from genre_models.folds import deal_folds
from genre_models.known_groups import KnownGroups
from genre_models.naive import CAVEAT
from genre_models.parallel import Lost, run_jobs
from genre_models.scan import Scan, ScanRow
from genre_models.sources import Input, item_shape
from genre_models.split import Split
from genre_models.trunks.facts import trunk_key


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
    inputs : dict
        Family to what it may ask for: inputs, each with the largest number of copies.
    unavailable : dict of str to str
        Family to the reason why it can't be had here.
    tables : dict
        What is known of each table of features, by its path, once features are prepared.
    same_recording : tuple of tuple of str
        Ids of tracks that hold one recording, as the split was dealt with them; a study keeps them.
    known_groups : KnownGroups or None
        Likewise, of artists or albums.
    naive : dict or None
        ``{"seed", "holdout"}`` where the segments of development tracks are dealt one by one (`genre_models.naive`).
    left_out : dict of str to str
        Development tracks of which no features could be made when the study began, by id with the reason: trials of later runs do without them too.
    is_settled : bool
        Whether the study began before, so that no others may be left out now.
    """

    corpus: Corpus
    scan: Scan
    split: Split
    features: dict[str, dict[str, Any]]
    cache_dir: Path
    seed: int = 0
    validation_folds: int | None = None
    inputs: dict[str, list[tuple[Input, int]]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    same_recording: tuple[tuple[str, ...], ...] = ()
    known_groups: KnownGroups | None = None
    naive: dict[str, Any] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    is_settled: bool = False

    @property
    def caveat(self) -> str | None:
        """Why scores on this split are no result; None where they are one."""
        return None if self.naive is None else CAVEAT

    def dealt_with(self) -> dict[str, Any]:
        """What a study keeps in ``run.json``, so that later runs deal the same split whatever a later program finds in the same files."""
        kept: dict[str, Any] = {"same_recording": [list(ids) for ids in self.same_recording]}
        kept |= {} if self.known_groups is None else {"known_groups": self.known_groups.as_data()}
        kept["left_out"] = dict(sorted(self.left_out.items()))
        return kept | ({} if self.caveat is None else {"caveat": self.caveat})

    @property
    def development(self) -> list[dict[str, Any]]:
        """Training and validation tracks as plain rows ``{id, label, path, content, part, group}``, sorted by id."""
        parts = (("train", self.split.train), ("validation", self.split.validation))
        groups = {track.id: number for number, group in enumerate(self.split.groups) for track in group}
        rows = [_row(track, part) | {"group": groups[track.id]} for part, tracks in parts for track in tracks]
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
        naive = {} if self.naive is None else {"naive": dict(self.naive)}
        return naive | {
            "labels": list(self.split.labels),
            "kind": self.corpus.kind,
            "demo": self.corpus.demo,
            "cache_dir": str(self.cache_dir),
            "objective": dict(objective),
            "limits": dict(limits),
            "tracks": tracks,
            "tables": dict(self.tables),
            "trunks": {},
            "files": {family: {name: settings[name] for name in ("weights", "table")} for family, settings in self.features.items()},
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
        return found if self.naive is None else found | {"split": "naive"}

    def fingerprint_features(self, family: str) -> dict[str, Any]:
        """Feature settings of a family as a resumed study must match them: files by their content, wherever they lie; ``"?"`` of one that is
        not there. A study of before the columns that say how long a file is were left out of tables had them as features: it does not match."""
        settings = self.features[family]
        weights = settings["weights"]
        hashed = {name: _sha256(file) for name, file in weights.items()} if isinstance(weights, dict) else _sha256(weights)
        return settings | {"weights": hashed, "table": settings["table"] and _table_in_use(settings["table"])}

    def prepare_features(self, workers: int | None = None, progress: Progress | None = None) -> tuple[int, int, dict[str, str]]:
        """Compute what is missing of the development tracks' features.

        Returns
        -------
        (decoded, cached, failed)
            Files decoded now, rows found in the cache, and the reason for each track that is left out: it could not be decoded, now or when the study began.

        Raises
        ------
        CorpusError
            Tracks that the study has trained on can't be decoded now.
        """
        self.prepare_tables()
        self.check_sound_networks()
        decoded, cached, failed = 0, 0, {}
        for found in self._distinct_bases():
            if found.kind == "table":
                continue
            done = FeatureStore(self.cache_dir, found.kind, found.features, self.development).prepare(workers, progress)
            decoded, cached = decoded + done.decoded, cached + done.cached
            failed |= done.failed
        return decoded, cached, self._settle(failed)

    def _settle(self, failed: Mapping[str, str]) -> dict[str, str]:
        """The tracks to leave out: those of the study's first run, so that all its trials are scored on the same tracks; or now the ones that failed."""
        if self.is_settled and (news := sorted(failed.keys() - self.left_out.keys())):
            more = f" and {len(news) - 1} more" if len(news) > 1 else ""
            raise CorpusError(
                f"{news[0]}{more}: the study was trained and scored with {'them' if more else 'it'}, but now no features can be made: {failed[news[0]]}; "
                "bring the files back as they were, or begin another study with --study NAME"
            )
        self.left_out.update({} if self.is_settled else failed)
        return dict(self.left_out)

    def prepare_tables(self) -> None:
        """Read the tables of features that families may ask for, and keep the development tracks' rows.

        Families whose table can't be had, or lacks tracks of the corpus, are added to `unavailable`.
        """
        from genre_models.features.table import prepare_table
        from genre_models.features.table_read import match_tracks, read_table

        for path in sorted({found.features["table"] for found in self._distinct_bases() if found.kind == "table"}):
            try:
                # Held-out tracks are known by their names alone: a table without them would be no use in the final evaluation.
                match_tracks(read_table(path, finite=False), [track["id"] for track in self.development] + [track.id for track in self.split.test])
                self.tables[path] = prepare_table(self.cache_dir, path, self.development)
                if self.naive is not None and self.tables[path]["n_items"] <= len(self.development):
                    raise SettingsError(f"data.split: naive deals the rows of a track one by one, but {path} has one row a track: name a table with several")
            except CorpusError as error:
                for family, wanted in self.inputs.items():
                    if any(found.kind == "table" and found.features["table"] == path for found, _ in wanted):
                        self.unavailable[family] = f"families.{family}: features.table: {error}"

    def check_sound_networks(self) -> None:
        """Put a second of silence through the networks of sound that families may ask for; families whose network can't be had are added to `unavailable`.

        A plan does without: what a network gives is known without its file.
        """
        from genre_models.sound_networks import HASHES, NETWORKS
        from genre_models.sound_networks.embedding import check_network

        wanted = [found for found in self._distinct_bases() if found.kind in NETWORKS]
        jobs = sorted({(found.kind, found.features["weights"][found.kind], found.features[HASHES][found.kind]) for found in wanted})
        for number, answer in run_jobs(check_network, jobs, 1):
            name, file, _ = jobs[number]
            reason = f"{file}: {answer.reason}" if isinstance(answer, Lost) else answer
            for family, inputs in self.inputs.items() if reason is not None else ():
                if any(found.kind == name and found.features["weights"][name] == file for found, _ in inputs):
                    self.unavailable[family] = f"families.{family}: features.weights: {reason}"

    def notes(self) -> list[str]:
        """What users should know of the tables that were read: columns that are left out, and why."""
        return [note for known in self.tables.values() for note in known.get("notes", ())]

    def describe_items(self, family: str, task: Mapping[str, Any]) -> str:
        """What a family trains on, in words."""
        settings, told, cuts = self.features[family], [], {}
        for found, _ in self.inputs[family]:
            shape = " × ".join(map(str, item_shape(found, task)))
            if found.trunk is not None:
                of_network = cuts.setdefault((found.trunk["trunk"], found.trunk["side"]), {})
                of_network[f"{found.trunk['cut']} ({shape})"] = None
            elif found.as_vector:
                told.append(f"{found.kind}: {shape} numbers a track")
            else:
                cut = f", cut into {settings['segments']} windows" if settings["segments"] > 1 else ""
                told.append(f"a track is {shape} (height, width, channels){cut}")
        told += [f"{network} on {side} × {side} pixels, at {', '.join(layers)}" for (network, side), layers in cuts.items()]
        return "; ".join(dict.fromkeys(told))

    def _distinct_bases(self) -> list[Input]:
        distinct = {}
        for family, wanted in self.inputs.items():
            for found, _ in wanted if family not in self.unavailable else ():
                named = found.features["table"] if found.kind == "table" else feature_key(found.kind, found.features)
                distinct.setdefault((found.kind, named), found)
        return list(distinct.values())

    def prepare_networks(self, task: dict[str, Any], progress: Progress | None = None, *, only_facts: bool = False) -> None:
        """Describe to the task the pretrained networks that families may ask for, and put the development tracks through them.

        Families whose weights can't be had are added to `unavailable`; nothing is then computed, and the call is to be repeated.

        Parameters
        ----------
        task : dict
            ``trunks`` is filled in.
        progress : callable, optional
        only_facts : bool
            Nothing is computed and no weights are wanted: shapes and sizes alone, for a plan.
        """
        from genre_models.trunks.prepare import prepare_trunks

        jobs = {family: _jobs(wanted) for family, wanted in self.inputs.items() if family not in self.unavailable}
        jobs = {family: wanted for family, wanted in jobs.items() if wanted}
        given = None if only_facts else task
        while jobs:
            try:
                task["trunks"] = prepare_trunks(_without_repeats(jobs.values()), given, progress)
                return
            except TrunkUnavailable as error:
                lost = [name for name, wanted in jobs.items() if error.trunk in (None, *map(trunk_key, wanted))]
                self.unavailable.update(dict.fromkeys(lost, str(error)))
                jobs = {family: wanted for family, wanted in jobs.items() if family not in lost}
                given = {**task, "tracks": []}  # what else is missing


def _jobs(wanted: Sequence[tuple[Input, int]]) -> list[dict[str, Any]]:
    """What is to be put through pretrained networks."""
    return [found.trunk | {"copies": copies, "kind": found.kind, "features": found.features} for found, copies in wanted if found.trunk is not None]


def _without_repeats(lists: Collection[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return list({repr(sorted(job.items(), key=lambda pair: pair[0])): job for jobs in lists for job in jobs}.values())


def _row(track: ScanRow, part: str) -> dict[str, str]:
    return {"id": track.id, "label": track.label, "path": str(track.path), "content": track.content, "part": part}


def _sha256(file: str) -> str:
    """Hash of a file; ``"?"`` where it is not there, and the words that are no files as they are."""
    if file in ("imagenet", "random"):
        return file
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "?"


def _table_in_use(path: str) -> str:
    """Hash of a table, and the columns in it that are no features though a study of before had them."""
    from genre_models.features.table_read import size_columns

    sizes = size_columns(path)
    return f"{_sha256(path)} without {', '.join(sizes)}" if sizes else _sha256(path)


def _digest(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
