"""Tables and weights that come, go, move and change under a study: it goes on where it can, and says so where it can't."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from search.study_view import read_study
from tests.test_all_families import write_table
from tests.test_end_to_end import command
from tests.tiny_study import make_corpus

SPACE = """
study: files
data: {{source: {music}, validation: {{holdout: 0.3}}}}
features: {{image_size: [16, 24]}}
budget: {{min_epochs: 1, max_epochs: 2, trials: {trials}}}
precision: float32
skip_unavailable: true
engine: inline
families:
  cnn: {{min_trials: 1, depth: 1, filters: 4, learning_rate: {{float: [1e-4, 2e-4]}}}}
  classical: {{features: {{table: {table}}}, min_trials: 3, input: table, model: logistic, linear_C: {{float: [0.1, 1.0]}}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_table_comes_goes_moves_and_changes(tmp_path: Path) -> None:
    studies, space, music = tmp_path / "studies", tmp_path / "files.yaml", make_corpus(tmp_path / "music")
    table = tmp_path / "table.csv"

    def search(trials: int, *more: str):
        space.write_text(SPACE.format(music=music, table=table, trials=trials))
        return command("-m", "search.run", "--space", space, "--studies-dir", studies, *more)

    def families() -> list[str]:
        return [t.family for t in read_study(studies, "files").trials]

    done = search(2)
    assert done.returncode == 0 and "left out: families.classical: features.table" in done.stdout, done.stdout + done.stderr
    assert set(families()) == {"cnn"}
    shutil.move(write_table(tmp_path), table)
    assert search(6).returncode == 0, "the file is there now: its family comes back"
    assert families().count("classical") >= 3
    moved = tmp_path / "elsewhere.csv"
    shutil.move(table, moved)
    gone = search(7)
    assert gone.returncode == 0 and "left out" in gone.stdout, gone.stderr
    table = moved
    assert search(8).returncode == 0, "the same content in another place is the same study"
    first = families().index("classical")
    replayed = search(8, "--replay", str(first))
    assert replayed.returncode == 0 and "the same" in replayed.stdout, replayed.stdout + replayed.stderr

    whole = table.read_bytes()
    table.write_bytes(whole.replace(b",0.", b",9."))
    refused = search(9)
    assert refused.returncode == 2 and "families.classical.features.table" in refused.stderr
    look = command("scripts/final_eval.py", "--study", "files", "--studies-dir", studies, "--also", "families")
    assert look.returncode == 2 and "is not the file that study 'files' was made with" in look.stderr, look.stdout + look.stderr
    assert not list((studies / ".seals").glob("*")) if (studies / ".seals").exists() else True
    table.write_bytes(whole)
    look = command("scripts/final_eval.py", "--study", "files", "--studies-dir", studies, "--also", "families")
    assert look.returncode == 0, look.stdout + look.stderr
