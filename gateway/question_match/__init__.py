"""Decides whether two questions ask the same, for the semantic cache.

Knows nothing of caches and providers: callers pass token vectors.
"""

from gateway.question_match.matcher import QuestionMatcher, TokenVectors

__all__ = ["QuestionMatcher", "TokenVectors"]
