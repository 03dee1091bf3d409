"""Whatever README and docs tell a reader to type, write or follow exists and is accepted; what can't be run where tests run is named, with the reason."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from genre_models.families import FAMILIES, Family
from genre_models.objective import METRICS
from search.config import Settings, load_space
from search.problems import Problems
from search.run import SECTIONS
from search.space_file import read_space_file
from tests.doc_pages import Block, anchors, blocks, commands, fenced, links

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [(block.where, words) for block in BLOCKS for words in commands(block)]
#: Keys that a space file may have at its top.
TOP = (*Settings.model_fields, *SECTIONS, "families")

#: What a command has that is not to be had where tests run, and so is not run as it stands; its form is run by the test that `RUN` names.
LACKING = {
    r"(gtzan|fma):": "a real corpus, which may not be passed on",
    r"--(data|space) (~/|FILE)|~/new_music|FOLDER|--study (NAME|honest|gtzan)|a\.mp3": "music, a space file or a study of the reader's own",
    r"s3://bucket": "a bucket of the reader's own; moto's server stands in for one",
    r"^ray |HEAD:|--address": "a cluster; tests/cluster starts nodes on one machine",
    r"^sbatch": "Slurm; tests/cluster runs the script with stand-ins for srun and scontrol",
    r"^pip install|^make": "an empty environment and a network; .ci/run is started in one",
    r"scripts/bench_": "minutes to hours of a machine with nothing beside them; the figures are in docs/benchmarks.md",
}
#: The test that runs each program, on small inputs.
RUN = {
    "search.run": "test_end_to_end.py",
    "search.dashboard": "search/test_dashboard_command.py",
    "scripts/audit.py": "scripts/test_audit.py",
    "scripts/doctor.py": "scripts/test_doctor.py",
    "scripts/export.py": "scripts/test_export.py",
    "scripts/final_eval.py": "scripts/test_final_eval.py",
    "scripts/inflation.py": "test_naive_study.py",
    "scripts/local_cluster.py": "cluster/test_head.py",
    "scripts/make_reference.py": "scripts/test_make_reference.py",
    "scripts/predict.py": "scripts/test_predict.py",
    "scripts/replicate.py": "scripts/test_replication.py",
    "scripts/report.py": "scripts/test_report.py",
    "optuna-dashboard": "search/test_storage.py",
}


class Parsed(Exception):
    """A command line was accepted; nothing after that is to be done."""


@pytest.fixture
def accepts(monkeypatch: pytest.MonkeyPatch):
    """A function that asks a program's own parser about its words, in this process; what its import changes is put back."""
    read = argparse.ArgumentParser.parse_args

    def stop(self, args=None, namespace=None):
        raise Parsed(read(self, args, namespace))

    def ask(main, words: Sequence[str]) -> None:
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
        monkeypatch.setattr(sys, "argv", ["program", *words])
        with pytest.raises(Parsed):
            main()

    environment, path = dict(os.environ), list(sys.path)
    yield ask
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path


def meant(words: Sequence[str]) -> list[str]:
    """Words with a number in place of a letter that stands for one."""
    return ["1" if re.fullmatch(r"[A-Z]", word) else word for word in words]


def main_of(words: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The function that ``python …`` would start, and its words."""
    if words[1] == "-m":
        name = "search.dashboard.command" if words[2] == "search.dashboard" else words[2]
        return importlib.import_module(name).main, words[3:]
    script = ROOT / words[1]
    assert script.is_file(), f"there is no {words[1]}"
    return importlib.import_module(f"scripts.{script.stem}").main, words[2:]


@pytest.mark.parametrize(("where", "words"), [pytest.param(*each, id=each[0]) for each in COMMANDS if each[1][0] == "python"])
def test_a_program_takes_the_words_it_is_given(where: str, words: tuple[str, ...], accepts) -> None:
    main, arguments = main_of(words)
    accepts(main, meant(arguments))


def test_a_word_that_is_not_taken_is_noticed(accepts) -> None:
    main, _ = main_of(("python", "-m", "search.run"))
    with pytest.raises(SystemExit, match="2"):
        accepts(main, ["--no-such-option"])


def test_other_commands_exist_and_take_their_words(accepts) -> None:
    scripts = {entry.name for entry in entry_points(group="console_scripts")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    others = [(where, words) for where, words in COMMANDS if words[0] not in ("python", "ray")]
    assert {words[0] for _, words in others} >= {"make", "pip", "sbatch", "optuna-dashboard"}
    for where, words in others:
        if words[0] == "make":
            assert targets.issuperset(words[1:]), where
        elif words[0] == "pip":
            extras = [extra for word in words for extra in re.findall(r"\.\[(\w+)\]", word)]
            assert words[1] == "install" and (ROOT / "constraints.txt").is_file(), where
            assert extras and set(extras) <= set(project["optional-dependencies"]), where
        elif words[0] == "sbatch":
            assert (ROOT / words[1]).is_file() and "-m search.run" in (ROOT / words[1]).read_text(), where
            accepts(importlib.import_module("search.run").main, words[2:])
        elif words[0].startswith(".ci/"):
            assert os.access(ROOT / words[0], os.X_OK), where
        else:
            assert words[0] in scripts, where


def test_ray_takes_the_words_it_is_given() -> None:
    from ray.scripts.scripts import cli

    for where, words in [each for each in COMMANDS if each[1][0] == "ray"]:
        command, rest = cli, list(words[1:])
        while rest and hasattr(command, "commands"):
            assert rest[0] in command.commands, f"{where}: ray has no {rest[0]}"
            command = command.commands[rest.pop(0)]
        if not hasattr(command, "commands"):
            context = command.make_context("ray", [], resilient_parsing=True)
            command.make_parser(context).parse_args(rest)  # raises NoSuchOption


def test_each_command_is_run_by_a_test_or_named_as_lacking_something() -> None:
    for where, words in COMMANDS:
        told = " ".join(words)
        lacks = [pattern for pattern in LACKING if re.search(pattern, told)]
        program = next((name for name in RUN if name in words), None)
        assert program or lacks or len(words) == 1, f"{where}: {told}: no test runs it; write one, or say in LACKING what it needs"
    for program, test in RUN.items():
        assert re.search(started_by(program), (ROOT / "tests" / test).read_text()), f"{test} does not run {program}"


def started_by(program: str) -> str:
    """How a test's text shows that it starts a program: by its path or name, or by what it imports."""
    name = re.escape(program)
    return rf'{name}\b|"{Path(program).name}"|from scripts import (.*, )?{Path(program).stem}\b|from ({name}\.command|{program.replace("-", "_")}) import'


def test_what_is_said_to_be_lacking_is_asked_for_somewhere() -> None:
    told = [" ".join(words) for _, words in COMMANDS]
    assert [pattern for pattern in LACKING if not any(re.search(pattern, each) for each in told)] == []


NAMED = re.compile(r"(?<![\w./-])(?:spaces|docs|scripts|tests|search|genre_models|\.ci)/[\w./*-]+\.(?:yaml|py|md|sbatch|sh|csv|json|png)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(NAMED.findall(page.read_text()))
    assert [name for name in sorted(named) if not list(ROOT.glob(name))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for line, target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}:{line}: {target}: there is no such file"
        if anchor:
            assert anchor in anchors(there), f"{page.name}:{line}: {target}: no such heading; there are {sorted(anchors(there))}"


def pieces(block: Block) -> list[str]:
    """The parts of a block that are written into space files, each to be read by itself: of lines that repeat a key every line."""
    if block.kind == "yaml":
        return [block.text]
    if block.kind not in ("indented", "span") or not re.match(rf"({'|'.join(TOP)}): ?[\[{{\w\n]", block.text):
        return []
    if block.kind == "span":
        return [block.text] if re.fullmatch(r"\w+: (\{.*\}|\[.*\]|[\w:./-]+)", block.text) else []
    keys = re.findall(r"^(\w+):", block.text, re.MULTILINE)
    return [block.text] if len(set(keys)) == len(keys) else block.text.splitlines()


YAML = [(block, piece) for block in BLOCKS for piece in pieces(block)]


def families() -> dict[str, Family]:
    """The program's, and those that pages add."""
    added: dict[str, Family] = {}
    for page in ("adding-a-family.md", "torch-family.md"):
        space: dict[str, Any] = {"__name__": "example"}
        exec(fenced(ROOT / "docs" / page, "python")[0].text, space)
        added[space["FAMILY"].name] = space["FAMILY"]
    return FAMILIES | added


def over(base: dict[str, Any], piece: dict[str, Any]) -> dict[str, Any]:
    """A fragment laid over a whole file; families take the place of those that are there."""
    merged = {key: base[key] | value if isinstance(value, dict) and isinstance(base.get(key), dict) and key != "families" else value for key, value in piece.items()}
    return base | merged


@pytest.mark.parametrize(("block", "piece"), [pytest.param(*each, id=each[0].where) for each in YAML])
def test_what_is_to_be_written_into_a_space_file_is_accepted(block: Block, piece: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(re.sub(r": k\b", ": 2", piece), encoding="utf-8")
    given = read_space_file(path, Problems(path))[1]
    needed = {family: {} for family in (given.get("resources") or {}).get("families", {})}
    whole = over({"data": {"source": "demo"}, "families": {"cnn": {}, **needed}}, given)
    path.write_text(json.dumps(whole), encoding="utf-8")  # JSON is YAML
    load_space(path, families(), SECTIONS, metrics=METRICS)


def test_there_is_something_to_check() -> None:
    assert len(COMMANDS) > 90 and len(YAML) > 20
    assert sum(len(links(page)) for page in PAGES) > 20


def test_the_index_names_every_page() -> None:
    listed = {target for _, target in links(ROOT / "docs" / "README.md")}
    missing = sorted({page.name for page in PAGES} - {"README.md"} - listed)
    assert missing == [], f"give each a line in docs/README.md: {missing}"
