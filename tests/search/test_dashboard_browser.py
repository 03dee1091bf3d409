"""The dashboard in a real browser: it works behind its guard, what is hostile in it does not run, and nothing is asked of the network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from search.storage import StudyStorage
from search.location import locate
from tests.browser import Browser, running_browser
from tests.search.dashboard_requests import make_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]
#: Each would set a title that says it ran.
HOSTILE = """<script>document.title='ran-script'</script><img src=x onerror="document.title='ran-onerror'"><svg onload="document.title='ran-svg'"></svg>
[a link](javascript:document.title='ran-link') <iframe srcdoc="<script>parent.document.title='ran-frame'</script>"></iframe>
![](https://evil.example/pixel.png) <style>@import url(https://evil.example/x.css);</style> HOSTILE-END"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    studies_dir = tmp_path_factory.mktemp("studies")
    make_study(studies_dir, "plain", tuple(0.3 + 0.01 * i for i in range(20)))
    name = "<img src=x onerror=document.title='ran-name'>"
    make_study(studies_dir, name, corpus="<script>document.title='ran-corpus'</script>", family="<b>f</b>")
    storage = StudyStorage(locate(studies_dir, name))
    study_id = storage.get_study_id_from_name(name)
    storage.set_study_system_attr(study_id, "dashboard:note_ver", 1)
    storage.set_study_system_attr(study_id, "dashboard:note_str:0", HOSTILE)
    storage.engine.dispose()
    (studies_dir / "plain" / "report.html").write_text("<title>report</title><script>document.title = 'its own script ran, origin ' + self.origin</script>")
    final = studies_dir / "plain" / "final"
    final.mkdir()
    (final / "card.md").write_text("<script>document.title='ran-card'</script>")
    with subprocess.Popen(
        [sys.executable, "-m", "search.dashboard", "--studies-dir", str(studies_dir), "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield server.stdout.readline().split()[1]
        finally:
            server.terminate()
            server.wait(20)


def stays_here(browser: Browser) -> bool:
    return all(urlsplit(url).hostname == "127.0.0.1" for url in browser.requested())


def go_to_study(browser: Browser, url: str, text: str, tab: str = "") -> None:
    browser.open(url)
    browser.run(f"[...document.querySelectorAll('td a')].find(a => a.innerText.includes({text!r})).click()")
    browser.wait_for("location.pathname.startsWith('/dashboard/studies/')")
    if tab:
        browser.open(browser.run("return location.href").rstrip("/") + tab)


def test_a_study_is_shown(browser: Browser, url: str) -> None:
    browser.complaints()
    go_to_study(browser, url, "plain")
    browser.wait_for("document.querySelectorAll('.js-plotly-plot').length >= 2")
    assert "plain" in browser.text() and "val_accuracy" in browser.text()
    browser.open(browser.run("return location.href").rstrip("/") + "/trials?numbers=19")
    browser.wait_for("document.body.innerText.includes('Trial 19')")
    assert "0.49" in browser.text()
    go_to_study(browser, url, "plain", "/note")
    browser.wait_for("document.body.innerText.includes('wins in validation')")
    assert browser.complaints() == []  # nothing is missing, forbidden or broken: no message in the reader's way
    assert stays_here(browser)
    if os.environ.get("DASHBOARD_PICTURES"):
        browser.picture(Path(os.environ["DASHBOARD_PICTURES"]) / "note.png")


def test_what_is_hostile_in_a_study_does_not_run(browser: Browser, url: str) -> None:
    browser.open(url)
    assert "onerror" in browser.text() and not browser.run("return document.title").startswith("ran-")
    for tab in ("", "/note"):
        go_to_study(browser, url, "onerror", tab)
        browser.wait_for("document.body.innerText.length > 100")
        if tab:
            browser.wait_for("document.body.innerText.includes('HOSTILE-END')")
        browser.run("document.querySelectorAll('a').forEach(a => { if (a.innerText === 'a link') a.click() })")
        assert not browser.run("return document.title").startswith("ran-")
    browser.complaints()
    assert stays_here(browser)
    assert "https://evil.example/pixel.png" in browser.refused


def test_a_report_and_a_card_are_kept_apart(browser: Browser, url: str) -> None:
    browser.open(f"{url}report/plain")
    assert browser.run("return document.title") == "its own script ran, origin null"
    browser.open(url)
    go_to_study(browser, url, "plain")
    number = browser.run("return location.pathname").split("/")[3]
    artifact = browser.run(f"const r = new XMLHttpRequest(); r.open('GET', '/api/studies/{number}', false); r.send(); return JSON.parse(r.responseText).artifacts[0].artifact_id")
    browser.open(f"{url}artifacts/{number}/{artifact}")
    assert "<script>" in browser.text() and browser.run("return document.title") != "ran-card"
