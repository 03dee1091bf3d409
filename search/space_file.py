"""From the bytes of a space file to plain data: reading, YAML, and what YAML itself can have wrong.

Owns YAML. Files are data: only text, numbers, booleans, null, lists and mappings come out, whatever tags a file uses. Scalars are read
as YAML 1.2 reads them: ``1e-5`` is a number, ``on`` and ``yes`` are text, ``2024-01-01`` is no date and ``1:30`` no ninety.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from search.errors import SpaceFileError
from search.location import STORAGE_REMEDY
from search.problems import Problems

MAX_BYTES = 1 << 20
#: Values a file may hold once its aliases are written out; a space has a few hundred.
MAX_VALUES = 20_000

_TAG = "tag:yaml.org,2002:"
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without its YAML 1.1 surprises; it stops where a file holds too much, since it reads but some 50,000 values a second."""

    n_nodes = 0

    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag.removeprefix(_TAG) in _KINDS
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """A node, unless there are too many."""
        self.n_nodes += 1
        if self.n_nodes > MAX_VALUES:
            raise yaml.constructor.ConstructorError(None, None, f"this file holds more than {MAX_VALUES} values", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number, or a complaint that carries the line."""
        make = self.construct_yaml_int if node.tag == f"{_TAG}int" else self.construct_yaml_float
        try:
            return make(node)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, f"this is no usable number ({error})", node.start_mark) from error


for _kind, _first, _pattern in (
    ("null", ["~", "n", "N", ""], r"~|null|Null|NULL|"),
    ("bool", list("tTfF"), r"true|True|TRUE|false|False|FALSE"),
    ("int", list("-+0123456789"), r"[-+]?(0|[1-9][0-9]*)"),
    ("float", list("-+.0123456789"), r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"),
    ("float", list("-+."), r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    ("merge", ["<"], r"<<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), _first)
for _kind in ("int", "float"):
    _Loader.add_constructor(_TAG + _kind, _Loader.construct_number)


def read_space_file(path: Path, problems: Problems) -> tuple[str, dict[str, Any]]:
    """Read a space file.

    Parameters
    ----------
    path : Path
    problems : Problems
        Keys written twice are added to it; the last one counts in what is returned.

    Returns
    -------
    (text, data)
        The file's text, and its top-level mapping.

    Raises
    ------
    SpaceFileError
        If there is no such file, or it is not UTF-8 text, not YAML, too large, or no mapping: nothing more can be said about it then.
        Or a database's URL is in it.
    """
    text = _read_text(path)
    _refuse_database_urls(path, text)
    try:
        data = _parse(text, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise SpaceFileError([f"{path}: {where}this is not YAML that a space file may hold: {said}"]) from error
    except yaml.YAMLError as error:
        raise SpaceFileError([f"{path}: this is not YAML: {' '.join(str(error).split())}"]) from error
    except RecursionError as error:
        raise SpaceFileError([f"{path}: lists or mappings stand too deep inside one another"]) from error
    if data is None:
        raise SpaceFileError([f"{path}: the file is empty; at least families: must be given"])
    if not isinstance(data, dict):
        raise SpaceFileError([f"{path}: found a {type(data).__name__}; the top level must be a mapping, such as families: {{cnn: {{}}}}"])
    return text, data


def _read_text(path: Path) -> str:
    if not path.exists():
        raise SpaceFileError([f"{path}: there is no such file; give a space file with --space FILE"])
    if not path.is_file():
        raise SpaceFileError([f"{path}: this is {'a folder' if path.is_dir() else 'no regular file'}; a space file must be a YAML file"])
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SpaceFileError([f"{path}: the file can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        if len(content) <= MAX_BYTES:  # else the cut may have gone through a character
            raise SpaceFileError([f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text"]) from error
    if len(content) > MAX_BYTES:
        raise SpaceFileError([f"{path}: the file is larger than {MAX_BYTES >> 20} MiB; a space file is a page of text"])
    return text


def _refuse_database_urls(path: Path, text: str) -> None:
    """Wherever one stands, in a comment too: the file is kept with the study, and its words come back in messages."""
    found = re.search(r"postgres\w{0,16}(\+\w{1,32})?://", text, re.IGNORECASE)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise SpaceFileError([f"{path}: line {line}: a database's URL must not stand in a file, a password may be in it; {STORAGE_REMEDY}"])


def _parse(text: str, problems: Problems) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Inspection(problems).values_in(node, ())
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Inspection:
    """Looks at the nodes before anything is built of them: aliases that go round or blow up, and keys written twice."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._counts: dict[int, int] = {}

    def values_in(self, node: yaml.Node, path: tuple[str, ...]) -> int:
        """Number of values in `node` with all aliases written out."""
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) in self._counts:
            if self._counts[id(node)] == 0:
                raise yaml.constructor.ConstructorError(None, None, "an alias stands inside what it names", node.start_mark)
            return self._counts[id(node)]
        self._counts[id(node)] = 0  # under way
        if isinstance(node, yaml.MappingNode):
            self._find_twins(node, path)
            total = sum(self.values_in(key, path) + self.values_in(value, (*path, str(key.value))) for key, value in node.value)
        else:
            total = sum(self.values_in(item, (*path, str(i))) for i, item in enumerate(node.value))
        if total > MAX_VALUES:
            said = f"this holds more than {MAX_VALUES} values once its aliases are written out"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        self._counts[id(node)] = total + 1
        return total + 1

    def _find_twins(self, node: yaml.MappingNode, path: tuple[str, ...]) -> None:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines:
                self._problems.add((*path, key.value), f"written twice, on line {lines[name]} and on line {line}", "a key must stand once")
            lines[name] = line
