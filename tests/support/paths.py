"""Paths of the checkout, for tests at any depth."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[2]
RECORDINGS = next(path for path in PROJECT.glob("tests/**/upstreams/recordings") if path.is_dir())
