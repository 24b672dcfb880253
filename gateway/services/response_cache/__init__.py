"""Answers turns without a model: exact and semantic cache, single flight.

Knows no conversations.
"""
