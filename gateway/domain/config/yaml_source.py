"""Parses YAML into plain values with line numbers and environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]

# A few nested aliases can expand to any number of values.
_MAX_VALUES = 100_000
_STR_TAG = "tag:yaml.org,2002:str"
# `${NAME}`, or the beginning of `${NAME:-default}`.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:\}|(:-))")
_BRACES = re.compile(r"\$\$\{|\$\{|\}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_KEYWORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(slots=True)
class YamlDocument:
    """A parsed document; `lines` maps each path to its 1-based line.

    `texts` holds the original text of plain scalars from the environment, by path: fields that require text
    (a key of digits only) use it instead of the number.
    """

    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int:
        """The line of the longest existing prefix of `path`."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, environ: Mapping[str, str]) -> YamlDocument:
    """Parse `text`; problems are collected as (line, message).

    Scalars follow the core schema of YAML 1.2 (`off` and `no` are text). Variables are substituted in parsed
    scalars, so that their values cannot become keys, lists or further entries.
    """
    document = YamlDocument()
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.problems.append((mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append((line, "not valid YAML: a character that is not allowed"))
    except RecursionError:
        document.problems.append((1, "not valid YAML: nested too deeply"))
    else:
        try:
            document.value = _Reader(document, environ).read(root, ()) if root is not None else None
        except RecursionError:
            document.problems.append((1, "nested too deeply"))
        except _TooManyValues:
            document.problems.append((1, f"more than {_MAX_VALUES:,} values, counting each use of an alias"))
    return document


class _TooManyValues(Exception):
    """The document has more values than any configuration needs."""


class _Reader:
    """Converts YAML nodes to values.

    `open_nodes` detects aliases that contain themselves.
    """

    def __init__(self, document: YamlDocument, environ: Mapping[str, str]) -> None:
        self.document = document
        self.environ = environ
        self.open_nodes: set[int] = set()
        self.values_left = _MAX_VALUES

    def add_problem(self, node: yaml.Node, message: str) -> None:
        self.document.problems.append((node.start_mark.line + 1, message))

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self.values_left -= 1
        if self.values_left < 0:
            raise _TooManyValues
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open_nodes:
            self.add_problem(node, f"{_dotted(path)}: an alias that contains itself")
            return None
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        finally:
            self.open_nodes.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.add_problem(key_node, f"{_dotted(path) or 'file'}: a key must be a name")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if not key.isprintable():
                self.add_problem(key_node, f"{_dotted(path) or 'file'}: a key with a control character")
                continue
            if key in values:
                self.add_problem(key_node, f"{_dotted(here)}: this key is defined twice")
                continue
            self.document.lines[here] = key_node.start_mark.line + 1
            values[key] = self.read(value_node, here)
        return values

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag != _STR_TAG:
            self.add_problem(node, f"{_dotted(path)}: a YAML tag is not supported here")
            return None
        text = str(node.value)
        if "${" in text:
            text = self.substitute(node, text, path)
            if not node.style:
                self.document.texts[path] = text
        if _UNSTORABLE.search(text):
            self.add_problem(
                node, f"{_dotted(path)}: a NUL character or an unpaired surrogate is not valid text"
            )
            return None
        return text if node.style else resolve_scalar(text)

    def substitute(self, node: yaml.ScalarNode, text: str, path: KeyPath) -> str:
        """Replace variables in `text`; a default may contain further variables."""
        parts: list[str] = []
        at = 0
        while (start := text.find("$", at)) >= 0:
            parts.append(text[at:start])
            if text.startswith("$${", start):
                parts.append("${")
                at = start + 3
                continue
            found = _VARIABLE.match(text, start)
            end = _closing_brace(text, found.end()) if found is not None and found[2] else -1
            if found is not None and not found[2]:
                parts.append(self.variable(node, found[1], None, path))
                at = found.end()
            elif found is not None and end >= 0:
                parts.append(self.variable(node, found[1], text[found.end() : end], path))
                at = end + 1
            else:
                if text.startswith("${", start):
                    self.add_problem(
                        node, f"{_dotted(path)}: a ${{…}} that is not ${{NAME}} or ${{NAME:-default}}"
                    )
                parts.append("$")
                at = start + 1
        return "".join((*parts, text[at:]))

    def variable(self, node: yaml.ScalarNode, name: str, default: str | None, path: KeyPath) -> str:
        """The variable's value; its default is evaluated only if needed."""
        found = self.environ.get(name)
        if default is not None:
            return found or self.substitute(node, default, path)
        if found is None:
            self.add_problem(node, f"{_dotted(path)}: the environment variable {name} is not set")
            return ""
        return found


def _closing_brace(text: str, at: int) -> int:
    """Index of the brace that closes a default starting at `at`; -1 if missing."""
    depth = 0
    for match in _BRACES.finditer(text, at):
        if match[0] == "${":
            depth += 1
        elif match[0] == "}":
            if not depth:
                return match.start()
            depth -= 1
    return -1


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Convert an unquoted scalar by the core schema of YAML 1.2.

    Without hexadecimal, octal and infinities.
    """
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if _INT.fullmatch(text) and len(text) < 32:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)
