"""Writes docs/CONFIGURATION.md: every variable of `.env.example` and every key of `provider_config.yaml`.

The variables' words are those of `.env.example`, their defaults those of the settings; the keys, their forms
and defaults are read off the types that check the file. A test holds the page to both.
"""

# ruff: noqa: T201  a script that tells what it did
from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "CONFIGURATION.md"
EXAMPLE = ROOT / ".env.example"
_DEFAULTS = Catalog()

_INTRODUCTION = """\
# Configuration

Every variable and every key, written by `python scripts/configuration.py` from
[.env.example](../.env.example) and from the types that check the configuration. The
[README](../README.md#configuration) has the ones that most people need.

- **Variables** come from the environment, then from `.env` in the working directory. A variable whose name
  ends in `_KEY`, `_KEYS`, `_PASSWORD`, `_SECRET`, `_TOKEN` or `_URL` may be given as a file: `NAME_FILE` is
  its path.
- **Keys** are those of `provider_config.yaml` (`PROVIDER_CONFIG` names another file). `${NAME}` and
  `${NAME:-default}` are read from the environment. An unknown key, a name that nothing has, or a circle of
  fallbacks stops the start with its line.

## Variables
"""
_KEYS = """\
## Keys of `provider_config.yaml`

What is left out has its default. `*` stands for a name of your own.
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for title, rows in sections():
        parts.append(f"### {title}\n")
        parts.append("| variable | default | meaning |\n|---|---|---|")
        parts += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in rows]
        parts.append("")
    parts.append(_KEYS)
    for name, field in Catalog.model_fields.items():
        parts.append(f"### `{name}`\n")
        about = _about(field.annotation)
        if about:
            parts.append(about + "\n")
        parts.append("| key | form | default |\n|---|---|---|")
        found = keys(name, field, getattr(_DEFAULTS, name))
        parts += [f"| `{key}` | {form} | {default} |" for key, form, default in found]
        parts.append("")
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """(title, [(variable, default, meaning)]) of `.env.example`, in its order."""
    title = ""
    rows: list[tuple[str, str, str]] = []
    words: list[str] = []
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"# --- (.+?) -+$", line):
            if rows:
                yield title, rows
            title, rows, words = heading[1], [], []
        elif variable := re.match(r"#([A-Z][A-Z0-9_]*)=(.*)$", line):
            meaning = " ".join(words) + _example_of(variable[1], variable[2])
            rows.append((variable[1], _default_of(variable[1]), meaning.strip()))
            words = []
        elif line.startswith("#"):
            words.append(line.removeprefix("#").strip().replace("|", "\\|"))
        else:
            words = []
    yield title, rows


def _example_of(variable: str, example: str) -> str:
    """What the example file shows, where that is not the default."""
    if not example or _default_of(variable).strip("`").lower() == example.lower():
        return ""
    return f" Example: `{example}`."


def _default_of(variable: str) -> str:
    field = Settings.model_fields.get(variable.lower())
    if field is None:
        return "–"
    default = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    return "–" if default in ("", None) else f"`{default}`"


def keys(path: str, field: FieldInfo, default: Any) -> Iterator[tuple[str, str, str]]:
    """(key, form, default) of a field and of all below it; `default` is what an empty file has there."""
    annotation = _bare(field.annotation)
    model = _model_in(annotation)
    if model is None:
        yield path, _form(annotation), "required" if field.is_required() else _shown(default)
        return
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        path += ".*" if get_origin(annotation) is dict else "[]"
    for name, inner in model.model_fields.items():
        if not _recursive(model, inner):
            below = inner.get_default(call_default_factory=True)
            if isinstance(default, BaseModel):
                below = getattr(default, name)
            yield from keys(f"{path}.{inner.alias or name}", inner, below)


def _recursive(model: type[BaseModel], field: FieldInfo) -> bool:
    return _model_in(_bare(field.annotation)) is model


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and `None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        left = [part for part in get_args(annotation) if part is not type(None)]
        if len(left) == 1:
            return _bare(left[0])
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, tuple, list):
        for part in get_args(annotation):
            if (model := _model_in(_bare(part))) is not None:
                return model
    return None


def _form(annotation: Any) -> str:
    annotation, origin = _bare(annotation), get_origin(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(_form(part) for part in get_args(annotation) if part is not type(None))
    if origin in (tuple, list, frozenset, set):
        return "list of " + _form(next(part for part in get_args(annotation) if part is not Ellipsis))
    if origin is dict:
        return f"mapping of names to {_form(_bare(get_args(annotation)[1]))}"
    return {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "Decimal": "number",
        "bool": "true or false",
        "Any": "anything",
        "dict": "mapping",
    }.get(getattr(annotation, "__name__", ""), str(getattr(annotation, "__name__", annotation)))


def _shown(default: Any) -> str:
    if default is PydanticUndefined or default is None or default in ({}, (), frozenset()):
        return "–"
    if isinstance(default, dict):
        return "see the file"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple | frozenset):
        return f"`{json.dumps([str(item) if not isinstance(item, int) else item for item in default])}`"
    return f"`{default}`"


def _about(annotation: Any) -> str:
    """The docstring of the type behind a section."""
    model = _model_in(_bare(annotation))
    text = inspect.cleandoc(model.__doc__ or "") if model is not None else ""
    return re.sub(r"\n\s*\n", "\n\n", re.sub(r"(?<!\n)\n[ \t]*(?!\n)", " ", text))


def main() -> None:
    TARGET.write_text(page(), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
