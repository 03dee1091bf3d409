"""Tables of features, lists of tracks, groups, receipts, records of runs: spoiled, huge, of another kind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from genre_models.corpus.fma_table import read_table as read_fma
from genre_models.errors import CorpusError, GenreModelsError, SealedError
from genre_models.features import table_file
from genre_models.features.table_read import Table, read_table
from genre_models.grouping import read_groups
from genre_models.receipts import FIRST
from genre_models.scan import ScanRow
from genre_models.seal import Candidate, Seal, overlaps
from genre_models.settings import SplitLists
from genre_models.split_lists import read_parts
from search.errors import StudyError
from search.study_view import read_study
from tests.hostile.mutation import EDITS, many, spoiled, try_many

ROWS = [ScanRow(f"{label}/{label}.{i:05d}", label, Path("x.wav"), f"{label}{i}", 9, True) for label in ("blues", "pop") for i in range(4)]
TABLE = "filename,length,tempo,rms,label\n" + "".join(f"{row.id.rpartition('/')[2]}.wav,661794,{100 + i},{0.1 * i},{row.label}\n" for i, row in enumerate(ROWS))
_CSV = st.lists(st.lists(st.one_of(st.text(max_size=8), st.sampled_from(["track", "id", "label", "nan", "1e400", "-0", '"', "''", "\ufeff", "blues.00001.wav"])), max_size=5), max_size=6)


def table_bytes(suffix: str) -> bytes:
    ids = np.array([row.id for row in ROWS])
    columns = {"id": ids, "tempo": np.linspace(90, 140, len(ids)), "rms": np.linspace(0, 1, len(ids)), "label": np.array([row.label for row in ROWS])}
    buffer = io.BytesIO()
    if suffix == "npz":
        np.savez_compressed(buffer, **columns)
    elif suffix == "parquet":
        import pandas as pd

        pd.DataFrame(columns).to_parquet(buffer)
    else:
        return TABLE.encode()
    return buffer.getvalue()


def read(path: Path) -> Table | None:
    """The table; None where it is refused, in words that name the file."""
    try:
        return read_table(path)
    except CorpusError as error:
        assert str(path) in str(error) and len(str(error)) < 2000
        return None


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
@many(8, 250)
def test_spoiled_tables(tmp_path: Path, suffix: str, examples: int) -> None:
    whole, path = table_bytes(suffix), tmp_path / f"features.{suffix}"

    def check(edits: list[Any]) -> None:
        path.write_bytes(spoiled(whole, edits))
        found = read(path)
        assert found is None or np.isfinite(found.X).all()
        table_file.column_names(path)

    try_many(examples, check, EDITS)


@many(8, 400)
def test_any_csv(tmp_path: Path, examples: int) -> None:
    path, quoted = tmp_path / "a.csv", str.maketrans({"\0": None})

    def check(rows: list[list[str]]) -> None:
        text = "\n".join(",".join(cell.translate(quoted) for cell in row) for row in rows)
        path.write_text(text, encoding="utf-8", errors="replace")
        read(path)
        for reader in (lambda: read_groups(str(path), ROWS), lambda: list(read_fma(path)), lambda: read_parts(SplitLists(train=str(path)), ROWS)):
            try:
                reader()
            except CorpusError as error:
                assert str(path) in str(error)

    try_many(examples, check, _CSV)


@many(8, 300)
def test_spoiled_lists(tmp_path: Path, examples: int) -> None:
    groups, listed = tmp_path / "groups.csv", tmp_path / "train.txt"
    whole = ("track,group\n" + "".join(f"{row.id},artist {i % 3}\n" for i, row in enumerate(ROWS))).encode()

    def check(edits: list[Any]) -> None:
        groups.write_bytes(spoiled(whole, edits))
        listed.write_bytes(spoiled(whole.replace(b",artist", b"\n#"), edits))
        for file, reader in ((groups, lambda: read_groups(str(groups), ROWS)), (listed, lambda: read_parts(SplitLists(train=str(listed)), ROWS))):
            try:
                reader()
            except CorpusError as error:
                assert str(file) in str(error)

    try_many(examples, check, EDITS)


def test_files_that_never_end_or_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    with (tmp_path / "holes.csv").open("wb") as file:
        file.truncate(1 << 40)
    wide = tmp_path / "wide.csv"
    wide.write_text(",".join(f"c{i}" for i in range(100_000)) + "\n" + ",".join(["1"] * 100_000))
    alike = tmp_path / "alike.csv"
    alike.write_text(",".join(["a"] * 60_000) + "\n1\n")
    packed = tmp_path / "packed.npz"
    packed.write_bytes(zip_that_declares(3 << 30))
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    lying = tmp_path / "lying.npz"
    with zipfile.ZipFile(lying, "w") as archive:
        archive.writestr("id.npy", array.getvalue())
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, id=np.array([{"a": 1}, None], dtype=object))
    started = time.monotonic()
    for path in sorted(tmp_path.iterdir()):
        if path.name != "holes.csv":
            assert read(path) is None, path
        if path.suffix == ".csv" and path not in (wide, alike):
            for reader in (lambda: read_groups(str(path), ROWS), lambda: read_parts(SplitLists(train=str(path)), ROWS)):
                with pytest.raises(CorpusError, match=path.name):
                    reader()
    assert time.monotonic() - started < 10
    monkeypatch.setattr(table_file, "MAX_VALUES", 20)  # a column of one value takes no room in Parquet
    (tmp_path / "long.parquet").write_bytes(table_bytes("parquet"))
    with pytest.raises(CorpusError, match="8 rows of 4 columns, but at most 20 values"):
        read_table(tmp_path / "long.parquet")


def zip_that_declares(size: int) -> bytes:
    """An archive of one small array that is said to unpack to `size` bytes."""
    array, whole = io.BytesIO(), io.BytesIO()
    np.save(array, np.arange(4.0))
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("id.npy", array.getvalue())
    content = bytearray(whole.getvalue())
    at = content.rindex(b"PK\x01\x02") + 24  # in the central directory
    content[at : at + 4] = struct.pack("<I", size)
    return bytes(content)


# -- receipts and records ------------------------------------------------------------------------------------------

MODELS, TRACKS = {"model.keras": "f" * 64}, {"blues/a": "c1", "pop/b": "c2"}
OURS, OTHER = Candidate("cnn", 7, "s1"), Candidate("cnn", 8, "s2")


def ask(folder: Path) -> None:
    """All that is asked of receipts; each may be refused in words."""
    for question in (lambda: Seal(folder, "abc").check(OURS), lambda: Seal(folder, "abc").check(OTHER), lambda: overlaps(folder, "other", TRACKS)):
        try:
            question()
        except (SealedError, GenreModelsError) as error:
            assert str(error) and "Traceback" not in str(error)


@many(10, 400)
def test_spoiled_receipts(tmp_path: Path, examples: int) -> None:
    seal = Seal(tmp_path, "abc")
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, {"accuracy": 0.5, "accuracy_ci95": None, "macro_f1": 0.4})
    whole = seal.path.read_bytes()
    assert "macro F1" in seal.looks()[0].describe()  # without an interval, as where all tracks are of one group

    def check(edits: list[Any]) -> None:
        seal.path.write_bytes(spoiled(whole, edits, head=len(whole)))
        ask(tmp_path)

    try_many(examples, check, EDITS)


_ANY = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=8)


@many(15, 800)
def test_receipts_that_are_chained_and_nonsense(tmp_path: Path, examples: int) -> None:
    """The chain says that lines follow each other, not that they are sound."""
    sound = [
        {"event": "opened", "look": 1, "study": "cnn", "trial": 7, "spec_sha256": "s1", "reason": None, "models": MODELS, "n_tracks": 2, "tracks": TRACKS, "also": [{"family": "svm", "trial": 3, "spec_sha256": "s"}]},
        {"event": "closed", "look": 1, "scores": {"accuracy": 0.5, "accuracy_ci95": [0.1, 0.9], "macro_f1": 0.4}, "also": {"svm": {"accuracy": 0.5, "accuracy_ci95": [0.1, 0.9], "macro_f1": 0.4}}},
    ]
    keys = sorted({key for event in sound for key in event} | {"time"})

    def check(which: int, key: str, value: Any, drop: bool) -> None:
        previous, lines = FIRST, []
        for number, event in enumerate(sound):
            event = event | {"split_id": "abc", "time": "t", "previous": previous}
            if number == which:
                event = {k: v for k, v in event.items() if k != key} if drop else event | {key: value}
                event["previous"] = previous
            lines.append(json.dumps(event).encode())
            previous = hashlib.sha256(lines[-1]).hexdigest()
        (tmp_path / "abc.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        ask(tmp_path)

    try_many(examples, check, st.integers(0, 1), st.sampled_from(keys), _ANY, st.booleans())


def test_a_receipt_that_is_too_deep_and_a_split_that_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "abc.jsonl").write_bytes(b"[" * 200_000 + b"\n")
    ask(tmp_path)
    with pytest.raises(GenreModelsError, match="is no split's id"):
        Seal(tmp_path, "../../x")


@pytest.mark.parametrize("content", ["{", "[" * 200_000, "null"])
def test_a_record_of_a_run_that_is_none(tmp_path: Path, content: str) -> None:
    from tests.search.dashboard_requests import make_study

    make_study(tmp_path, "s", (0.5,))
    (tmp_path / "s" / "run.json").write_text(content)
    with pytest.raises(StudyError, match="run.json: can't be read"):
        read_study(tmp_path, "s")


def test_a_study_that_something_else_made(tmp_path: Path) -> None:
    import optuna

    (tmp_path / "s").mkdir()
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/s/study.db", study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    with pytest.raises(StudyError, match="something else than this program made it"):
        read_study(tmp_path, "s")
