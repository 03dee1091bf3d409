"""The command: what it writes and says, without a corpus too; and the page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from scripts import bench_report, final_eval, report
from tests import fake_family, tiny_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose winner's validation predictions were kept, and its corpus."""
    folder = tmp_path_factory.mktemp("made")
    corpus = tiny_study.make_corpus(folder / "corpus")
    tiny_study.make_study(folder / "studies", "one", corpus)
    write_predictions(folder / "studies", "one", 1)
    return folder


def write_predictions(studies: Path, name: str, trial: int) -> None:
    """Validation predictions of a trial, one in three wrong, on the study's own validation tracks."""
    from scripts.report import open_data
    from search.study_view import read_study

    data = open_data(read_study(studies, name), studies, None, lambda *_: None)
    labels, rows = list(data.split.labels), ["track,label,predicted," + ",".join(f"p_{label}" for label in data.split.labels)]
    for number, track in enumerate(sorted(data.split.validation, key=lambda track: track.id)):
        said = (labels.index(track.label) + (number % 3 == 0)) % len(labels)
        p = [0.8 if i == said else 0.1 for i in range(len(labels))]
        rows.append(f"{track.id},{track.label},{labels[said]}," + ",".join(map(str, p)))
    folder = studies / name / "trials" / f"{trial:04d}"
    folder.mkdir(parents=True)
    (folder / "validation.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def studies(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "studies", tmp_path / "studies")
    return tmp_path / "studies"


def command(studies: Path, *more: str) -> int:
    return report.main(["--studies-dir", str(studies), *more])


def markup_of(path: Path) -> str:
    """The page without its scripts: plotly's own text holds much that one may look for."""
    return re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_has_the_verdict_and_the_winners_mistakes_with_pictures(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(studies, "--study", "best") == 0
    assert f"report: {studies}/one/report.html" in capsys.readouterr().out
    page = (studies / "one" / "report.html").read_text()
    assert "fake won: trial 1" in page and "validation tracks, and what trial 1 (fake, the winner) said" in page
    assert page.count('src="data:image/jpeg;base64,') == 2  # two of the six are wrong
    assert data_of(page)["winner"] == 1
    assert f"python scripts/final_eval.py --study one --studies-dir {studies}" in page


def test_held_out_tracks_are_shown_after_the_look_alone_and_the_look_writes_the_page(studies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from search.study_view import read_study

    held_out = {row.id for row in report.open_data(read_study(studies, "one"), studies, None, lambda *_: None).split.test}
    assert command(studies, "--study", "one") == 0
    before = (studies / "one" / "report.html").read_text()
    assert held_out and not any(track in before for track in held_out)
    fake_family.install(monkeypatch)
    assert final_eval.main(["--studies-dir", str(studies), "--study", "one"]) == 0
    assert f"report: {studies}/one/report.html" in capsys.readouterr().out
    after = (studies / "one" / "report.html").read_text()
    assert "6 held-out tracks, looked at once" in after and "accuracy on held-out tracks" in after and "number to quote is still missing" not in after
    shown = json.loads((studies / "one" / "final" / "evidence" / "mistakes.json").read_text()) if (studies / "one" / "final" / "evidence" / "mistakes.json").exists() else {"rows": []}
    assert {row["name"] for row in shown["rows"]} <= held_out


def test_a_corpus_that_is_gone_costs_the_pictures_and_says_so(made: Path, studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = json.loads((studies / "one" / "run.json").read_text())
    run["data"]["source"] = str(tmp_path / "nowhere")
    (studies / "one" / "run.json").write_text(json.dumps(run))
    assert command(studies, "--study", "one", "--output", str(tmp_path / "page.html")) == 0
    assert "pictures and sound: " in capsys.readouterr().out
    page = markup_of(tmp_path / "page.html")
    assert "What is missing on this page" in page and 'src="data:image' not in page and "Which classes are taken for which" in page
    assert command(studies, "--study", "one", "--data", str(made / "corpus")) == 0  # it was moved, and the pictures are there again
    assert 'src="data:image/jpeg' in markup_of(studies / "one" / "report.html")


def test_another_corpus_in_its_place_shows_nothing_of_itself(studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tiny_study.make_corpus(tmp_path / "other", seed=1)
    assert command(studies, "--study", "one", "--data", str(other)) == 0
    assert "not the corpus that study 'one' was made on" in capsys.readouterr().out
    assert 'src="data:image' not in markup_of(studies / "one" / "report.html")


def test_bad_input_is_one_line_and_2(studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(studies, "--study", "two") == 2
    assert "no study 'two'" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert command(studies, "--study", "one", "--output", str(tmp_path / "file" / "page.html")) == 2
    assert re.search(r"error: --output .*page.html: there is no folder .*file; give a file in a folder that exists", capsys.readouterr().err)
    assert command(studies, "--study", "one", "--output", str(tmp_path / "none" / "page.html")) == 2 and not (tmp_path / "none").exists()
    assert command(studies, "--study", "one", "--output", str(tmp_path)) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.fixture
def chromium() -> str:
    found = bench_report.find_chromium()
    return found if found is not None else pytest.skip("no Chromium on this machine")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "trials"), [(1400, 200), (390, 30)])
def test_a_browser_draws_all_plots_within_the_policy_and_two_seconds(chromium: str, tmp_path: Path, width: int, trials: int) -> None:
    from genre_models import resampling
    from search.report import write_report
    from search.study_view import read_study

    bench_report.make_study(tmp_path, trials, "asha")
    page = write_report(read_study(tmp_path, "many"), tmp_path / "many", statistics=resampling, doubts=[])
    milliseconds, document, log = bench_report.open_page(chromium, page, width=width, height=9_000)
    for plot in ("plot-curves", "plot-survival", "plot-costs"):
        assert re.search(rf'id="{plot}"[^>]*class="[^"]*js-plotly-plot|class="[^"]*js-plotly-plot[^>]*id="{plot}"', document), plot
    assert "CONSOLE" not in log, log  # no error, nothing that the policy had to block
    assert milliseconds < 2000 * 3  # three times what it must be on a free machine
    below = bench_report.open_page(chromium, page, width=width, height=700)[1]
    drawn = re.compile(r'js-plotly-plot[^>]*id="plot-costs"|id="plot-costs"[^>]*js-plotly-plot')
    assert drawn.search(document) and not drawn.search(below), "what is far below waits until somebody comes near"


@pytest.mark.slow
def test_hostile_names_run_nothing_in_a_browser(chromium: str, tmp_path: Path) -> None:
    from genre_models import resampling
    from search.report import write_report
    from tests.search.report.views import first, full, view_of

    hostile = "</script><img src=x onerror=document.title='owned'><b onmouseover=document.title='owned'>{{7*7}}"
    trials = [full(number, 0.5 + number / 100, hostile, right=first(60 + number), params={f"cnn/{hostile}": number}) for number in range(30)]
    view = view_of(trials, {"source": hostile, "doctor": [hostile], "split_id": "x"})
    view.name = hostile
    (tmp_path / "s").mkdir()
    _, document, log = bench_report.open_page(chromium, write_report(view, tmp_path / "s", statistics=resampling))
    assert "CONSOLE" not in log and "<title>owned" not in document and "<img" not in re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)
