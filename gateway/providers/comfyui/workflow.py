"""Loads and fills ComfyUI workflows (API format) with placeholders.

Placeholders look like `"{{prompt}}"`, or `"{{width:1024}}"` with a default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PLACEHOLDER = re.compile(r"\{\{\s*([a-z_][a-z0-9_]*)\s*(?::([^{}]*))?\}\}")
_MAX_BYTES = 4 * 1024 * 1024
# Placeholders that correspond to fields of a request.
REQUEST_FIELDS = ("prompt", "negative_prompt", "width", "height", "seed")


class WorkflowError(ValueError):
    """A workflow cannot be used; the message is for the operator and names the file."""


class Workflow:
    """A graph of nodes.

    `placeholders` are the names of all placeholders, with or without default.
    """

    def __init__(self, name: str, graph: dict[str, Any]) -> None:
        self.name = name
        self._graph = graph
        self.placeholders = frozenset(found[1] for found in _PLACEHOLDER.finditer(json.dumps(graph)))

    def node_title(self, node_id: str) -> str:
        """Return a readable name of a node, such as `2 (ImageScale)`.

        Ids inside a group look like `5:2`.
        """
        node = self._graph.get(node_id) or self._graph.get(node_id.split(":")[0])
        return f"{node_id} ({node['class_type']})" if node else node_id

    def placeholders_of(self, node_id: str, field: str) -> frozenset[str]:
        """Return the placeholders in one input of a node."""
        inputs = self._graph.get(node_id, {}).get("inputs", {})
        return frozenset(found[1] for found in _PLACEHOLDER.finditer(json.dumps(inputs.get(field))))

    def fill(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the graph with its placeholders filled.

        A string that consists of one placeholder becomes the value itself, so that a number stays a number.

        Raises:
            WorkflowError: a placeholder has neither value nor default.
        """
        filled: dict[str, Any] = _fill(self._graph, values, self.name)
        return filled

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self._graph)


def load_workflow(folder: Path, name: str) -> Workflow:
    """Load a workflow, without caching, so that an operator can change the file at any time.

    Raises:
        FileNotFoundError: there is no workflow with this name.
        WorkflowError: the file is not in ComfyUI's API format.
    """
    if not _NAME.fullmatch(name):
        raise FileNotFoundError(name)
    path = folder / f"{name}.json"
    if path.stat().st_size > _MAX_BYTES:
        raise WorkflowError(f"{path.name} is larger than {_MAX_BYTES} bytes.")
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WorkflowError(f"{path.name} is not JSON.") from error
    if isinstance(graph, dict) and "nodes" in graph:
        raise WorkflowError(f"{path.name} is in the editor's format; export it with «Export (API)».")
    if not isinstance(graph, dict) or not graph or not all(map(_is_node, graph.values())):
        raise WorkflowError(f"{path.name} is not a workflow in ComfyUI's API format.")
    return Workflow(name, graph)


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
    )


def _fill(part: Any, values: Mapping[str, Any], name: str) -> Any:
    if isinstance(part, dict):
        return {key: _fill(value, values, name) for key, value in part.items()}
    if isinstance(part, list):
        return [_fill(value, values, name) for value in part]
    if not isinstance(part, str):
        return part
    whole_match = _PLACEHOLDER.fullmatch(part)
    if whole_match is not None:
        return _value(whole_match, values, name)
    return _PLACEHOLDER.sub(lambda match: str(_value(match, values, name)), part)


def _value(match: re.Match[str], values: Mapping[str, Any], name: str) -> Any:
    key, default = match[1], match[2]
    if values.get(key) is not None:
        return values[key]
    if default is None:
        raise WorkflowError(f"{name} needs a value for {key}.")
    try:
        return json.loads(default)
    except ValueError:
        return default
