"""The receipts: what they allow, what they refuse, and that they are whole after a crash."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from genre_models.errors import SealedError
from genre_models.receipts import FIRST, BrokenChain
from genre_models.seal import Also, Candidate, Overlap, Seal, looked_at_by_others, overlaps

TRACKS = {"blues/a": "c1", "pop/b": "c2"}
MODELS = {"model.keras": "f" * 64}
SCORES = {"accuracy": 0.5, "accuracy_ci95": [0.1, 0.9], "macro_f1": 0.4}
OURS = Candidate("cnn", 7, "s1")
OTHER = Candidate("cnn", 8, "s2")


@pytest.fixture
def seal(tmp_path):
    return Seal(tmp_path / ".seals", "abc")


def test_a_look_from_unopened_to_closed(seal):
    assert seal.check(OURS) == ("unopened", None)
    assert not seal.path.exists(), "asking leaves no trace"
    opened = seal.open(OURS, 1, MODELS, TRACKS)
    assert seal.check(OURS) == ("ours-open", opened)
    closed = seal.close(1, SCORES)
    assert seal.check(OURS) == ("ours-closed", closed)
    assert closed.opened["models"] == MODELS
    assert closed.opened["n_tracks"] == 2
    assert closed.closed["scores"] == SCORES


def test_each_line_carries_the_hash_of_the_one_before(seal):
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, SCORES)
    first, second = seal.path.read_bytes().splitlines()
    assert json.loads(first)["previous"] == FIRST
    assert json.loads(second)["previous"] == hashlib.sha256(first).hexdigest()


@pytest.mark.parametrize("candidate", [OTHER, Candidate("other", 7, "s1"), Candidate("cnn", 7, "s2")])
def test_any_other_model_is_refused_and_shown_the_receipt(seal, candidate):
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, SCORES)
    with pytest.raises(SealedError, match=r"(?s)look 1 .*study cnn, trial 7.*accuracy 0\.500 \[0\.100, 0\.900\].*--again REASON") as caught:
        seal.check(candidate)
    assert caught.value.exit_code == 3


def test_a_reason_opens_a_further_look_once(seal):
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, SCORES)
    again = Candidate("cnn", 8, "s2", again="a fault in the corpus was mended")
    assert seal.check(again) == ("unopened", None)
    second = seal.open(again, 2, MODELS, TRACKS)
    assert seal.check(again) == ("ours-open", second), "the same command completes the same look"
    second = seal.close(2, SCORES)
    assert seal.check(again) == ("ours-closed", second), "the same reason is the same look"
    assert "a fault in the corpus" in second.describe()
    assert seal.check(Candidate("cnn", 8, "s2", again="another reason")) == ("unopened", None)
    assert seal.check(OURS)[1].number == 1, "the first model still sees its own look"


def test_several_models_in_one_look(seal):
    both = Candidate("cnn", 7, "s1", also=(Also("forest", 9, "s3"), Also("vgg16", 2, "s4")))
    seal.open(both, 1, MODELS | {"also/forest/model.skops": "e" * 64}, TRACKS)
    look = seal.close(1, SCORES, {"forest": SCORES, "vgg16": SCORES})
    assert look.also == both.also
    for asked in (both, OURS, Candidate("cnn", 7, "s1", also=both.also[:1])):
        assert seal.check(asked) == ("ours-closed", look), "every model asked for was looked at"
    for asked in (Candidate("forest", 9, "s3"), Candidate("cnn", 7, "s1", also=(Also("forest", 9, "another"),))):
        with pytest.raises(SealedError, match="forest, trial 9: accuracy 0.500"):
            seal.check(asked)
    assert "model.skops" not in look.describe()


def test_more_models_than_were_looked_at_need_a_reason(seal):
    seal.open(OURS, 1, MODELS, TRACKS)
    assert "also" not in json.loads(seal.path.read_text()), "receipts of one model are as they always were"
    more = Candidate("cnn", 7, "s1", also=(Also("forest", 9, "s3"),))
    with pytest.raises(SealedError, match=r"(?s)but not with all the others.*interrupted.*without --also shows that look, or completes it"):
        seal.check(more)
    seal.close(1, SCORES)
    again = Candidate("cnn", 7, "s1", "to compare", more.also)
    assert seal.check(again) == ("unopened", None)
    second = seal.open(again, 2, MODELS, TRACKS)
    assert seal.check(again) == ("ours-open", second)


def test_two_processes_can_not_open_the_same_look(seal):
    assert seal.check(OURS)[0] == seal.check(OTHER)[0] == "unopened"
    seal.open(OURS, 1, MODELS, TRACKS)
    with pytest.raises(SealedError, match="already looked at with another model"):
        seal.open(OTHER, 1, MODELS, TRACKS)
    with pytest.raises(SealedError, match="another process opened split abc meanwhile"):
        seal.open(OURS, 1, MODELS, TRACKS)
    with pytest.raises(SealedError, match="another process opened"):
        seal.open(Candidate("cnn", 8, "s2", again="why"), 1, MODELS, TRACKS)
    assert len(seal.looks()) == 1


def test_only_an_open_look_can_be_closed(seal):
    with pytest.raises(SealedError, match="look 1 .* was never opened"):
        seal.close(1, SCORES)
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, SCORES)
    with pytest.raises(SealedError, match="look 1 .* is closed already"):
        seal.close(1, SCORES)


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_torn_last_line_counts_for_nothing_and_is_mended(seal, cut):
    opened = seal.open(OURS, 1, MODELS, TRACKS)
    whole = seal.path.read_bytes()
    seal.close(1, SCORES)
    torn = seal.path.read_bytes()[:-cut]
    seal.path.write_bytes(torn)
    assert seal.check(OURS) == ("ours-open", opened)
    closed = seal.close(1, SCORES)
    assert seal.path.read_bytes().startswith(whole)
    assert closed.closed["torn_line_removed"].encode() == torn[len(whole) :]
    assert seal.check(OURS) == ("ours-closed", closed)


def test_a_torn_first_line_is_no_look(seal):
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.path.write_bytes(seal.path.read_bytes()[:-5])
    assert seal.check(OTHER) == ("unopened", None)
    seal.open(OTHER, 1, MODELS, TRACKS)
    assert [look.opened["trial"] for look in seal.looks()] == [8]


def _change_a_score(lines):
    return [lines[0], lines[1].replace(b"0.5", b"0.9"), *lines[2:]]


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (_change_a_score, 3),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], b"{}", *lines[1:]], 2),
        (lambda lines: [lines[0], b"not json", *lines[1:]], 2),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2),
    ],
)
def test_a_broken_chain_is_an_error_that_says_what_it_means(seal, harm, line):
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, SCORES)
    seal.open(Candidate("cnn", 8, "s2", "why"), 2, MODELS, TRACKS)
    seal.path.write_bytes(b"".join(each + b"\n" for each in harm(seal.path.read_bytes().splitlines())))
    with pytest.raises(BrokenChain, match=f"line {line} .*can't be trusted any more.*deal another split"):
        seal.check(OURS)
    with pytest.raises(BrokenChain, match=f"line {line} "):
        seal.close(2, SCORES)


def test_receipts_of_another_split_are_not_taken_for_ours(seal):
    seal.open(OURS, 1, MODELS, TRACKS)
    other = Seal(seal.path.parent, "def")
    other.path.write_bytes(seal.path.read_bytes())
    with pytest.raises(BrokenChain, match=r"def\.jsonl, line 1 is no receipt of this split"):
        other.looks()


def test_shared_tracks_are_found_by_content_and_by_name(seal):
    folder = seal.path.parent
    assert overlaps(folder, "abc", TRACKS) == []
    seal.open(OURS, 1, MODELS, TRACKS)
    Seal(folder, "def").open(OURS, 1, MODELS, {"renamed": "c1", "pop/b": "other bytes"})
    Seal(folder, "ghi").open(OURS, 1, MODELS, {"x": "c9"})
    assert overlaps(folder, "abc", TRACKS) == [Overlap("def", same=1, namesakes=1)]
    assert overlaps(folder, "ghi", {"y": "c9"}) == []


def test_copies_of_receipts_that_lie_about_are_no_splits(seal):
    seal.open(OURS, 1, MODELS, TRACKS)
    for name in ("abc (copy).jsonl", "._abc.jsonl", "abc-backup.jsonl"):
        (seal.path.parent / name).write_bytes(seal.path.read_bytes())
    assert overlaps(seal.path.parent, "new", TRACKS) == [Overlap("abc", same=2, namesakes=0)]


def test_who_else_looked_is_told(seal):
    folder = seal.path.parent
    assert looked_at_by_others(folder, "abc", "cnn") == looked_at_by_others(folder, None, "cnn") == ""
    seal.open(OURS, 1, MODELS, TRACKS)
    seal.close(1, SCORES)
    seal.open(Candidate("other", 2, "s9", again="why"), 2, MODELS, TRACKS)
    assert looked_at_by_others(folder, "abc", "cnn") == "study other" and looked_at_by_others(folder, "abc", "new") == "studies cnn, other"
    seal.path.write_bytes(seal.path.read_bytes().replace(b"0.5", b"0.9"))
    assert looked_at_by_others(folder, "abc", "new") == "", "whoever looks is told what is wrong"


def test_a_track_whose_bytes_are_others_by_now_has_a_namesake(seal):
    """As the rows of a table that has got columns, or files that were put into another container; or as the tracks of a corpus that names them alike."""
    seal.open(OURS, 1, MODELS, TRACKS)
    assert overlaps(seal.path.parent, "new", {id: f"other {content}" for id, content in TRACKS.items()}) == [Overlap("abc", same=0, namesakes=len(TRACKS))]


def test_appends_of_many_processes_keep_the_chain(seal):
    """Six processes fight for three looks each; whatever they get, the chain holds and numbers are unique."""
    code = (
        "import sys; from genre_models.seal import *; from genre_models.errors import SealedError\n"
        "seal = Seal(sys.argv[1], 'abc')\n"
        "for i in range(3):\n"
        "    try: seal.open(Candidate('s', int(sys.argv[2]), 'x', f'r{i}'), len(seal.looks()) + 1, {}, {})\n"
        "    except SealedError: pass\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(seal.path.parent), str(n)]) for n in range(6)]
    assert [process.wait(timeout=30) for process in started] == [0] * 6
    numbers = [look.number for look in seal.looks()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 3
