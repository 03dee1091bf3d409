"""The one check of every split: what lies on two sides of it is found, whatever way it came about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models import split as splits
from genre_models.errors import CorpusError
from genre_models.known_groups import KnownGroups
from genre_models.scan import Scan, ScanRow
from genre_models.settings import DataSettings
from genre_models.sides import check_sides, find_torn
from genre_models.split import deal
from tests.genre_models.test_split import made_lists, make_row, make_scan, write_lists


def test_each_kind_of_tie_is_found_once_and_named() -> None:
    rows = {n: make_row(f"rock/{n}") for n in "abcdefghij"}
    rows["b"] = replace(rows["b"], content=rows["a"].content, decoded="one")
    rows["a"] = replace(rows["a"], decoded="one")  # the same bytes decode to the same, which is no second finding
    rows["c"], rows["d"] = replace(rows["c"], decoded="two"), replace(rows["d"], decoded="two")
    rows["i"], rows["j"] = replace(rows["i"], group="artist 7"), replace(rows["j"], group="artist 7")
    sides = {"train": [rows[n] for n in "acegi"], "validation": [rows[n] for n in "bdfhj"] + [rows["e"]]}
    torn = find_torn(sides, {"rock/e": "label", "rock/f": "label"}, {"rock/g": "0", "rock/h": "0"})
    assert {each.kind: str(each) for each in torn} == {
        "track": "rock/e (train) = rock/e (validation)",
        "content": "rock/a (train) = rock/b (validation)",
        "samples": "rock/c (train) = rock/d (validation)",
        "group": "label: rock/e (train) = rock/e (validation) = rock/f (validation)",
        "published": "artist 7: rock/i (train) = rock/j (validation)",
        "recording": "rock/g (train) = rock/h (validation)",
    }
    assert len(torn) == 6
    assert {each.kind for each in find_torn(sides, {}, {}, published=False)} == {"track", "content", "samples"}


@pytest.mark.parametrize(
    ("kind", "given", "lenient", "refused"),
    [
        ("track", True, True, True),  # a track on two sides is an error whatever the file says
        ("content", True, False, True),
        ("content", True, True, False),
        ("samples", True, False, True),
        ("group", True, False, True),
        ("published", True, False, True),
        ("recording", True, False, False),  # a fingerprint may err, and published lists are to run: a warning says it
        ("recording", False, False, True),
        ("content", False, False, True),
        ("group", False, True, True),  # leniency is for lists
        ("samples", False, False, False),
    ],
)
def test_what_is_refused(kind: str, given: bool, lenient: bool, refused: bool) -> None:
    one, other = make_row("rock/a"), make_row("rock/b")
    ties = {
        "track": (one, one, {}, {}),
        "content": (one, replace(other, content=one.content), {}, {}),
        "samples": (replace(one, decoded="x"), replace(other, decoded="x"), {}, {}),
        "group": (one, other, {"rock/a": "g", "rock/b": "g"}, {}),
        "published": (replace(one, group="artist 1"), replace(other, group="artist 1"), {}, {}),
        "recording": (one, other, {}, {"rock/a": "0", "rock/b": "0"}),
    }
    first, second, group_of, recording_of = ties[kind]
    torn = [each for each in find_torn({"train": [first], "test": [second]}, group_of, recording_of) if each.kind == kind]
    assert len(torn) == 1
    if refused:
        with pytest.raises(CorpusError, match="rock/a .train."):
            check_sides(torn, given=given, lenient=lenient)
    else:
        check_sides(torn, given=given, lenient=lenient)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_torn_pair_is_found_among_any_others_and_an_untorn_split_is_not(data: st.DataObject) -> None:
    rows = list(make_scan(rock=data.draw(st.integers(2, 12)), jazz=data.draw(st.integers(2, 12))).rows)
    order = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(1, len(order) - 1))
    sides = {"train": order[:cut], "test": order[cut:]}
    assert find_torn(sides, {}, {}) == []
    copied = replace(order[-1], content=order[0].content)
    (torn,) = find_torn({"train": order[:cut], "test": [*order[cut:-1], copied]}, {}, {})
    assert {id for id, _ in torn.where} == {order[0].id, copied.id}


def test_a_group_of_the_users_on_two_lists_is_an_error(tmp_path: Path) -> None:
    groups = tmp_path / "artists.csv"
    groups.write_text("track,group\nrock.00000,Ann\nrock.00004,Ann\n")
    with pytest.raises(CorpusError, match=r"a group of .*artists.csv lies on two sides: Ann: rock/rock.00000 \(train\) = rock/rock.00004 \(test\)"):
        deal(make_scan(rock=5, jazz=5), DataSettings(split=made_lists(tmp_path), groups=str(groups)), 0)


def test_an_artist_on_two_sides_of_lists_is_an_error_unless_recordings_are_asked_for(tmp_path: Path) -> None:
    scan = make_scan(rock=5, jazz=5)
    scan = replace(scan, rows=tuple(replace(row, group="artist 3") if row.id.endswith(("k.00000", "k.00004")) else row for row in scan.rows))
    lists = made_lists(tmp_path)
    with pytest.raises(CorpusError, match=r"an artist lies on two sides: artist 3: rock/rock.00000 \(train\) = rock/rock.00004 \(test\)"):
        deal(scan, DataSettings(split=lists), 0)
    assert not any("WARNING" in note for note in deal(scan, DataSettings(split=lists, groups="recording"), 0).notes)


def test_near_copies_on_two_lists_are_a_warning(tmp_path: Path) -> None:
    split = deal(make_scan(rock=5, jazz=5), DataSettings(split=made_lists(tmp_path)), 0, [("rock/rock.00000", "rock/rock.00004")])
    assert any("WARNING" in note and "rock/rock.00000 (train) and rock/rock.00004 (test)" in note for note in split.notes)


def test_a_deal_that_tears_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [make_row(f"{label}/{i}", content=f"{label}{i // 2}") for label in ("rock", "jazz") for i in range(12)]
    whole = splits.deal_groups

    def torn(groups, *arguments, **named):
        return whole([(row,) for group in groups for row in group], *arguments, **named)

    deal(Scan(tuple(rows), "f"), DataSettings(), 0)
    monkeypatch.setattr(splits, "deal_groups", torn)
    with pytest.raises(CorpusError, match="a fault of the program, not of the corpus: .* byte for byte"):
        deal(Scan(tuple(rows), "f"), DataSettings(), 0)


def test_many_sets_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    rows = [make_row(f"{label}/{i}", content=f"{label}{i % 6}") for label in ("rock", "jazz") for i in range(12)]
    lists = write_lists(
        tmp_path,
        train="\n".join(f"{label}/{i}" for label in ("rock", "jazz") for i in range(6)),
        test="\n".join(f"{label}/{i}" for label in ("rock", "jazz") for i in range(6, 12)),
    )
    with pytest.raises(CorpusError, match="12 files lie on two sides byte for byte: .*; and 9 more"):
        deal(Scan(tuple(rows), "f"), DataSettings(split={"validation": None, **lists}), 0)


def test_known_groups_replace_those_that_the_corpus_gives() -> None:
    rows: list[ScanRow] = [replace(make_row(f"{label}/{i}"), group="artist 1" if i < 2 else None) for label in ("rock", "jazz") for i in range(20)]
    known = KnownGroups("album", {f"{label}/{i}": f"album {label}{i // 4}" for label in ("rock", "jazz") for i in range(20)}, ("by album",))
    split = deal(Scan(tuple(rows), "f"), DataSettings(groups="album"), 0, known=known)
    assert split.notes[0] == "by album"
    assert {len(group) for group in (*split.groups, *split.test_groups)} == {4}
    assert KnownGroups.of_data(known.as_data()) == known
