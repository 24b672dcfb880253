"""Answers turns without a model: exact and semantic cache, single flight.

Independent of conversations.
"""
