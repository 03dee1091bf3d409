"""Evidence of a study as the dashboard serves it: from where it lies, and from nowhere else; and names that are hostile."""

from __future__ import annotations

import json
from pathlib import Path

from tests.search.dashboard_requests import ask, dashboard, detail, make_study, studies


def test_evidence_is_shown_from_where_it_lies(tmp_path: Path, at_once: None) -> None:
    make_study(tmp_path, "s")
    evidence = tmp_path / "s" / "trials" / "0001" / "evidence"
    evidence.mkdir(parents=True)
    (evidence / "a.png").write_bytes(b"PNG")
    (evidence / "index.json").write_text(json.dumps({"schema": 1, "items": [{"title": "jazz.00012", "kind": "image", "path": "a.png", "alt": "x", "group": "Mistakes"}]}))
    (tmp_path / "s" / "final").mkdir()
    (tmp_path / "s" / "final" / "confusion.png").write_bytes(b"matrix")
    app = dashboard(tmp_path)
    shown, number = detail(app, "s"), studies(app)["s"]
    [final], [[], [item], []] = shown["artifacts"], [t["artifacts"] for t in shown["trials"]]
    assert (final["filename"], item["filename"]) == ("confusion.png", "Mistakes · jazz.00012.png")
    answer = ask(app, f"/artifacts/{number}/{shown['trials'][1]['trial_id']}/{item['artifact_id']}")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"PNG", "image/png")
    assert answer.headers["content-security-policy"].startswith("sandbox;") and "access-control-allow-origin" not in answer.headers
    assert ask(dashboard(tmp_path), f"/artifacts/{number}/{final['artifact_id']}").body == b"matrix"  # also before anything was listed


def test_no_path_leads_out_of_a_study(tmp_path: Path, at_once: None) -> None:
    studies_dir = tmp_path / "studies"
    make_study(studies_dir, "s")
    make_study(studies_dir, "t")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    evidence = studies_dir / "s" / "trials" / "0001" / "evidence"
    evidence.mkdir(parents=True)
    (evidence / "link.png").symlink_to(secret)
    (evidence / "pipe.png").mkdir()
    (evidence / "page.html").write_text("<script>1</script>")
    (evidence / "ok.png").write_bytes(b"ok")
    (studies_dir / "t" / "final").mkdir()
    (studies_dir / "t" / "final" / "card.md").symlink_to(secret)
    (studies_dir / "t" / "report.html").symlink_to(secret)
    paths = ["../../../../secret.png", str(secret), "link.png", "pipe.png", "page.html", "..%2f..%2fsecret.png", "a\0.png", "x" * 5000, "ok.png", "../evidence/ok.png"]
    items = [{"title": "<img src=x onerror=alert(1)>", "kind": "image", "path": path, "alt": ""} for path in paths]
    (evidence / "index.json").write_text(json.dumps({"items": [*items, None, 3, {"path": 4, "kind": "image"}, {"path": "ok.png"}]}))
    app = dashboard(studies_dir)
    assert len(detail(app, "s")["trials"][1]["artifacts"]) == 1 and detail(app, "t")["artifacts"] == []
    assert ask(app, "/report/t").status == 404
    number = studies(app)["s"]
    known = detail(app, "s")["trials"][1]["artifacts"][0]["artifact_id"]
    for path in [
        f"/artifacts/{number}/../../secret.png", f"/artifacts/{number}/..%2f..%2fsecret.png", f"/artifacts/{number}/{'0' * 32}", f"/artifacts/{studies(app)['t']}/{known}",
        "/static/../../../../etc/passwd", "/static/..%2f..%2fetc/passwd", "/static//etc/passwd", "/report/../s", "/report/s%00", "/report/..", "/study/%3Cscript%3E", "/artifacts/9/9/ff",
    ]:  # fmt: skip
        answer = ask(app, path)
        assert answer.status in (403, 404) and b"secret" not in answer.body.replace(b"secret.png", b"") and b"root:" not in answer.body
    (evidence / "ok.png").unlink()
    (evidence / "ok.png").symlink_to(secret)  # what was listed has become something else since
    trial = detail(app, "s")["trials"][1]["trial_id"]
    assert b"secret" not in ask(app, f"/artifacts/{number}/{trial}/{known}").body


def test_a_script_in_a_name_stays_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>".replace("/", "\u2215")
    make_study(tmp_path, name, corpus="[x](javascript:alert(1)) <img src=x onerror=alert(1)>")
    app = dashboard(tmp_path)
    page, note = ask(app, "/").body.decode(), detail(app, name)["note"]["body"]
    assert "<script>" not in page and "<img" not in page and "&lt;script&gt;" in page
    assert "<img" not in note and "[x](" not in note and "<script>" not in note.partition("    python")[0]


