"""Where the files that come with the program are: beside it in a checkout, inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled_files_dir() -> Path:
    """The folder with `alembic/`, `alembic.ini`, `prompts/`, `workflows/` and `provider_config.yaml`."""
    checkout = _PACKAGE.parent
    if (checkout / "alembic" / "versions").is_dir() and (checkout / "alembic.ini").is_file():
        return checkout
    return _PACKAGE / "shipped"
