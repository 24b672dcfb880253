"""Whether two questions ask the same, so that one answer will do for both."""

from gateway.question_match.matcher import QuestionMatcher, TokenVectors

__all__ = ["QuestionMatcher", "TokenVectors"]
