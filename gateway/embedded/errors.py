"""What can go wrong with an embedded engine, each a sentence for the operator."""

from __future__ import annotations


class EngineError(Exception):
    """An engine or its data directory cannot be used; the message says what to do about it."""
