"""Loads the provider configuration from its file."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.environment import UPSTREAMS
from gateway.domain.config.loader import ConfigError, parse_catalog
from gateway.providers.registry import PROVIDER_TYPES


def load_catalog(path: Path) -> Catalog:
    """Load the catalog from `path`, with `${NAME}` and `GATEWAY_*` of the environment.

    The file is optional if `GATEWAY_UPSTREAMS` names upstreams.

    Raises:
        ConfigError: the file cannot be read or is not valid; the message names the lines.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        missing = isinstance(error, FileNotFoundError) or path == Path()
        if missing and os.environ.get(UPSTREAMS):
            return parse_catalog("", os.environ, source="environment", provider_types=PROVIDER_TYPES)
        if path == Path():
            raise ConfigError(
                "PROVIDER_CONFIG is empty and GATEWAY_UPSTREAMS names no upstream. Set one of them."
            ) from error
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path}: the provider configuration cannot be read: {reason}.") from error
    return parse_catalog(text, os.environ, source=str(path), provider_types=PROVIDER_TYPES)


def require_models(catalog: Catalog, path: Path) -> None:
    """Reject a configuration without models, such as an empty or truncated file.

    Raises:
        ConfigError: no model is configured.
    """
    if not catalog.models:
        raise ConfigError(f"{path}:1: models: no model is configured. Add at least one.")


def config_file_fingerprint(path: Path) -> str:
    """Return the SHA-256 of the file in hex; a missing file counts as empty."""
    return sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
