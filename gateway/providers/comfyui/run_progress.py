"""Parses what ComfyUI reports about a run.

These are progress, the end, rejected inputs, failed nodes and saved images.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Collection, Iterator
from typing import Any

import aiohttp

from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.domain.images import ImageProgress
from gateway.providers.comfyui.workflow import REQUEST_FIELDS, Workflow

_MODEL_FILE = re.compile(r"[\w .()+/\\-]{1,200}\.(safetensors|ckpt|pt|pth|bin|gguf|sft)", re.IGNORECASE)
_EXCEPTION_NAME = re.compile(r"[A-Za-z]{1,60}")
_CLOSING_MESSAGES = (
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.ERROR,
)


class RunProgress:
    """Reads the WebSocket messages of a run until it ends or the socket is lost.

    After a lost socket, the history has the result. `deadline` is in the event loop's time.
    """

    def __init__(self, workflow: Workflow, prompt_id: str, deadline: float) -> None:
        self._workflow = workflow
        self._prompt_id = prompt_id
        self._deadline = deadline
        self._finished_nodes: set[str] = set()
        self._last_progress: ImageProgress | None = None

    async def events(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[ImageProgress, None]:
        """Yield progress events.

        Raises:
            UpstreamTimeout: the deadline has passed.
            UpstreamError: a node failed; the message names it.
            UpstreamBroken: a message is not JSON.
        """
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    message = await socket.receive()
            except TimeoutError as error:
                raise UpstreamTimeout from error
            if message.type in _CLOSING_MESSAGES:
                return
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue  # previews
            parsed = parse_object(message.data)
            kind, data = parsed.get("type"), parsed.get("data")
            if not isinstance(data, dict) or data.get("prompt_id") != self._prompt_id:
                continue
            if kind == "execution_success" or (kind == "executing" and data.get("node") is None):
                return
            if kind in ("execution_error", "execution_interrupted"):
                raise node_failure(self._workflow, kind, data)
            progress = self._progress(str(kind), data)
            # ComfyUI reports most progress twice.
            if progress is not None and progress != self._last_progress:
                self._last_progress = progress
                yield progress

    def _progress(self, kind: str, data: dict[str, Any]) -> ImageProgress | None:
        node, part = "", 0.0
        if kind == "execution_cached" and isinstance(data.get("nodes"), list):
            self._finished_nodes.update(map(str, data["nodes"]))
        elif kind == "executed":
            self._finished_nodes.add(str(data.get("node")))
        elif kind == "executing":
            node = str(data.get("node"))
        elif kind == "progress_state" and isinstance(data.get("nodes"), dict):
            for id_, state in data["nodes"].items():
                if isinstance(state, dict) and state.get("state") == "finished":
                    self._finished_nodes.add(id_)
                elif isinstance(state, dict) and state.get("state") == "running":
                    node, part = id_, _fraction(state.get("value"), state.get("max"))
        elif kind == "progress":
            node, part = str(data.get("node")), _fraction(data.get("value"), data.get("max"))
        if not node:
            return None
        fraction = min(1.0, (len(self._finished_nodes - {node}) + part) / self._workflow.size)
        return ImageProgress(round(fraction, 4), self._workflow.node_title(node))


def rejection_error(
    workflow: Workflow, answer: dict[str, Any], caller_placeholders: Collection[str]
) -> GatewayError:
    """Return the error for a rejected graph.

    Either a value of the caller is at fault, or the workflow.
    """
    name = _rejected_placeholder(workflow, answer, caller_placeholders)
    if name is None:
        return UpstreamError(_rejection_message(workflow, answer))
    return UnsupportedParameter(
        f"The workflow {workflow.name} does not accept this value of {name}.",
        param=name if name in REQUEST_FIELDS else "placeholders",
    )


def _rejection_message(workflow: Workflow, answer: dict[str, Any]) -> str:
    """Return a message with the rejected node.

    ComfyUI's own text may contain the prompt and is not used.
    """
    missing_file = _missing_file_message(workflow, answer)
    if missing_file is not None:
        return missing_file
    nodes = answer.get("node_errors")
    error = answer.get("error")
    node_ids = list(nodes) if isinstance(nodes, dict) else []
    if (
        not node_ids
        and isinstance(error, dict)
        and (found := re.search(r"#(\w+)", str(error.get("details"))))
    ):
        node_ids = [found[1]]
    if not node_ids:
        return f"ComfyUI rejected the workflow {workflow.name}."
    titles = ", ".join(workflow.node_title(node) for node in node_ids[:3])
    return f"ComfyUI rejected the workflow {workflow.name} at node {titles}."


def _missing_file_message(workflow: Workflow, answer: dict[str, Any]) -> str | None:
    """Return a message about a model file that ComfyUI does not have.

    Returns None if that is not the problem.

    The file name is the operator's: `rejection_error` has excluded values of the caller.
    """
    for node_id, kind, field, value in _input_errors(answer):
        if kind == "value_not_in_list" and field.endswith("_name") and _MODEL_FILE.fullmatch(value):
            placeholders = sorted(workflow.placeholders_of(node_id, field))
            alternative = (
                f", or set another one with the placeholder `{placeholders[0]}` in `options.placeholders`"
                if placeholders
                else ""
            )
            return (
                f"The workflow {workflow.name} needs the model file {value} at node"
                f" {workflow.node_title(node_id)}, which ComfyUI does not have. Put the file into"
                f" ComfyUI's models folder{alternative}."
            )
    return None


def _rejected_placeholder(
    workflow: Workflow, answer: dict[str, Any], caller_placeholders: Collection[str]
) -> str | None:
    """Return the first caller placeholder whose value ComfyUI rejected.

    Returns None if there is none.
    """
    for node_id, _, field, _ in _input_errors(answer):
        if responsible := workflow.placeholders_of(node_id, field).intersection(caller_placeholders):
            return min(responsible)
    return None


def _input_errors(answer: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (node id, error type, input name, value as text) of each rejected input."""
    nodes = answer.get("node_errors")
    for node_id, node in nodes.items() if isinstance(nodes, dict) else ():
        errors = node.get("errors") if isinstance(node, dict) else None
        for error in errors if isinstance(errors, list) else ():
            details = error.get("extra_info") if isinstance(error, dict) else None
            if isinstance(details, dict):
                value = details.get("received_value")
                yield node_id, str(error.get("type")), str(details.get("input_name")), str(value)


def node_failure(workflow: Workflow, kind: str, data: dict[str, Any]) -> UpstreamError:
    """Return the error of a failed node.

    It does not count as a failure of ComfyUI itself.
    """
    if kind == "execution_interrupted":
        return UpstreamError("The workflow was interrupted at ComfyUI.")
    node = workflow.node_title(str(data.get("node_id")))
    name = data.get("exception_type")
    reason = f": {name}" if isinstance(name, str) and _EXCEPTION_NAME.fullmatch(name) else ""
    return UpstreamError(f"The workflow {workflow.name} failed at node {node}{reason}.")


def _saved_images(outputs: Any) -> list[dict[str, str]]:
    """Return the saved images, or the previews if nothing was saved."""
    found: list[dict[str, str]] = []
    for node in outputs.values() if isinstance(outputs, dict) else ():
        for image in node.get("images") or () if isinstance(node, dict) else ():
            if isinstance(image, dict) and isinstance(image.get("filename"), str):
                keys = ("filename", "subfolder", "type")
                found.append({key: str(image.get(key, "")) for key in keys})
    return [image for image in found if image["type"] == "output"] or found


def _fraction(value: Any, maximum: Any) -> float:
    if isinstance(value, int | float) and isinstance(maximum, int | float) and maximum > 0:
        return min(1.0, max(0.0, value / maximum))
    return 0.0


def saved_outputs(workflow: Workflow, history: dict[str, Any]) -> list[dict[str, str]]:
    """Return the images of a finished run, as parameters of `/view`.

    Raises:
        UpstreamError: a node failed; the message names it.
        UpstreamBroken: no image was saved.
    """
    status = history.get("status")
    for kind, data in _history_messages(status.get("messages") if isinstance(status, dict) else None):
        if kind in ("execution_error", "execution_interrupted"):
            raise node_failure(workflow, kind, data)
    found = _saved_images(history.get("outputs"))
    if not found:
        raise UpstreamBroken("The workflow ran, but saved no image. Check that it ends in a SaveImage node.")
    return found


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object; raises UpstreamBroken for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UpstreamBroken from error
    if not isinstance(value, dict):
        raise UpstreamBroken
    return value


def _history_messages(messages: Any) -> list[tuple[str, dict[str, Any]]]:
    return [
        (message[0], message[1])
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], dict)
    ]
