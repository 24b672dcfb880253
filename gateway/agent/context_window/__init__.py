"""Fit a conversation into a model's context window.

Tool results are shortened first; then older exchanges are replaced by notes.
"""
