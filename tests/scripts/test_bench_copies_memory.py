"""The benchmark runs the preset itself, on items of any size, and its samples are sorted into the stages of a trial."""

from __future__ import annotations

import pytest

from genre_models.features import feature_shape
from scripts import bench_copies_memory as bench


def test_the_configuration_is_the_presets():
    spec = bench.spec_of("preset", None)
    assert feature_shape("audio", spec["features"]) == (128, 1280, 1)
    assert (spec["params"]["filters_per_layer"], spec["params"]["copies"], spec["params"]["copy_time_mask"]) == ("64-64-128-128", 2, 100)
    assert bench.spec_of("preset", 5)["params"]["batch_size"] == 5
    assert feature_shape("audio", bench.spec_of("narrow", None, 640)["features"]) == (128, 640, 1)


def test_peaks_are_of_their_stages():
    samples = [(0.0, 1.0), (1.0, 5.0), (2.0, 7.0), (3.0, 6.0), (4.0, 2.0), (9.0, 8.0)]
    marks = {"trial": 1.0, "warm": 2.0, "validation": 4.0, "end": 5.0}
    assert bench.peaks_of(samples, marks) == {"before": 1.0, "first": 5.0, "later": 7.0, "validation": 2.0, "all": 8.0}


def test_what_can_not_be_measured_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--train", "1"])
    assert "at least 32" in capsys.readouterr().err


@pytest.mark.slow
def test_memory_of_a_short_epoch_is_under_the_limit(capsys):
    """Narrower items, the same way through the cache, the copies and the network."""
    assert bench.main(["--train", "64", "--validation", "32", "--steps", "3", "--columns", "640"]) == 0
    out = capsys.readouterr().out
    assert "24 of 192 in 3 steps" in out and "192 of 192 in 6 steps" in out and "under 4,096" in out
