"""Table files as frames of named columns: CSV (FMA's with three header rows too), Parquet, NumPy archives. Nothing is unpickled.

Says nothing of what the columns mean; that is `genre_models.features.table`'s.
"""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np

from genre_models.errors import CorpusError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")
MAX_COLUMNS, MAX_VALUES = 20_000, 80_000_000
_ROWS_AT_ONCE = 2048
_FMA_HEADER = ("feature", "statistics", "number")  # the first cells of its rows
_MATRIX, _COLUMN_NAMES = ("x", "features"), ("columns", "feature_names", "names")  # of an archive


def read_frame(path: Path, texts: tuple[str, ...]) -> pd.DataFrame:
    """Read a whole table.

    Parameters
    ----------
    path : Path
    texts : tuple of str
        Columns, in lower case, that are read as text whatever stands in them: 000002 stays 000002.

    Returns
    -------
    pandas.DataFrame
        Columns named by texts without spaces around them; the names are distinct. Of FMA's table the three header rows are joined by dots
        and the first column is ``track_id``.

    Raises
    ------
    CorpusError
        If it is missing, of no known kind, broken, empty, or names two columns alike.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CorpusError(f"{path}: is no table that can be read; it must be one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise CorpusError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; name the table's file")
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header lose values
            frame = _READERS[path.suffix.lower()](path, texts)
    except Exception as error:  # parsers report a broken file with whatever they stumbled over, one that declares too much as out of memory
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise CorpusError(f"{path}: can't be read as a {path.suffix[1:].lower()} table: {reason[:300]}") from error
    if not len(frame):
        raise CorpusError(f"{path}: has no rows")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise CorpusError(f"{path}: two columns are named {twice[0]!r}; rename one of them")
    return frame


def column_names(path: Path) -> tuple[str, ...]:
    """Names of a table's columns, without reading its rows; none where it can't be read, or is FMA's, whose names are in three rows."""
    try:
        return tuple(name.strip() for name in _HEADERS[path.suffix.lower()](path))
    except Exception:  # as above; what is wrong is told when it is read
        return ()


def _check_size(n_columns: int, n_rows: int) -> None:
    """Refuse by its declared size what would not fit; FMA's table has 55 million values."""
    if n_columns > MAX_COLUMNS:
        raise ValueError(f"it has {n_columns:,} columns, but at most {MAX_COLUMNS:,} are read")
    if n_columns * n_rows > MAX_VALUES:
        raise ValueError(f"it has {n_rows:,} rows of {n_columns:,} columns, but at most {MAX_VALUES:,} values are read")


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than its values may take. What a member declares is also all that is unpacked of it."""
    with ZipFile(path) as archive:
        members = archive.infolist()
    _check_size(len(members), 1)
    unpacked = sum(member.file_size for member in members)
    if unpacked > 8 * MAX_VALUES:
        raise ValueError(f"it unpacks to {unpacked / 2**20:,.0f} MiB, but at most {8 * MAX_VALUES >> 20:,} MiB are read")


def _csv_header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return next(csv.reader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ","), [])


def _parquet_header(path: Path) -> list[str]:
    from pyarrow import parquet

    return list(parquet.read_schema(path).names)


def _npz_header(path: Path) -> list[str]:
    _check_archive(path)
    with np.load(path, allow_pickle=False) as archive:
        named = [archive[name].astype(str).tolist() for name in archive.files if name.lower() in _COLUMN_NAMES]
        return [*archive.files, *(name for names in named for name in names)]


def _read_csv(path: Path, texts: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        if stream.read(2**16).count("\0"):
            raise ValueError("it holds bytes that are no text")
        stream.seek(0)
        rows = csv.reader(stream, delimiter=separator)
        header = [next(rows, []) for _ in range(4)]
    if tuple(row[0] if row else "" for row in header[:3]) == _FMA_HEADER:
        return _read_fma(path, header)
    names = [name.strip() for name in header[0]]
    if len(names) < 2:
        marks = "commas" if separator == "," else "tabs"
        raise ValueError(f"its first line names {len(names)} column, where names separated by {marks} must stand")
    _check_size(len(names), 1)
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:  # pandas would rename them
        raise ValueError(f"two columns are named {twice[0]!r}; rename one of them")
    how = {"sep": separator, "names": names, "header": None, "skiprows": 1, "index_col": False, "encoding": "utf-8-sig"}
    frame = pd.read_csv(path, low_memory=False, **how)
    texts_here = [name for name in names if name.lower() in texts]
    if texts_here:  # NA may be the name of a class
        # One column by name and not by `usecols`, which would count what a short row lacks.
        read = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=texts_here, **{**how, "index_col": None})
        frame[texts_here] = read[texts_here]
    return frame


def _read_fma(path: Path, header: list[list[str]]) -> pd.DataFrame:
    import pandas as pd

    names = ["track_id", *(".".join(parts) for parts in zip(*(row[1:] for row in header[:3]), strict=True))]
    # In float32 from the start, and in pieces: the parser holds the text of what it reads, which of 106,574 rows of 518 is a GiB.
    types = {name: np.float32 for name in names[1:]} | {"track_id": str}
    skipped = 4 if header[3][:1] == ["track_id"] else 3
    how = {"names": names, "header": None, "skiprows": skipped, "index_col": False, "dtype": types, "encoding": "utf-8-sig"}
    with pd.read_csv(path, chunksize=_ROWS_AT_ONCE, **how) as pieces:
        return pd.concat(pieces, ignore_index=True)


def _read_parquet(path: Path, texts: tuple[str, ...]) -> pd.DataFrame:
    from pyarrow import parquet

    facts = parquet.read_metadata(path)  # a value that repeats takes no room in the file
    _check_size(facts.num_columns, facts.num_rows)
    table = parquet.read_table(path, partitioning=None)
    table.validate(full=True)  # texts that are none are found now rather than when they are used
    frame = table.to_pandas()
    del table
    if any(name is not None for name in frame.index.names):  # an index that has a name was a column
        frame = frame.reset_index()
    frame.columns = [".".join(map(str, name)) if isinstance(name, tuple) else str(name).strip() for name in frame.columns]
    return frame


def _read_npz(path: Path, texts: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    _check_archive(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    lower = {name.lower(): name for name in arrays}
    names = next((arrays.pop(lower[name]) for name in _COLUMN_NAMES if name in lower), None)
    matrix = next((arrays.pop(lower[name]) for name in _MATRIX if name in lower and arrays[lower[name]].ndim == 2), None)
    wrong = next((name for name, array in arrays.items() if array.ndim != 1), None)
    if wrong is not None:
        shape = arrays[wrong].shape
        raise ValueError(f"array {wrong} has shape {shape}; arrays must be columns [n], or one matrix X [n, d] with ids [n] beside it")
    columns = {("id" if name.lower() == "ids" else "label" if name.lower() == "labels" else name): array for name, array in arrays.items()}
    frame = pd.DataFrame({name: array.astype(str) if array.dtype.kind in "SU" else array for name, array in columns.items()})
    if matrix is None:
        return frame
    titles = [str(name) for name in names] if names is not None else [f"x{number}" for number in range(matrix.shape[1])]
    if (len(frame), len(titles)) != matrix.shape:
        raise ValueError(f"X has shape {matrix.shape}, but beside it are {len(frame)} ids and {len(titles)} names of columns")
    return pd.concat([frame, pd.DataFrame(matrix, columns=titles)], axis=1)


_READERS = {".csv": _read_csv, ".tsv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
_HEADERS = {".csv": _csv_header, ".tsv": _csv_header, ".parquet": _parquet_header, ".npz": _npz_header}
