"""Principal components of the training items, found once for all trials of a split and kept in the cache.

    pca-KEY/components.npz    KEY = hash of the training items' vectors, the scaling and this code's version

They are found up to the largest share that a family may ask for; smaller shares take the first of them. Only training items are read.
NumPy only; scikit-learn's PCA would hold three copies of the items in memory.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from genre_models.durable import write_whole
from genre_models.errors import CacheError, no_locks
from genre_models.vectors import VectorData, mean_and_deviation, vector_blocks

LARGEST_SHARE = 0.99
CODE_VERSION = 1
_FILE = "components.npz"


@dataclass(frozen=True)
class Components:
    """Orthonormal directions of a cloud of scaled vectors, by falling variance.

    Attributes
    ----------
    mean, deviation : np.ndarray [shape=(d,), dtype=float32]
        Vectors are scaled by ``(x - mean) / deviation`` first; `deviation` is 1 where they were not standardised.
    directions : np.ndarray [shape=(k, d), dtype=float32]
        The largest number of each is positive, so that signs are the same everywhere.
    variances : np.ndarray [shape=(k,)]
        Along each.
    shares : np.ndarray [shape=(k,)]
        Of the whole variance, up to and with each.
    """

    mean: np.ndarray
    deviation: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    shares: np.ndarray

    def first(self, share: float) -> np.ndarray:
        """The fewest directions whose share is above `share`, all where none is [shape=(k, d)]."""
        return self.directions[: int(np.searchsorted(self.shares, share, side="right")) + 1]


def training_components(data: VectorData, standardise: bool) -> Components:
    """Components of the training items, from the cache where they are there; else they are found and kept.

    Parameters
    ----------
    data : VectorData
    standardise : bool
        Whether features are brought to standard deviation 1 first.

    Raises
    ------
    TrainingDiverged
        A number is not finite.
    CacheError
        The cache can't be written, or locked.
    """
    items = sorted(data.items_of(data.train_ids)[0])  # sorted: the same digits whatever the order of the tracks
    folder = Path(data.cache_dir).expanduser() / f"pca-{_key(data, items, standardise)}"
    found = _read(folder / _FILE)
    if found is not None:
        return found
    with _writing(folder):  # a worker that comes second waits, and then finds them
        found = _read(folder / _FILE)
        if found is None:
            found = find_components(data, items, standardise)
            arrays = {field.name: getattr(found, field.name) for field in fields(found)}
            write_whole(folder / _FILE, lambda path: np.savez(path, **arrays))
    return found


def find_components(data: VectorData, items: Sequence[str], standardise: bool) -> Components:
    """Components of some items, up to the share `LARGEST_SHARE`.

    By the eigenvectors of the smaller of the two Gram matrices, of features or of items, in float64; vectors are read in blocks, so that
    besides the matrix and the result little is in memory.

    Source
    ------
    L. Sirovich, "Turbulence and the dynamics of coherent structures, part I", 1987, for the matrix of items ("snapshots").
    """
    mean, deviation = mean_and_deviation(data, items)
    if not standardise:
        deviation = np.ones_like(deviation)

    def blocks() -> Iterator[tuple[slice, np.ndarray]]:
        for where, block in vector_blocks(data, items):
            block -= mean
            block /= deviation
            yield where, block

    n, d = len(items), len(mean)
    gram = np.zeros((min(n, d),) * 2)
    if d <= n:
        for _, block in blocks():
            gram += block.T @ block
    else:
        for rows, block in blocks():
            for columns, other in blocks():
                if columns.start > rows.start:
                    break  # `eigh` reads the lower triangle only
                gram[rows, columns] = block @ other.T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    total = values.sum()
    shares = np.cumsum(values) / total if total > 0 else np.ones_like(values)
    k = min(int(np.searchsorted(shares, LARGEST_SHARE, side="right")) + 1, len(values))
    if d <= n:
        directions = np.ascontiguousarray(vectors[:, :k].T)
    else:
        directions = np.zeros((k, d), np.float32)
        for rows, block in blocks():
            directions += vectors[rows, :k].T.astype(np.float32) @ block
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    directions *= np.where(np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1) < 0, -1, 1)
    return Components(mean, deviation, directions.astype(np.float32), values[:k] / max(n - 1, 1), shares[:k])


def _key(data: VectorData, items: Sequence[str], standardise: bool) -> str:
    """Names what components follow from, by the numbers themselves: two corpora may call different tracks the same."""
    digest = hashlib.blake2b(f"{CODE_VERSION} {standardise} {data.input_shape[0]} ".encode(), digest_size=8)
    for _, block in vector_blocks(data, items):
        digest.update(block)
    return digest.hexdigest()


def _read(path: Path) -> Components | None:
    """Components on file; None where there are none, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Components(**{field.name: stored[field.name] for field in fields(Components)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which dies with its process."""
    import portalocker

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a")
    except OSError as error:
        raise CacheError(f"{folder}: the cache can't be written: {error.strerror or error}") from error
    with file:
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        except portalocker.LockException as error:
            raise no_locks(folder, error) from error
        try:
            yield
        except OSError as error:
            told = f"{folder}: the principal components can't be kept: {error.strerror or error}"
            raise CacheError(f"{told}: free space; what is stored so far stays valid") from error
        finally:
            portalocker.unlock(file)
