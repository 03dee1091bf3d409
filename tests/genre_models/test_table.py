"""Reading tables of features, and which of their columns are features."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from genre_models.errors import CorpusError
from genre_models.features import table_read
from genre_models.features.handcrafted import feature_names
from genre_models.features.table import read_table
from genre_models.features.table_columns import columns_that_tell
from genre_models.features.table_read import size_columns
from tests.genre_models.tables import gtzan_rows, write_csv, write_fma, write_gtzan

HEADER = ["filename", "length", "a", "b", "label"]


def test_gtzans_table_of_whole_tracks(tmp_path: Path) -> None:
    table = read_table(write_gtzan(tmp_path / "features_30_sec.csv"))
    assert table.columns == ("a", "b")
    assert table.ids[:3] == ("blues/blues.00000", "blues/blues.00001", "blues/blues.00002")
    assert set(table.segments) == {None}
    assert table.labels == ("blues",) * 3 + ("rock",) * 3
    assert table.X.shape == (6, 2)
    assert table.X.dtype == np.float32
    assert len(table.sha256) == 64
    assert "2 columns are features, not filename (the id), label (the class), length (the file's length)" in table.notes[0]


def test_three_second_rows_are_segments_of_their_track(tmp_path: Path) -> None:
    rows = gtzan_rows(n=2, segments=11)
    table = read_table(write_csv(tmp_path / "t.csv", HEADER, [*reversed(rows)]))
    assert table.ids == ("blues/blues.00000",) * 11 + ("blues/blues.00001",) * 11 + ("rock/rock.00000",) * 11 + ("rock/rock.00001",) * 11
    assert table.segments == tuple(range(11)) * 4  # by number, not by text
    assert np.array_equal(table.X, np.array([row[2:4] for row in rows], np.float32))


def test_real_gtzan_table(real_data: Path) -> None:
    table = read_table(real_data / "gtzan" / "features_30_sec.csv")
    assert len(table.ids) == len(set(table.ids)) == 710
    assert len(table.columns) == 57
    assert not {"filename", "label", "length"} & set(table.columns)
    assert table.ids[0] == "blues/blues.00000"
    assert np.isfinite(table.X).all()


def test_fmas_table_has_three_header_rows(tmp_path: Path) -> None:
    table = read_table(write_fma(tmp_path / "features.csv", [2, 5, 155_066]))
    assert table.columns == feature_names()
    assert table.ids == ("000002", "000005", "155066")
    assert table.labels is None
    assert table.X.shape == (3, 518)
    with (tmp_path / "features.csv").open("a") as file:
        file.write("7," + ",".join(["x"] * 518) + "\n")
    with pytest.raises(CorpusError, match=r"features.csv: can't be read as a csv table: .*x"):
        read_table(tmp_path / "features.csv")


def test_any_table_with_an_id(tmp_path: Path) -> None:
    import pandas as pd

    ids, X = ["rock/a", "rock/b", "pop/a"], np.arange(6, dtype=np.float64).reshape(3, 2) ** 2
    frame = pd.DataFrame({"track": ids, "f": X[:, 0], "g": X[:, 1]})
    frame.to_csv(tmp_path / "a.csv")  # with pandas' own index
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.set_index("track").to_parquet(tmp_path / "index.parquet")
    np.savez(tmp_path / "a.npz", track=np.array(ids), f=X[:, 0], g=X[:, 1])
    np.savez(tmp_path / "matrix.npz", ids=np.array(ids), X=X, columns=np.array(["f", "g"]))
    for name in ("a.csv", "a.tsv", "a.parquet", "index.parquet", "a.npz", "matrix.npz"):
        table = read_table(tmp_path / name)
        assert table.columns == ("f", "g"), name
        assert table.ids == ("pop/a", "rock/a", "rock/b"), name
        assert np.array_equal(table.X, X[[2, 0, 1]]), name


def test_spellings_of_ids(tmp_path: Path) -> None:
    def ids(header: list[str], *rows: list) -> tuple[str, ...]:
        return read_table(write_csv(tmp_path / "t.csv", header, rows)).ids

    assert ids(["f", "file", "g"], [1, "data/rock/a.wav", 2], [1, "rock/b.mp3", 3]) == ("rock/a", "rock/b")  # the first column of texts
    assert ids(["id", "f", "genre"], ["a.wav", 1, "NA"], ["b", 2, "None"]) == ("NA/a", "None/b")
    assert ids(["track_id", "f"], ["000002", 1], ["17", 2]) == ("000002", "000017")
    assert ids(["track", "f"], ["blues.00001", 1], ["blues.00002.au", 2]) == ("blues/blues.00001", "blues/blues.00002")
    assert ids(["track", "f"], ["genres_original/blues/blues.00001.wav", 1], ["jazz\\jazz00002.png", 2]) == ("blues/blues.00001", "jazz/jazz.00002")
    assert ids(["track", "f"], ["rock/track00012.wav", 1], ["rock/track.00013", 2]) == ("rock/track.00013", "rock/track00012")  # not GTZAN's
    assert ids(["track", "f", "label"], ["wav/blues.00001.wav", 1, "blues"], ["wav/blues.00001.wav", 2, "jazz"]) == ("blues/blues.00001", "jazz/blues.00001")
    assert ids(["track", "f"], ["one", 1], ["two", 2]) == ("one", "two")
    assert ids(["track", "f", "label"], [1, 1, "rock"], [1, 2, "jazz"], [2, 3, "jazz"]) == ("jazz/1", "jazz/2", "rock/1")
    assert ids(["track", "f", "label"], ["000001", 1, "rock"], [2, 2, ""]) == ("000001", "000002")
    assert ids(["track", "f"], [unicodedata.normalize("NFD", "forró/é"), 1]) == ("forró/é",)


def test_cells_that_are_empty_or_lists_in_parquet(tmp_path: Path) -> None:
    """As nullable types and nested columns are read: their cells can't be compared as numbers can."""
    import pandas as pd

    columns = {
        "tags": [["loud"], ["soft", "slow"], []],
        "added": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
        "name": pd.array(["rock/a", "rock/b", "pop/a"], dtype="string"),
        "genre": pd.array(["rock", pd.NA, "pop"], dtype="string"),
        "f": pd.array([1, 2, 3], dtype="Int64"),
    }
    pd.DataFrame(columns).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.ids == ("pop/a", "rock/a", "rock/b"), "the first column of texts, not of lists or dates"
    assert table.labels == ("pop", "rock", "")
    assert table.columns == ("f",) and table.X.ravel().tolist() == [3, 1, 2]
    missing = columns | {"track": pd.array(["rock/a", pd.NA, "pop/a"], dtype="string")}
    pd.DataFrame(missing).to_parquet(tmp_path / "u.parquet")
    with pytest.raises(CorpusError, match="u.parquet: row 2 names no track"):
        read_table(tmp_path / "u.parquet")
    pd.DataFrame({name: columns[name] for name in ("tags", "added", "f")}).to_parquet(tmp_path / "v.parquet")
    with pytest.raises(CorpusError, match="v.parquet: no column says which track a row is of"):
        read_table(tmp_path / "v.parquet")


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of it is named by the file's hash, which must be of the rows that were read."""
    path, read_frame = write_gtzan(tmp_path / "t.csv"), table_read.read_frame

    def read_then_write(path: Path, texts: tuple[str, ...]):
        frame = read_frame(path, texts)
        with path.open("a") as file:
            file.write("blues.00009.wav,1,2,3,blues\n")
        return frame

    def read_then_remove(path: Path, texts: tuple[str, ...]):
        frame = read_frame(path, texts)
        path.unlink()
        return frame

    with monkeypatch.context() as patch:
        patch.setattr(table_read, "read_frame", read_then_write)
        with pytest.raises(CorpusError, match="t.csv: changed while it was read; start again"):
            read_table(path)
    assert "blues/blues.00009" in read_table(path).ids
    monkeypatch.setattr(table_read, "read_frame", read_then_remove)
    with pytest.raises(CorpusError, match="t.csv: can't be read any more: No such file"):
        read_table(path)


def test_a_column_of_segments(tmp_path: Path) -> None:
    table = read_table(write_csv(tmp_path / "t.csv", ["track", "segment", "f"], [["r/a", 10, 1], ["r/a", 9, 2], ["r/b", 0, 3]]))
    assert table.ids == ("r/a", "r/a", "r/b")
    assert table.segments == (9, 10, 0)
    assert table.columns == ("f",)


def test_how_long_a_file_is_is_no_feature(tmp_path: Path) -> None:
    header = ["track", "Length", "f", "duration", "length_of_notes", "n_samples", "durations"]
    rows = [["r/a", 1, 2, 3, 4, 5, 6], ["r/b", 10, 20, 30, 40, 50, 60]]
    table = read_table(write_csv(tmp_path / "t.csv", header, rows))
    assert table.columns == ("f", "length_of_notes", "durations"), "by its exact name, in whatever case"
    assert table.X.tolist() == [[2, 4, 6], [20, 40, 60]]
    assert table.with_sizes.columns == tuple(header[1:]) and table.with_sizes.X.tolist() == [row[1:] for row in rows]
    assert "Length (the file's length), duration (the file's length), n_samples" in table.notes[0]
    with pytest.raises(CorpusError, match="length says how long a file is, and no other column has numbers"):
        read_table(write_csv(tmp_path / "u.csv", ["track", "length"], [["r/a", 1], ["r/b", 2]]))
    assert read_table(write_csv(tmp_path / "v.csv", ["track", "f"], [["r/a", 1], ["r/b", 2]])).with_sizes is None


def test_the_columns_of_a_files_length_are_found_without_reading_rows(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"track": ["r/a", "r/b"], "duration": [1.0, 2.0], "f": [3.0, 4.0]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", track=np.array(["r/a"]), duration=np.ones(1), f=np.ones(1))
    np.savez(tmp_path / "matrix.npz", ids=np.array(["r/a"]), X=np.ones((1, 2)), columns=np.array(["duration", "f"]))
    for name in ("a.csv", "a.tsv", "a.parquet", "a.npz", "matrix.npz"):
        assert size_columns(tmp_path / name) == ["duration"], name
    assert size_columns(write_fma(tmp_path / "features.csv", [2, 5])) == []
    (tmp_path / "broken.parquet").write_bytes(b"\x00 rubbish")
    assert size_columns(tmp_path / "broken.parquet") == size_columns(tmp_path / "none.csv") == size_columns(tmp_path) == []


def test_columns_that_give_the_class_away_are_no_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 10)
    code = np.repeat([3, 1, 2], 10)
    told = {
        "text": [f"the {label}" for label in labels],
        "code": code,
        "twice": code * 10 + rng.integers(0, 2, 30),  # two values a class
        "is_b": (labels == "b").astype(int),
        "high": np.isin(labels, ("b", "c")),
        "row": np.arange(30),
        "index": np.arange(30),
    }
    kept = {
        "f": code + rng.normal(0, 0.6, 30),  # tells them apart well, which is what features are for
        "whole": rng.integers(0, 5, 30),
        "shuffled": rng.permutation(30),
        "same": np.full(30, 7.0),
    }
    columns = {"track": [f"{label}/{n}" for n, label in enumerate(labels)], **told, **kept, "class": labels}
    table = read_table(write_csv(tmp_path / "t.csv", list(columns), list(zip(*columns.values(), strict=True))))
    assert table.columns == tuple(kept)
    said = "\n".join(table.notes)
    assert all(f"{name} (gives the class away)" in said for name in ("code", "twice", "is_b", "high", "row"))
    assert "text" in said


def test_columns_that_thresholds_part_give_the_class_away() -> None:
    rng, classes = np.random.default_rng(0), np.repeat([2, 0, 1], 20)
    number, at, shuffled = np.arange(60), np.tile(np.arange(20), 3), np.array([rng.permutation(20) for _ in range(3)]).ravel()
    told = {
        "counter": number,
        "half": number + 0.5,
        "place": number / 60,
        "noisy code": classes + 1e-3 * rng.random(60),
        "seven a class": 100 * classes + at % 7,
        "albums in order": 1000 * classes + at // 2,
        "albums mixed": 3 * (shuffled // 2) + classes,
    }
    kept = {
        "one beyond": np.r_[classes[:59] + 0.1 * rng.random(59), 2.05],
        "whole": np.round(10 * classes + rng.normal(0, 10, 60)),
        "noise": rng.random(60),
        "shared album": np.r_[(3 * (shuffled // 2) + classes)[:59], 0],
    }

    def found(columns: dict[str, np.ndarray], tracks: np.ndarray, rows: int = 1) -> list[str]:
        values = np.stack(list(columns.values()), axis=1)[tracks].astype(np.float32).repeat(rows, axis=0)
        labels, ids = (np.repeat([str(one) for one in each[tracks]], rows) for each in (classes, number))
        return [name for name, tells in zip(columns, columns_that_tell(values, labels, ids), strict=True) if tells]

    every, two = number, np.flatnonzero(classes != 1)
    assert found(told | kept, every) == list(told)
    assert found(told | kept, every, rows=3) == list(told)  # rows of a track are no further tracks
    assert found(told, two) == ["counter", "seven a class", "albums in order", "albums mixed"]  # a good feature parts two classes too
    assert found(told, every[::5]) == ["counter", "seven a class", "albums in order"]  # four a class: fractions may do that by chance
    assert found(told, every[::10]) == []  # two


def test_a_number_of_the_track_in_every_segment_gives_it_away(tmp_path: Path) -> None:
    rows = [[f"{label}/{n}", s, 8 * (label == "b") + n, n / 7 + s, n**0.5, label] for label in "ab" for n in range(8) for s in range(3)]
    table = read_table(write_csv(tmp_path / "t.csv", ["track", "segment", "number", "f", "tempo", "label"], rows))
    assert table.columns == ("f", "tempo")


def test_a_column_that_is_empty_is_left_out_and_said(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", ["track", "f", "g", "h"], [["a", 1, "", "nan"], ["b", 2, "", ""]])
    table = read_table(path)
    assert table.columns == ("f",)
    assert any("2 columns are empty and left out: g, h" in note for note in table.notes)


@pytest.mark.parametrize(
    ("value", "says"), [("", "is empty or not a number"), ("inf", "is infinite"), ("1" + "0" * 60, "is infinite, or too large for float32")]
)
def test_values_that_are_not_finite_are_named(tmp_path: Path, value: str, says: str) -> None:
    path = write_csv(tmp_path / "t.csv", ["track", "f", "g"], [["r/a", 1, 2], ["r/b", 3, value], ["r/c", 1, 2]])
    with pytest.raises(CorpusError, match=rf"t.csv: column g {says}.* in the row of r/b \(1 of 3 rows") as error:
        read_table(path)
    assert "\n" not in str(error.value)
    assert read_table(path, finite=False).fault(0) is None


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (["f", "g"], [[1, 2]], "no column says which track"),
        (["track", "f"], [["r/a", 1], ["r/b", 1], ["r/a.wav", 2]], "rows 1, 3 are of one track, r/a; .* column named segment"),
        (["track", "segment", "f"], [["r/a", 1, 1], ["r/a", 1, 1]], "r/a, segment 1"),
        (["track", "segment", "f"], [["r/a", "x", 1]], "column segment, row 1: found 'x'"),
        (["track", "segment", "f"], [["r/a", "1.0", 1], ["r/a", "1.5", 1]], "column segment, row 2: found '1.5' where a whole number"),
        (["track", "segment", "f"], [["r/a", "inf", 1]], "column segment, row 1: found 'inf'"),
        (["track", "title"], [["r/a", "x"]], "no column of numbers"),
        (["track", "f"], [["r/a", 1], ["", 1]], "row 2 names no track"),
        (["track", "f"], [], "has no rows"),
        (["track", "f", "f"], [["r/a", 1, 1]], "two columns are named 'f'"),
        (["track", "f"], [["r/a", 1, 5]], "can't be read as a csv table"),
        (["track", "f"], [[f"r/{n}", n] for n in range(20)] + [["r/x", "1,5"]], "column f, row 21: found '1,5' where a number must stand"),
        (["track", "segment", "f", "genre"], [["000007", 0, 1, "a"], ["000007", 1, 1, "b"]], "rows of 000007 have two classes, a and b"),
        (["track", "f", "label"], [[n, n % 2, n % 2] for n in range(9)], "every column of numbers gives the class away"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, header: list[str], rows: list[list], says: str) -> None:
    with pytest.raises(CorpusError, match=says) as error:
        read_table(write_csv(tmp_path / "t.csv", header, rows))
    assert str(error.value).startswith(str(tmp_path / "t.csv"))
    assert "\n" not in str(error.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet", "t.npz"):
        (tmp_path / name).write_bytes(b"\x00\xff rubbish \x80" * 20)
        with pytest.raises(CorpusError, match=f"{name}: can't be read as a {name[2:]} table"):
            read_table(tmp_path / name)
    with pytest.raises(CorpusError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(CorpusError, match=r"no table that can be read; it must be one of .csv"):
        read_table(tmp_path / "t.pkl")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "t.npz", track=np.array(["r/a"]), f=np.array([Bomb()], dtype=object))
    with pytest.raises(CorpusError, match="t.npz: can't be read"):
        read_table(tmp_path / "t.npz")
    assert not (tmp_path / "ran").exists()
