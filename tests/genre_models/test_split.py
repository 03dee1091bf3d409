from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models.corpus import open_corpus
from genre_models.errors import CorpusError
from genre_models.folds import deal_folds
from genre_models.scan import Scan, ScanRow, scan_corpus
from genre_models.settings import DataSettings
from genre_models.split import deal, name_split


def make_row(id: str, content: str | None = None, readable: bool = True) -> ScanRow:
    content = content or hashlib.md5(id.encode()).hexdigest()
    return ScanRow(id, id.partition("/")[0], Path("/music") / f"{id}.wav", content, 100, readable, None if readable else "broken")


def make_scan(**sizes: int) -> Scan:
    rows = [make_row(f"{label}/{label}.{i:05d}") for label, n in sizes.items() for i in range(n)]
    return Scan(tuple(rows), "f")


def ids(rows: tuple[ScanRow, ...]) -> list[str]:
    return [row.id for row in rows]


@st.composite
def scans_with_ties(draw: st.DrawFn) -> tuple[Scan, list[set[str]]]:
    """Classes of tracks, some with equal bytes, also across classes; and the sets of equal tracks."""
    rows = list(make_scan(**{f"c{i}": draw(st.integers(8, 40)) for i in range(draw(st.integers(2, 4)))}).rows)
    ties = []
    order = draw(st.permutations(range(len(rows))))
    for content in range(draw(st.integers(0, 4))):
        members = order[3 * content : 3 * content + draw(st.integers(2, 3))]
        for i in members:
            rows[i] = replace(rows[i], content=f"copy{content}")
        ties.append({rows[i].id for i in members})
    return Scan(tuple(rows), "f"), ties


@settings(max_examples=40, deadline=None)
@given(made=scans_with_ties(), fraction=st.floats(0.1, 0.4), seed=st.integers(0, 1000), split_seed=st.integers(0, 1000))
def test_a_split_is_a_stratified_partition_that_tears_nothing(
    made: tuple[Scan, list[set[str]]], fraction: float, seed: int, split_seed: int
) -> None:
    scan, ties = made
    data = DataSettings(test_fraction=fraction, split_seed=split_seed)
    split = deal(scan, data, seed)
    parts = [set(ids(part)) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(scan.rows) == len(set.union(*parts))
    for tie in ties:
        assert sum(bool(tie & part) for part in parts) == 1
    sizes = Counter(row.label for row in scan.rows)
    for part in (split.train, split.validation, split.test):
        assert {row.label for row in part} == set(sizes)
    for label, n in Counter(row.label for row in split.test).items():
        assert abs(n - fraction * sizes[label]) <= 3

    shuffled = list(scan.rows)
    random.Random(seed).shuffle(shuffled)
    assert deal(replace(scan, rows=tuple(shuffled)), data, seed) == split


def test_without_ties_each_class_gives_its_rounded_fraction() -> None:
    split = deal(make_scan(rock=100, jazz=33, folk=3), DataSettings(), 0)
    assert Counter(row.label for row in split.test) == {"rock": 20, "jazz": 7, "folk": 1}
    assert Counter(row.label for row in split.validation) == {"rock": 16, "jazz": 5, "folk": 1}
    assert split.labels == ("folk", "jazz", "rock")


def test_the_held_out_part_follows_from_split_seed_alone() -> None:
    scan = make_scan(rock=50, jazz=50)
    base = deal(scan, DataSettings(), 0)
    other_seed = deal(scan, DataSettings(validation={"holdout": 0.3}), 7)
    assert (other_seed.test, other_seed.split_id) == (base.test, base.split_id)
    assert other_seed.validation != base.validation
    assert deal(scan, DataSettings(split_seed=1), 0).split_id != base.split_id


def test_equal_seeds_do_not_deal_alike() -> None:
    # Otherwise the validation tracks would be the next in the order that dealt the held-out ones.
    scan = make_scan(rock=200, jazz=200)
    first = set(ids(deal(scan, DataSettings(split_seed=0), 0).test))
    second = set(ids(deal(scan, DataSettings(split_seed=1), 0).test))
    assert 0 < len(first & second) < len(first)


def test_split_id_is_as_the_design_says() -> None:
    rows = (make_row("rock/b", "22"), make_row("jazz/a", "11"))
    text = '[["jazz/a", "11", "jazz"], ["rock/b", "22", "rock"]]'
    assert name_split(rows) == name_split(rows[::-1]) == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert name_split((rows[0], replace(rows[1], content="12"))) != name_split(rows)


def test_unreadable_files_leave_before_the_split() -> None:
    scan = make_scan(rock=20, jazz=20)
    broken = replace(scan, rows=(*scan.rows, make_row("rock/broken", readable=False)))
    assert deal(broken, DataSettings(), 0) == deal(scan, DataSettings(), 0)


def test_large_groups_stay_whole_and_leave_no_part_without_a_class() -> None:
    rows = [make_row(f"{label}/{i}", content=f"{label}{i // 3}") for label in ("rock", "jazz") for i in range(9)]
    split = deal(Scan(tuple(rows), "f"), DataSettings(), 0)
    assert Counter(row.label for row in split.train) == Counter(row.label for row in split.test) == {"rock": 3, "jazz": 3}


def test_user_groups_and_copies_are_joined(tmp_path: Path) -> None:
    scan = make_scan(rock=20, jazz=20)
    rows = list(scan.rows)
    rows[1] = replace(rows[1], content=rows[2].content)  # rock 1 = rock 2; the file ties 0 with 1, and 2 with jazz 0
    groups = tmp_path / "groups.csv"
    groups.write_text(
        "Track,Group,x\nrock/rock.00000.wav,a,1\nrock.00001,a,\nrock/rock.00002.mp3,b\njazz/jazz.00000,b\nrock/none,c\njazz/jazz.00001,\n"
    )
    together = {"rock/rock.00000", "rock/rock.00001", "rock/rock.00002", "jazz/jazz.00000"}
    for split_seed in range(5):
        split = deal(replace(scan, rows=tuple(rows)), DataSettings(groups=str(groups), split_seed=split_seed), 0)
        assert sum(bool(together & set(ids(part))) for part in (split.train, split.validation, split.test)) == 1
    assert "4 of 40 tracks in 2 groups" in split.notes[0]
    assert "1 of its lines name no readable track" in split.notes[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("artist,track\na,rock/rock.00000\n", "columns track,group, but found artist,track"),
        ("", "but found nothing"),
        ("track,group\nrock/rock.00000,a\nrock/rock.00000.wav,b\n", "is in two groups, a and b"),
        ("track,group\nnope,a\n", "none of its 1 lines names a readable track"),
        (None, "data.groups can't be read"),
    ],
)
def test_a_groups_file_that_cannot_be_used(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "groups.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CorpusError, match=message):
        deal(make_scan(rock=5, jazz=5), DataSettings(groups=str(file)), 0)


def test_copies_under_two_classes_are_kept_together_and_noted() -> None:
    scan = make_scan(rock=10, jazz=10)
    rows = [replace(row, content="same") if row.id in ("rock/rock.00003", "jazz/jazz.00004") else row for row in scan.rows]
    split = deal(replace(scan, rows=tuple(rows)), DataSettings(), 0)
    assert "byte-identical files: 1 (2 tracks)" in split.notes[0]
    assert "jazz/jazz.00004 = rock/rock.00003" in split.notes[1]


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (make_scan(rock=10, jazz=2), r"class 'jazz' has 2 readable tracks \(of 2 files in /music/jazz\), but at least 3"),
        (Scan((*make_scan(rock=5).rows, make_row("jazz/a", readable=False)), "f"), r"class 'jazz' has 0 readable tracks \(of 1 files"),
        (Scan((make_row("jazz/a", readable=False),), "f"), "none of the 1 files of the corpus can be decoded; the first: .*broken"),
        (
            Scan((*make_scan(rock=5).rows, *(make_row(f"jazz/{i}", "same") for i in range(5))), "f"),
            "class 'jazz': its tracks form too few groups",
        ),
    ],
)
def test_too_few_tracks_are_one_clear_error(scan: Scan, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        deal(scan, DataSettings(), 0)


def write_lists(folder: Path, **lists: str) -> dict[str, str]:
    for name, text in lists.items():
        (folder / f"{name}.txt").write_text(text)
    return {name: str(folder / f"{name}.txt") for name in lists}


def test_lists_are_run_as_given(tmp_path: Path) -> None:
    scan = make_scan(rock=6, jazz=6)
    lists = write_lists(
        tmp_path,
        train="# comment\n\nrock/rock.00000.wav\njazz/jazz.00000.au\nrock/rock.00009.wav\n",
        validation="rock.00001.mp3\ngenres_original/jazz/jazz.00001.wav\n",
        test="rock\\rock.00002\njazz/jazz.00002.xyz\n",
    )
    split = deal(scan, DataSettings(split=lists), 0)
    assert ids(split.train) == ["jazz/jazz.00000", "rock/rock.00000"]
    assert ids(split.validation) == ["jazz/jazz.00001", "rock/rock.00001"]
    assert ids(split.test) == ["jazz/jazz.00002", "rock/rock.00002"]
    assert split.split_id == name_split(split.test)
    assert "train.txt: 1 of 3 tracks have no readable file and are left out: rock/rock.00009" in split.notes[0]
    assert "on no list and not used: 6" in split.notes[1]


def test_lists_without_test_hold_nothing_out_and_validation_is_dealt_from_train(tmp_path: Path) -> None:
    scan = make_scan(rock=10, jazz=10)
    split = deal(scan, DataSettings(split=write_lists(tmp_path, train="\n".join(ids(scan.rows)))), 0)
    assert (split.test, split.split_id) == ((), None)
    assert Counter(row.label for row in split.validation) == {"rock": 2, "jazz": 2}
    assert Counter(row.label for row in split.train) == {"rock": 8, "jazz": 8}


def test_copies_across_lists_are_an_error_that_names_them_and_the_ways_out(tmp_path: Path) -> None:
    scan = make_scan(rock=2, jazz=2)
    rows = [replace(row, content="same") if row.label == "rock" else row for row in scan.rows]
    lists = write_lists(tmp_path, train="rock/rock.00000\njazz/jazz.00000\n", validation="rock/rock.00001\njazz/jazz.00001\n")
    said = r"byte for byte: rock/rock.00000 \(train\) = rock/rock.00001 \(validation\)\. .* write data.on_two_sides: warn"
    with pytest.raises(CorpusError, match=said):
        deal(replace(scan, rows=tuple(rows)), DataSettings(split=lists), 0)
    published = deal(replace(scan, rows=tuple(rows)), DataSettings(split=lists, on_two_sides="warn"), 0)
    assert any(
        "WARNING: sets" in note and "parts of the split: 1," in note and "rock/rock.00000 (train) and rock/rock.00001 (validation)" in note
        for note in published.notes
    )
    before = deal(replace(scan, rows=tuple(rows)), DataSettings(split=lists), 0, lenient=True)  # a study of before they were refused
    assert before == published


def test_folds_join_what_two_lists_tear(tmp_path: Path) -> None:
    scan = make_scan(rock=5, jazz=5)
    rows = list(scan.rows)
    rows[1] = replace(rows[1], content=rows[0].content)  # rock 0 = rock 1, on the lists of train and validation
    split = deal(replace(scan, rows=tuple(rows)), DataSettings(split=made_lists(tmp_path), validation={"folds": 2}), 0)
    assert not any("WARNING" in note for note in split.notes)
    assert len({fold for id, fold in deal_folds(split.groups, 2, 0).items() if id in ("rock/rock.00000", "rock/rock.00001")}) == 1
    rows[4] = replace(rows[4], content=rows[0].content)  # and on that of test
    with pytest.raises(CorpusError, match=r"rock/rock.00000 \(train and validation\) = rock/rock.00004 \(test\) = rock/rock.00001"):
        deal(replace(scan, rows=tuple(rows)), DataSettings(split=made_lists(tmp_path), validation={"folds": 2}), 0)


def made_lists(folder: Path) -> dict[str, str]:
    """Tracks 0 and 2 for training, 1 and 3 for validation, 4 held out."""
    numbers = {"train": (0, 2), "validation": (1, 3), "test": (4,)}
    return write_lists(folder, **{part: "\n".join(f"{c}.0000{n}" for c in ("rock", "jazz") for n in which) for part, which in numbers.items()})


def test_a_class_that_folds_lack_is_said_of_both_lists(tmp_path: Path) -> None:
    lists = write_lists(tmp_path, train="rock/rock.00000\nrock/rock.00001", validation="jazz/jazz.00000")
    with pytest.raises(CorpusError, match="^data.split: train and validation together: class 'jazz' has 1 readable tracks, but at least 2"):
        deal(make_scan(rock=5, jazz=5), DataSettings(split=lists, validation={"folds": 2}), 0)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"train": "rock/rock.00000\njazz/jazz.00000", "validation": "rock/rock.00000.wav"},
            "on two lists, data.split.train and data.split.valid",
        ),
        ({"train": "rock/no.wav\njazz/jazz.00000", "test": "rock/no.mp3"}, "track rock/no is on two lists"),
        (
            {"train": "rock/rock.00000\njazz/jazz.00000", "validation": "rock/rock.00001"},
            "data.split.validation: no readable track of class 'jazz'",
        ),
        ({"train": "rock/rock.00000\njazz/jazz.00000"}, "^data.split.train: class 'jazz' has 1 readable tracks, but at least 2"),
        ({"train": "rock/rock.00000\nrock/rock.00001"}, "one class only .rock."),
        ({"train": "\n# only a comment\n"}, "data.split.train is empty"),
        ({"train": "a\nb"}, "none of its 2 tracks is a readable track"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        deal(make_scan(rock=5, jazz=5), DataSettings(split=write_lists(tmp_path, **lists)), 0)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.txt: data\.split\.train can't be read"):
        deal(make_scan(rock=5, jazz=5), DataSettings(split={"train": str(tmp_path / "none.txt")}), 0)


def test_real_gtzan(real_data: Path, tmp_path: Path) -> None:
    scan = scan_corpus(open_corpus(f"gtzan:{real_data / 'gtzan'}"), tmp_path)
    split = deal(scan, DataSettings(), 0)
    assert len(split.train) + len(split.validation) + len(split.test) == 709
    sizes = Counter(row.label for row in scan.rows)
    assert all(abs(n - 0.2 * sizes[label]) <= 1 for label, n in Counter(row.label for row in split.test).items())
    assert "byte-identical files: 10 (20 tracks)" in split.notes[0]
    assert "metal/metal.00058 = rock/rock.00016" in split.notes[1]

    by_folds = deal(scan, DataSettings(validation={"folds": 5}), 0)
    assert (by_folds.test, by_folds.split_id) == (split.test, split.split_id)
    fold_of = deal_folds(by_folds.groups, 5, 0)
    assert Counter(fold_of.values()) == {fold: pytest.approx(len(fold_of) / 5, abs=1) for fold in range(5)}

    lists = {"train": str(real_data / "gtzan" / "train_filtered.txt"), "validation": str(real_data / "gtzan" / "valid_filtered.txt")}
    filtered = deal(scan, DataSettings(split=lists), 0)
    assert (len(filtered.train), len(filtered.validation), filtered.test) == (442, 197, ())
    assert "1 of 443 tracks have no readable file and are left out: jazz/jazz.00054" in filtered.notes[0]
