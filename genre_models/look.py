"""One look at the held-out tracks, in an order that no kill can turn into two.

    retrain, save, hash the models  killed here: nothing was seen, the next run retrains
    receipt `opened` on disk        from here on these models, and no others, are looked at
    read held-out items, predict    killed here: the next run goes on with the same model files
    write the results               killed here: likewise; the results are written again, and are the same
    receipt `closed` on disk        from here on a run shows the receipt and evaluates nothing

The models are the winner and, where they are asked for, the best of other families: all on one receipt, so that none is chosen by what
another scored. Owns: that order, and the folders ``final/`` and ``final/look-N/``, in them ``model/`` and ``also/FAMILY/``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genre_models import final, retrain, verdict
from genre_models.comparison import Compared
from genre_models.durable import fsync_path, sha256_tree
from genre_models.errors import GenreModelsError, SealedError
from genre_models.evidence import write_held_out
from genre_models.latency import measure_latency
from genre_models.measuring import Measure, not_measured
from genre_models.seal import Also, Candidate, Look, Seal, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from genre_models.retrain import Winner
    from genre_models.scan import ScanRow


@dataclass(frozen=True)
class Request:
    """Who wants to look at what.

    Parameters
    ----------
    studies_dir : Path
    winner : Winner
    split_id : str
    again : str or None
        The reason for a further look.
    also : tuple of Winner
        The best of other families, one each, to be looked at beside the winner.
    """

    studies_dir: Path
    winner: Winner
    split_id: str
    again: str | None = None
    also: tuple[Winner, ...] = ()

    @property
    def seal(self) -> Seal:
        """The receipts of the split."""
        return Seal(self.studies_dir / ".seals", self.split_id)

    @property
    def candidate(self) -> Candidate:
        """What wants to look, as the seal knows it."""
        also = tuple(Also(one.family, one.trial, _spec_sha256(one)) for one in self.also)
        return Candidate(self.winner.study, self.winner.trial, _spec_sha256(self.winner), self.again, also)

    def folder(self, look: int) -> Path:
        """Where a look's files lie."""
        final_folder = self.studies_dir / self.winner.study / "final"
        return final_folder if look == 1 else final_folder / f"look-{look}"

    def standing(self) -> tuple[Standing, Look | None]:
        """What `Seal.check` says; and an error where results of this split lie about without a receipt.

        Raises
        ------
        SealedError
            Another model was looked at, or receipts were removed, and no reason for a further look is given.
        BrokenChain
            The receipts were changed.
        """
        standing, look = self.seal.check(self.candidate)
        lost = self._looks_without_receipt()
        if standing == "unopened" and lost and not self.again:
            raise SealedError(
                f"{lost[-1][1]} holds the scores of look {lost[-1][0]} at split {self.split_id}, but {self.seal.path} has no receipt of it. "
                "Receipts must not be removed: bring the file back, or give the reason for a further look with --again REASON"
            )
        return standing, look

    def next_number(self) -> int:
        """The number that a new look would have, counting also those whose receipt is lost."""
        numbers = [look.number for look in self.seal.looks()] + [number for number, _ in self._looks_without_receipt()]
        return max(numbers, default=0) + 1

    def _looks_without_receipt(self) -> list[tuple[int, Path]]:
        known, found = {look.number for look in self.seal.looks()}, []
        for path in self.studies_dir.glob("*/final/**/metrics.json"):
            try:
                metrics = json.loads(path.read_text(encoding="utf-8"))
                if metrics["split_id"] == self.split_id and metrics["look"] not in known:
                    found.append((metrics["look"], path))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # not one of our files: it says nothing about this split
        return sorted(found)


@dataclass(frozen=True)
class Said:
    """How a look tells what it does.

    Parameters
    ----------
    step : callable
        Gets a line of text at the start of each step.
    epoch : callable
        Gets the number and the metrics of each epoch of a retrain; ``epochs`` among them is how many there will be.
    progress : callable
        ``progress(done, total, what)`` while held-out tracks are evaluated.
    measure : callable
        Tells what a retrain and an evaluation cost (`genre_models.measuring`).
    """

    step: Callable[[str], None]
    epoch: Callable[[int, dict], None]
    progress: Callable[[int, int, str], None]
    measure: Measure = not_measured


def take(request: Request, task: dict, rows: Sequence[ScanRow], said: Said, groups: Sequence[Sequence[ScanRow]] = ()) -> Look:
    """Take the look, or complete the one that was interrupted.

    Parameters
    ----------
    request : Request
    task : dict
        The development tracks (docs/design.md, section 5).
    rows : sequence of ScanRow
        The held-out tracks.
    said : Said
    groups : sequence of sequence of ScanRow
        The same, those that go together in one group; intervals count groups. A track in none stands alone.

    Returns
    -------
    Look
        With both receipts; its files lie in ``request.folder(look.number)``.

    Raises
    ------
    SealedError
        These models may not be looked at, or an interrupted look's model files are not those on the receipt.
    CorpusError
        A held-out file is missing, has changed, or can't be decoded; nothing is closed.
    """
    standing, look = request.standing()
    if standing == "ours-closed":
        return look
    final.verify_files(rows, task["kind"])  # before an hour of training, and before the receipt
    if standing == "unopened":
        look = _prepare_and_open(request, task, rows, said)
    else:
        said.step(f"completing look {look.number}, opened {look.opened['time']} and interrupted; the model is the one on the receipt")
        _require_same_models(request, look)
    latency = _latency(request.folder(look.number) / "model", task, said)
    return _evaluate_and_close(request, look, rows, said, latency, {row.id: number for number, group in enumerate(groups) for row in group})


def _prepare_and_open(request: Request, task: dict, rows: Sequence[ScanRow], said: Said) -> Look:
    for table in sorted({retrain.table_of(one, task) for one in (request.winner, *request.also)} - {None}):
        final.verify_table(table, rows, task["tables"][table]["columns"])
    number = request.next_number()
    folder = request.folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "also", ignore_errors=True)  # of a run that was killed, and that no receipt speaks of
    _retrain(request.winner, task, folder / "model", said)
    for other in request.also:
        _retrain(other, task, _also(folder, other.family), said)
    for made in (folder / "model", *(_also(folder, other.family) for other in request.also)):
        _require_loads(made)
    for made in (folder, *list(folder.parents)[:2]):
        fsync_path(made)
    models = _hashes(folder)
    what = f"{1 + len(request.also)} models" if request.also else f"model ({verdict.model_hash(models)[1][:12]}…)"
    said.step(f"{what} saved and hashed; opening the seal of split {request.split_id}: look {number}")
    return request.seal.open(request.candidate, number, models, {row.id: row.content for row in rows})


def _require_loads(folder: Path) -> None:
    """What can't be loaded could be looked at by nobody, and its receipt would stay open for good."""
    try:
        final.load_predictor(folder)
    except Exception as error:  # a framework raises whatever the part that failed raises
        raise GenreModelsError(f"{folder}: was saved, but can't be loaded again ({type(error).__name__}: {error}); no held-out track was read, and no look is used up") from error


def _retrain(winner: Winner, task: dict, folder: Path, said: Said) -> None:
    where = f"all {len(task['tracks'])} development tracks"
    if winner.has_epochs:
        said.step(f"retraining trial {winner.trial}, {winner.family}, on {where} for {winner.best_epoch} epochs")
    else:
        said.step(f"fitting trial {winner.trial}, {winner.family}, to {where}")
    added = retrain.added_since(winner.spec)
    if added:
        said.step(f"note: {winner.family} has parameters that it had not when the study was made; they take their defaults: {added}")

    def on_epoch(epoch: int, metrics: dict) -> None:
        if winner.has_epochs:
            said.epoch(epoch, metrics | {"epochs": winner.best_epoch})

    retrain.retrain(winner, task, folder, on_epoch, said.measure)


def _latency(folder: Path, task: dict, said: Said) -> dict | None:
    """How long the model takes for a clip, measured on development tracks; that one of those is gone does not hold up the look."""
    try:
        return measure_latency(folder, _pipeline(folder), task)
    except (GenreModelsError, OSError) as error:
        said.step(f"note: how long the model takes for a clip is not measured: {error}")
        return None


def _evaluate_and_close(request: Request, look: Look, rows: Sequence[ScanRow], said: Said, latency: dict | None, groups: Mapping[str, int]) -> Look:
    """Evaluate what is on the receipt, whatever was asked for: all of it, in one go."""
    folder, vectors = request.folder(look.number), {}
    said.step(f"evaluating once on {len(rows)} held-out tracks")
    with said.measure() as measured:
        evaluation = final.evaluate(folder / "model", rows, said.progress, vectors, groups)
    pipeline = _pipeline(folder / "model")
    others, expected = [], {other.family: other.expected for other in request.also}
    for one in look.also:
        said.step(f"and {one.family}, trial {one.trial}, on the same tracks")
        found = final.evaluate(_also(folder, one.family), rows, said.progress, vectors, groups)
        others.append(Compared(found, _pipeline(_also(folder, one.family)), expected.get(one.family)))
    metrics = verdict.collect(evaluation, pipeline, look.opened, request.winner, others)
    metrics |= verdict.costs(folder / "model", pipeline, request.winner, measured.cost, latency)
    with _shown_if_possible(said, "pictures and sound of the mistakes"):  # while the seal is open: nobody else may read these files
        write_held_out(folder / "evidence", evaluation, rows, pipeline, metrics["calibration"])
    with _shown_if_possible(said, "pictures of the look"):
        verdict.draw_pictures(folder, metrics, pipeline, request.winner.history)
    verdict.write_verdict(folder, evaluation, metrics, pipeline, others)
    scores = {key: metrics[key] for key in verdict.IN_THE_RECEIPT}
    also = {entry["family"]: {key: entry[key] for key in verdict.IN_THE_RECEIPT} for entry in metrics["also"]}
    return request.seal.close(look.number, scores, also)


@contextmanager
def _shown_if_possible(said: Said, what: str) -> Iterator[None]:
    """What is for people's eyes holds up no look: one that failed each time could never be closed. A full disk ends it here as anywhere, and it goes on later."""
    try:
        yield
    except (GenreModelsError, OSError):
        raise
    except Exception as error:  # whatever a library makes of a name, a size, a file
        said.step(f"note: {what} are not all there: {type(error).__name__}: {error}")


def _require_same_models(request: Request, look: Look) -> None:
    folder = request.folder(look.number)
    found, expected = _hashes(folder), look.opened["models"]
    differ = sorted(name for name in expected | found if found.get(name) != expected.get(name))
    if differ:
        remedy = "remove what was added" if set(differ) == set(found) - set(expected) else "bring the files back"
        names = ", ".join(f"{name} ({'gone' if name not in found else 'added' if name not in expected else 'changed'})" for name in differ)
        raise SealedError(
            f"look {look.number} was interrupted, and {folder / 'model'} is no longer the model on its receipt: {names}.\n{look.describe()}\n"
            f"A model trained anew may differ, and that would be another look: {remedy}, or say why with --again REASON"
        )


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a look's models: of the winner's by its name, of others' by ``also/FAMILY/NAME``."""
    return sha256_tree(folder / "model") | {f"also/{name}": found for name, found in sha256_tree(folder / "also").items()}


def _also(folder: Path, family: str) -> Path:
    return folder / "also" / family


def _pipeline(folder: Path) -> dict:
    return json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))


def _spec_sha256(winner: Winner) -> str:
    return hashlib.sha256(json.dumps(winner.spec, sort_keys=True).encode()).hexdigest()
