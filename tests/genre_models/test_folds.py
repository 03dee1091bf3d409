"""Folds: a partition of the development tracks that tears no group, is even in every class, and leaves the held-out tracks alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models.errors import CorpusError, GenreModelsError
from genre_models.folds import deal_folds, name_deal, validated_on
from genre_models.grouping import Group, gather
from genre_models.scan import Scan
from genre_models.settings import DataSettings
from genre_models.split import deal
from tests.genre_models.test_split import ids, make_row, make_scan, scans_with_ties, write_lists


@st.composite
def grouped_rows(draw: st.DrawFn) -> tuple[list[Group], int]:
    """Groups of 1 to 5 tracks, at least `k` of each class; some hold two classes."""
    k = draw(st.integers(2, 6))
    rows = []
    for label in "abc"[: draw(st.integers(2, 3))]:
        sizes = draw(st.lists(st.integers(1, 5), min_size=k, max_size=k + 12))
        rows += [make_row(f"{label}/{n}-{i}", content=f"{label}{n}") for n, size in enumerate(sizes) for i in range(size)]
    mixed = draw(st.integers(0, 3))
    shared = {f"{label}/{n}-0": f"both{n}" for label in "ab" for n in range(mixed)}
    return gather(rows, shared), k


@settings(max_examples=150, deadline=None)
@given(made=grouped_rows(), seed=st.integers(0, 2**32 - 1))
def test_folds_are_an_even_partition_that_tears_nothing(made: tuple[list[Group], int], seed: int) -> None:
    groups, k = made
    fold_of = deal_folds(groups, k, seed)
    rows = [row for group in groups for row in group]
    assert fold_of.keys() == {row.id for row in rows}
    assert all(len({fold_of[row.id] for row in group}) == 1 for group in groups)
    for label in {row.label for row in rows}:
        sizes = Counter(fold_of[row.id] for row in rows if row.label == label)
        assert sizes.keys() == set(range(k)), "each fold has each class"
        largest = max(sum(row.label == label for row in group) for group in groups)
        assert max(sizes.values()) - min(sizes.values()) <= largest
    shuffled = list(groups)
    random.Random(seed).shuffle(shuffled)
    assert deal_folds(shuffled, k, seed) == fold_of


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(20, 70), min_size=2, max_size=6), k=st.integers(2, 20), seed=st.integers(0, 1000))
def test_single_tracks_are_dealt_to_within_one_in_each_class_and_in_all(sizes: list[int], k: int, seed: int) -> None:
    rows = make_scan(**{f"c{i}": n for i, n in enumerate(sizes)}).rows
    fold_of = deal_folds(gather(rows, {}), k, seed)
    for tracks in (rows, *([row for row in rows if row.label == f"c{i}"] for i in range(len(sizes)))):
        counts = [sum(fold_of[row.id] == fold for row in tracks) for fold in range(k)]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=30, deadline=None)
@given(made=scans_with_ties(), seed=st.integers(0, 1000), split_seed=st.integers(0, 1000), k=st.integers(2, 4))
def test_validation_by_folds_leaves_the_held_out_tracks_as_they_are(made: tuple, seed: int, split_seed: int, k: int) -> None:
    scan, ties = made
    by_holdout = deal(scan, DataSettings(split_seed=split_seed), seed)
    by_folds = deal(scan, DataSettings(split_seed=split_seed, validation={"folds": k}), seed)
    assert (by_folds.test, by_folds.split_id, by_folds.labels) == (by_holdout.test, by_holdout.split_id, by_holdout.labels)
    assert by_folds.groups == by_holdout.groups, "the same tracks, and what belongs together, whatever validates"
    fold_of = deal_folds(by_holdout.groups, k, seed)
    assert {*ids(by_folds.train), *ids(by_folds.validation)} == fold_of.keys() == {row.id for row in scan.rows} - set(ids(by_folds.test))
    assert set(ids(by_folds.validation)) == {id for id, fold in fold_of.items() if fold == 0}
    assert all(len({fold_of.get(id) for id in tie}) == 1 for tie in ties)


def test_folds_follow_from_the_seed_and_their_number() -> None:
    groups = gather(make_scan(rock=100, jazz=100).rows, {})
    one, other = deal_folds(groups, 5, 0), deal_folds(groups, 5, 1)
    assert one == deal_folds(groups, 5, 0)
    assert one != other
    validated = {id for id, fold in one.items() if fold == 0}
    by_holdout = deal(make_scan(rock=125, jazz=125), DataSettings(), 0)
    assert 0 < len(validated & set(ids(by_holdout.validation))) < 40, "independent of the hold-out that the same seed deals"


def test_a_class_with_fewer_groups_than_folds_is_named_with_its_count_and_the_remedy() -> None:
    scan = make_scan(rock=30, jazz=10)
    with pytest.raises(CorpusError, match="'jazz': 9 folds need at least 9 development tracks of it, but there are 8 .*take 8 folds or fewer"):
        deal(scan, DataSettings(validation={"folds": 9}), 0)
    copies = [replace(row, content="same") if row.id > "jazz/jazz.00001" and row.label == "jazz" else row for row in scan.rows]
    with pytest.raises(CorpusError, match=r"class 'jazz': 4 folds .* but there are [23] \(byte-identical .*take [23] folds or fewer, or add"):
        deal(replace(scan, rows=tuple(copies)), DataSettings(validation={"folds": 4}), 0)
    with pytest.raises(CorpusError, match="there is 1 .*: add tracks"):
        deal_folds(gather(make_scan(rock=4, jazz=1).rows, {}), 2, 0)


def test_classes_that_share_all_their_groups_are_dealt_or_refused() -> None:
    # Each group is of two classes; a greedy deal would leave a fold without one of them.
    pairs = ("ac", "bd", "cb", "ad")
    rows = [make_row(f"{label}/{n}", content=f"{n}") for n, pair in enumerate(pairs) for label in pair]
    for seed in range(30):
        fold_of = deal_folds(gather(rows, {}), 2, seed)
        assert {row.label for row in rows if fold_of[row.id] == 0} == {row.label for row in rows if fold_of[row.id] == 1} == set("abcd")
    triangle = [make_row(f"{label}/{n}", content=f"{n}") for n, pair in enumerate(("ab", "bc", "ca")) for label in pair]
    with pytest.raises(CorpusError, match="share too many groups with other classes to have one in each of 2 folds: take fewer folds"):
        deal_folds(gather(triangle, {}), 2, 0)


def test_with_lists_the_folds_are_of_the_train_and_validation_lists_together(tmp_path: Path) -> None:
    scan = make_scan(rock=12, jazz=12)
    by_number = {part: [row.id for row in scan.rows if int(row.id[-2:]) in numbers] for part, numbers in
                 (("train", range(4)), ("validation", range(4, 8)), ("test", range(8, 10)))}  # fmt: skip
    lists = write_lists(tmp_path, **{part: "\n".join(tracks) for part, tracks in by_number.items()})
    split = deal(scan, DataSettings(split=lists, validation={"folds": 4}), 3)
    assert (len(split.train), len(split.validation)) == (12, 4)
    assert {*ids(split.train), *ids(split.validation)} == {*by_number["train"], *by_number["validation"]}
    assert ids(split.test) == sorted(by_number["test"])
    assert any("4 folds of the tracks given for train and validation together" in note for note in split.notes)
    as_listed = deal(scan, DataSettings(split=lists), 3)
    assert ids(as_listed.validation) == sorted(by_number["validation"])
    assert not any("folds" in note for note in as_listed.notes)
    del lists["validation"]
    split = deal(scan, DataSettings(split=lists, validation={"folds": 2}), 3)
    assert {*ids(split.train), *ids(split.validation)} == set(by_number["train"])
    assert Counter(row.label for row in split.validation) == {"rock": 2, "jazz": 2}


def test_the_rows_of_a_task_are_divided_by_a_fold() -> None:
    tracks = [{"id": str(n), "label": "a", "part": "train", "folds": {"3": n % 3}} for n in range(7)]
    parts = [[row["id"] for row in validated_on(tracks, 3, fold) if row["part"] == "validation"] for fold in range(3)]
    assert parts == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert all(track["part"] == "train" for track in tracks), "the task's own rows stay"
    with pytest.raises(GenreModelsError, match="not dealt into 5 folds"):
        validated_on(tracks, 5, 0)
    with pytest.raises(GenreModelsError, match="none of the tracks in fold 2 of 3 can be decoded"):
        validated_on([track for track in tracks if track["folds"]["3"] != 1], 3, 1)


def test_a_deal_is_named_by_what_a_trial_sees_of_it() -> None:
    tracks = [{"id": str(n), "label": "a", "part": "train" if n else "validation", "folds": {"3": n % 3}} for n in range(7)]
    more = [track | {"folds": track["folds"] | {"5": 0}} for track in tracks]
    assert name_deal(tracks, 3) == name_deal(more, 3) != name_deal(tracks, 1) == name_deal([track | {"folds": {}} for track in tracks], 1)
    assert name_deal(tracks[1:], 3) != name_deal(tracks, 3)
    assert name_deal([tracks[0] | {"folds": {"3": 1}}, *tracks[1:]], 3) != name_deal(tracks, 3)


def test_an_old_deal_is_dealt_again() -> None:
    """Studies of before folds: the same seeds deal the same tracks (their content is in each study's fingerprint)."""
    split = deal(make_scan(rock=13, jazz=11, folk=7), DataSettings(split_seed=3), 5)
    validation, test = (" ".join(f"{row.label}-{int(row.id[-5:])}" for row in part) for part in (split.validation, split.test))
    assert validation == "folk-1 jazz-4 jazz-9 rock-6 rock-12"
    assert test == "folk-6 jazz-7 jazz-8 rock-3 rock-5 rock-11"
