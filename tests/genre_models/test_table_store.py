"""What of a table reaches workers and the final evaluation, and tables as corpora."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genre_models.corpus import open_corpus
from genre_models.corpus.table_rows import verify_rows
from genre_models.errors import CacheError, CorpusError, HeldOutError
from genre_models.families import FAMILIES
from genre_models.features.table import heldout_vectors, prepare_table, read_table
from genre_models.features.table_read import match_tracks
from genre_models.features.table_store import TableStore
from genre_models.final import verify_table
from genre_models.prepare import open_task
from genre_models.scan import Scan, scan_corpus
from genre_models.settings import DataSettings, FeatureSettings
from genre_models.split import deal
from tests.genre_models.tables import gtzan_rows, write_csv, write_fma, write_gtzan

HEADER = ["filename", "length", "a", "b", "label"]


def _tracks(*ids: str) -> list[dict[str, str]]:
    return [{"id": id, "label": id.partition("/")[0]} for id in ids]


DEVELOPMENT = _tracks("rock/rock.00001", "blues/blues.00000", "blues/blues.00001")


def test_workers_read_the_development_tracks_rows(tmp_path: Path) -> None:
    path = write_gtzan(tmp_path / "t.csv")
    facts = prepare_table(tmp_path / "cache", path, DEVELOPMENT)
    assert facts["n_features"] == 2
    assert facts["columns"] == ["a", "b"]
    path.rename(tmp_path / "gone.csv")  # workers never open it
    store = TableStore(tmp_path / "cache", facts, DEVELOPMENT)
    assert store.shape == (2,)
    assert store.dtype == np.float32
    items, owners = store.items_of(["rock/rock.00001", "blues/blues.00000"])
    assert items == ["rock/rock.00001", "blues/blues.00000"]
    assert owners.tolist() == [0, 1]
    table = read_table(tmp_path / "gone.csv")
    assert np.array_equal(store.features(items), table.X[[table.ids.index(id) for id in items]])
    assert np.array_equal(TableStore(tmp_path / "cache", facts["key"], DEVELOPMENT).features(items), store.features(items))


def test_items_of_a_track_with_several_rows(tmp_path: Path) -> None:
    path = write_gtzan(tmp_path / "t.csv", segments=11)
    facts = prepare_table(tmp_path / "cache", path, DEVELOPMENT)
    store = TableStore(tmp_path / "cache", facts, DEVELOPMENT)
    items, owners = store.items_of(["blues/blues.00001", "rock/rock.00001"])
    assert items[:2] == ["blues/blues.00001\x000", "blues/blues.00001\x001"]
    assert items[10] == "blues/blues.00001\x0010"
    assert owners.tolist() == [0] * 11 + [1] * 11
    rows = gtzan_rows(segments=11)
    assert np.array_equal(store.features(items[10:11])[0], np.array(rows[21][2:4], np.float32))


def test_a_track_that_is_named_as_a_segment_of_another(tmp_path: Path) -> None:
    import pandas as pd

    names, tracks = ["r/s", "r/s", "r/s#1", "r/s\x002"], _tracks("r/s", "r/s#1", "r/s2")
    pd.DataFrame({"track": names, "segment": [1, 2, 0, 0], "f": [1, 2, 3, 4]}).to_parquet(tmp_path / "t.parquet")
    facts = prepare_table(tmp_path / "cache", tmp_path / "t.parquet", tracks)
    store = TableStore(tmp_path / "cache", facts, tracks)
    items, owners = store.items_of(["r/s", "r/s#1", "r/s2"])
    assert store.features(items).ravel().tolist() == [1, 2, 3, 4]
    assert owners.tolist() == [0, 0, 1, 2]


def test_nothing_of_a_held_out_track_is_written_or_read(tmp_path: Path) -> None:
    rows = gtzan_rows()
    rows[2][2] = 123_456.0  # blues.00002 is held out
    path = write_csv(tmp_path / "t.csv", HEADER, rows)
    facts = prepare_table(tmp_path / "cache", path, DEVELOPMENT)
    written = b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert np.float32(123_456.0).tobytes() not in written
    assert b"blues.00002" not in written
    store = TableStore(tmp_path / "cache", facts, DEVELOPMENT)
    assert len(np.load(tmp_path / "cache" / f"table-{facts['key']}" / "rows.npy")) == 3
    for ask in (store.items_of, store.features):
        with pytest.raises(HeldOutError, match="blues/blues.00002"):
            ask(["blues/blues.00002"])
    with pytest.raises(HeldOutError):  # a store of fewer tracks knows no others
        TableStore(tmp_path / "cache", facts, DEVELOPMENT[:1]).features(["blues/blues.00000"])


def test_rows_are_written_once_and_again_where_they_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gtzan(tmp_path / "t.csv")
    facts = prepare_table(tmp_path / "cache", path, DEVELOPMENT)
    rows = tmp_path / "cache" / f"table-{facts['key']}" / "rows.npy"
    before = rows.stat().st_mtime_ns
    assert prepare_table(tmp_path / "cache", path, DEVELOPMENT[::-1]) == facts
    assert rows.stat().st_mtime_ns == before
    rows.write_bytes(rows.read_bytes()[:-4])
    assert prepare_table(tmp_path / "cache", path, DEVELOPMENT) == facts
    assert TableStore(tmp_path / "cache", facts, DEVELOPMENT).features(["rock/rock.00001"]).shape == (1, 2)
    assert sorted(folder.name for folder in (tmp_path / "cache").iterdir()) == [f"table-{facts['key']}"]
    with pytest.raises(CacheError, match="can't be read"):
        TableStore(tmp_path / "cache", "0" * 16, DEVELOPMENT)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genre_models.features.table_store.np.save", full)
    with pytest.raises(CacheError, match="No space left"):
        prepare_table(tmp_path / "full", path, DEVELOPMENT)


def test_another_file_other_tracks_or_other_classes_are_other_rows(tmp_path: Path) -> None:
    path = write_gtzan(tmp_path / "t.csv")
    several = (DEVELOPMENT, DEVELOPMENT[:2], [DEVELOPMENT[0] | {"label": "x"}])
    keys = [prepare_table(tmp_path / "cache", path, tracks)["key"] for tracks in several]
    keys.append(prepare_table(tmp_path / "cache", write_gtzan(tmp_path / "u.csv", n=4), DEVELOPMENT)["key"])
    assert len(set(keys)) == 4


def test_tracks_without_a_row_are_named(tmp_path: Path) -> None:
    path = write_gtzan(tmp_path / "t.csv")
    with pytest.raises(CorpusError, match=r"has no rows of 2 of 5 tracks: rock/rock.00007, rock/x .* named as blues/blues.00000"):
        prepare_table(tmp_path / "cache", path, [*DEVELOPMENT, *_tracks("rock/rock.00007", "rock/x")])


def test_a_tables_ids_without_a_class_are_the_files_names(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", ["track", "f"], [["one", 1], ["two", 2], ["000003", 3]])
    facts = prepare_table(tmp_path / "cache", path, _tracks("rock/one", "pop/two", "000003"))
    assert TableStore(tmp_path / "cache", facts, _tracks("pop/two", "000003")).features(["000003", "pop/two"]).tolist() == [[3], [2]]
    with pytest.raises(CorpusError, match="one may be any of pop/one, rock/one"):
        prepare_table(tmp_path / "cache", path, _tracks("rock/one", "pop/one"))


def test_names_that_are_numbers_and_names_with_accents(tmp_path: Path) -> None:
    def found(rows: list[list], ids: list[str], *header: str) -> list[float]:
        table = read_table(write_csv(tmp_path / "t.csv", ["track", "f", *header], rows))
        return table.X[[row for rows in match_tracks(table, ids) for row in rows], 0].tolist()

    labelled = [["1", 1, "rock"], ["1", 2, "jazz"], ["2", 3, "jazz"]]
    assert found(labelled, ["rock/1", "jazz/1", "jazz/2"], "label") == [1, 2, 3]
    assert found(labelled, ["000002"], "label") == [3]  # as FMA names it, and one row has the number
    assert found([["1", 1], ["2", 2]], ["rock/1", "jazz/02"]) == [1, 2]  # a table without classes
    with pytest.raises(CorpusError, match="has no rows of 1 of 1 tracks: 000001"):
        found(labelled, ["000001"], "label")
    with pytest.raises(CorpusError, match="000001 may be any of jazz/1, rock/1"):
        found([["1", 1]], ["jazz/1", "rock/1"])
    assert found([["rock/track00012", 1], ["jazz/track00012", 2]], ["jazz/track00012", "rock/track00012"]) == [2, 1]
    assert found([["track00012", 1], ["track00013.wav", 2]], ["rock/track00012", "jazz/track00013"]) == [1, 2]  # spelled as GTZAN's, and not GTZAN's
    assert found([["blues00012", 1], ["blues.00013", 2]], ["blues/blues.00012", "blues/blues.00013"]) == [1, 2]
    for written_out in ([["rock/track00012", 1]], [["blues/blues.00012", 1]]):
        with pytest.raises(CorpusError, match="has no rows of 2 of 2 tracks"):
            found(written_out, ["jazz/track00012", "jazz/blues.00012"])
    with pytest.raises(CorpusError, match="may be any of jazz/track00012, rock/track00012"):
        found([["track00012", 1]], ["jazz/track00012", "rock/track00012"])
    for table, folder in (("NFC", "NFD"), ("NFD", "NFC")):
        row = [unicodedata.normalize(table, "forró/é"), 1]
        assert found([row], [unicodedata.normalize(folder, "forró/é")]) == [1]


def test_only_the_development_tracks_rows_must_be_finite(tmp_path: Path) -> None:
    rows = gtzan_rows()
    rows[2][2] = ""
    path = write_csv(tmp_path / "t.csv", HEADER, rows)
    facts = prepare_table(tmp_path / "cache", path, DEVELOPMENT)
    with pytest.raises(CorpusError, match="column a .* row of blues/blues.00002"):
        prepare_table(tmp_path / "cache", path, [*DEVELOPMENT, *_tracks("blues/blues.00002")])
    held_out = [_row("blues/blues.00002", path)]
    with pytest.raises(CorpusError, match="column a .* row of blues/blues.00002"):
        list(heldout_vectors(path, facts["sha256"], held_out))
    with pytest.raises(CorpusError, match="column a .* row of blues/blues.00002"):
        verify_table(str(path), held_out)
    verify_table(str(path), held_out, ["length", "b"])  # nothing is trained on the other


def test_columns_that_give_the_corpus_classes_away_are_left_out_everywhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = [f"{label}/{n}" for label in ("pop", "rock") for n in range(6)]
    rows = [[id, int(id > "q"), *rng.standard_normal(2)] for id in ids]
    path = write_csv(tmp_path / "t.csv", ["track", "code", "f", "g"], rows)  # no classes in it: the corpus has them
    assert read_table(path).columns == ("code", "f", "g")
    development = _tracks(*(id for id in ids if not id.endswith("5")))
    facts = prepare_table(tmp_path / "cache", path, development)
    assert facts["columns"] == ["f", "g"]
    assert any("1 columns give the class of the development tracks away" in note and "code" in note for note in facts["notes"])
    found = list(heldout_vectors(path, facts["sha256"], [_row("rock/5", path), _row("pop/5", path)], facts["columns"]))
    assert np.allclose(found, np.array([[rows[11][2:]], [rows[5][2:]]], np.float32))


def test_held_out_vectors_come_from_the_table_that_was_trained_on(tmp_path: Path) -> None:
    path = write_gtzan(tmp_path / "t.csv", segments=4)
    facts = prepare_table(tmp_path / "cache", path, DEVELOPMENT)
    held_out = [_row("rock/rock.00002", path), _row("blues/blues.00002", path)]
    found = list(heldout_vectors(path, facts["sha256"], held_out, facts["columns"]))
    assert [each.shape for each in found] == [(4, 2), (4, 2)]
    assert np.array_equal(found[1], np.array([row[2:4] for row in gtzan_rows(segments=4)[8:12]], np.float32))
    old = list(heldout_vectors(path, facts["sha256"], held_out, ["length", "a", "b"]))  # a model of before the length was left out
    assert np.array_equal(old[1], np.array([row[1:4] for row in gtzan_rows(segments=4)[8:12]], np.float32))
    assert len(list((tmp_path / "cache").iterdir())) == 1
    with pytest.raises(CorpusError, match="has no rows of 1 of 1 tracks: rock/rock.00009"):
        list(heldout_vectors(path, facts["sha256"], [_row("rock/rock.00009", path)]))
    with path.open("a") as file:
        file.write("rock.00009.0.wav,1,2,3,rock\n")
    with pytest.raises(CorpusError, match="is not the table that was trained on"):
        list(heldout_vectors(path, facts["sha256"], held_out))


def _row(id: str, path: Path):
    from genre_models.scan import ScanRow

    return ScanRow(id, id.partition("/")[0], path, "", 0, True)


# A table as a corpus


def _scan(path: Path, tmp_path: Path) -> Scan:
    return scan_corpus(open_corpus(f"table:{path}"), tmp_path / "cache")


def test_a_table_with_classes_is_a_corpus(tmp_path: Path) -> None:
    path = write_gtzan(tmp_path / "t.csv", n=10, segments=3)
    corpus = open_corpus(f"table:{path}")
    assert corpus.kind == "table"
    assert corpus.labels == ("blues", "rock")
    assert len(corpus.tracks) == 20
    assert corpus.tracks[0].path == path
    assert any("60 rows of 20 tracks" in note for note in corpus.notes)
    scan = scan_corpus(corpus, tmp_path / "cache")
    assert all(row.readable and len(row.content) == 32 for row in scan.rows)
    split = deal(scan, DataSettings(source=f"table:{path}"), seed=0)
    assert len(split.test) == 4


def test_a_tracks_content_is_its_numbers(tmp_path: Path) -> None:
    rows = gtzan_rows(n=6)
    first = _scan(write_csv(tmp_path / "t.csv", HEADER, rows), tmp_path)
    again = _scan(write_csv(tmp_path / "sorted" / "u.csv", HEADER, rows[::-1]), tmp_path)
    assert first.fingerprint == again.fingerprint
    verify_rows([replace(row, path=tmp_path / "sorted" / "u.csv") for row in first.rows])
    longer = [[*row[:1], row[1] + 1, *row[2:]] for row in rows]  # no feature, but it tells recordings apart: splits and seals stay as they were
    assert _scan(write_csv(tmp_path / "v.csv", HEADER, longer), tmp_path).fingerprint != first.fingerprint
    by_hand = hashlib.blake2b(np.array(rows[0][1:4], np.float32).tobytes(), digest_size=16).hexdigest()
    assert {row.id: row.content for row in first.rows}["blues/blues.00000"] == by_hand
    rows[3][2] += 1
    changed = write_csv(tmp_path / "t.csv", HEADER, rows)
    assert _scan(changed, tmp_path).fingerprint != first.fingerprint
    with pytest.raises(CorpusError, match="blues/blues.00003: its rows in .* have changed"):
        verify_rows(first.rows)
    write_csv(changed, HEADER, rows[:3] + rows[4:])
    with pytest.raises(CorpusError, match="blues/blues.00003: its rows in .* are gone"):
        verify_rows(first.rows)


def test_a_study_of_before_the_length_was_left_out_does_not_match(tmp_path: Path) -> None:
    def table_of(path: Path) -> str:
        data = open_task(DataSettings(source=f"table:{path}"), {"classical": FeatureSettings()}, 0, tmp_path / "cache", values={"classical": values})
        return data.fingerprint_features("classical")["table"]

    values = {name: [value] for name, value in FAMILIES["classical"].defaults().items()} | {"input": ["table"]}
    path = write_gtzan(tmp_path / "t.csv", n=10)
    assert table_of(path) == f"{hashlib.sha256(path.read_bytes()).hexdigest()} without length"
    path = write_csv(tmp_path / "u.csv", ["filename", "a", "b", "label"], [[row[0], *row[2:]] for row in gtzan_rows(n=10)])
    assert table_of(path) == hashlib.sha256(path.read_bytes()).hexdigest(), "other tables' studies go on"


def test_rows_that_are_not_finite_and_rows_that_are_alike_are_seen_by_the_scan(tmp_path: Path) -> None:
    rows = gtzan_rows(n=6)
    rows[0][3] = ""
    rows[7][1:4] = rows[8][1:4]
    scan = {row.id: row for row in _scan(write_csv(tmp_path / "t.csv", HEADER, rows), tmp_path).rows}
    assert not scan["blues/blues.00000"].readable
    assert "column b is empty" in scan["blues/blues.00000"].reason
    assert scan["rock/rock.00001"].duplicate_group == scan["rock/rock.00002"].duplicate_group is not None
    assert sum(row.duplicate_group is not None for row in scan.values()) == 2


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (["track", "f"], [["rock/a", 1], ["pop/a", 2]], "no column says the class .* label, genre, class or track.genre_top, or give data"),
        (["track", "f", "label"], [["a", 1, "rock"], ["b", 2, "rock"]], "1 classes, but at least 2"),
    ],
)
def test_tables_that_are_no_corpus(tmp_path: Path, header: list[str], rows: list[list], says: str) -> None:
    with pytest.raises(CorpusError, match=says):
        open_corpus(f"table:{write_csv(tmp_path / 't.csv', header, rows)}")


def test_fmas_features_have_no_classes(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="data.source: fma:FOLDER.* and features.table: .*features.csv"):
        open_corpus(f"table:{write_fma(tmp_path / 'features.csv', [2, 5])}")
    with pytest.raises(CorpusError, match="data.input: audio asks for files"):
        open_corpus(f"table:{tmp_path / 'features.csv'}", "audio")


def test_tracks_without_a_class_are_left_out_and_said(tmp_path: Path) -> None:
    rows = [["000002", 1, "Rock"], ["000003", 2, "Pop"], ["000005", 3, ""]]
    corpus = open_corpus(f"table:{write_csv(tmp_path / 't.csv', ['track_id', 'f', 'track.genre_top'], rows)}")
    assert [track.id for track in corpus.tracks] == ["000002", "000003"]
    assert any("1 tracks have no class and are left out: 000005" in note for note in corpus.notes)
