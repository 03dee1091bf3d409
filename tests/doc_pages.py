"""Markdown pages taken apart: what they tell a reader to type, to write into a space file, and to follow."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("python", "make", ".ci/", "pip", "ray", "sbatch", "optuna-dashboard")
_PROGRAM = re.compile(r"\.ci/|(?:python|make|pip|ray|sbatch|optuna-dashboard)(?![\w:-])")
#: Words before a program that change nothing about it.
_BEFORE = re.compile(r"exec|[A-Z_]+=.*")
_FENCE = re.compile(r"```(\w*)\s*$")
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SEPARATORS = (";", "&&", "|", "||")


@dataclass(frozen=True)
class Block:
    """Lines of a page that belong together: fenced, indented, or a code span in a line of prose.

    Attributes
    ----------
    page : Path
    line : int
        Of its first line, from 1.
    kind : str
        Language of a fence, "" where it has none; "indented"; "span".
    text : str
    """

    page: Path
    line: int
    kind: str
    text: str

    @property
    def where(self) -> str:
        """For messages and test ids."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Everything of a page that is code, in order; indented blocks end at empty lines."""
    return [block for kind in (_fenced_and_indented(page), _spans(page)) for block in kind]


def fenced(page: Path, language: str) -> list[Block]:
    """Fenced blocks of one language."""
    return [block for block in blocks(page) if block.kind == language]


def _fenced_and_indented(page: Path) -> Iterator[Block]:
    lines, number = page.read_text(encoding="utf-8").splitlines(), 0
    while number < len(lines):
        start, fence = number, _FENCE.match(lines[number])
        number += 1
        if fence:
            while not lines[number].startswith("```"):
                number += 1
            yield Block(page, start + 2, fence[1], "\n".join(lines[start + 1 : number]) + "\n")
            number += 1
        elif lines[start].startswith("    ") and lines[start].strip():
            while number < len(lines) and lines[number].startswith("    ") and lines[number].strip():
                number += 1
            yield Block(page, start + 1, "indented", "\n".join(line[4:] for line in lines[start:number]) + "\n")


def _spans(page: Path) -> Iterator[Block]:
    for number, line in _prose(page):
        for span in _SPAN.finditer(line):
            yield Block(page, number, "span", span[1])


def _prose(page: Path) -> Iterator[tuple[int, str]]:
    is_fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if _FENCE.match(line) or line.startswith("```"):
            is_fenced = not is_fenced
        elif not is_fenced and not line.startswith("    "):
            yield number, line


def links(page: Path) -> list[tuple[int, str]]:
    """Targets of links and pictures that lie in this repository, each with its line."""
    return [(number, target) for number, line in _prose(page) for target in _LINK.findall(line) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What may stand behind # in a link to a page, as GitHub makes it from headings."""
    headings = [line.lstrip("#").strip() for _, line in _prose(page) if re.match(r"#{1,6} ", line)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(block: Block) -> list[tuple[str, ...]]:
    """The commands of a block that begin with one of `PROGRAMS`, each as its words; those within quotes and behind ``--`` too."""
    if block.kind not in ("", "sh", "bash", "indented", "span"):
        return []
    lines = block.text.replace("\\\n", " ").splitlines()
    return [found for line in lines if _begins(line) for found in _in_words(shlex.split(line, comments=True))]


def _begins(line: str) -> bool:
    """Whether a line begins with a program, or has one behind a semicolon: prose and output may have quotes that a shell does not end."""
    return any(_PROGRAM.match(part.strip()) for part in line.split(";"))


def _in_words(words: list[str]) -> Iterator[tuple[str, ...]]:
    command: list[str] = []
    for word in [*words, ";"]:
        end = word in _SEPARATORS
        if not end:
            command.append(word.removesuffix(";"))
        if (end or word.endswith(";")) and command:
            yield from _one(command)
            command = []


def _one(words: list[str]) -> Iterator[tuple[str, ...]]:
    while words and _BEFORE.fullmatch(words[0]):
        words = words[1:]
    if not words or not words[0].startswith(PROGRAMS):
        return
    yield tuple(words)
    if "--" in words:
        inner = words[words.index("--") + 1 :]
        yield from _in_words(shlex.split(inner[2]) if inner[:2] == ["sh", "-c"] else inner)
