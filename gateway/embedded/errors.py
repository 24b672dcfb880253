"""Errors of embedded engines, worded for the operator."""

from __future__ import annotations


class EngineError(Exception):
    """An engine or its data directory is unusable.

    The message says what to do about it.
    """
