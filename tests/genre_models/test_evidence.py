"""What is written about a model's answers: what it says, which tracks it may show, and when it is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_models.errors import CorpusError, GenreModelsError
from genre_models.evidence import Predictions, ValidationEvidence, read_looks, read_predictions, write_evidence
from genre_models.evidence.confusion import MOST_CLASSES, confusion_caption, confusion_table
from genre_models.evidence.mistakes import most_confident_mistakes
from genre_models.evidence.reliability import reliability_caption, reliability_curve
from tests.genre_models.tunes import make_tune, write

LABELS = ("blues", "metal", "pop")


def answers(*told: tuple[str, int, list[float]], labels: tuple[str, ...] = LABELS) -> Predictions:
    ids, truth, p = zip(*told, strict=True)
    return Predictions(labels, ids, np.array(truth), np.array(p))


@pytest.fixture
def four() -> Predictions:
    return answers(("blues/a", 0, [0.9, 0.1, 0.0]), ("blues/b", 0, [0.05, 0.95, 0.0]), ("metal/c", 1, [0.5, 0.3, 0.2]), ("pop/d", 2, [0.6, 0.0, 0.4]))


def written(path: Path, predictions: Predictions) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = ",".join(["track", "label", "predicted", *(f"p_{label}" for label in predictions.labels)])
    rows = [f"{id},{LABELS[truth]},{LABELS[p.argmax()]},{','.join(map(str, p))}" for id, truth, p in zip(predictions.ids, predictions.y_true, predictions.p, strict=True)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_confusion_counts_and_shades_by_the_true_class(four: Predictions) -> None:
    table = confusion_table(four)
    assert (table["columns"], [row["name"] for row in table["rows"]], [row["note"] for row in table["rows"]]) == (list(LABELS), list(LABELS), ["2", "1", "1"])
    assert [[cell["text"] for cell in row["cells"]] for row in table["rows"]] == [["1", "1", ""], ["1", "0", ""], ["1", "", "0"]]
    assert [cell["shade"] for cell in table["rows"][0]["cells"]] == [0.5, 0.5, 0.0] and table["rows"][0]["cells"][0]["tone"] == "good"
    assert "blues and metal are confused most: 2 tracks of the 3 mistakes" in confusion_caption(four)


def test_of_many_classes_the_confused_pairs_are_told() -> None:
    labels = tuple(f"c{i}" for i in range(MOST_CLASSES + 1))
    p = np.full((3, len(labels)), 0.01)
    p[:, 5] = 0.7
    table = confusion_table(Predictions(labels, ("a", "b", "c"), np.array([5, 7, 7]), p))
    assert [(row["name"], [cell["text"] for cell in row["cells"]]) for row in table["rows"]] == [("c7", ["c5", "2 of 2"])]


def test_mistakes_are_told_the_surest_first(four: Predictions) -> None:
    found = most_confident_mistakes(four)
    assert [(each.id, each.said, each.confidence) for each in found] == [("blues/b", "metal", 0.95), ("pop/d", "blues", 0.6), ("metal/c", "blues", 0.5)]
    assert found[1].text == "is pop, taken for blues with 60 % (pop: 40 %)"


def test_reliability_says_whether_the_model_is_too_sure(four: Predictions) -> None:
    curve = reliability_curve(four, {"reliability_scaled": [{"confidence": 0.4, "accuracy": 0.5, "accuracy_ci95": None, "n": 2}], "temperature": 2.0})
    assert [each["name"] for each in curve["series"]] == ["as sure as right", "as they are", "at temperature 2"]
    assert sum(int(text.split()[0]) for text in curve["series"][1]["text"]) == 4
    assert "too sure of itself" in reliability_caption(four)
    assert "less sure than it could be" in reliability_caption(answers(("a", 0, [0.6, 0.4, 0.0]), ("b", 0, [0.7, 0.3, 0.0])))


def test_sound_gives_pictures_and_clips_that_are_small(tmp_path: Path, four: Predictions) -> None:
    files = {id: write(tmp_path / f"{id}.wav", make_tune(number, 8)) for number, id in enumerate(("blues/b", "pop/d"))}
    write_evidence(tmp_path / "evidence", four, files, "audio", "four tracks")
    index = json.loads((tmp_path / "evidence" / "index.json").read_text())
    assert [(item["title"], item["kind"]) for item in index["items"] if "group" in item] == [("blues/b", "image"), ("blues/b", "audio"), ("pop/d", "image"), ("pop/d", "audio")]
    assert all((tmp_path / "evidence" / item["path"]).is_file() for item in index["items"])
    clip, sr = soundfile.read(tmp_path / "evidence" / "mistake-1.mp3")
    assert (round(len(clip) / sr), clip.ndim) == (6, 1) and np.abs(clip).max() > 0.1
    assert (tmp_path / "evidence" / "mistake-1.mp3").stat().st_size < 60_000
    assert Image.open(tmp_path / "evidence" / "mistake-1.png").width <= 320
    write_evidence(tmp_path / "evidence", answers(("a", 0, [0.9, 0.1, 0.0])), files, "audio", "one")  # replaced whole
    assert not list((tmp_path / "evidence").glob("mistake*")) and [path.name for path in tmp_path.glob(".*")] == []


def test_a_file_that_can_not_be_decoded_costs_its_picture(tmp_path: Path, four: Predictions) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    write_evidence(tmp_path / "evidence", four, {"blues/b": tmp_path / "broken.wav", "pop/d": tmp_path / "gone.wav"}, "audio", "four")
    assert [item["path"] for item in json.loads((tmp_path / "evidence" / "index.json").read_text())["items"]] == ["confusion.json", "reliability.json", "mistakes.json"]


class Development:
    """Development tracks, counted how often they were asked for."""

    def __init__(self, tracks: dict[str, Path], error: Exception | None = None) -> None:
        self.tracks, self.error, self.asked = tracks, error, 0

    def __call__(self):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return [{"id": id, "path": str(path), "group": 0} for id, path in self.tracks.items()], "image"


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for number, id in enumerate(("blues/a", "blues/b", "metal/c")):
        made[id] = tmp_path / "music" / f"{number}.png"
        made[id].parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30), 60 * number, np.uint8)).save(made[id])
    return made


def test_evidence_of_a_trial_is_made_once_and_shows_development_tracks_alone(tmp_path: Path, four: Predictions, pictures: dict[str, Path]) -> None:
    written(tmp_path / "trial" / "validation.csv", four)
    development = Development(pictures)
    make = ValidationEvidence(development)
    make(tmp_path / "trial", tmp_path / "trial" / "evidence", "trial 3", True)
    index = json.loads((tmp_path / "trial" / "evidence" / "index.json").read_text())
    assert index["about"] == "4 validation tracks, and what trial 3 said"
    assert [item["title"] for item in index["items"] if item["kind"] == "image"] == ["blues/b", "metal/c"]  # pop/d is no development track: no file of it is read
    later = Development({})
    ValidationEvidence(later)(tmp_path / "trial", tmp_path / "trial" / "evidence", "trial 3", True)
    assert (development.asked, later.asked) == (1, 0)
    written(tmp_path / "trial" / "validation.csv", answers(("blues/a", 0, [0.1, 0.9, 0.0])))
    make(tmp_path / "trial", tmp_path / "trial" / "evidence", "trial 3", True)
    assert "1 validation tracks" in (tmp_path / "trial" / "evidence" / "index.json").read_text()


def test_without_the_corpus_there_are_tables_and_the_next_time_pictures(tmp_path: Path, four: Predictions, pictures: dict[str, Path]) -> None:
    written(tmp_path / "validation.csv", four)
    make = ValidationEvidence(Development({}, CorpusError("music is not there")))
    make(tmp_path, tmp_path / "evidence", "trial 3", False)
    assert str(make.trouble) == "music is not there"
    assert not list((tmp_path / "evidence").glob("*.jpeg"))
    ValidationEvidence(Development(pictures))(tmp_path, tmp_path / "evidence", "trial 3", False)
    assert len(list((tmp_path / "evidence").glob("mistake-*"))) == 2


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "track,label,predicted,p_x,p_y\nt,z,x,0.5,0.5\n", "track,label,predicted,p_x,p_y\nt,x,x,nan,0.5\n", "track,label,predicted,p_x,p_y\nt,x,x,0.5\n"])
def test_what_is_no_file_of_predictions_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "validation.csv").write_text(text)
    with pytest.raises(GenreModelsError, match=r"validation\.csv: is no file of predictions"):
        read_predictions(tmp_path / "validation.csv")
    with pytest.raises(GenreModelsError, match="can't be read"):
        read_predictions(tmp_path / "absent.csv")


def test_looks_are_read_in_order_and_foreign_files_passed_over(tmp_path: Path) -> None:
    metrics = {"look": 1, "trial": 4, "family": "cnn", "n_tracks": 9, "accuracy": 0.5, "accuracy_ci95": [0.2, 0.8], "macro_f1": 0.4, "log_loss": 1.0, "ece": 0.1}
    other = {"family": "svm", "trial": 5, "accuracy": 0.6, "accuracy_ci95": None, "compared": {"tie": False, "difference": 0.1}}
    for name, told in (("", metrics), ("look-3", {**metrics, "look": 3, "also": [other]}), ("look-2", {"look": 2}), ("look-4", [])):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "metrics.json").write_text(json.dumps(told))
    first, second = read_looks(tmp_path)
    assert (first["look"], first["n"], first["scores"][0]) == (1, 9, {"name": "accuracy", "value": 0.5, "interval": (0.2, 0.8)})
    assert (second["look"], second["folder"], second["others"]) == (3, tmp_path / "look-3", [{"family": "svm", "trial": 5, "value": 0.6, "interval": None, "against": "better"}])
    assert read_looks(tmp_path / "nowhere") == []
