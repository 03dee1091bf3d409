"""Which precision a machine trains faster in: measured apart, once, and never between the runs of a study."""

from __future__ import annotations

import json
import sys

import pytest

from genre_models import precision_probe
from genre_models.precision import resolve_precision
from genre_models.precision_probe import FILE, faster_precision

CPU = "vendor_id\t: x\nmodel name\t: y\nflags\t\t: fpu avx512_bf16\n"


@pytest.fixture
def cpuinfo(tmp_path):
    (tmp_path / "cpuinfo").write_text(CPU)
    return tmp_path / "cpuinfo"


def took(monkeypatch, *found):
    answers = iter(found)
    monkeypatch.setattr(precision_probe, "_measured_apart", lambda backend: next(answers))


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, "bfloat16"), (0.9, "bfloat16"), (0.95, "float32"), (1.4, "float32")])
def test_bfloat16_must_be_worth_it(ratio, expected, tmp_path, cpuinfo, monkeypatch):
    took(monkeypatch, {"float32": 1.0, "bfloat16": ratio})
    assert faster_precision(tmp_path / "cache", "tensorflow", lambda line: None, cpuinfo) == expected


def test_a_processor_is_measured_once_and_another_one_anew(tmp_path, cpuinfo, monkeypatch):
    took(monkeypatch, {"float32": 1.0, "bfloat16": 0.5}, {"float32": 1.0, "bfloat16": 2.0})
    told = []
    assert [faster_precision(tmp_path, "tensorflow", told.append, cpuinfo) for _ in range(3)] == ["bfloat16"] * 3
    assert len(told) == 1 and "0.50" in told[0]
    cpuinfo.write_text(CPU.replace("avx512_bf16", "amx_bf16"))
    assert faster_precision(tmp_path, "tensorflow", told.append, cpuinfo) == "float32"
    assert len(json.loads((tmp_path / FILE).read_text())) == 2


@pytest.mark.parametrize("damage", ["", "[]", '{"x": 1}', '{"x": {"float32": "fast", "bfloat16": 1}}'])
def test_a_damaged_memory_is_measured_again(damage, tmp_path, cpuinfo, monkeypatch):
    (tmp_path / FILE).write_text(damage)
    took(monkeypatch, {"float32": 1.0, "bfloat16": 0.5})
    assert faster_precision(tmp_path, "tensorflow", lambda line: None, cpuinfo) == "bfloat16"


def test_where_nothing_can_be_measured_it_is_float32_and_said(tmp_path, cpuinfo, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    told = []
    assert faster_precision(tmp_path, "tensorflow", told.append, cpuinfo) == "float32" and "failed" in told[0]
    assert not (tmp_path / FILE).exists()


def test_only_a_processor_that_has_bfloat16_is_measured(tmp_path, cpuinfo):
    assert resolve_precision("auto", cpuinfo, tmp_path / "no", measure=lambda: "float32") == "float32"
    cpuinfo.write_text("flags: avx2\n")
    assert resolve_precision("auto", cpuinfo, tmp_path / "no", measure=lambda: pytest.fail("measured")) == "float32"
    assert resolve_precision("bfloat16", cpuinfo, tmp_path / "no", measure=lambda: pytest.fail("measured")) == "bfloat16"


@pytest.mark.slow
def test_the_real_measurement_gives_seconds_of_both(tmp_path, cpuinfo):
    told = []
    assert faster_precision(tmp_path, "tensorflow", told.append, cpuinfo) in precision_probe.PRECISIONS
    (known,) = json.loads((tmp_path / FILE).read_text()).values()
    assert all(0 < known[name] < 60 for name in precision_probe.PRECISIONS) and len(told) == 1
