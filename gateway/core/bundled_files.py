"""Location of bundled files: in the checkout, or inside the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled_files_dir() -> Path:
    """Return the folder with `alembic/`, `prompts/` and `provider_config.yaml`."""
    checkout = _PACKAGE.parent
    if (checkout / "alembic" / "versions").is_dir() and (checkout / "alembic.ini").is_file():
        return checkout
    return _PACKAGE / "shipped"
