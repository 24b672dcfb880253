"""What the tests of faults share."""

from tests.faults.summary import seen

__all__ = ["seen"]
