from __future__ import annotations

import pytest

from scripts import bench_segments


@pytest.mark.parametrize("folds", ["1", "21", "two"])
def test_a_number_of_folds_that_can_not_be_is_refused_at_once(folds, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench_segments.py", "--folds", folds])
    with pytest.raises(SystemExit, match="2"):
        bench_segments.main()
    assert "error: argument --folds" in capsys.readouterr().err
