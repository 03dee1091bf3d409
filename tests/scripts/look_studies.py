"""Finished studies to look at, made once and copied for each test, and what is read of a look. Fixtures are imported by the tests that use them."""

from __future__ import annotations

import json
import shutil

import pytest

from genre_models.seal import Seal
from scripts import final_eval
from tests import fake_family, tiny_study


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished study and its corpus, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("made")
    corpus = tiny_study.make_corpus(folder / "corpus")
    tiny_study.make_study(folder / "studies", "one", corpus)
    return folder


@pytest.fixture
def studies(made, tmp_path, monkeypatch):
    fake_family.install(monkeypatch)
    monkeypatch.setattr(final_eval, "write_report", lambda *told: None)  # tests/scripts/test_report.py has the page
    shutil.copytree(made / "studies", tmp_path / "studies")
    return tmp_path / "studies"


def command(studies, *more):
    return final_eval.main(["--studies-dir", str(studies), *more])


def seal_of(studies, name="one"):
    return Seal(studies / ".seals", json.loads((studies / name / "run.json").read_text())["split_id"])


def scores(studies):
    """What must be the same however often the look was interrupted."""
    metrics = json.loads((studies / "one" / "final" / "metrics.json").read_text())
    for key in ("train_seconds", "peak_ram_evaluation_mib", "cost", "latency", "disk_bytes", "files"):  # the last two are of a file with times in it
        metrics.pop(key)
    return metrics, (studies / "one" / "final" / "predictions.csv").read_text()


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made_several(made, tmp_path_factory):
    """A study of three families, made once and copied for each test; the fourth trial is the worse one of its family."""
    folder = tmp_path_factory.mktemp("several")
    several = {"values": (0.7, 0.5, 0.6, 0.55), "families": ("fake", "fitted", "other", "other")}
    tiny_study.make_study(folder / "studies", "one", made / "corpus", **several)
    return folder


@pytest.fixture
def several(made_several, tmp_path, monkeypatch):
    fake_family.install(monkeypatch)
    shutil.copytree(made_several / "studies", tmp_path / "studies")
    return tmp_path / "studies"
