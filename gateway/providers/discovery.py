"""Finds the class behind a provider's `type`: the module of that name, in the package of its kind."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, TypeVar

from gateway import providers

CHAT = "chat"
IMAGE = "images"
EMBEDDING = "embeddings"

T = TypeVar("T")

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_LITELLM_HINT = (
    "the provider type `litellm` is not part of this installation. Run a LiteLLM proxy of your own and "
    "configure it as `type: openai` with `base_url: http://…/v1`"
)


def find_provider(kind: str, type_: str, base: type[T]) -> type[T] | None:
    """The class of `TYPE/kind.py` whose attribute `type` is `type_`; None where there is none.

    A new provider is one folder: `gateway/providers/acme/chat.py` has a class whose `type` is `acme`. Nothing
    else is imported, so an installation only loads the clients of the vendors that it uses.
    """
    if not has_module(kind, type_):
        return None
    module = import_module(f"gateway.providers.{type_}.{kind}")
    found: Any
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, base) and vars(found).get("type") == type_:
            return found
    return None


def has_module(kind: str, type_: str) -> bool:
    """Whether the type has a module of this kind; the module itself is not imported."""
    return (
        _TYPE.fullmatch(type_) is not None
        and find_spec(f"gateway.providers.{type_}") is not None
        and find_spec(f"gateway.providers.{type_}.{kind}") is not None
    )


def provider_type_problem(type_: str) -> str | None:
    """A sentence about a provider `type` that cannot be used, without its value; None if it can."""
    if type_ == "litellm":
        return _LITELLM_HINT
    if find_provider(CHAT, type_, object) is not None:
        return None
    return f"there is no provider type of this name; there are {', '.join(chat_types())}"


def chat_types() -> list[str]:
    """Every type that has a chat provider, sorted. Imports all of them: for error messages and tests."""
    names = [module.name for module in iter_modules(providers.__path__) if module.ispkg]
    return sorted(name for name in names if _declares_type(name))


def _declares_type(name: str) -> bool:
    return has_module(CHAT, name) and any(
        isinstance(found, type) and vars(found).get("type") == name
        for found in vars(import_module(f"gateway.providers.{name}.{CHAT}")).values()
    )
