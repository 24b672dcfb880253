"""Whether two questions ask the same, so that one answer will do for both."""

from gateway.domain.same_question.verifier import SameQuestion, TokenVectors

__all__ = ["SameQuestion", "TokenVectors"]
