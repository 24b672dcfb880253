"""Fixtures of the fault tests."""

from tests.faults.summary import seen

__all__ = ["seen"]
